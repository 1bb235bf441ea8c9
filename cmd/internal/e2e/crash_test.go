package e2e

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/jackc/pgproto3/v2"
	"github.com/jackc/pgx/v5"

	"shiguan/auditlog/record"
)

// When the database server crashes, every client is told, also one that was sending or not reading, and once the server is
// back, so is the service.
func TestServerCrashes(t *testing.T) {
	furnish(t)
	from := logSize(t)
	idle := raw(t, dsn(t, "bench"))
	busy := raw(t, dsn(t, "bench", "application_name=crashing"))
	busy.send(&pgproto3.Query{String: endless})
	stuck := raw(t, dsn(t, "bench", "application_name=crashing-too"))
	stuck.send(&pgproto3.Query{String: "select a.* from pgbench_accounts a, generate_series(1, 1000)"})
	go func() {
		for range 2000 { // until it fails
			if _, err := stuck.Write(encode(&pgproto3.Query{String: fmt.Sprintf("select /* %10000d */ 1", 0)})); err != nil {
				return
			}
		}
	}()
	working(t, "crashing")
	working(t, "crashing-too")
	var pid int
	if err := superuser(t).QueryRow(t.Context(), "select pid from pg_stat_activity where application_name = 'crashing'").Scan(&pid); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for who, c := range map[string]*rawConn{"idle": idle, "busy": busy, "stuck": stuck} {
		frames := c.rest()
		if n := len(frames); n == 0 || frames[n-1].kind() != 'E' || errorOf(frames[n-1:]).Severity != "FATAL" {
			t.Errorf("the %s client is told nothing: %s", who, text(frames[max(0, n-3):]))
		}
	}
	eventually(t, "people are served again", func() error {
		c, err := pgx.Connect(t.Context(), dsn(t, "bench"))
		if err != nil {
			return err
		}
		defer c.Close(t.Context())
		_, err = c.Exec(t.Context(), "select abalance from pgbench_accounts where aid = 1")
		return err
	})
	// The client that was sending had not gone: nothing was cancelled for it, and that is not why its session ended.
	session := sessionOf(t, "crashing-too", from)
	for _, e := range session {
		if e.Kind == record.KindCancel {
			t.Error("a cancel request went to a server that is gone")
		}
	}
	if reason := session[len(session)-1].Reason; reason != "the database server closed the connection" {
		t.Errorf("the session of the client that was sending ended because: %s", reason)
	}
	for _, s := range statementsOf(t, sessionOf(t, "crashing", from)) {
		if s.outcome.Rows != -1 || s.outcome.SQLState != "08006" {
			t.Errorf("the outcome that the crash took is %+v", *s.outcome)
		}
	}
}
