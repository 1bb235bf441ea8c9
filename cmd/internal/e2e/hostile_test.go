package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"
)

// memory is how much of it the proxy has resident, in MB.
func memory(t testing.TB) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", city.PIDs["proxy"]))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kb, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kb >> 10
}

// unharmed runs an attack. While it lasts and afterwards the proxy serves those who are there and lets others in, and its
// memory has not grown by more than some MB.
func unharmed(t *testing.T, mb int, attack func(serves func())) {
	t.Helper()
	there := raw(t, dsn(t, "civil_manager"))
	serves := func() {
		t.Helper()
		for who, c := range map[string]*rawConn{"a session that was there": there, "a new session": raw(t, dsn(t, "civil_manager"))} {
			if got := values(c.ask("select count(*) from civil.households")); len(got) != 1 {
				t.Errorf("%s is not served", who)
			}
		}
	}
	serves()
	before := memory(t)
	most := before
	attack(func() {
		t.Helper()
		serves()
		most = max(most, memory(t))
	})
	serves()
	most = max(most, memory(t))
	t.Logf("%d MB before, at most %d MB", before, most)
	if most > before+mb && !race {
		t.Errorf("the proxy has grown from %d to %d MB", before, most)
	}
}

// spoiled are all the ways in which a message can be wrong.
func spoiled() map[string][]byte {
	good := map[string][]byte{
		"Query":        encode(&pgproto3.Query{String: "select 1"}),
		"Parse":        encode(&pgproto3.Parse{Name: "n", Query: "select $1", ParameterOIDs: []uint32{23}}),
		"Bind":         encode(&pgproto3.Bind{DestinationPortal: "p", PreparedStatement: "n", ParameterFormatCodes: []int16{0}, Parameters: [][]byte{[]byte("1")}, ResultFormatCodes: []int16{1}}),
		"Describe":     encode(&pgproto3.Describe{ObjectType: 'S', Name: "n"}),
		"Execute":      encode(&pgproto3.Execute{Portal: "p", MaxRows: 1}),
		"Close":        encode(&pgproto3.Close{ObjectType: 'P', Name: "p"}),
		"Sync":         encode(&pgproto3.Sync{}),
		"Flush":        encode(&pgproto3.Flush{}),
		"Terminate":    encode(&pgproto3.Terminate{}),
		"CopyFail":     encode(&pgproto3.CopyFail{Message: "why"}),
		"FunctionCall": {'F', 0, 0, 0, 14, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0},
	}
	bad := map[string][]byte{
		"unknown type":          {'!', 0, 0, 0, 4},
		"zero type":             {0, 0, 0, 0, 4},
		"a server's message":    {'Z', 0, 0, 0, 5, 'I'},
		"a password":            encode(&pgproto3.PasswordMessage{Password: "x"}),
		"Describe of neither":   {'D', 0, 0, 0, 6, 'X', 0},
		"Close of neither":      {'C', 0, 0, 0, 6, 'X', 0},
		"Bind, negative counts": append([]byte{'B', 0, 0, 0, 12, 0, 0}, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
		"Bind, long parameter":  append([]byte{'B', 0, 0, 0, 16, 0, 0, 0, 0, 0, 1}, 0x7f, 0xff, 0xff, 0xff, 0, 0),
		"Bind, negative length": append([]byte{'B', 0, 0, 0, 16, 0, 0, 0, 0, 0, 1}, 0xff, 0xff, 0xff, 0xf0, 0, 0),
		"Parse, many types":     append([]byte{'P', 0, 0, 0, 8, 0, 0}, 0xff, 0xff),
		"a statement with NUL":  {'Q', 0, 0, 0, 8, 'a', 0, 'b', 0},
		"a startup packet":      startupPacket(3<<16, "user", "bench"),
		"text":                  []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
	}
	for name, m := range good {
		body := m[5:]
		resized := func(n int) []byte {
			b := append(bytes.Clone(m[:5]), body[:min(n, len(body))]...)
			b = append(b, make([]byte, n-min(n, len(body)))...)
			binary.BigEndian.PutUint32(b[1:], uint32(n+4))
			return b
		}
		bad[name+", one byte more"] = resized(len(body) + 1)
		if len(body) > 0 {
			bad[name+", one byte less"] = resized(len(body) - 1)
			bad[name+", empty"] = resized(0)
			bad[name+", half"] = resized(len(body) / 2)
		}
		for what, length := range map[string]uint32{"length 0": 0, "length 3": 3, "negative length": 0xffffffff} {
			b := bytes.Clone(m)
			binary.BigEndian.PutUint32(b[1:], length)
			bad[name+", "+what] = b
		}
	}
	return bad
}

// A message that is not understood ends in an error, in every phase of a session, and nobody else notices.
func TestSpoiledMessages(t *testing.T) {
	furnish(t)
	phases := map[string]string{
		"idle":             "",
		"in a batch":       `Parse "" "select 1"`,
		"in a block":       "Query \"begin\"\n< Z",
		"in a failed one":  "Query \"begin; select 1/0\"\n< Z",
		"after an error":   "Parse \"\" \"select 'x'::int\"\nFlush\n< E",
		"after a refusal":  `Parse "" "` + refusedStatement + `"`,
		"during COPY":      "Query \"copy pgbench_copy from stdin\"\n< G\nCopyData \"1\\tx\\t1\\n\"",
		"during work":      `Query "select count(*) from pgbench_accounts"`,
		"before the login": "",
		"in the login":     "",
	}
	unharmed(t, 100, func(serves func()) {
		for phase, script := range phases {
			scripts, err := parseScripts(phase, "## x\n"+script)
			if err != nil {
				t.Fatal(err)
			}
			for name, message := range spoiled() {
				t.Run(phase+"/"+name, func(t *testing.T) {
					c := inPhase(t, phase, scripts[0])
					c.SetWriteDeadline(time.Now().Add(patience))
					c.Write(message) // it may have been cut off already
					// Now it either goes on after an error, or is over.
					c.Write(encode(&pgproto3.CopyFail{}, &pgproto3.Sync{}, &pgproto3.Query{String: "rollback"}, &pgproto3.Terminate{}))
					frames, err := c.everything()
					if e, ok := err.(net.Error); ok && e.Timeout() {
						t.Fatalf("nothing comes of it: %s", kinds(frames))
					}
					if strings.Contains(kinds(frames), "D") && phase != "during work" && !strings.HasPrefix(name, "CopyFail") && !strings.HasPrefix(name, "Terminate") {
						t.Errorf("it was carried out: %s", text(frames))
					}
				})
			}
			serves()
		}
	})
}

// inPhase brings a connection to where the spoiled message is to come.
func inPhase(t *testing.T, phase string, s *script) *rawConn {
	t.Helper()
	if !strings.HasSuffix(phase, "the login") {
		c := raw(t, dsn(t, "bench"))
		for _, step := range s.steps {
			if step.send != nil {
				c.sendBytes(step.send)
			} else {
				c.until(step.read[0])
			}
		}
		return c
	}
	c := dial(t)
	if phase == "in the login" {
		c.sendBytes(startupPacket(3<<16, "user", "bench", "database", city.Database))
		c.until('R')
	}
	return c
}

// everything reads until the connection ends or nothing comes any more.
func (c *rawConn) everything() (all []frame, err error) {
	for {
		f, err := c.next()
		if err != nil {
			return all, err
		}
		all = append(all, f)
	}
}

// startupPacket makes the packet that opens a session.
func startupPacket(version uint32, params ...string) []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 4), version)
	for _, p := range params {
		b = append(append(b, p...), 0)
	}
	b = append(b, 0)
	binary.BigEndian.PutUint32(b, uint32(len(b)))
	return b
}

// A statement of 100 MB is refused, read to its end, and put on record by its digest; no part of it is kept.
func TestHugeStatements(t *testing.T) {
	const size = 100 << 20
	for kind, head := range map[byte]string{'Q': "select '", 'P': "\x00select '", 'B': "\x00\x00", 'E': "portal"} {
		t.Run(string(kind), func(t *testing.T) {
			unharmed(t, 64, func(serves func()) {
				c := raw(t, dsn(t, "bench"))
				c.sendBytes(append(binary.BigEndian.AppendUint32([]byte{kind}, size+4), head...))
				part := bytes.Repeat([]byte{'x'}, 1<<20)
				for left := size - len(head); left > 0; left -= len(part) {
					part = part[:min(left, len(part))]
					c.sendBytes(part)
					if left < size/2 && left > size/2-len(part) {
						serves()
					}
				}
				c.send(&pgproto3.Sync{})
				frames := c.until('Z')
				if e := errorOf(frames); e == nil || e.Code != "54000" || e.Severity != "ERROR" {
					t.Fatalf("the answer is %s", text(frames))
				}
				if kind == 'Q' {
					c.until('Z') // of the Sync
				}
				if got := values(c.ask("select 'still here'")); len(got) != 1 {
					t.Error("the session is lost")
				}
			})
		})
	}
}

// A row of COPY data longer than any message kept whole passes through.
func TestHugeCopyData(t *testing.T) {
	furnish(t)
	unharmed(t, 64, func(serves func()) {
		c := raw(t, dsn(t, "bench"))
		c.ask("begin")
		c.send(&pgproto3.Query{String: "copy pgbench_copy (id, name) from stdin"})
		c.until('G')
		long := strings.Repeat("x", 30<<20)
		c.send(&pgproto3.CopyData{Data: []byte("400\t" + long + "\n401\tshort\n")}, &pgproto3.CopyDone{})
		if e := errorOf(c.until('Z')); e != nil {
			t.Fatal(e.Message)
		}
		rows := values(c.ask("select name from pgbench_copy order by id"))
		if len(rows) != 2 || rows[0][0] != long || rows[1][0] != "short" {
			t.Errorf("%d rows came back, the first of %d bytes", len(rows), len(rows[0][0]))
		}
		c.ask("rollback")
	})
}

// Statements made to break the parser are refused, quickly, and break nothing.
func TestMonstrousStatements(t *testing.T) {
	monsters := map[string]string{
		"40,000 terms":      "select 1" + strings.Repeat("+1", 40000),
		"casts":             "select 1" + strings.Repeat("::int", 20000),
		"brackets":          "select " + strings.Repeat("(", 50000) + "1" + strings.Repeat(")", 50000),
		"comments":          "select 1 " + strings.Repeat("/*", 100000),
		"joins":             "select 1 from pgbench_branches b" + strings.Repeat(" cross join pgbench_branches", 20000),
		"unions":            "select 1" + strings.Repeat(" union all select 1", 50000),
		"not":               "select " + strings.Repeat("not ", 50000) + "true",
		"minus":             "select " + strings.Repeat("- ", 50000) + "1",
		"operators":         "select 1 " + strings.Repeat("+", 100000) + " 1",
		"case":              "select " + strings.Repeat("case when true then ", 20000) + "1" + strings.Repeat(" end", 20000),
		"arrays":            "select " + strings.Repeat("array[", 30000) + strings.Repeat("]", 30000),
		"sub-selects":       strings.Repeat("select (", 20000) + "1" + strings.Repeat(")", 20000),
		"statements":        strings.Repeat("select 1;", 100000),
		"an open string":    "select '" + strings.Repeat("x", 900000),
		"dollars":           "select " + strings.Repeat("$a$", 100001),
		"columns":           "select 1" + strings.Repeat(",1", 100000),
		"a list":            "select 1 where 1 in (1" + strings.Repeat(",1", 300000) + ")",
		"invalid UTF-8":     "select '\xff\xfe'",
		"indirection":       "select a" + strings.Repeat(".a", 100000),
		"with":              strings.Repeat("with x as (", 20000) + "select 1" + strings.Repeat(") select 1", 20000),
		"many parameters":   "select $99999999999999999999",
		"escapes":           `select U&"\0061" uescape '!'`,
		"a very long name":  "select " + strings.Repeat("a", 500000),
		"a chain of ors":    "select 1 where true" + strings.Repeat(" or true", 60000),
		"a chain of likes":  "select 'a'" + strings.Repeat(" like 'a'", 30000),
		"a chain of is":     "select 1" + strings.Repeat(" is null", 30000),
		"a chain of collat": "select 'a'" + strings.Repeat(` collate "C"`, 30000),
	}
	unharmed(t, 200, func(serves func()) {
		c := raw(t, dsn(t, "bench"))
		for name, statement := range monsters {
			began := time.Now()
			for _, frames := range [][]frame{c.ask(statement), pipeline(c, &pgproto3.Parse{Query: statement})} {
				if e := errorOf(frames); e != nil && e.Severity != "ERROR" {
					t.Errorf("%s: %s %s", name, e.Severity, e.Message)
				}
			}
			t.Logf("%s takes %v", name, time.Since(began))
		}
		serves()
	})
}

// Whoever stops in the middle of something holds up nobody but himself.
func TestStalledClients(t *testing.T) {
	unharmed(t, 100, func(serves func()) {
		half := encode(&pgproto3.Query{String: "select 1"})
		for range 50 {
			dial(t).sendBytes(startupPacket(3<<16, "user", "bench")[:9])
			c := dial(t)
			c.sendBytes(startupPacket(3<<16, "user", "bench", "database", city.Database))
			c.until('R')
			c.sendBytes([]byte{'p', 0, 0})
		}
		for range 20 {
			raw(t, dsn(t, "bench")).sendBytes(half[:7])
			raw(t, dsn(t, "bench")).sendBytes([]byte{'Q', 0x06, 0, 0, 0, 's'}) // 100 MB announced
			c := raw(t, dsn(t, "bench"))
			c.send(&pgproto3.Query{String: "begin"}, &pgproto3.Query{String: "select 1"})
			c.sendBytes(half[:3])
		}
		serves()
	})
}

// Many Parses without a Sync and without reading cost a bounded amount; when they are read they are all there.
func TestPipelineWithoutReading(t *testing.T) {
	unharmed(t, 200, func(serves func()) {
		const n = 100000
		c := raw(t, dsn(t, "bench"))
		one := encode(&pgproto3.Parse{Query: "select 1"})
		sent := make(chan error, 1)
		go func() {
			c.SetWriteDeadline(time.Now().Add(2 * time.Minute))
			_, err := c.Write(bytes.Repeat(one, n))
			if err == nil {
				_, err = c.Write(encode(&pgproto3.Sync{}))
			}
			sent <- err
		}()
		serves()
		select {
		case err := <-sent:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(2 * time.Second): // full, and waits for us to read
		}
		serves()
		for range n {
			if f, err := c.next(); err != nil || f.kind() != '1' {
				t.Fatalf("%q, %v", f, err)
			}
		}
		c.until('Z')
		// With names of their own they are too many.
		var b []byte
		for i := range 20000 {
			b = append(b, encode(&pgproto3.Parse{Name: fmt.Sprint("n", i), Query: "select 1"})...)
		}
		go c.Write(append(b, encode(&pgproto3.Sync{})...))
		if e := errorOf(c.until('Z')); e == nil || e.Code != "54000" {
			t.Errorf("20,000 names: %+v", e)
		}
	})
}

// A client that never reads holds back the server that works for it, and nobody else.
func TestResultThatNobodyReads(t *testing.T) {
	unharmed(t, 64, func(serves func()) {
		for range 4 {
			c := raw(t, dsn(t, "bench", "application_name=unread"))
			c.send(&pgproto3.Query{String: "select a.* from pgbench_accounts a, generate_series(1, 100)"})
		}
		eventually(t, "the server waits for somebody to read", func() error {
			var waiting int
			err := superuser(t).QueryRow(t.Context(), "select count(*) from pg_stat_activity where application_name = 'unread' and wait_event = 'ClientWrite'").Scan(&waiting)
			if err == nil && waiting < 4 {
				err = fmt.Errorf("%d of 4 results are held back", waiting)
			}
			return err
		})
		serves()
		c := raw(t, dsn(t, "bench"))
		if got := len(values(c.ask("select * from pgbench_accounts limit 50000"))); got != 50000 {
			t.Errorf("another session gets %d rows", got)
		}
	})
}
