package search_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"shiguan/auditlog/record"
	"shiguan/auditlog/search"
)

// TestMain asks for fewer generated cases than rapid's hundred, each of which makes a database, unless `make test-long` runs.
func TestMain(m *testing.M) {
	if os.Getenv("SHIGUAN_TEST_LONG") == "" {
		if err := flag.Set("rapid.checks", "40"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// words make statements and search texts that meet: quotes, wildcards, case, accents, Chinese, characters beyond the basic plane.
var words = []string{"SELECT", "select", "户籍", "公民", "查询户籍信息", "name", "NAME", "O'Brien", `"Quoted"`, "%", "_", "é", "É", "ſ", "İ",
	"𠮷野家", "*", " ", "civil.citizens", "--", "\n", "AND", "near(", "^", ":", "11010119900307"}

var tableNames = []string{"civil.citizens", "civil.households", "housing.citizens", "public.zens", "citizens", "户籍.公民"}

// author writes a random but possible history.
type author struct {
	t        *rapid.T
	src      *fakeSource
	past     history
	sessions []*openSession
	next     int
	now      time.Time
}

type openSession struct {
	id       string
	person   string
	seq      uint64
	unsaid   []record.Outcome // of statements whose outcome is not on record yet
	disclose []uint64         // statements that may still disclose
}

func (a *author) add(r *record.Record) uint64 {
	a.now = a.now.Add(time.Duration(rapid.IntRange(-5, 50).Draw(a.t, "ms")) * time.Millisecond)
	r.Time = a.now
	a.past = append(a.past, r)
	return a.src.add(r)
}

func pick[T any](a *author, name string, from []T) T { return rapid.SampledFrom(from).Draw(a.t, name) }

func (a *author) text(max int) string {
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 0, max).Draw(a.t, "words"), "")
}

func subjectOf(n int) record.Subject { return record.Subject{byte(n), 0xff, byte(n >> 8)} }

func (a *author) subjects() []record.Subject {
	var out []record.Subject
	for _, n := range rapid.SliceOfN(rapid.IntRange(0, 4), 0, 5).Draw(a.t, "subjects") {
		out = append(out, subjectOf(n))
	}
	return out
}

func (a *author) outcome(of, seq uint64) record.Outcome {
	return record.Outcome{Seq: seq, Of: of, Rows: rapid.Int64Range(-1, 5).Draw(a.t, "rows"), Bytes: 7, Micros: 3,
		SQLState: pick(a, "sqlstate", []string{"", "", "57014"})}
}

// earlier empties what the session has not said yet, or keeps it for later.
func (a *author) earlier(s *openSession) []record.Outcome {
	if rapid.Bool().Draw(a.t, "say") {
		said := s.unsaid
		s.unsaid = nil
		return said
	}
	return nil
}

func (a *author) session() *openSession {
	if len(a.sessions) == 0 || rapid.IntRange(0, 5).Draw(a.t, "new session") == 0 {
		a.next++
		s := &openSession{id: fmt.Sprintf("%016x", a.next), person: pick(a, "person", []string{"clerk", "manager", "审计员"})}
		a.sessions = append(a.sessions, s)
		a.add(&record.Record{Kind: record.KindSessionOpened, Session: s.id, Person: s.person})
	}
	return pick(a, "session", a.sessions)
}

func (a *author) statement() {
	s := a.session()
	s.seq++
	r := &record.Record{Kind: record.KindStatement, Session: s.id, Seq: s.seq, Person: s.person, Position: "clerk", Database: "civil",
		Department: pick(a, "department", []string{"civil-affairs", "housing-fund"}), Client: "10.0.0.1:5", Application: "psql",
		Statement: a.text(6), Rule: "rule-1", Reason: "because", Purpose: "case-1",
		Decision: pick(a, "decision", []string{"allowed", "allowed", "allowed", "refused", "failed"}), Earlier: a.earlier(s)}
	for range rapid.IntRange(0, 2).Draw(a.t, "tables") {
		r.Tables = append(r.Tables, pick(a, "table", tableNames))
	}
	for range rapid.IntRange(0, 2).Draw(a.t, "params") {
		value := a.text(2)
		r.Params = append(r.Params, pick(a, "param", []record.Param{{Text: &value}, {Null: true}, {Format: 1, Binary: []byte("SELECT")}}))
	}
	of := uint64(len(a.past))
	if rapid.Bool().Draw(a.t, "at once") {
		o := a.outcome(0, s.seq) // its own index is not known to it
		r.Outcome, r.Subjects = &o, a.subjects()
	} else if r.Decision == record.DecisionAllowed {
		s.unsaid = append(s.unsaid, a.outcome(of, s.seq))
		s.disclose = append(s.disclose, of)
	}
	a.add(r)
}

func (a *author) disclosure() {
	for _, s := range a.sessions {
		if len(s.disclose) == 0 {
			continue
		}
		of := pick(a, "of", s.disclose)
		a.add(&record.Record{Kind: record.KindDisclosure, Session: s.id, Of: &of, Part: 1, Subjects: a.subjects()})
		return
	}
}

func (a *author) outcomeRecord() {
	for _, s := range a.sessions {
		if len(s.unsaid) == 0 {
			continue
		}
		o := s.unsaid[0]
		s.unsaid = s.unsaid[1:]
		of := o.Of
		a.add(&record.Record{Kind: record.KindOutcome, Session: s.id, Of: &of, Outcome: &o})
		return
	}
}

func (a *author) closeSession() {
	if len(a.sessions) > 0 {
		s := a.sessions[0]
		a.sessions = a.sessions[1:]
		a.add(&record.Record{Kind: record.KindSessionClosed, Session: s.id, Person: s.person, Earlier: a.earlier(s)})
	}
}

func (a *author) loginRefused() {
	a.add(&record.Record{Kind: record.KindLoginRefused, Person: pick(a, "person", []string{"clerk", "nobody"}), Reason: "wrong password",
		Client: "10.0.0.9:1"})
}

// restart is a crash of the proxy, or a stop in order: either way its sessions are gone.
func (a *author) restart() {
	a.sessions = nil
	if rapid.Bool().Draw(a.t, "in order") {
		a.add(&record.Record{Kind: record.KindStopped})
		if rapid.Bool().Draw(a.t, "for good") {
			return
		}
	}
	a.src.nextPeriod()
	a.add(&record.Record{Kind: record.KindStarted, Origin: origin})
}

// query makes a query that has a chance to find something.
func (a *author) query() search.Query {
	var q search.Query
	some := func(name string) bool { return rapid.IntRange(0, 3).Draw(a.t, name) == 0 }
	if some("by person") {
		q.Person = pick(a, "person", []string{"clerk", "审计员", "nobody", "Clerk"})
	}
	if some("by department") {
		q.Department = pick(a, "department", []string{"civil-affairs", "housing-fund"})
	}
	if some("by decision") {
		q.Decision = pick(a, "decision", []string{"allowed", "refused", "failed"})
	}
	if some("by table") {
		q.Table = pick(a, "table", append(tableNames, "households", "zens", "公民", "Citizens", "civil", "%"))
	}
	if some("by session") {
		q.Session = fmt.Sprintf("%016x", rapid.IntRange(1, 3).Draw(a.t, "session"))
	}
	if some("by subject") {
		s := subjectOf(rapid.IntRange(0, 5).Draw(a.t, "subject"))
		q.Subject = &s
	}
	if some("by text") {
		q.Text = a.part()
	}
	if some("since") {
		q.Since = a.now.Add(-time.Duration(rapid.IntRange(0, 500_000).Draw(a.t, "µs")) * time.Microsecond)
	}
	if some("until") {
		q.Until = a.now.Add(-time.Duration(rapid.IntRange(0, 500_000).Draw(a.t, "µs")) * time.Microsecond)
	}
	if some("before") {
		q.Before = uint64(rapid.IntRange(1, len(a.past)+1).Draw(a.t, "index"))
	}
	if some("limit") {
		q.Limit = rapid.IntRange(1, 5).Draw(a.t, "n")
	}
	return q
}

// part is a part of something on record, or something else.
func (a *author) part() string {
	text := []rune(pick(a, "from", append(a.past, &record.Record{})).Statement)
	if len(text) == 0 {
		text = []rune(a.text(3))
	}
	from := rapid.IntRange(0, len(text)).Draw(a.t, "from")
	to := rapid.IntRange(from, len(text)).Draw(a.t, "to")
	return pick(a, "case", []func(string) string{strings.ToUpper, strings.ToLower, strings.Clone})(string(text[from:to]))
}

// Whatever happened, and however the index was updated and restarted meanwhile, it finds what a scan of all records finds.
func TestIndexFindsWhatAScanFinds(t *testing.T) {
	search.SetBatchRecords(t, 3)
	dir := t.TempDir()
	example := 0
	rapid.Check(t, func(rt *rapid.T) {
		example++
		path := filepath.Join(dir, fmt.Sprintf("%d.db", example))
		a := &author{t: rt, src: newFakeSource(t), now: time.UnixMilli(1_790_000_000_000).UTC()}
		x := openIndex(t, path)
		defer func() { x.Close() }()
		a.add(&record.Record{Kind: record.KindStarted, Origin: origin})
		steps := []func(){a.statement, a.statement, a.statement, a.disclosure, a.disclosure, a.outcomeRecord, a.outcomeRecord,
			a.closeSession, a.loginRefused, a.restart}
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			pick(a, "step", steps)()
			a.src.remote = rapid.Bool().Draw(rt, "remote")
			switch rapid.IntRange(0, 9).Draw(rt, "then") {
			case 3:
				a.src.publish()
			case 0:
				update(t, x, a.src)
			case 1:
				a.src.sign(uint64(rapid.IntRange(int(a.src.size), len(a.past)).Draw(rt, "signed")))
			case 2:
				x.Close()
				x = openIndex(t, path)
			}
		}
		update(t, x, a.src)
		for range 12 {
			q := a.query()
			got, err := x.Search(context.Background(), q)
			if err != nil {
				rt.Fatalf("%+v: %v", q, err)
			}
			if want := a.past.scan(q); !reflect.DeepEqual(got, want) {
				rt.Fatalf("query %+v\ngot  %s\nwant %s", q, show(got), show(want))
			}
		}
		noAnomalies(t, x)
	})
}

func openIndex(t testing.TB, path string) *search.Index {
	t.Helper()
	x, err := search.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func update(t testing.TB, x *search.Index, src *fakeSource) {
	t.Helper()
	if err := x.Update(context.Background(), src, src.opener(), nil); err != nil {
		t.Fatal(err)
	}
}

func noAnomalies(t testing.TB, x *search.Index) {
	t.Helper()
	found, err := x.Anomalies(context.Background())
	if err != nil || len(found) > 0 {
		t.Errorf("anomalies %v, %v", found, err)
	}
}

func show(hits []search.Hit) string {
	var b strings.Builder
	for _, h := range hits {
		fmt.Fprintf(&b, "\n  %+v", h)
	}
	return b.String()
}
