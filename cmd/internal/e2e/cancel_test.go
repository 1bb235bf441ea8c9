package e2e

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"

	"shiguan/auditlog/record"
)

// endless is a statement that takes longer than any test waits.
const endless = "select count(*) from pgbench_accounts a, pgbench_accounts b"

// cancel sends a cancel request and waits until the proxy has dealt with it, which it shows by hanging up.
func cancel(t *testing.T, pid uint32, key []byte) {
	t.Helper()
	nc, err := net.Dial("tcp", proxyAddress())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	packet := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(12+len(key))), 80877102), pid)
	nc.SetDeadline(time.Now().Add(patience))
	if _, err := nc.Write(append(packet, key...)); err != nil {
		t.Fatal(err)
	}
	if n, err := nc.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Fatalf("a cancel request is answered: %d, %v", n, err)
	}
}

// working waits until the server works on a statement for the session that calls itself so, and has for a while: between
// the messages of a pipeline it ignores cancel requests.
func working(t *testing.T, application string) {
	t.Helper()
	eventually(t, "the server works", func() error {
		var n int
		err := superuser(t).QueryRow(t.Context(),
			"select count(*) from pg_stat_activity where application_name = $1 and state = 'active' and clock_timestamp() - query_start > '200 ms'", application).Scan(&n)
		if err == nil && n == 0 {
			err = fmt.Errorf("it does not")
		}
		return err
	})
}

func TestCancel(t *testing.T) {
	from := logSize(t)
	c := raw(t, dsn(t, "bench", "application_name=cancelled"))
	other := raw(t, dsn(t, "bench", "application_name=other"))
	cancel(t, c.pid, c.key) // while nothing runs: the next statement must not notice
	if e := errorOf(c.ask("select 1")); e != nil {
		t.Errorf("a cancel request while idle: %s", e.Message)
	}
	c.send(&pgproto3.Query{String: endless})
	working(t, "cancelled")
	wrong := append([]byte{}, c.key...)
	wrong[0] ^= 1
	cancel(t, c.pid, wrong)
	cancel(t, c.pid, other.key)
	cancel(t, c.pid, append(wrong, 0, 0, 0))
	cancel(t, c.pid+1, c.key)
	cancel(t, other.pid, other.key)
	working(t, "cancelled")
	cancel(t, c.pid, c.key)
	if e := errorOf(c.until('Z')); e == nil || e.Code != "57014" {
		t.Errorf("the cancelled statement: %+v", e)
	}
	if e := errorOf(c.ask("select 1")); e != nil {
		t.Errorf("afterwards: %s", e.Message)
	}
	c.send(&pgproto3.Terminate{})
	session := sessionOf(t, "cancelled", from)
	all := statementsOf(t, session)
	if len(all) != 3 || all[1].outcome.SQLState != "57014" {
		t.Errorf("on record is %+v", all)
	}
	cancels := 0
	for _, e := range session {
		if e.Kind == record.KindCancel {
			cancels++
		}
	}
	if cancels != 1 {
		t.Errorf("%d cancel requests are on record, want the one that was delivered", cancels)
	}
}

// In a pipeline a cancel hits the statement at which the server is, with the effect of an error.
func TestCancelInPipeline(t *testing.T) {
	furnish(t)
	c := raw(t, dsn(t, "bench", "application_name=pipelined"))
	run := func(statement string) []pgproto3.FrontendMessage {
		return []pgproto3.FrontendMessage{&pgproto3.Parse{Query: statement}, &pgproto3.Bind{}, &pgproto3.Execute{}}
	}
	messages := append(run("insert into pgbench_copy values (500, 'x', 1)"), run(endless)...)
	messages = append(append(messages, run("select 1")...), &pgproto3.Sync{})
	c.send(append(messages, &pgproto3.Query{String: "select count(*) from pgbench_copy where id = 500"})...)
	working(t, "pipelined")
	cancel(t, c.pid, c.key)
	frames := append(c.until('Z'), c.until('Z')...)
	if e := errorOf(frames); e == nil || e.Code != "57014" || kinds(frames) != "12C12EZITDCZI" || values(frames)[0][0] != "0" {
		t.Errorf("%s: %+v", kinds(frames), e)
	}
}

// A cancel request must get through when the session is stuck in both directions.
func TestCancelWhileNobodyReads(t *testing.T) {
	c := raw(t, dsn(t, "bench", "application_name=stuck"))
	c.send(&pgproto3.Query{String: "select a.* from pgbench_accounts a, generate_series(1, 1000)"})
	go func() { // more than the buffers on the way take
		c.SetWriteDeadline(time.Now().Add(patience))
		for range 2000 {
			if _, err := c.Write(encode(&pgproto3.Query{String: "select /* " + fmt.Sprintf("%10000d", 0) + " */ 1"})); err != nil {
				return
			}
		}
	}()
	working(t, "stuck")
	time.Sleep(500 * time.Millisecond) // for the buffers to fill; if they have not, the test is merely easier to pass
	cancel(t, c.pid, c.key)
	if e := errorOf(c.until('Z')); e == nil || e.Code != "57014" {
		t.Errorf("the statement was not cancelled: %+v", e)
	}
	c.Close()
}
