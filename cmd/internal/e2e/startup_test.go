package e2e

import (
	"encoding/binary"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"
)

var (
	sslRequest = []byte{0, 0, 0, 8, 4, 210, 22, 47}
	gssRequest = []byte{0, 0, 0, 8, 4, 210, 22, 48}
)

// single reads the one byte that answers a request for encryption.
func (c *rawConn) single() (byte, error) {
	c.SetReadDeadline(time.Now().Add(patience))
	return c.r.ReadByte()
}

// Encryption may be asked for once each, in either order, and is declined.
func TestEncryptionRequests(t *testing.T) {
	for _, order := range [][][]byte{{sslRequest}, {gssRequest}, {sslRequest, gssRequest}, {gssRequest, sslRequest}} {
		c := dial(t)
		for _, request := range order {
			c.sendBytes(request)
			if b, err := c.single(); b != 'N' || err != nil {
				t.Fatalf("%v is answered with %q, %v", order, b, err)
			}
		}
		c.sendBytes(startupPacket(3<<16, "user", "bench", "database", city.Database))
		if f, err := c.next(); err != nil || f.kind() != 'R' {
			t.Errorf("after %v the startup packet is answered with %q, %v", order, f, err)
		}
	}
	for _, order := range [][][]byte{{sslRequest, sslRequest}, {gssRequest, gssRequest}, {sslRequest, gssRequest, sslRequest}} {
		c := dial(t)
		for i, request := range order {
			c.sendBytes(request)
			if i < len(order)-1 {
				if b, err := c.single(); b != 'N' || err != nil {
					t.Fatalf("%v is answered with %q, %v", order, b, err)
				}
			}
		}
		if e := errorOf(c.rest()); e == nil || e.Severity != "FATAL" {
			t.Errorf("asking twice, %v: %+v", order, e)
		}
	}
}

// Later minor versions and options of the protocol are negotiated down; another major version is refused.
func TestProtocolVersions(t *testing.T) {
	person := []string{"user", "bench", "database", city.Database}
	for _, x := range []struct {
		version    uint32
		params     []string
		negotiated []string // options that are not known; nil: no negotiation
		code       string   // of the refusal
	}{
		{3 << 16, nil, nil, ""},
		{3<<16 | 1, nil, nil, ""},
		{3<<16 | 1, []string{"_pq_.a", "1"}, []string{"_pq_.a"}, ""},
		{3<<16 | 2, nil, nil, ""},
		{3<<16 | 2, []string{"_pq_.a", "1"}, []string{"_pq_.a"}, ""},
		{3<<16 | 3, nil, []string{}, ""},
		{3<<16 | 9999, []string{"_pq_.test_protocol_negotiation", ""}, []string{"_pq_.test_protocol_negotiation"}, ""},
		{3 << 16, []string{"_pq_.a", "1", "_pq_.b", "2"}, []string{"_pq_.a", "_pq_.b"}, ""},
		{2 << 16, nil, nil, "0A000"},
		{4 << 16, nil, nil, "0A000"},
		{0, nil, nil, "0A000"},
	} {
		c := dial(t)
		c.sendBytes(startupPacket(x.version, append(person, x.params...)...))
		f, err := c.next()
		if err != nil {
			t.Fatalf("%x: %v", x.version, err)
		}
		if x.code != "" {
			if e := errorOf([]frame{f}); e == nil || e.Code != x.code || e.Severity != "FATAL" {
				t.Errorf("%x: %q", x.version, f)
			}
			continue
		}
		if x.negotiated != nil {
			newest, rest := binary.BigEndian.Uint32(f[5:]), f[13:]
			want := min(x.version, 3<<16|2) // as PostgreSQL 18
			if f.kind() != 'v' || newest != want || strings.Join(x.negotiated, "\x00") != strings.TrimRight(string(rest), "\x00") {
				t.Errorf("%x is negotiated to %q", x.version, f)
			}
			if f, err = c.next(); err != nil {
				t.Fatal(err)
			}
		}
		if f.kind() != 'R' {
			t.Errorf("%x: %q", x.version, f)
		}
	}
}

// What a session may not be from its start is refused before a password is asked for.
func TestStartupParameters(t *testing.T) {
	person := []string{"user", "bench", "database", city.Database}
	refused := func(code string, params ...string) {
		t.Helper()
		c := dial(t)
		c.sendBytes(startupPacket(3<<16, append(person, params...)...))
		if e := errorOf(c.rest()); e == nil || e.Code != code || e.Severity != "FATAL" {
			t.Errorf("%v: %+v", params, e)
		}
	}
	for _, v := range []string{"database", "true", "on", "yes", "1", "", "nonsense"} {
		refused("0A000", "replication", v)
	}
	for _, option := range []string{"role=superuser", "session_authorization=superuser", "search_path=civil", "standard_conforming_strings=off",
		"client_encoding=LATIN1", "row_security=off", "session_replication_role=replica", "check_function_bodies=off"} {
		name, value, _ := strings.Cut(option, "=")
		code := "42501"
		if name == "client_encoding" {
			code = "0A000"
		}
		refused(code, name, value)
		refused(code, strings.ToUpper(name), value)
		refused(code, "options", "-c "+option)
		refused(code, "options", "-c"+option)
		refused(code, "options", "--"+strings.ReplaceAll(name, "_", "-")+"="+value)
		refused(code, "options", "-c jit=off -c "+option)
	}
	refused("42501", "options", "-d 5")
	refused("42501", "options", "garbage")
	for _, accepted := range [][]string{{"replication", "false"}, {"options", "-c DateStyle=German --intervalstyle=iso_8601"}, {"client_encoding", "'utf-8'"}, {"application_name", "x"}} {
		c := dial(t)
		c.sendBytes(startupPacket(3<<16, append(person, accepted...)...))
		if f, err := c.next(); err != nil || f.kind() != 'R' {
			t.Errorf("%v: %q, %v", accepted, f, err)
		}
	}
}

// A first packet that is none ends the connection.
func TestSpoiledStartups(t *testing.T) {
	good := startupPacket(3<<16, "user", "bench", "database", city.Database)
	sized := func(n uint32, b []byte) []byte {
		return append(binary.BigEndian.AppendUint32(nil, n), b[4:]...)
	}
	unharmed(t, 64, func(serves func()) {
		for name, packet := range map[string][]byte{
			"oversize":          sized(10001, append(good, make([]byte, 10001)...)),
			"huge":              sized(0x7fffffff, good),
			"negative":          sized(0xffffffff, good),
			"length 0":          sized(0, good),
			"length 7":          sized(7, good),
			"no terminator":     sized(uint32(len(good)-1), good[:len(good)-1]),
			"more behind":       sized(uint32(len(good)+1), append(good[:len(good):len(good)], 'x')),
			"user twice":        startupPacket(3<<16, "user", "bench", "user", "auditor"),
			"no user":           startupPacket(3<<16, "database", city.Database),
			"no value":          startupPacket(3<<16, "user"),
			"HTTP":              []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
			"TLS":               {0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3},
			"cancel, short key": {0, 0, 0, 12, 4, 210, 22, 46, 0, 0, 0, 1},
			"SSL with a body":   {0, 0, 0, 9, 4, 210, 22, 47, 0},
			"nothing":           {},
		} {
			c := dial(t)
			c.sendBytes(packet)
			c.Conn.(*net.TCPConn).CloseWrite()
			for _, f := range c.rest() {
				if f.kind() != 'E' {
					t.Errorf("%s is answered with %q", name, f)
				}
			}
		}
		serves()
	})
}

// A message that is not the next one of the login ends it.
func TestLoginOutOfTurn(t *testing.T) {
	for _, m := range []pgproto3.FrontendMessage{&pgproto3.Query{String: "select 1"}, &pgproto3.Sync{}, &pgproto3.PasswordMessage{Password: "x"},
		&pgproto3.SASLInitialResponse{AuthMechanism: "SCRAM-SHA-256-PLUS", Data: []byte("p=tls-server-end-point,,n=,r=abc")},
		&pgproto3.SASLInitialResponse{AuthMechanism: "SCRAM-SHA-256", Data: []byte("n,a=auditor,n=,r=abcdefghijklmnop")},
		&pgproto3.SASLInitialResponse{AuthMechanism: "PLAIN", Data: []byte("x")}} {
		c := dial(t)
		c.sendBytes(startupPacket(3<<16, "user", "bench", "database", city.Database))
		c.until('R')
		c.send(m)
		frames := c.rest()
		if e := errorOf(frames); e == nil || e.Severity != "FATAL" || len(frames) != 1 {
			t.Errorf("%T: %s", m, text(frames))
		}
	}
}
