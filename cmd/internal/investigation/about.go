package investigation

import (
	"context"
	"fmt"
	"slices"

	"shiguan/auditlog"
	"shiguan/auditlog/record"
	"shiguan/auditlog/search"
)

// About is what other records say about one: whose rows left, how it ended, what it belongs to.
type About struct {
	Ended    string           // how a statement ended, in a word of package search; "" for what has no end
	Outcome  *record.Outcome  // the same in numbers; nil if no record says
	Subjects []record.Subject // the persons that this record and its disclosures name, each once
	Others   []Related        // in the order of the log
	Partial  bool             // there may be more others than are listed
}

// Related is another record, and why it is listed.
type Related struct {
	*Entry
	Why string
}

// Says describes the other record in a line.
func (r Related) Says() string {
	if r.Erased {
		return r.Why + ", content lawfully erased"
	}
	return r.Why
}

// Rows is how many rows were returned or affected, and false when no record says.
func (a *About) Rows() (int64, bool) {
	f := Found{Outcome: a.Outcome, Ended: a.Ended}
	return f.Rows()
}

// Masked lists the columns that the outcome says left masked.
func (a *About) Masked() []string {
	if a.Outcome == nil {
		return nil
	}
	return a.Outcome.Masked
}

const (
	maxScanned = 200_000 // records looked at for the disclosures of one statement
	maxOthers  = 100
)

// About gathers what is known about an entry. The index MUST have been brought up to date (Update, Refresh).
func (d *Desk) About(ctx context.Context, heads *Heads, e *Entry) (*About, error) {
	a := &About{}
	if e.Erased {
		return a, nil
	}
	a.Subjects = slices.Clone(e.Record.Subjects)
	var err error
	switch {
	case e.Record.Kind == record.KindStatement || e.Record.Kind == record.KindLoginRefused:
		err = d.aboutStatement(ctx, heads, e, a)
	case e.Record.Of != nil:
		err = d.aboutPart(ctx, heads, e, a)
	case e.Record.Kind == record.KindSessionOpened || e.Record.Kind == record.KindSessionClosed:
		err = d.aboutSession(ctx, heads, e, a)
	}
	slices.SortFunc(a.Subjects, func(x, y record.Subject) int { return slices.Compare(x[:], y[:]) })
	a.Subjects = slices.Compact(a.Subjects)
	return a, err
}

// aboutStatement finds how a statement ended, and the disclosures before that.
func (d *Desk) aboutStatement(ctx context.Context, heads *Heads, e *Entry, a *About) error {
	hits, err := d.Index.Search(ctx, search.Query{Before: e.Index + 1, Limit: 1})
	if err != nil {
		return err
	}
	if len(hits) == 0 || hits[0].Index != e.Index {
		return nil // newer than the index: nothing is known about it yet
	}
	f, err := d.confirm(ctx, heads, &hits[0])
	if err != nil {
		return err
	}
	a.Ended, a.Outcome = f.Ended, f.Outcome
	if e.Record.Kind != record.KindStatement || e.Decision() != record.DecisionAllowed {
		return nil
	}
	until := e.Index + maxScanned
	if f.OutcomeIn != nil {
		until = min(until, *f.OutcomeIn)
	}
	if err := d.disclosures(ctx, heads, e, until, a); err != nil {
		return err
	}
	if f.OutcomeIn == nil || *f.OutcomeIn == e.Index || slices.ContainsFunc(a.Others, func(r Related) bool { return r.Index == *f.OutcomeIn }) {
		return nil
	}
	return d.add(ctx, heads, a, *f.OutcomeIn, "says how it ended")
}

// disclosures adds the records from behind e to the one with index until that name persons for it.
func (d *Desk) disclosures(ctx context.Context, heads *Heads, e *Entry, until uint64, a *About) error {
	var failed error
	err := d.Source.Records(ctx, e.Index+1, func(s auditlog.Stored) error {
		if s.Index > until {
			a.Partial = s.Index > e.Index+maxScanned
			return auditlog.ErrStop
		}
		if s.Leaf.Kind != record.KindDisclosure && s.Leaf.Kind != record.KindCancel {
			return nil
		}
		other, err := d.prove(ctx, heads, s)
		if err != nil {
			failed = err
			return auditlog.ErrStop
		}
		if other.Erased || other.Record.Of == nil || *other.Record.Of != e.Index {
			return nil
		}
		a.Subjects = append(a.Subjects, other.Record.Subjects...)
		if len(a.Others) < maxOthers {
			a.Others = append(a.Others, Related{other, whyPart(other.Record)})
		} else {
			a.Partial = true
		}
		return nil
	})
	if failed != nil {
		return failed
	}
	return err
}

func whyPart(r *record.Record) string {
	if r.Kind == record.KindCancel {
		return "asks to cancel it"
	}
	why := fmt.Sprintf("names %d persons whose rows left (part %d", len(r.Subjects), r.Part)
	if len(r.Subjects) == 1 {
		why = fmt.Sprintf("names 1 person whose rows left (part %d", r.Part)
	}
	if r.Final {
		why += ", the last"
	}
	return why + ")"
}

// aboutPart leads from a record to the statement it is about.
func (d *Desk) aboutPart(ctx context.Context, heads *Heads, e *Entry, a *About) error {
	if *e.Record.Of >= heads.Durable {
		return contradiction(e.Index, fmt.Errorf("it is about record %d, which the log does not hold", *e.Record.Of))
	}
	return d.add(ctx, heads, a, *e.Record.Of, "the statement it is about")
}

// aboutSession lists a session's statements, the newest of them if there are many.
func (d *Desk) aboutSession(ctx context.Context, heads *Heads, e *Entry, a *About) error {
	found, err := d.Search(ctx, heads, search.Query{Session: e.Record.Session, Limit: maxOthers + 1}, nil)
	if err != nil {
		return err
	}
	if len(found) > maxOthers {
		a.Partial, found = true, found[:maxOthers]
	}
	slices.Reverse(found)
	for _, f := range found {
		why := "a statement of this session"
		if !f.Erased {
			why = fmt.Sprintf("statement %d of this session, %s", f.Record.Seq, f.Decision())
		}
		a.Others = append(a.Others, Related{f.Entry, why})
	}
	return nil
}

func (d *Desk) add(ctx context.Context, heads *Heads, a *About, index uint64, why string) error {
	other, err := d.Entry(ctx, heads, index)
	if err != nil {
		return err
	}
	a.Others = append(a.Others, Related{other, why})
	return nil
}

// DetailKeys returns the names in a record's detail, sorted.
func DetailKeys(r *record.Record) []string {
	keys := make([]string, 0, len(r.Detail))
	for k := range r.Detail {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
