package campaign

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"shiguan/auditlog/record"
)

// noted is what a client knows of one statement. Its token stands in the statement's text or in a parameter, and in what
// the statement writes; no other statement has it.
type noted struct {
	token  string
	person string // who sent it

	answered bool       // something of its result reached the client
	refused  bool       // it was answered that policy refuses it
	failed   bool       // it was answered with an error of the server
	applied  bool       // it was acknowledged that what it wrote is committed
	about    [][]string // for each row that arrived, the resident IDs it can be about: one, or a few where it was masked
}

// ledger is the clients' own account of a campaign. They write it down before anything else can happen, in another process
// than everything that gets killed.
type ledger struct {
	prefix string // of its tokens; no other ledger has it

	mu       sync.Mutex
	all      []*noted
	answered int
	odd      []string // answers that nobody expected
}

var ledgers atomic.Int32

func newLedger() *ledger { return &ledger{prefix: fmt.Sprintf("tk%03d", ledgers.Add(1))} }

// begin notes a statement that is about to be sent.
func (l *ledger) begin(person string) *noted {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := &noted{token: fmt.Sprintf("%s%07d", l.prefix, len(l.all)), person: person}
	l.all = append(l.all, n)
	return n
}

func (l *ledger) note(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

// progress is how many statements have been answered.
func (l *ledger) progress() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.answered
}

func (l *ledger) surprise(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.odd = append(l.odd, fmt.Sprintf(format, args...))
}

// figures count what the comparison compared, so that a campaign in which nothing happened does not pass.
type figures struct {
	sent, answered, refused, applied, rows, written, records, missing int
}

// compare holds the ledger and the database against the log.
func (l *ledger) compare(t *testing.T, h *history, written map[string]int) figures {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	f := figures{sent: len(l.all), written: len(written), records: int(h.records)}
	complain := func(format string, args ...any) {
		if f.missing++; f.missing <= 20 {
			t.Errorf(format, args...)
		}
	}
	for i, what := range l.odd {
		if i < 10 {
			t.Errorf("an answer nobody expected: %s", what)
		}
	}
	for _, n := range l.all {
		l.compareOne(n, h, written, &f, complain)
	}
	for token, times := range written {
		if times != 1 {
			complain("%s stands in the database %d times", token, times)
		}
		entries := h.ran(token)
		if len(entries) != 1 || entries[0].record.Decision != record.DecisionAllowed {
			complain("%s is in the database, and in the log are %v", token, entries)
		}
	}
	return f
}

func (l *ledger) compareOne(n *noted, h *history, written map[string]int, f *figures, complain func(string, ...any)) {
	entries := h.ran(n.token)
	if n.failed && len(entries) == 0 { // before it ran: the failure is what is on record
		entries = h.statements[n.token]
	}
	if len(entries) > 1 {
		complain("%s was sent once and is in the log %d times: %v", n.token, len(entries), entries)
		return
	}
	if n.applied {
		f.applied++
		if written[n.token] == 0 {
			complain("%s was acknowledged and is not in the database", n.token)
		}
	}
	if !n.answered {
		return
	}
	f.answered++
	if len(entries) == 0 {
		complain("%s by %s reached its client and is not in the log", n.token, n.person)
		return
	}
	e := entries[0]
	want := record.DecisionAllowed
	if n.refused {
		f.refused++
		want = record.DecisionRefused
	}
	early := n.failed && e.record.Decision == record.DecisionFailed
	if e.record.Person != n.person || e.record.Decision != want && !early {
		complain("%s by %s was answered as %s; record %d says %s by %s", n.token, n.person, want, e.index, e.record.Decision, e.record.Person)
	}
	unnamed := map[string]bool{}
	for _, persons := range n.about {
		f.rows++
		if key := strings.Join(persons, " or "); !unnamed[key] && !slices.ContainsFunc(persons, func(id string) bool { return h.names(e.index, id) }) {
			unnamed[key] = true
			complain("a row about %s reached the client of %s, and records of statement %d do not name that person", key, n.token, e.index)
		}
	}
}

// tokensWritten asks the database which statements had their effect, past the proxy.
func (l *ledger) tokensWritten(t testing.TB, admin *pgx.Conn) map[string]int {
	t.Helper()
	rows, err := admin.Query(t.Context(), "select trim(filler), count(*) from public.pgbench_history where filler like $1 group by 1", l.prefix+"%")
	if err != nil {
		t.Fatal(err)
	}
	written := map[string]int{}
	var token string
	var times int
	if _, err := pgx.ForEachRow(rows, []any{&token, &times}, func() error { written[token] = times; return nil }); err != nil {
		t.Fatal(err)
	}
	return written
}
