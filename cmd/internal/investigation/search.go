package investigation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"shiguan/auditlog/record"
	"shiguan/auditlog/search"
)

// Found is a statement or a refused login that the index proposed and the log confirmed.
type Found struct {
	*Entry
	Outcome   *record.Outcome // how it ended, from the record that says so; nil if none does
	OutcomeIn *uint64         // that record
	Ended     string          // in a word, one of package search's outcomes
	NamedIn   []uint64        // WhoSaw: the records that name the subject; they are what proves it
}

// Decision is what became of it: a refused login was refused, though no policy was asked.
func (e *Entry) Decision() string {
	switch {
	case e.Erased:
		return ""
	case e.Record.Kind == record.KindLoginRefused:
		return record.DecisionRefused
	default:
		return e.Record.Decision
	}
}

// Rows is how many rows were returned or affected, and false when no record says. What never ran returned none.
func (f *Found) Rows() (int64, bool) {
	switch {
	case f.Outcome != nil:
		return f.Outcome.Rows, f.Outcome.Rows >= 0
	case f.Ended == search.OutcomeRefused, f.Ended == search.OutcomeFailed:
		return 0, true
	default:
		return 0, false
	}
}

// SQLState is the error the database ended it with, "" for none or unknown.
func (f *Found) SQLState() string {
	if f.Outcome == nil {
		return ""
	}
	return f.Outcome.SQLState
}

// StaleIndexError says that the search index does not say what the log says. The log is right.
type StaleIndexError struct {
	Index uint64
	Err   error
}

func (e *StaleIndexError) Error() string {
	return fmt.Sprintf("the search index is wrong about record %d: %v: delete the index file (with its -wal and -shm files) and search again; "+
		"it is built anew from the log", e.Index, e.Err)
}

func (e *StaleIndexError) Unwrap() error { return e.Err }

// Progress is told how many of how many are done. It may be nil.
type Progress func(done, total uint64)

func (p Progress) tell(done, total int) {
	if p != nil {
		p(uint64(done), uint64(total))
	}
}

// Search asks the index and confirms every hit with the log, newest first. progress counts the hits confirmed.
func (d *Desk) Search(ctx context.Context, heads *Heads, q search.Query, progress Progress) ([]*Found, error) {
	hits, err := d.Index.Search(ctx, q)
	if err != nil {
		return nil, err
	}
	found := make([]*Found, 0, len(hits))
	for i := range hits {
		one, err := d.confirm(ctx, heads, &hits[i])
		if err != nil {
			return nil, err
		}
		found = append(found, one)
		progress.tell(i+1, len(hits))
	}
	return found, nil
}

// confirm reads back what a hit names: the statement's record and the one that says how it ended.
func (d *Desk) confirm(ctx context.Context, heads *Heads, h *search.Hit) (*Found, error) {
	entry, err := d.Entry(ctx, heads, h.Index)
	if err != nil {
		return nil, err
	}
	f := &Found{Entry: entry, Ended: h.Outcome}
	if entry.Erased {
		f.Ended = search.OutcomeErased
		return f, nil
	}
	if err := fits(entry, h); err != nil {
		return nil, &StaleIndexError{h.Index, err}
	}
	if h.OutcomeIn != nil {
		if f.Outcome, err = d.outcome(ctx, heads, h); err != nil {
			return nil, err
		}
		f.OutcomeIn = h.OutcomeIn
	}
	return f, nil
}

// fits holds what a hit says, and what it was found by, against the record.
func fits(e *Entry, h *search.Hit) error {
	r := e.Record
	for _, pair := range [][3]string{
		{"person", h.Person, r.Person}, {"department", h.Department, r.Department}, {"database", h.Database, r.Database},
		{"session", h.Session, r.Session}, {"decision", h.Decision, e.Decision()}, {"statement", h.Statement, r.Statement},
	} {
		if pair[1] != pair[2] {
			return fmt.Errorf("its %s is not the record's", pair[0])
		}
	}
	if !h.Time.Equal(e.Time()) || h.Kind != e.Leaf.Kind || !slices.Equal(h.Tables, r.Tables) {
		return errors.New("its time, kind or tables are not the record's")
	}
	return nil
}

// outcome reads the record that says how a statement ended. A record that was erased says nothing any more.
func (d *Desk) outcome(ctx context.Context, heads *Heads, h *search.Hit) (*record.Outcome, error) {
	in, err := d.Entry(ctx, heads, *h.OutcomeIn)
	if err != nil || in.Erased {
		return nil, err
	}
	if o := OutcomeOf(in, h.Index); o != nil {
		return o, nil
	}
	return nil, &StaleIndexError{h.Index, fmt.Errorf("record %d does not say how it ended", *h.OutcomeIn)}
}

// OutcomeOf returns what a record says about how the statement with that index ended, or nil.
func OutcomeOf(in *Entry, statement uint64) *record.Outcome {
	if in.Erased {
		return nil
	}
	r := in.Record
	about := in.Index == statement || r.Of != nil && *r.Of == statement
	if r.Outcome != nil && about {
		return r.Outcome
	}
	for i := range r.Earlier {
		if r.Earlier[i].Of == statement {
			return &r.Earlier[i]
		}
	}
	return nil
}

// Span is a span of time; a zero end is open.
type Span struct{ Since, Until time.Time }

// WhoSaw finds every statement whose rows named a person, newest first and without a limit, and confirms each with the
// records that name the person. The plain identifier goes no further than into the keyed hash.
func (d *Desk) WhoSaw(ctx context.Context, heads *Heads, namespace, identifier string, span Span, progress Progress) ([]*Found, error) {
	subject := d.Subjects.Hasher().SubjectString(namespace, identifier)
	hits, err := d.Index.Search(ctx, search.Query{Subject: &subject, Since: span.Since, Until: span.Until})
	if err != nil {
		return nil, err
	}
	var found []*Found
	for i := range hits {
		one, err := d.confirm(ctx, heads, &hits[i])
		if err != nil {
			return nil, err
		}
		if one.NamedIn, err = d.named(ctx, heads, &hits[i], subject); err != nil {
			return nil, err
		}
		found = append(found, one)
		progress.tell(i+1, len(hits))
	}
	return found, nil
}

// named confirms the records in which a statement's rows name the subject.
func (d *Desk) named(ctx context.Context, heads *Heads, h *search.Hit, subject record.Subject) ([]uint64, error) {
	for _, in := range h.NamedIn {
		e, err := d.Entry(ctx, heads, in)
		if err != nil {
			return nil, err
		}
		if e.Erased {
			continue
		}
		about := in == h.Index || e.Record.Of != nil && *e.Record.Of == h.Index
		if !about || !slices.Contains(e.Record.Subjects, subject) {
			return nil, &StaleIndexError{h.Index, fmt.Errorf("record %d does not name that person for it", in)}
		}
	}
	return h.NamedIn, nil
}
