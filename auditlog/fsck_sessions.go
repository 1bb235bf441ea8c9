package auditlog

import (
	"fmt"
	"strconv"

	"shiguan/auditlog/record"
)

// sessions follows the numbering of statements in each session. "Nothing is
// silently missing" rests on it: the tree shows that no record was taken out of
// the log, the numbers show that none was left out of it.
type sessions struct {
	open        map[string]*session
	closed      uint64
	interrupted uint64
	incomplete  uint64
	blind       uint64 // statement records so far that could not be opened

	erased      map[uint32]uint64 // periods whose key is gone, and a record of each
	recorded    map[uint32]bool   // periods whose erasure is on record
	blindErased bool              // the record of an erasure could not be opened
}

// session is what has been seen of one.
type session struct {
	seq    uint64 // of its last statement
	totals record.Totals
	blind  uint64 // sessions.blind when its last record was seen
	gaps   bool   // records that could not be opened may be among its own
}

func newSessions() *sessions {
	return &sessions{open: make(map[string]*session), erased: make(map[uint32]uint64), recorded: make(map[uint32]bool)}
}

// one takes the next record, in order.
func (s *sessions) one(c *checked) error {
	if c.record == nil {
		s.unopened(c)
		return nil
	}
	r := c.record
	switch r.Kind {
	case record.KindStarted:
		// What was open ended with the life before, without totals.
		s.interrupted += uint64(len(s.open))
		clear(s.open)
	case record.KindPeriodErased:
		if period, err := strconv.ParseUint(r.Detail["period"], 10, 32); err == nil {
			s.recorded[uint32(period)] = true
		}
	case record.KindStatement:
		return s.statement(c.Index, r)
	case record.KindSessionClosed:
		return s.close(c.Index, r)
	case record.KindSessionOpened:
		s.of(r)
	}
	if r.Of != nil && *r.Of >= c.Index {
		return &Contradiction{Where: fmt.Sprintf("record %d", c.Index), What: "it speaks of a record that is not before it",
			Want: "an index below its own", Have: fmt.Sprintf("index %d", *r.Of)}
	}
	return nil
}

func (s *sessions) unopened(c *checked) {
	s.blind++
	if c.Leaf.Kind == record.KindPeriodErased {
		s.blindErased = true
	}
	if c.unopened != nil && isErased(c.unopened) {
		if _, ok := s.erased[c.Leaf.Period]; !ok {
			s.erased[c.Leaf.Period] = c.Index
		}
	}
}

func (s *sessions) of(r *record.Record) *session {
	o := s.open[r.Session]
	if o == nil {
		// Records before the first one seen can only be missing if some could not
		// be opened.
		o = &session{}
		s.open[r.Session] = o
	}
	return o
}

// statement checks that a session's statements are numbered 1, 2, 3, ….
func (s *sessions) statement(index uint64, r *record.Record) error {
	o := s.of(r)
	if r.Seq != o.seq+1 {
		if s.blind == o.blind || r.Seq <= o.seq {
			return &Contradiction{Where: fmt.Sprintf("record %d", index), What: fmt.Sprintf("session %s has a gap", r.Session),
				Want: fmt.Sprintf("statement number %d is due", o.seq+1), Have: fmt.Sprintf("the record says %d", r.Seq)}
		}
		o.gaps = true
	}
	o.seq, o.blind = r.Seq, s.blind
	o.totals.Statements++
	switch r.Decision {
	case record.DecisionRefused:
		o.totals.Refused++
	case record.DecisionFailed:
		o.totals.Failed++
	}
	return nil
}

// close compares a session's totals with its records.
func (s *sessions) close(index uint64, r *record.Record) error {
	o := s.of(r)
	delete(s.open, r.Session)
	where := fmt.Sprintf("record %d", index)
	if r.Totals == nil {
		return &Contradiction{Where: where, What: fmt.Sprintf("session %s ends without totals", r.Session)}
	}
	if o.gaps || s.blind != o.blind && r.Totals.Statements != o.totals.Statements {
		s.incomplete++
		return nil
	}
	say := func(t record.Totals) string {
		return fmt.Sprintf("%d statements, %d refused, %d failed", t.Statements, t.Refused, t.Failed)
	}
	if want, have := say(*r.Totals), say(o.totals); want != have {
		return &Contradiction{Where: where, What: fmt.Sprintf("session %s does not add up", r.Session),
			Want: "its totals say " + want, Have: "its records are " + have}
	}
	s.closed++
	return nil
}

// erasures checks at the end that every key that is gone is gone on record.
func (s *sessions) erasures() error {
	for period, index := range s.erased {
		if !s.recorded[period] && !s.blindErased {
			return &Contradiction{Where: fmt.Sprintf("key period %d", period), What: "its key was erased and no record says so",
				Want: fmt.Sprintf("a record of kind %q", record.KindPeriodErased), Have: fmt.Sprintf("none; record %d is the first that is lost", index)}
		}
	}
	return nil
}
