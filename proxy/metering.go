package proxy

import (
	"errors"
	"fmt"
	"strconv"

	"shiguan/auditlog/record"
	"shiguan/policy"
	"shiguan/policy/sql"
	"shiguan/proxy/quota"
	"shiguan/proxy/session"
	"shiguan/proxy/wire"
)

// limited reports whether the rows of a statement are counted: then it must be possible to make it fail in the middle.
func limited(p *policy.Plan) bool { return p.MaxRows > 0 || len(p.Daily) > 0 }

// overLimit is the SQLSTATE of what is beyond a limit: configuration_limit_exceeded.
const overLimit = "53400"

// meter prepares the counting of a statement's rows. It is called before the statement is sent.
func (c *conn) meter(s *step, v *verdict, p *portal) {
	if !limited(s.plan) {
		return
	}
	s.rule, s.purpose = v.decision.Rule, v.purpose
	if s.charges = c.charges(s.plan); s.charges != nil {
		s.pinned = c.pinned(s.plan, p)
	}
	if s.plan.Statement.Verb == sql.Fetch {
		if cu, ok := c.cursors.Find(s.plan.Statement.Name); ok {
			s.drawn = cu.rows
		}
	}
}

// charges are the daily limits that the rows of a statement count against.
func (c *conn) charges(p *policy.Plan) []quota.Charge {
	var list []quota.Charge
	for _, d := range p.Daily {
		list = append(list, quota.Charge{Person: c.person.User, Rule: d.Rule, Limit: quota.Limit{Rows: d.Rows, Bytes: d.Bytes, Subjects: d.Subjects}})
	}
	return list
}

// spent refuses a statement of which no row could be released.
func (c *conn) spent(v *verdict, p *policy.Plan) bool {
	err := c.srv.opt.Quota.Spent(c.charges(p))
	if err == nil {
		return false
	}
	e, rule := limitError(err, v.decision.Rule)
	v.refuse(e.Code, e.Message)
	v.failure, v.decision.Rule = e, rule
	return true
}

// countRow counts a row of so many bytes about the persons in c.about. It reports that the row is beyond a limit and must
// not leave; else it will leave, and the persons are noted for the next disclosure. It may wait for the disk.
func (c *conn) countRow(e *execution, s *step, bytes int) (over bool) {
	if s.over {
		return true
	}
	s.rows++
	total := s.rows
	switch {
	case s.drawn != nil:
		*s.drawn++
		total = *s.drawn
	case e.portal != nil:
		total += e.portal.rows
	}
	switch {
	case s.plan.MaxRows > 0 && total > s.plan.MaxRows:
		s.err = &wire.Error{Code: overLimit, Message: fmt.Sprintf("refused by policy: the result has more than the %d rows that the rule allows", s.plan.MaxRows),
			Hint: "Narrow the statement down."}
	case s.charges != nil:
		if err := c.srv.opt.Quota.Take(s.charges, int64(bytes), append(c.about, s.pinned...)); err != nil {
			s.err, s.rule = limitError(err, s.rule)
		} else {
			s.pinned = nil // they are counted
		}
	}
	if s.err != nil {
		s.rows--
		s.over = true
		return true
	}
	s.bytes += int64(bytes)
	for _, subject := range c.about {
		s.note(subject)
	}
	return false
}

// limitError says what a client is told whose row could not be counted, and under which rule.
func limitError(err error, rule string) (*wire.Error, string) {
	var exceeded *quota.Exceeded
	switch {
	case errors.As(err, &exceeded):
		return &wire.Error{Code: overLimit, Message: "refused by policy: " + err.Error(), Hint: "A new day begins at midnight in Asia/Shanghai."}, exceeded.Rule
	case errors.Is(err, quota.ErrFull):
		return &wire.Error{Code: overLimit, Message: "refused by policy: " + err.Error(), Hint: "Tell the system administrator."}, rule
	}
	return &wire.Error{Code: "58030", Message: "the proxy cannot keep count of daily limits: nothing is let out uncounted",
		Hint: "Tell the system administrator: the log's disk is full or failing."}, rule
}

// refuseRest makes a statement fail that had more rows than allowed, for the client and for the server, and puts the refusal
// on record.
func (c *conn) refuseRest(e *execution, over *wire.Error) error {
	s := &e.steps[0] // what is limited stands alone, and the server is done with it
	v := verdict{purpose: s.purpose, word: record.DecisionRefused, failure: over, detail: map[string]string{"of": strconv.FormatUint(s.receipt.Index(), 10)}}
	v.decision.Rule, v.decision.Reason = s.rule, over.Message
	if e.portal == nil {
		return c.refuse(&v, s.plan.Statement.Text, nil, session.Query, "")
	}
	return c.refuse(&v, e.portal.of.text, e.portal, session.Parse, refusedName)
}
