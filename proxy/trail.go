package proxy

import (
	"slices"
	"strings"
	"time"

	"shiguan/auditlog"
	"shiguan/auditlog/record"
)

// trail is one session's side of the record: it numbers the statements, remembers outcomes until the next record
// carries them, and keeps the newest receipt.
type trail struct {
	log      *auditlog.Log
	appended func(auditlog.Receipt) // hears of every record

	who     record.Record // fields that every record of the session carries
	rec     record.Record // scratch
	buf     []byte        // scratch
	last    auditlog.Receipt
	seq     uint64
	earlier []record.Outcome
	since   time.Time // when the oldest of earlier came
	totals  record.Totals
	grants  []string // used in this session
	closed  bool
}

// begin resets the scratch record to the session's own fields.
func (t *trail) begin(kind record.Kind, now time.Time) *record.Record {
	t.rec = t.who
	t.rec.Kind, t.rec.Time = kind, now
	return &t.rec
}

// append writes the scratch record, with the outcomes that wait to be carried.
func (t *trail) append() (auditlog.Receipt, error) {
	t.rec.Earlier = t.earlier
	payload, err := t.rec.Append(t.buf[:0])
	if err != nil {
		return auditlog.Receipt{}, &logError{err}
	}
	if t.buf = payload; cap(payload) > keepBuffer {
		t.buf = nil
	}
	r, err := t.log.Append(t.rec.Kind, t.rec.Time, payload)
	if err != nil {
		return auditlog.Receipt{}, &logError{err}
	}
	t.last = r
	t.appended(r)
	t.earlier = t.earlier[:0]
	return r, nil
}

// statement puts one statement on record. fill adds what is known of it to the session's own fields.
func (t *trail) statement(s *step, now time.Time, fill func(*record.Record)) error {
	r := t.begin(record.KindStatement, now)
	r.Seq = t.seq + 1
	fill(r)
	if r.Grant != "" {
		if err := t.used(*r); err != nil {
			return err
		}
	}
	receipt, err := t.append()
	if err != nil {
		return err
	}
	t.seq++
	t.totals.Statements++
	switch r.Decision {
	case record.DecisionRefused:
		t.totals.Refused++
	case record.DecisionFailed:
		t.totals.Failed++
	}
	s.seq, s.receipt, s.started = t.seq, receipt, now
	return nil
}

// used puts it on record, before its statement, that a grant is used in this session for the first time.
func (t *trail) used(statement record.Record) error {
	for id := range strings.SplitSeq(statement.Grant, ",") {
		if slices.Contains(t.grants, id) {
			continue
		}
		r := t.begin(record.KindGrantUsed, statement.Time)
		r.Grant, r.Rule, r.Policy, r.Purpose = id, statement.Rule, statement.Policy, statement.Purpose
		if _, err := t.append(); err != nil {
			return err
		}
		t.grants = append(t.grants, id)
	}
	t.rec = statement
	return nil
}

// disclosure names the persons whose rows are about to leave. With an outcome it is the statement's last.
func (t *trail) disclosure(s *step, out *record.Outcome) (auditlog.Receipt, error) {
	r := t.begin(record.KindDisclosure, time.Now())
	s.part++
	of := s.receipt.Index()
	r.Seq, r.Of, r.Part, r.Final, r.Outcome = s.seq, &of, s.part, out != nil, out
	slices.SortFunc(s.subjects, func(a, b record.Subject) int { return slices.Compare(a[:], b[:]) })
	r.Subjects = slices.Compact(s.subjects)
	receipt, err := t.append()
	s.subjects = s.subjects[:0]
	return receipt, err
}

// outcome keeps how a statement ended until another record carries it.
func (t *trail) outcome(o record.Outcome, carried bool) {
	t.totals.Rows += max(o.Rows, 0)
	t.totals.Bytes += o.Bytes
	if carried {
		return
	}
	if len(t.earlier) == 0 {
		t.since = time.Now()
	}
	t.earlier = append(t.earlier, o)
}

// fact puts something other than a statement on record.
func (t *trail) fact(kind record.Kind, fill func(*record.Record)) (auditlog.Receipt, error) {
	r := t.begin(kind, time.Now())
	fill(r)
	return t.append()
}

// settle records outcomes that no later statement has carried within a second.
func (t *trail) settle(now time.Time) {
	if len(t.earlier) == 0 || t.closed || now.Sub(t.since) < time.Second {
		return
	}
	t.begin(record.KindOutcome, now)
	t.append() // a log that fails ends the session at its next release
}

// close puts the session's totals on record.
func (t *trail) close(reason string) {
	if t.closed {
		return
	}
	t.closed = true
	r := t.begin(record.KindSessionClosed, time.Now())
	r.Reason = reason
	totals := t.totals
	r.Totals = &totals
	t.append() // a log that fails stops the proxy; there is nothing more to say here
}

// newest is the receipt of the session's newest record: whatever has no record of its own leaves under it.
func (t *trail) newest() auditlog.Receipt {
	return t.last
}
