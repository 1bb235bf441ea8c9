package wire

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"
)

// feed is a source that gives what it was given last.
type feed struct{ data []byte }

func (f *feed) Read(p []byte) (int, error) {
	n := copy(p, f.data)
	f.data = f.data[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func data(size int) []byte {
	m := binary.BigEndian.AppendUint32([]byte{MsgCopyData}, uint32(size-1))
	return append(m, make([]byte, size-headerSize)...)
}

// TestBufferGrowsAndShrinks follows the size of the buffer through a session's life. It looks inside: from without, size
// is speed and memory only.
func TestBufferGrowsAndShrinks(t *testing.T) {
	src := &feed{}
	r := NewReader(src, 1<<20)
	read := func(messages ...[]byte) {
		t.Helper()
		src.data = bytes.Join(messages, nil)
		for range messages {
			if _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
		}
	}
	size := func(want int, when string) {
		t.Helper()
		if len(r.buf) != want {
			t.Fatalf("%s the buffer has %d bytes, want %d", when, len(r.buf), want)
		}
	}
	size(0, "before the first read")
	read(data(100))
	size(smallBuffer, "after a short message")
	read(data(6000), data(6000), data(6000))
	size(bulkBuffer, "when reads fill it")
	read(data(700 << 10))
	size(1<<20, "after a message of 700 KiB")
	for range calmReads + 1 {
		read(data(5000))
	}
	size(bulkBuffer, "after messages that 64 KiB would hold")
	for range calmReads + 1 {
		read(data(100))
	}
	size(smallBuffer, "after short messages")
	r.Idle()
	size(0, "when idle")
	read(data(100))
	size(smallBuffer, "after waking up")
}

func TestBufferStopsAtLimit(t *testing.T) {
	const limit = 100 << 10
	r := NewReader(&feed{data: bytes.Join([][]byte{data(limit), data(limit + 1), data(limit + 1)}, nil)}, limit)
	if m, err := r.Next(); err != nil || len(m) != limit {
		t.Fatalf("%d bytes, %v", len(m), err)
	}
	if len(r.buf) != limit {
		t.Errorf("the buffer has %d bytes for a limit of %d", len(r.buf), limit)
	}
	if _, err := r.Next(); err == nil {
		t.Error("a message above the limit came whole")
	}
	if err := r.Skip(); err != nil {
		t.Fatal(err)
	}
	r.SetLimit(limit + 1)
	if m, err := r.Next(); err != nil || len(m) != limit+1 {
		t.Errorf("after SetLimit: %d bytes, %v", len(m), err)
	}
}
