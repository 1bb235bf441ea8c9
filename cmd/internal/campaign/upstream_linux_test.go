package campaign

import (
	"context"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// When the server dies in the middle of a result, the rows that the proxy still hands on are on record like all others.
func TestServerDiesInTheMiddleOfAResult(t *testing.T) {
	p := newLone(t, filepath.Join(t.TempDir(), "log"), 64<<20)
	p.start()
	admin := superuser(t, p.city)
	l := newLedger()
	dsn, err := p.city.DSNAt(p.address, "civil_manager")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	n := l.begin("civil_manager")
	// Some hundred rows a person: each piece of the result is about persons that no earlier piece was about.
	rows, err := conn.Query(t.Context(), "select c.id_number, c.name, c.address, h.district from civil.citizens c cross join civil.households h"+
		" where h.household_id < 10200 order by c.id_number /* "+n.token+" */", simple)
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	note := func() {
		n.answered = true
		n.about = append(n.about, []string{string(rows.RawValues()[0])})
		got++
	}
	if !rows.Next() {
		t.Fatal(rows.Err())
	}
	note()
	syscall.Kill(awaitBlocked(t, admin, n.token), syscall.SIGKILL)
	for rows.Next() {
		note()
	}
	if rows.Err() == nil {
		t.Fatalf("the server was killed, and all %d rows came", got)
	}
	awaitServer(t, p)
	if code := p.stop(); code != 0 {
		t.Errorf("the proxy ended with %d", code)
	}
	command(t, p.city, 0, "fsck", "--config", p.investigator)
	f := l.compare(t, readHistory(t, p.log, p.investigator), nil)
	t.Logf("%d rows had come: %v", got, rows.Err())
	if f.rows != got || got < 1000 {
		t.Errorf("only %d rows were checked", f.rows)
	}
}

// awaitBlocked waits until the backend that runs a statement waits for its client to read, and returns its process id.
func awaitBlocked(t *testing.T, admin *pgx.Conn, token string) (pid int) {
	t.Helper()
	for until := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		err := admin.QueryRow(t.Context(), "select coalesce(max(pid), 0) from pg_stat_activity where wait_event = 'ClientWrite' and query like '%' || $1 || '%'", token).Scan(&pid)
		if err != nil {
			t.Fatal(err)
		}
		if pid != 0 {
			return pid
		}
		if time.Now().After(until) {
			t.Fatal("the backend does not wait for its client")
		}
	}
}

// awaitServer waits until PostgreSQL, which starts anew when a backend was killed, serves through the proxy again.
func awaitServer(t *testing.T, p *lone) {
	t.Helper()
	dsn, err := p.city.DSNAt(p.address, "bench")
	if err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		conn, err := pgx.Connect(t.Context(), dsn)
		if err == nil {
			_, err = conn.Exec(t.Context(), "select count(*) from pgbench_branches")
			conn.Close(t.Context())
		}
		if err == nil {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("the server does not come back: %v", err)
		}
	}
}
