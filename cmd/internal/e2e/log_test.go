package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"shiguan/auditlog"
	"shiguan/auditlog/record"
	"shiguan/auditlog/record/seal"
)

// entry is a record with its place in the log.
type entry struct {
	index uint64
	record.Record
}

// cityLog opens the city's log as an investigator does.
func cityLog(t testing.TB) (auditlog.Source, *auditlog.Opener) {
	t.Helper()
	source, err := auditlog.OpenDir(filepath.Join(city.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	ids, err := seal.ParseIdentities(filepath.Join(city.dir, "keys", "investigator.identity"))
	if err != nil {
		t.Fatal(err)
	}
	return source, auditlog.NewOpener(source, ids)
}

// logSize is how many records the log holds.
func logSize(t testing.TB) uint64 {
	t.Helper()
	source, _ := cityLog(t)
	status, err := source.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return status.Durable
}

// recordsSince reads and opens the records from an index on.
func recordsSince(t testing.TB, from uint64) []entry {
	t.Helper()
	source, opener := cityLog(t)
	var all []entry
	err := source.Records(t.Context(), from, func(s auditlog.Stored) error {
		payload, _, err := opener.Open(t.Context(), s)
		if err != nil {
			return err
		}
		r, err := record.Decode(payload)
		if err != nil {
			return fmt.Errorf("record %d: %w", s.Index, err)
		}
		all = append(all, entry{s.Index, *r})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// sessionOf waits for the end of the one session that called itself application, and returns its records.
func sessionOf(t testing.TB, application string, from uint64) []entry {
	t.Helper()
	var mine []entry
	eventually(t, "the session's end is recorded", func() error {
		mine = slices.DeleteFunc(recordsSince(t, from), func(e entry) bool { return e.Application != application })
		if n := len(mine); n == 0 || mine[n-1].Kind != record.KindSessionClosed {
			return fmt.Errorf("%d records so far", n)
		}
		return nil
	})
	for i, e := range mine {
		if e.Session != mine[0].Session {
			t.Fatalf("record %d is of another session called %s", mine[i].index, application)
		}
	}
	return mine
}

// statements are the statement records of a session, in order, each with its outcome and the subjects of its rows.
type statement struct {
	entry
	outcome  *record.Outcome
	subjects map[record.Subject]bool
}

// statementsOf puts together what the records of a session say about its statements. Every statement must have a number of
// its own, without gaps, and exactly one outcome.
func statementsOf(t testing.TB, session []entry) []*statement {
	t.Helper()
	var all []*statement
	byIndex := map[uint64]*statement{}
	conclude := func(o record.Outcome) {
		s := byIndex[o.Of]
		switch {
		case s == nil || s.Seq != o.Seq:
			t.Errorf("an outcome belongs to no statement: %+v", o)
		case s.outcome != nil:
			t.Errorf("statement %d has two outcomes: %+v and %+v", o.Seq, *s.outcome, o)
		default:
			s.outcome = &o
		}
	}
	for _, e := range session {
		switch e.Kind {
		case record.KindStatement:
			s := &statement{entry: e, subjects: map[record.Subject]bool{}}
			if e.Seq != uint64(len(all)+1) {
				t.Errorf("statement record %d has number %d, want %d", e.index, e.Seq, len(all)+1)
			}
			all, byIndex[e.index] = append(all, s), s
			s.note(e.Subjects)
			s.outcome = e.Outcome
		case record.KindDisclosure:
			if s := byIndex[*e.Of]; s == nil || s.Seq != e.Seq {
				t.Errorf("disclosure %d belongs to no statement", e.index)
			} else {
				s.note(e.Subjects)
			}
			if e.Outcome != nil {
				conclude(*e.Outcome)
			}
		}
		for _, o := range e.Earlier {
			conclude(o)
		}
	}
	for _, s := range all {
		if s.outcome == nil {
			t.Errorf("statement %d has no outcome: %s", s.Seq, s.Statement)
			s.outcome = &record.Outcome{SQLState: "none"}
		}
	}
	totals := session[len(session)-1].Totals
	if totals == nil || totals.Statements != int64(len(all)) {
		t.Errorf("the session's end counts %+v, there are %d statements", totals, len(all))
	}
	return all
}

func (s *statement) note(subjects []record.Subject) {
	for _, x := range subjects {
		s.subjects[x] = true
	}
}

// subjectHasher makes subjects with the city's key.
func subjectHasher(t testing.TB) *record.SubjectHasher {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(city.dir, "keys", "subject.key"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := record.ParseSubjectKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return key.Hasher()
}

// sameSubjects compares what is on record with the resident IDs of the rows that left.
func (s *statement) sameSubjects(h *record.SubjectHasher, ids []string) error {
	want := map[record.Subject]bool{}
	for _, id := range ids {
		want[h.SubjectString("resident_id", id)] = true
	}
	var errs []error
	for x := range want {
		if !s.subjects[x] {
			errs = append(errs, fmt.Errorf("a person whose row left is not on record"))
		}
	}
	for x := range s.subjects {
		if !want[x] {
			errs = append(errs, fmt.Errorf("a person is on record whose row did not leave"))
		}
	}
	return errors.Join(errs...)
}
