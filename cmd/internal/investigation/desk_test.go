package investigation_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"shiguan/auditlog"
	"shiguan/auditlog/evidence"
	"shiguan/auditlog/record"
	"shiguan/auditlog/search"
	"shiguan/cmd/internal/investigation"
	"shiguan/cmd/internal/logtest"
)

// lying is a source whose answers a test can change.
type lying struct {
	auditlog.Source
	record     func(*auditlog.Stored)
	status     func(*auditlog.Status)
	checkpoint func([]byte) []byte
	tile       func([]byte) []byte
}

func (l *lying) Records(ctx context.Context, from uint64, fn func(auditlog.Stored) error) error {
	return l.Source.Records(ctx, from, func(s auditlog.Stored) error {
		if l.record != nil {
			s.LeafBytes, s.Sealed = slices.Clone(s.LeafBytes), slices.Clone(s.Sealed)
			l.record(&s)
		}
		return fn(s)
	})
}

func (l *lying) Status(ctx context.Context) (auditlog.Status, error) {
	s, err := l.Source.Status(ctx)
	if l.status != nil {
		l.status(&s)
	}
	return s, err
}

func (l *lying) Checkpoint(ctx context.Context) ([]byte, error) {
	c, err := l.Source.Checkpoint(ctx)
	if l.checkpoint != nil {
		c = l.checkpoint(c)
	}
	return c, err
}

func (l *lying) ReadTile(ctx context.Context, level, index uint64, width int) ([]byte, error) {
	data, err := l.Source.ReadTile(ctx, level, index, width)
	if l.tile != nil {
		data = l.tile(slices.Clone(data))
	}
	return data, err
}

func openDesk(t *testing.T, l *logtest.Log, change ...func(*investigation.Options)) (*investigation.Desk, *lying) {
	t.Helper()
	dir, err := auditlog.OpenDir(l.LogDir)
	if err != nil {
		t.Fatal(err)
	}
	source := &lying{Source: dir}
	index, err := search.Open(filepath.Join(l.Dir, "index.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	o := investigation.Options{Source: source, Opener: auditlog.NewOpener(source, l.Identities), Index: index, Origin: logtest.Origin,
		Quorum: l.Quorum, Subjects: l.Subjects, Zone: time.UTC}
	for _, c := range change {
		c(&o)
	}
	d := investigation.New(o)
	t.Cleanup(func() { d.Close() })
	return d, source
}

func update(t *testing.T, d *investigation.Desk) *investigation.Heads {
	t.Helper()
	heads, err := d.Update(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return heads
}

func wantContradiction(t *testing.T, what string, err error) {
	t.Helper()
	var wrong *investigation.ContradictionError
	if !errors.As(err, &wrong) {
		t.Errorf("%s: %v; want a contradiction", what, err)
	}
}

func TestARecordThatWasChangedIsNotShown(t *testing.T) {
	l := logtest.New(t)
	index := l.Fill(80)[7]
	d, source := openDesk(t, l)
	heads := update(t, d)
	if _, err := d.Entry(t.Context(), heads, index); err != nil {
		t.Fatal(err)
	}
	other, err := d.Entry(t.Context(), heads, index+1)
	if err != nil {
		t.Fatal(err)
	}
	for what, lie := range map[string]func(*auditlog.Stored){
		"a changed sealed payload": func(s *auditlog.Stored) { s.Sealed[len(s.Sealed)-1] ^= 1 },
		"a changed commitment":     func(s *auditlog.Stored) { s.LeafBytes[20] ^= 1; s.Leaf.Commitment[6] ^= 1 },
		"a changed time":           func(s *auditlog.Stored) { s.LeafBytes[9] ^= 1; s.Leaf.Time ^= 1 },
		"leaf and bytes differ":    func(s *auditlog.Stored) { s.Leaf.Time ^= 1 },
		"no leaf":                  func(s *auditlog.Stored) { s.LeafBytes = s.LeafBytes[:77] },
		"another index":            func(s *auditlog.Stored) { s.Index++ },
		"another, genuine record in its place": func(s *auditlog.Stored) {
			s.Leaf, s.LeafBytes, s.Sealed = other.Leaf, other.LeafBytes, other.Sealed
		},
	} {
		source.record = lie
		_, err := d.Entry(t.Context(), heads, index)
		wantContradiction(t, what, err)
		_, err = d.Evidence(t.Context(), index)
		wantContradiction(t, "evidence of "+what, err)
	}
	source.record = nil
	source.tile = func(b []byte) []byte { b[0] ^= 1; return b }
	fresh, lies := openDesk(t, l) // whose tile cache is empty
	lies.tile = source.tile
	_, err = fresh.Entry(t.Context(), heads, index)
	wantContradiction(t, "a changed tile", err)
	lies.tile = nil
	if _, err := fresh.Entry(t.Context(), heads, index); err != nil {
		t.Errorf("after the tile was repaired: %v", err)
	}
}

func TestHeadsMustBeOfThisLogAndFitEachOther(t *testing.T) {
	l := logtest.New(t)
	l.Fill(40)
	d, source := openDesk(t, l)
	heads, err := d.Heads(t.Context())
	if err != nil || heads.Witnessed.Size < 40 || len(heads.Cosigned) != 3 || heads.CosignedAt().IsZero() {
		t.Fatalf("heads: %+v, %v", heads, err)
	}
	source.status = func(s *auditlog.Status) { s.Durable = heads.Integrated.Size - 1 }
	_, err = d.Heads(t.Context())
	wantContradiction(t, "fewer durable than signed", err)
	source.status = nil
	source.checkpoint = func(c []byte) []byte { return c[:strings.LastIndex(strings.TrimSpace(string(c)), "\n")+1] }
	if h, err := d.Heads(t.Context()); err != nil || len(h.Cosigned) != 2 {
		t.Errorf("two of three cosignatures: %v", err)
	}
	source.checkpoint = func(c []byte) []byte {
		for range 2 {
			c = c[:strings.LastIndex(strings.TrimSpace(string(c)), "\n")+1]
		}
		return c
	}
	_, err = d.Heads(t.Context())
	wantContradiction(t, "one of three cosignatures", err)

	stranger, _ := openDesk(t, l, func(o *investigation.Options) { o.Origin = "audit.example.gov.cn/housing-fund" })
	_, err = stranger.Heads(t.Context())
	wantContradiction(t, "another log than the configuration's", err)
	other := logtest.New(t)
	distrusting, _ := openDesk(t, l, func(o *investigation.Options) { o.Quorum = other.Quorum })
	_, err = distrusting.Heads(t.Context())
	wantContradiction(t, "signed by keys that the policy does not name", err)
}

func TestStates(t *testing.T) {
	h := &investigation.Heads{Durable: 9}
	h.Integrated.Size, h.Witnessed.Size = 6, 3
	for index, want := range map[uint64]string{0: "witnessed", 2: "witnessed", 3: "integrated", 5: "integrated", 6: "durable", 8: "durable", 9: "pending"} {
		if got := h.State(index).String(); got != want {
			t.Errorf("record %d is %s, want %s", index, got, want)
		}
	}
}

// An index that says something else than the log is found out, whatever it says.
func TestAWrongIndexIsFoundOut(t *testing.T) {
	for _, change := range []string{
		"UPDATE statements SET person = 'somebody else'",
		"UPDATE statements SET decision = 'allowed' WHERE decision = 'refused'",
		"UPDATE statements SET time = time + 1",
		"UPDATE statements SET tables = '[\"other.table\"]'",
		"UPDATE outcomes SET record = idx",
	} {
		l := logtest.New(t)
		l.Fill(60)
		d, _ := openDesk(t, l)
		heads := update(t, d)
		if _, err := d.Search(t.Context(), heads, search.Query{}, nil); err != nil {
			t.Fatal(err)
		}
		spoil(t, l, change)
		_, err := d.Search(t.Context(), heads, search.Query{}, nil)
		var stale *investigation.StaleIndexError
		if !errors.As(err, &stale) || !strings.Contains(err.Error(), "delete the index") {
			t.Errorf("%s: %v; want a stale index", change, err)
		}
	}
}

func spoil(t *testing.T, l *logtest.Log, change string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(l.Dir, "index.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(change); err != nil {
		t.Fatal(err)
	}
}

func TestWhoSawIsProvedByTheRecordsThatNameThePerson(t *testing.T) {
	l := logtest.New(t)
	l.Fill(200)
	d, _ := openDesk(t, l)
	heads := update(t, d)
	citizen, hits := "", []*investigation.Found(nil)
	for n := 0; len(hits) == 0; n++ {
		citizen = logtest.Citizen(n)
		var err error
		if hits, err = d.WhoSaw(t.Context(), heads, "resident_id", citizen, investigation.Span{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	subject := l.Subjects.Hasher().SubjectString("resident_id", citizen)
	for _, hit := range hits {
		for _, in := range hit.NamedIn {
			file, err := d.Evidence(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			report, err := evidence.Verify(file, l.Quorum.Text())
			if err != nil || !slices.Contains(report.Record.Subjects, subject) || *report.Record.Of != hit.Index {
				t.Errorf("record %d does not prove it: %v", in, err)
			}
		}
	}
	at := hits[0].Time()
	if none, err := d.WhoSaw(t.Context(), heads, "resident_id", citizen, investigation.Span{Since: at.Add(time.Millisecond)}, nil); err != nil || len(none) != 0 {
		t.Errorf("after the last one: %d, %v", len(none), err)
	}
	spoil(t, l, "UPDATE subjects SET record = idx")
	_, err := d.WhoSaw(t.Context(), heads, "resident_id", citizen, investigation.Span{}, nil)
	if stale := (*investigation.StaleIndexError)(nil); !errors.As(err, &stale) {
		t.Errorf("an index that names the wrong records: %v", err)
	}
}

func TestAboutLeadsBothWays(t *testing.T) {
	l := logtest.New(t)
	l.Fill(120)
	d, _ := openDesk(t, l)
	heads := update(t, d)
	seen := map[record.Kind]bool{}
	for index := range heads.Durable {
		e, err := d.Entry(t.Context(), heads, index)
		if err != nil {
			t.Fatal(err)
		}
		about, err := d.About(t.Context(), heads, e)
		if err != nil {
			t.Fatalf("record %d: %v", index, err)
		}
		kind := e.Leaf.Kind
		switch {
		case kind == record.KindDisclosure || kind == record.KindOutcome:
			if len(about.Others) != 1 || about.Others[0].Index != *e.Record.Of {
				t.Errorf("record %d does not lead to its statement", index)
			}
		case kind == record.KindStatement && e.Decision() == record.DecisionAllowed:
			if about.Outcome == nil || about.Outcome.Of != index || len(about.Others) == 0 {
				t.Errorf("record %d: outcome %v, others %d", index, about.Outcome, len(about.Others))
			}
			if len(e.Record.Masked) > 0 && len(about.Subjects) != 1 {
				t.Errorf("record %d: %d subjects, want 1", index, len(about.Subjects))
			}
		case kind == record.KindSessionClosed:
			if len(about.Others) != int(e.Record.Totals.Statements) {
				t.Errorf("record %d: %d statements of %d", index, len(about.Others), e.Record.Totals.Statements)
			}
		}
		seen[kind] = true
	}
	if !seen[record.KindDisclosure] || !seen[record.KindOutcome] || !seen[record.KindSessionClosed] {
		t.Errorf("not every kind was seen: %v", seen)
	}
}

func TestThereIsNoRecordBehindTheLast(t *testing.T) {
	l := logtest.New(t)
	l.Fill(10)
	d, _ := openDesk(t, l)
	heads := update(t, d)
	if _, err := d.Entry(t.Context(), heads, heads.Durable+5); !errors.Is(err, investigation.ErrNoRecord) {
		t.Errorf("error %v, want ErrNoRecord", err)
	}
}
