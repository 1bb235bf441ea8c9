package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/jackc/pgproto3/v2"

	"shiguan/proxy/wire"
)

func TestStartupFiles(t *testing.T) {
	for _, tc := range readCases(t, "testdata/startup/packets.txt") {
		at := fmt.Sprintf("%s:%d", tc.file, tc.line)
		got, err := wire.ReadStartup(iotest.OneByteReader(bytes.NewReader(tc.bytes)))
		if !tc.accept {
			var violation *wire.ProtocolError
			if !errors.As(err, &violation) && err != io.EOF && err != io.ErrUnexpectedEOF {
				t.Errorf("%s: got %v, %v, want an error", at, got, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: refused: %v", at, err)
			continue
		}
		if again, same := encodeStartup(got); same && !bytes.Equal(again, tc.bytes) {
			t.Errorf("%s: became %q, want %q", at, again, tc.bytes)
		}
	}
}

// encodeStartup encodes a packet again; whole is false when the packet held something that is not decoded.
func encodeStartup(s wire.Startup) (packet []byte, whole bool) {
	switch s := s.(type) {
	case wire.SSLRequest:
		return wire.AppendSSLRequest(nil), true
	case wire.GSSENCRequest:
		return wire.AppendGSSENCRequest(nil), true
	case wire.CancelRequest:
		return wire.AppendCancelRequest(nil, s.PID, s.Key), true
	case wire.StartupMessage:
		return wire.AppendStartup(nil, s.Version, s.Params...), s.Version>>16 == 3
	case wire.TLSRecord:
		return s.Head[:], true
	}
	return nil, true
}

func TestStartupParams(t *testing.T) {
	want := []wire.Param{{"user", "ann"}, {"options", "-c a=1"}, {"TimeZone", "UTC"}, {"TimeZone", "Asia/Shanghai"}, {"empty", ""}}
	packet := wire.AppendStartup(nil, wire.Version32, want...)
	got, err := wire.ReadStartup(bytes.NewReader(packet))
	if err != nil {
		t.Fatal(err)
	}
	m, ok := got.(wire.StartupMessage)
	if !ok || m.Version != 0x00030002 || !reflect.DeepEqual(m.Params, want) {
		t.Fatalf("got %+v", got)
	}
	for name, want := range map[string]string{"user": "ann", "TimeZone": "Asia/Shanghai", "empty": ""} {
		if v, ok := m.Get(name); !ok || v != want {
			t.Errorf("%s is %q %t, want %q", name, v, ok, want)
		}
	}
	if _, ok := m.Get("database"); ok {
		t.Error("a parameter that was not sent is there")
	}
}

func TestStartupReadsOnePacket(t *testing.T) {
	for _, packet := range [][]byte{
		wire.AppendSSLRequest(nil),
		wire.AppendCancelRequest(nil, 1, []byte("abcd")),
		wire.AppendStartup(nil, wire.Version30, wire.Param{Name: "user", Value: "ann"}),
	} {
		src := strings.NewReader(string(packet) + "\x16TLS begins here")
		if _, err := wire.ReadStartup(src); err != nil {
			t.Fatal(err)
		}
		if rest, _ := io.ReadAll(src); string(rest) != "\x16TLS begins here" {
			t.Errorf("after %q the rest is %q: bytes of the next layer were taken", packet, rest)
		}
	}
}

func TestStartupEnds(t *testing.T) {
	packet := wire.AppendStartup(nil, wire.Version30, wire.Param{Name: "user", Value: "ann"})
	for n := range packet {
		_, err := wire.ReadStartup(bytes.NewReader(packet[:n]))
		want := io.ErrUnexpectedEOF
		if n == 0 {
			want = io.EOF
		}
		if err != want {
			t.Errorf("after %d bytes: got %v, want %v", n, err, want)
		}
	}
}

func TestStartupLengthBounds(t *testing.T) {
	long := func(total int) []byte {
		overhead := len(wire.AppendStartup(nil, wire.Version30, wire.Param{Name: "a", Value: ""}))
		return wire.AppendStartup(nil, wire.Version30, wire.Param{Name: "a", Value: strings.Repeat("v", total-overhead)})
	}
	if _, err := wire.ReadStartup(bytes.NewReader(long(10000))); err != nil {
		t.Errorf("10000 bytes: %v", err)
	}
	src := bytes.NewReader(long(10001))
	var violation *wire.ProtocolError
	if _, err := wire.ReadStartup(src); !errors.As(err, &violation) || src.Len() != 9997 {
		t.Errorf("10001 bytes: got %v with %d unread, want a *ProtocolError after the length alone", err, src.Len())
	}
	for n, want := range map[int]bool{3: false, 4: true, 256: true, 257: false} {
		_, err := wire.ReadStartup(bytes.NewReader(wire.AppendCancelRequest(nil, 7, make([]byte, n))))
		if (err == nil) != want {
			t.Errorf("cancel key of %d bytes: %v", n, err)
		}
	}
}

func FuzzStartup(f *testing.F) {
	for _, tc := range readCases(f, "testdata/startup/packets.txt") {
		f.Add(tc.bytes)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		src := bytes.NewReader(packet)
		got, err := wire.ReadStartup(src)
		if err != nil {
			return
		}
		read := packet[:len(packet)-src.Len()]
		again, whole := encodeStartup(got)
		if whole && !bytes.Equal(again, read) {
			t.Fatalf("%q became %q", read, again)
		}
		m, ok := got.(wire.StartupMessage)
		if !ok || m.Version != wire.Version30 || len(m.Params) == 0 {
			return
		}
		var second pgproto3.StartupMessage
		if err := second.Decode(read[4:]); err != nil {
			t.Fatalf("%q: the second codec says %v", read, err)
		}
		for name, value := range second.Parameters {
			if v, _ := m.Get(name); v != value {
				t.Fatalf("%q: %s is %q, the second codec says %q", read, name, v, value)
			}
		}
	})
}
