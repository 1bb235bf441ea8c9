package search_test

import (
	"context"
	"fmt"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"shiguan/auditlog/record"
	"shiguan/auditlog/search"
)

var start = time.UnixMilli(1_790_000_000_000).UTC()

// bench is a log, an index and what was put on record.
type bench struct {
	t    testing.TB
	src  *fakeSource
	path string
	x    *search.Index
	past history
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{t: t, src: newFakeSource(t), path: filepath.Join(t.TempDir(), "index 索引?.db")}
	b.x = openIndex(t, b.path)
	t.Cleanup(func() { b.x.Close() })
	return b
}

func (b *bench) reopen() {
	b.t.Helper()
	if err := b.x.Close(); err != nil {
		b.t.Fatal(err)
	}
	b.x = openIndex(b.t, b.path)
}

func (b *bench) add(r record.Record) uint64 {
	if r.Time.IsZero() {
		r.Time = start.Add(time.Duration(len(b.past)) * time.Second)
	}
	b.past = append(b.past, &r)
	return b.src.add(&r)
}

func (b *bench) statement(text string) uint64 {
	return b.add(record.Record{Kind: record.KindStatement, Session: "0000000000000001", Seq: uint64(len(b.past) + 1), Person: "clerk",
		Statement: text, Decision: record.DecisionAllowed})
}

func (b *bench) statements(n int) {
	for range n {
		b.statement(fmt.Sprintf("SELECT %d", len(b.past)))
	}
}

func (b *bench) update() { b.t.Helper(); update(b.t, b.x, b.src) }

func (b *bench) try() error {
	return b.x.Update(context.Background(), b.src, b.src.opener(), nil)
}

func (b *bench) search(q search.Query) []search.Hit {
	b.t.Helper()
	hits, err := b.x.Search(context.Background(), q)
	if err != nil {
		b.t.Fatal(err)
	}
	return hits
}

// same checks that the index says of everything what the scan says.
func (b *bench) same() {
	b.t.Helper()
	if got, want := b.search(search.Query{}), b.past.scan(search.Query{}); !reflect.DeepEqual(got, want) {
		b.t.Errorf("got %s\nwant %s", show(got), show(want))
	}
}

func (b *bench) one(q search.Query) search.Hit {
	b.t.Helper()
	hits := b.search(q)
	if len(hits) != 1 {
		b.t.Fatalf("%d hits, want 1", len(hits))
	}
	return hits[0]
}

// BenchmarkUpdate builds the index of a log with 100,000 records of a day's kind: most of them statements with an outcome and
// a handful of persons. The figure that counts is records/s.
func BenchmarkUpdate(b *testing.B) {
	const records = 100_000
	l := newBench(b)
	for i := range records {
		r := record.Record{Kind: record.KindStatement, Session: fmt.Sprintf("%016x", i%40), Seq: uint64(i/40 + 1), Person: "civil_clerk",
			Department: "civil-affairs", Position: "clerk", Database: "civil", Client: "10.0.0.7:50000", Application: "psql",
			Statement: fmt.Sprintf("SELECT name, phone, address FROM civil.citizens WHERE id_number = '%018d'", i),
			Tables:    []string{"civil.citizens"}, Decision: record.DecisionAllowed, Rule: "clerk-reads-citizens", Purpose: "case-2026-114",
			Outcome: &record.Outcome{Rows: 2, Bytes: 200, Micros: 150}, Subjects: []record.Subject{subjectOf(i % 5000), subjectOf(i % 977)}}
		r.Time = start.Add(time.Duration(i) * time.Millisecond)
		l.src.add(&r)
	}
	l.src.signAll()
	for b.Loop() {
		x := openIndex(b, filepath.Join(b.TempDir(), "index.db"))
		update(b, x, l.src)
		for _, q := range []search.Query{{Text: "000099999"}, {Person: "civil_clerk", Limit: 100}, {Table: "citizens", Limit: 100}} {
			if hits, err := x.Search(context.Background(), q); err != nil || len(hits) == 0 {
				b.Fatalf("%d hits, %v", len(hits), err)
			}
		}
		x.Close()
	}
	b.ReportMetric(float64(records)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
