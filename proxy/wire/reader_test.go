package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"shiguan/proxy/wire"
)

// dribble gives at most the announced number of bytes a read, so that messages come in any pieces.
type dribble struct {
	src   io.Reader
	sizes []byte
	turn  int
}

func (d *dribble) Read(p []byte) (int, error) {
	if len(d.sizes) > 0 {
		p = p[:min(len(p), 1+int(d.sizes[d.turn%len(d.sizes)])*7)]
		d.turn++
	}
	return d.src.Read(p)
}

// split is the naive reference: it cuts a stream that is wholly in memory.
func split(stream []byte) (messages [][]byte, rest []byte, bad bool) {
	for len(stream) >= 5 {
		n := int64(binary.BigEndian.Uint32(stream[1:]))
		if n < 4 || n >= 1<<30 {
			return messages, stream, true
		}
		if int64(len(stream)) < n+1 {
			break
		}
		messages = append(messages, stream[:n+1])
		stream = stream[n+1:]
	}
	return messages, stream, false
}

// checkAgainstSplit reads a stream and compares with the reference, streaming and skipping in turn what is over-long.
func checkAgainstSplit(stream []byte, sizes []byte, limit int) error {
	want, rest, bad := split(stream)
	r := wire.NewReader(&dribble{src: bytes.NewReader(stream), sizes: sizes}, limit)
	for i, w := range want {
		ready := r.Ready()
		m, err := r.Next()
		var long *wire.TooLongError
		switch {
		case errors.As(err, &long):
			if len(w) <= limit || long.Length != len(w) || long.Type != w[0] || !r.Ready() {
				return fmt.Errorf("message %d of %d bytes: %v, ready before %t, after %t", i, len(w), err, ready, r.Ready())
			}
			if _, again := r.Next(); again != err {
				return fmt.Errorf("message %d: Next after %v says %v", i, err, again)
			}
			if i%2 == 0 {
				if err := r.Skip(); err != nil {
					return err
				}
				continue
			}
			var out bytes.Buffer
			n, err := r.Stream(&out)
			if err != nil || n != int64(len(w)) || !bytes.Equal(out.Bytes(), w) {
				return fmt.Errorf("message %d streamed %d of %d bytes, %v", i, n, len(w), err)
			}
		case err != nil:
			return fmt.Errorf("message %d: %w", i, err)
		case len(w) > limit:
			return fmt.Errorf("message %d of %d bytes came whole", i, len(w))
		case !bytes.Equal(m, w) || m.Type() != w[0] || !bytes.Equal(m.Body(), w[5:]):
			return fmt.Errorf("message %d is %q, want %q", i, m, w)
		}
		if i%3 == 0 {
			r.Idle()
		}
	}
	_, err := r.Next()
	var long *wire.TooLongError
	if errors.As(err, &long) {
		err = r.Skip()
	}
	var violation *wire.ProtocolError
	switch {
	case bad && !errors.As(err, &violation):
		return fmt.Errorf("after a bad length: %v", err)
	case !bad && len(rest) == 0 && err != io.EOF:
		return fmt.Errorf("at the end: %v, want io.EOF", err)
	case !bad && len(rest) > 0 && err != io.ErrUnexpectedEOF:
		return fmt.Errorf("inside a message: %v, want io.ErrUnexpectedEOF", err)
	}
	return nil
}

func FuzzReader(f *testing.F) {
	stream := wire.AppendQuery(nil, "select 1")
	stream = wire.AppendParse(stream, "s", "select generate_series(1, 100)", nil)
	stream = wire.AppendSync(wire.AppendTerminate(stream))
	f.Add(stream, []byte{0}, uint16(24))
	f.Add(append(stream, 'Q', 0, 0, 0, 3), []byte{3, 0, 9}, uint16(5))
	f.Add(append(stream, 'Q', 0x40, 0, 0, 0), []byte{}, uint16(9000))
	f.Add(append(stream, 'Q', 0x3f, 0xff, 0xff, 0xff, 'x'), []byte{}, uint16(9000))
	f.Add(frame('d', make([]byte, 20000)), []byte{255}, uint16(30000))
	f.Fuzz(func(t *testing.T, stream, sizes []byte, limit uint16) {
		if err := checkAgainstSplit(stream, sizes, max(int(limit), 5)); err != nil {
			t.Fatal(err)
		}
	})
}

// TestLongStreams does what the fuzzer cannot in reasonable time: megabytes of messages of all sizes around the buffers'.
func TestLongStreams(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for round := range 20 {
		var stream []byte
		for range 60 {
			size := rnd.IntN(1 << rnd.IntN(19))
			stream = append(stream, frame("DdTZ"[rnd.IntN(4)], make([]byte, size))...)
			if n := len(stream); size > 8 {
				binary.BigEndian.PutUint64(stream[n-8:], rnd.Uint64())
			}
		}
		sizes := make([]byte, rnd.IntN(9))
		for i := range sizes {
			sizes[i] = byte(rnd.IntN(256))
		}
		if err := checkAgainstSplit(stream, sizes, 64<<rnd.IntN(13)); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
}

func TestOneByteReads(t *testing.T) {
	stream := wire.AppendQuery(nil, "select 1")
	stream = wire.AppendSync(stream)
	for name, src := range map[string]io.Reader{
		"one byte": iotest.OneByteReader(bytes.NewReader(stream)),
		"half":     iotest.HalfReader(bytes.NewReader(stream)),
		"data+EOF": iotest.DataErrReader(bytes.NewReader(stream)),
	} {
		r := wire.NewReader(src, 1<<20)
		q, err := r.Next()
		if err != nil || q.Type() != wire.MsgQuery {
			t.Fatalf("%s: %q, %v", name, q, err)
		}
		s, err := r.Next()
		if err != nil || s.Type() != wire.MsgSync || len(s.Body()) != 0 {
			t.Fatalf("%s: %q, %v", name, s, err)
		}
		for range 2 {
			if _, err := r.Next(); err != io.EOF {
				t.Fatalf("%s: %v, want io.EOF", name, err)
			}
		}
	}
}

// TestTimeoutLosesNothing interrupts before every byte, as a read deadline might.
func TestTimeoutLosesNothing(t *testing.T) {
	stream := wire.AppendQuery(nil, "select 1")
	stream = append(stream, frame('d', make([]byte, 30))...)
	stream = wire.AppendSync(stream)
	r := wire.NewReader(&interrupted{src: iotest.OneByteReader(bytes.NewReader(stream))}, 20)
	retry := func(step func() error) error {
		for {
			if err := step(); !errors.Is(err, os.ErrDeadlineExceeded) {
				return err
			}
		}
	}
	var got bytes.Buffer
	next := func() (err error) {
		m, err := r.Next()
		got.Write(m)
		return err
	}
	var long *wire.TooLongError
	if err := retry(next); err != nil {
		t.Fatal(err)
	}
	if err := retry(next); !errors.As(err, &long) {
		t.Fatalf("got %v, want a *TooLongError", err)
	}
	if err := retry(func() error { _, err := r.Stream(&got); return err }); err != nil {
		t.Fatal(err)
	}
	if err := retry(next); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), stream) {
		t.Errorf("got %q, want %q", got.Bytes(), stream)
	}
}

// interrupted answers every second read with a timeout.
type interrupted struct {
	src  io.Reader
	turn int
}

func (i *interrupted) Read(p []byte) (int, error) {
	if i.turn++; i.turn%2 == 1 {
		return 0, os.ErrDeadlineExceeded
	}
	return i.src.Read(p)
}

// TestWriterFails: what is left of an over-long message can still be discarded, and nothing else may be read before.
func TestWriterFails(t *testing.T) {
	stream := wire.AppendSync(frame('d', make([]byte, 200<<10)))
	r := wire.NewReader(bytes.NewReader(stream), 1000)
	if _, err := r.Next(); err == nil {
		t.Fatal("no *TooLongError")
	}
	refused := errors.New("refused")
	if _, err := r.Stream(failing{refused}); err != refused {
		t.Fatalf("got %v, want the writer's error", err)
	}
	var long *wire.TooLongError
	if m, err := r.Next(); err == nil || errors.As(err, &long) {
		t.Fatalf("in the middle of a message Next says %q, %v", m, err)
	}
	if !r.Ready() {
		t.Error("in the middle of a message Next has an error to return, and Ready says no")
	}
	if err := r.Skip(); err != nil {
		t.Fatal(err)
	}
	if m, err := r.Next(); err != nil || m.Type() != wire.MsgSync {
		t.Fatalf("after Skip: %q, %v", m, err)
	}
	if err := r.Skip(); err == nil {
		t.Error("Skip without an over-long message says nothing")
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestBuffered(t *testing.T) {
	query := wire.AppendQuery(nil, "select 1")
	r := wire.NewReader(bytes.NewReader(append(bytes.Clone(query), 'S', 0, 0)), 1<<20)
	if r.Ready() || r.Buffered() != 0 {
		t.Error("something is there before anything was read")
	}
	m, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	if r.Buffered() != 3 || r.Ready() {
		t.Errorf("Buffered = %d, Ready = %t, want 3 bytes of an unfinished message", r.Buffered(), r.Ready())
	}
	r.Idle()
	if r.Buffered() != 3 || !bytes.Equal(m, query) {
		t.Error("Idle took what is buffered")
	}
	if len(m) != cap(m) {
		t.Error("appending to a message would write over the next one")
	}
}

func TestBrokenStaysBroken(t *testing.T) {
	r := wire.NewReader(bytes.NewReader([]byte("Q\x00\x00\x00\x03Q\x00\x00\x00\x05\x00")), 1<<20)
	_, first := r.Next()
	var violation *wire.ProtocolError
	if !errors.As(first, &violation) || violation.Code != "08P01" {
		t.Fatalf("got %v, want SQLSTATE 08P01", first)
	}
	_, second := r.Next()
	_, third := r.Stream(io.Discard)
	if second != first || third != first || r.Skip() != first || !r.Ready() {
		t.Errorf("later calls say %v, %v", second, third)
	}
}

func TestNoProgress(t *testing.T) {
	r := wire.NewReader(lazy{}, 100)
	if _, err := r.Next(); err != io.ErrNoProgress {
		t.Errorf("got %v, want io.ErrNoProgress", err)
	}
}

type lazy struct{}

func (lazy) Read([]byte) (int, error) { return 0, nil }

// TestAnnouncedCostsNothing: five bytes that announce a gigabyte must not cost one.
func TestAnnouncedCostsNothing(t *testing.T) {
	header := []byte{'Q', 0x3f, 0xff, 0xff, 0xff}
	spent := allocated(func() {
		if _, err := wire.NewReader(bytes.NewReader(header), 1<<30).Next(); err != io.ErrUnexpectedEOF {
			t.Errorf("got %v", err)
		}
	})
	if spent > 1<<20 {
		t.Errorf("%d bytes were allocated for 5 that arrived", spent)
	}
}

// TestStreamIsConstant: however long a message is, streaming it takes one buffer.
func TestStreamIsConstant(t *testing.T) {
	const size = 64 << 20
	src := io.MultiReader(bytes.NewReader([]byte{'d', 0x04, 0, 0, 4}), io.LimitReader(zeros{}, size))
	spent := allocated(func() {
		r := wire.NewReader(src, 1<<20)
		if _, err := r.Next(); err == nil {
			t.Fatal("no *TooLongError")
		}
		if n, err := r.Stream(io.Discard); n != size+5 || err != nil {
			t.Fatalf("streamed %d, %v", n, err)
		}
	})
	if spent > 1<<20 {
		t.Errorf("%d bytes were allocated to pass on %d", spent, size)
	}
}

// A message of a type that may not come is refused at its first byte, whatever length it announces.
func TestReaderAccept(t *testing.T) {
	for _, input := range []string{"G", "GET / HTTP/1.1", "\x00\x00\x00\x00\x26", "Z\x7f\xff\xff\xff"} {
		r := wire.NewReader(strings.NewReader("S\x00\x00\x00\x04"+input), 100)
		r.Accept(wire.ClientTypes)
		if m, err := r.Next(); err != nil || m.Type() != wire.MsgSync {
			t.Fatalf("Sync: %v", err)
		}
		for range 2 {
			var violation *wire.ProtocolError
			if _, err := r.Next(); !errors.As(err, &violation) {
				t.Errorf("%q: %v", input, err)
			}
		}
		if !r.Ready() {
			t.Errorf("%q: Next has an error to return, and Ready says no", input)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// allocated is how many bytes f took from the heap.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
