package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"shiguan/proxy/wire"
)

// TestFiles holds every decoder to the verdicts written down in testdata, and holds what is accepted to identity: encoded
// again it is the same bytes.
func TestFiles(t *testing.T) {
	for _, c := range codecs {
		t.Run(c.side()+"/"+c.name, func(t *testing.T) {
			for _, tc := range bodyCases(t, c) {
				at := fmt.Sprintf("%s:%d", tc.file, tc.line)
				again, err := c.ours(tc.bytes)
				if !tc.accept {
					var violation *wire.ProtocolError
					if !errors.As(err, &violation) || violation.Code != "08P01" && violation.Code != "22023" {
						t.Errorf("%s: got %v, want a *ProtocolError", at, err)
					}
					continue
				}
				if err != nil {
					t.Errorf("%s: refused: %v", at, err)
				} else if want := frame(c.msgType, tc.bytes); !bytes.Equal(again, want) {
					t.Errorf("%s: became %q, want %q", at, again, want)
				}
			}
		})
	}
}

// TestEveryLength takes each accepted body and tries every shorter one and some longer ones: none may be accepted.
func TestEveryLength(t *testing.T) {
	for _, c := range codecs {
		if c.open {
			continue
		}
		t.Run(c.side()+"/"+c.name, func(t *testing.T) {
			for _, tc := range bodyCases(t, c) {
				if !tc.accept {
					continue
				}
				for n := range tc.bytes {
					if _, err := c.ours(tc.bytes[:n:n]); err == nil {
						t.Errorf("%s:%d: also accepted when cut to %d bytes", tc.file, tc.line, n)
					}
				}
				for _, tail := range []string{"\x00", "x", "\x00\x00", "\x00\x00\x00\x00", "\xff\xff\xff\xff"} {
					if _, err := c.ours(append(bytes.Clone(tc.bytes), tail...)); err == nil {
						t.Errorf("%s:%d: also accepted with %q behind it", tc.file, tc.line, tail)
					}
				}
			}
		})
	}
}

// TestTables holds the closed tables to the messages PostgreSQL's documentation lists and to the codecs tested here.
func TestTables(t *testing.T) {
	const client, server = "BCDEFHPQSXcdfp", "123ACDEGHIKNRSTVWZcdnstv"
	for i := range 256 {
		b := byte(i)
		if got, want := wire.KnownClient(b), bytes.IndexByte([]byte(client), b) >= 0; got != want {
			t.Errorf("KnownClient(%q) = %t, want %t", b, got, want)
		}
		if got, want := wire.KnownServer(b), bytes.IndexByte([]byte(server), b) >= 0; got != want {
			t.Errorf("KnownServer(%q) = %t, want %t", b, got, want)
		}
	}
	tested := map[string]bool{"client/d": true, "server/d": true} // CopyData is opaque
	for _, c := range codecs {
		tested[c.side()+"/"+string(c.msgType)] = true
		name := wire.ServerName(c.msgType)
		if c.client {
			name = wire.ClientName(c.msgType)
		}
		if name != c.name && c.msgType != wire.MsgPassword {
			t.Errorf("%s %q is called %s, want %s", c.side(), c.msgType, name, c.name)
		}
	}
	for _, b := range []byte(client) {
		if !tested["client/"+string(b)] {
			t.Errorf("no test decodes the client's %q", b)
		}
	}
	for _, b := range []byte(server) {
		if !tested["server/"+string(b)] {
			t.Errorf("no test decodes the server's %q", b)
		}
	}
}

func TestBindFormats(t *testing.T) {
	for _, tc := range []struct {
		codes []int16
		want  []int16
	}{
		{nil, []int16{0, 0}},
		{[]int16{1}, []int16{1, 1}},
		{[]int16{0, 1}, []int16{0, 1}},
	} {
		var formats wire.Formats
		for _, code := range tc.codes {
			formats = formats.Add(code)
		}
		m := wire.Message(wire.AppendBind(nil, wire.Bind{
			Statement: []byte("s"), ParamFormats: formats,
			Params: wire.MakeValues([]byte("1"), nil), ResultFormats: formats,
		}))
		b, err := wire.ParseBind(m.Body())
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range tc.want {
			if b.FormatOf(i) != want || b.ResultFormatOf(i) != want {
				t.Errorf("%v: formats of %d are %d and %d, want %d", tc.codes, i, b.FormatOf(i), b.ResultFormatOf(i), want)
			}
		}
	}
	body := wire.Message(wire.AppendBind(nil, wire.Bind{ResultFormats: wire.Formats(nil).Add(7)})).Body()
	var violation *wire.ProtocolError
	if _, err := wire.ParseBind(body); !errors.As(err, &violation) || violation.Code != "22023" || violation.Message != "unsupported format code: 7" {
		t.Errorf("format 7: got %v, want PostgreSQL's complaint", err)
	}
}

func TestNullIsNotEmpty(t *testing.T) {
	v := wire.MakeValues(nil, []byte{}, []byte("x"))
	if v.Len() != 3 {
		t.Fatalf("Len = %d, want 3", v.Len())
	}
	first, ok1 := v.Next()
	second, ok2 := v.Next()
	third, ok3 := v.Next()
	_, ok4 := v.Next()
	if !ok1 || !ok2 || !ok3 || ok4 {
		t.Fatalf("Next said %t %t %t %t, want three values", ok1, ok2, ok3, ok4)
	}
	if first != nil || second == nil || len(second) != 0 || string(third) != "x" {
		t.Errorf("got %#v %#v %q, want NULL, empty, x", first, second, third)
	}
}

func TestRowsAffected(t *testing.T) {
	for tag, want := range map[string]int64{
		"SELECT 5": 5, "INSERT 0 1": 1, "INSERT 17 3": 3, "UPDATE 0": 0, "COPY 2000000": 2000000, "MERGE 4": 4, "FETCH 10": 10,
		"CREATE TABLE": -1, "BEGIN": -1, "": -1, "SELECT ": -1, "SELECT x": -1, "SELECT -1": -1, "5": -1,
		"SELECT 99999999999999999999": -1,
	} {
		got, ok := wire.RowsAffected([]byte(tag))
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("%q: %d rows, want %d", tag, got, want)
		}
	}
}

func TestErrorFields(t *testing.T) {
	e := &wire.Error{Severity: "FATAL", Code: "28P01", Message: "no", Detail: "cut\x00here", Hint: "ask", Where: "there"}
	m := wire.Message(wire.AppendError([]byte("before"), e))[len("before"):]
	if m.Type() != wire.MsgErrorResponse {
		t.Fatalf("type is %q", m.Type())
	}
	f, err := wire.ParseErrorResponse(m.Body())
	if err != nil {
		t.Fatal(err)
	}
	for code, want := range map[byte]string{'S': "FATAL", 'V': "FATAL", 'C': "28P01", 'M': "no", 'D': "cut", 'H': "ask", 'W': "there"} {
		if got := f.Get(code); string(got) != want {
			t.Errorf("field %q is %q, want %q", code, got, want)
		}
	}
	if f.Get('P') != nil {
		t.Error("a field that was not sent is there")
	}
	if !f.Fatal() {
		t.Error("FATAL is not fatal")
	}
	n, err := wire.ParseNoticeResponse(wire.Message(wire.AppendNotice(nil, &wire.Error{Code: "00000", Message: "m"})).Body())
	if err != nil || n.Fatal() || string(n.Severity()) != "ERROR" {
		t.Errorf("notice without a severity: %q, %v", n.Severity(), err)
	}
	old, err := wire.ParseErrorResponse([]byte("SPANIC\x00\x00"))
	if err != nil || !old.Fatal() {
		t.Errorf("severity of an old server is not read: %q, %v", old.Severity(), err)
	}
}

func TestOffers(t *testing.T) {
	a, err := wire.ParseAuthentication(wire.Message(wire.AppendAuthenticationSASL(nil, "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256")).Body())
	if err != nil {
		t.Fatal(err)
	}
	for mechanism, want := range map[string]bool{"SCRAM-SHA-256": true, "SCRAM-SHA-256-PLUS": true, "SCRAM-SHA": false, "": false} {
		if a.Offers(mechanism) != want {
			t.Errorf("Offers(%q) = %t, want %t", mechanism, !want, want)
		}
	}
}

// TestNulPanics: text with a NUL would be cut by the server, so that it runs another statement than the one on record.
func TestNulPanics(t *testing.T) {
	for name, encode := range map[string]func(){
		"query":   func() { wire.AppendQuery(nil, "delete from t\x00 where id = 1") },
		"parse":   func() { wire.AppendParse(nil, "s", []byte("delete from t\x00 where id = 1"), nil) },
		"name":    func() { wire.AppendParse(nil, "s\x00", "select 1", nil) },
		"portal":  func() { wire.AppendBind(nil, wire.Bind{Portal: []byte("a\x00b")}) },
		"startup": func() { wire.AppendStartup(nil, wire.Version30, wire.Param{Name: "user", Value: "a\x00database"}) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("a NUL was sent")
				}
			}()
			encode()
		})
	}
}

// frame makes a message of a type and a body.
func frame(msgType byte, body []byte) []byte {
	m := binary.BigEndian.AppendUint32([]byte{msgType}, uint32(len(body)+4))
	return append(m, body...)
}
