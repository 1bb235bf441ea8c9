package campaign

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"shiguan/auditlog"
)

// Promises 1 and 2 of DESIGN.md, read off the proxy's system calls: what a client gets of a statement is written to its
// socket after the sync of the records that allow it has returned, and so is to the server what commits a change.
func TestSyncComesFirst(t *testing.T) {
	p := newLone(t, filepath.Join(t.TempDir(), "log"), 64<<20) // one segment holds everything
	file := filepath.Join(t.TempDir(), "trace")
	// Each sync takes 20 ms: what does not wait for it will not come after it by chance.
	p.start("strace", "-D", "-f", "-yy", "-s", "4096", "--seccomp-bpf", "-o", file, "-e", "inject=fdatasync:delay_exit=20000",
		"-e", "trace=fdatasync,read,recvfrom,write,writev,sendto,sendmsg,pwrite64,pwritev,pwritev2")
	l := newLedger()
	statements := map[string]*watched{}
	for _, person := range []string{"bench", "civil_clerk", "civil_manager"} {
		sessionUnderWatch(t, p, l, person, statements)
	}
	pid := p.cmd.Process.Pid
	if code := p.stop(); code != 0 {
		t.Fatalf("the proxy ended with %d", code)
	}
	awaitTraceEnd(t, file, pid)
	v := &order{t: t, proxy: p.address, calls: readTrace(t, file), ends: recordEnds(t, p.log), history: readHistory(t, p.log, p.investigator)}
	for token, w := range statements {
		v.check(token, w)
	}
	if v.results != len(statements) || v.forwards < 10 || v.disclosures < 4 {
		t.Errorf("checked %d results of %d statements, %d forwarded writes, %d disclosures: this shows too little", v.results, len(statements), v.forwards, v.disclosures)
	}
	t.Logf("%d system calls; %d results, %d forwarded writes and commits, %d disclosures came after their sync", len(v.calls), v.results, v.forwards, v.disclosures)
}

// watched is what has to be found of a statement in the trace.
type watched struct {
	commits bool   // it changes something for good when the server gets it
	refused bool   // the server gets something else in its place
	shows   string // text of a row about a person
}

// sessionUnderWatch runs one statement of each kind in a session, one after the other.
func sessionUnderWatch(t *testing.T, p *lone, l *ledger, person string, statements map[string]*watched) {
	t.Helper()
	dsn, err := p.city.DSNAt(p.address, person, "options=-c%20shiguan.purpose%3Dcase-2026-114")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	do := func(mode pgx.QueryExecMode, w watched, text string, args ...any) {
		t.Helper()
		n := l.begin(person)
		statements[n.token] = &w
		for i, a := range args {
			if a == "TOKEN" {
				args[i] = n.token
			}
		}
		rows, _ := conn.Query(t.Context(), strings.ReplaceAll(text, "TOKEN", n.token), append([]any{mode}, args...)...)
		rows.Close()
		if err := rows.Err(); (err != nil) != w.refused { // also says what Query said
			t.Fatalf("%s: %v", text, err)
		}
	}
	const insert = "insert into pgbench_history (tid, bid, aid, delta, mtime, filler) values (9, 1, 1, 1, now(), "
	switch person {
	case "bench":
		for _, mode := range []pgx.QueryExecMode{simple, unnamed} {
			do(mode, watched{}, "select abalance from pgbench_accounts where aid = 7 /* TOKEN */")
			do(mode, watched{refused: true}, "select name from civil.citizens /* TOKEN */")
			do(mode, watched{commits: true}, insert+"'TOKEN')")
			do(mode, watched{}, "begin /* TOKEN */")
			do(mode, watched{}, insert+"'TOKEN')")
			do(mode, watched{}, insert+"'TOKEN') returning delta")
			do(mode, watched{commits: true}, "commit /* TOKEN */")
			do(mode, watched{}, "begin /* TOKEN */")
			do(mode, watched{commits: true}, "create table pgbench_made_TOKEN (i int)") // schema changes wait in blocks too
			do(mode, watched{}, "rollback /* TOKEN */")
			do(mode, watched{commits: true}, "with w as ("+insert+"'TOKEN') returning 1) select * from w")
		}
		do(prepared, watched{}, "select abalance, $2::text from pgbench_accounts where aid = $1", 7, "TOKEN")
		do(prepared, watched{commits: true}, insert+"$1)", "TOKEN")
		do(prepared, watched{commits: true}, insert+"$1)", "TOKEN")
		do(simple, watched{commits: true}, "begin; "+insert+"'x'); select 1 /* TOKEN */; commit")
	case "civil_clerk", "civil_manager":
		for i, mode := range []pgx.QueryExecMode{simple, unnamed} {
			who := citizens()[40+i]
			phone := who.Phone
			if person == "civil_clerk" {
				phone = phone[:3] + "****" + phone[7:]
			}
			do(mode, watched{shows: phone}, "select id_number, phone from civil.citizens where id_number = '"+who.ID+"' /* TOKEN */")
			do(mode, watched{}, "select name from civil.citizens limit 400 /* TOKEN */")
		}
	}
	conn.Close(t.Context())
}

// recordEnds computes where each record's last byte stands in the first segment.
func recordEnds(t *testing.T, dir string) []int64 {
	t.Helper()
	source, err := auditlog.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	const header = 24 // of a frame, see auditlog/FORMAT.md
	var ends []int64
	end := int64(0)
	err = source.Records(t.Context(), 0, func(s auditlog.Stored) error {
		end += header + int64(len(s.LeafBytes)) + int64(len(s.Sealed))
		ends = append(ends, end)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ends
}

// order compares a trace with the log that came out of it.
type order struct {
	t       *testing.T
	proxy   string // its address for clients
	calls   []*call
	ends    []int64 // of records, in the segment
	history *history

	results, forwards, disclosures int
}

// durableAt returns the line on which the sync of a record returned for the first time.
func (o *order) durableAt(index uint64) int {
	from, to := int64(0), o.ends[index]
	if index > 0 {
		from = o.ends[index-1]
	}
	written := -1
	for _, c := range o.calls {
		switch {
		case !strings.HasSuffix(c.on, ".seg"):
		case c.name == "pwrite64":
			if a, b, ok := c.extent(); ok && a <= from && to <= b {
				written = c.exit
			}
		case c.name == "fdatasync" && written >= 0 && c.entry > written && c.exit >= 0 && c.result == 0:
			return c.exit
		}
	}
	o.t.Errorf("record %d was never written and synced", index)
	return len(o.calls)
}

func (o *order) check(token string, w *watched) {
	o.t.Helper()
	entries := o.history.statements[token]
	if len(entries) != 1 {
		o.t.Errorf("%s has not one record but %v", token, entries)
		return
	}
	e := entries[0]
	durable := o.durableAt(e.index)
	asked := o.find(0, func(c *call) bool { return isRead(c) && o.client(c) && strings.Contains(c.args, token) })
	if asked == nil {
		o.t.Errorf("%s: the trace does not show it coming in", token)
		return
	}
	// 1. The first byte to the client after the statement came in.
	result := o.find(asked.exit, func(c *call) bool { return isWrite(c) && c.on == asked.on })
	switch {
	case result == nil:
		o.t.Errorf("%s: the trace does not show a result", token)
	case result.entry <= durable:
		o.t.Errorf("%s: bytes went to the client on line %d, its record was durable on line %d", token, result.entry, durable)
	default:
		o.results++
	}
	// 2. What commits.
	sent := o.find(asked.exit, func(c *call) bool { return isWrite(c) && !o.client(c) && strings.Contains(c.args, token) })
	switch {
	case w.refused && sent == nil:
	case w.refused:
		o.t.Errorf("%s: a refused statement went to the server", token)
	case sent == nil:
		o.t.Errorf("%s: the trace does not show it going to the server", token)
	case !w.commits:
	case sent.entry <= durable:
		o.t.Errorf("%s: went to the server on line %d, its record was durable on line %d", token, sent.entry, durable)
	default:
		o.forwards++
	}
	if w.shows != "" {
		o.checkDisclosure(token, e, asked, w.shows)
	}
}

// checkDisclosure finds the row in what went to the client, and wants it after the record that names whom it is about.
func (o *order) checkDisclosure(token string, e entry, asked *call, row string) {
	o.t.Helper()
	shown := o.find(asked.exit, func(c *call) bool { return isWrite(c) && c.on == asked.on && strings.Contains(c.args, row) })
	if shown == nil {
		o.t.Errorf("%s: %s did not go to the client", token, row)
		return
	}
	index, ok := o.history.named[e.index]
	if !ok {
		o.t.Errorf("%s: no record names the person of its row", token)
		return
	}
	if durable := o.durableAt(index); shown.entry <= durable {
		o.t.Errorf("%s: the row went to the client on line %d, the record of its person was durable on line %d", token, shown.entry, durable)
		return
	}
	o.disclosures++
}

func (o *order) find(after int, match func(*call) bool) *call {
	for _, c := range o.calls {
		if c.entry > after && match(c) {
			return c
		}
	}
	return nil
}

// client reports that a call is on a socket between the proxy and a client.
func (o *order) client(c *call) bool {
	return strings.HasPrefix(c.on, "TCP:["+o.proxy+"->")
}

func isRead(c *call) bool { return c.name == "read" || c.name == "recvfrom" }
func isWrite(c *call) bool {
	return c.name == "write" || c.name == "sendto" || c.name == "writev" || c.name == "sendmsg"
}
