package proxy

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"shiguan/auditlog/record"
	"shiguan/policy"
	"shiguan/policy/mask"
	"shiguan/policy/sql"
	"shiguan/proxy/session"
	"shiguan/proxy/wire"
)

// parse decides a statement before the server sees it: planning may already run functions and errors may quote values.
func (c *conn) parse(m wire.Message) error {
	p, err := wire.ParseParse(m.Body())
	if err != nil {
		return err
	}
	name, text := objectName(p.Name), string(p.Query)
	if c.tooManyNames(len(text)) {
		return c.refuseNow("54000", "too many prepared statements in this session: close some", text, session.Parse, name)
	}
	types := make([]uint32, p.ParamTypes.Len())
	for i := range types {
		types[i] = p.ParamTypes.At(i)
	}
	v, err := c.judge(text, types, time.Now())
	if err != nil {
		return err
	}
	if v.failure == nil && len(v.decision.Plans) > 1 && !v.decision.Transparent {
		v.failure = &wire.Error{Code: "42601", Message: "cannot insert multiple commands into a prepared statement"}
		v.word = "failed"
	}
	if v.failure != nil {
		return c.refuse(&v, text, nil, session.Parse, name)
	}
	st := &prepared{text: text, types: types, sent: text, verdict: &v, columns: new(description)}
	var sent []byte = m
	if plan := st.plan(); plan.Text != "" {
		st.sent = plan.Text
		st.rewritten = &rewriting{asked: text, sent: plan.Text, plans: v.decision.Plans}
		sent = wire.AppendParse(nil, name, plan.Text, p.ParamTypes)
	}
	e := &execution{subject: text, plan: st.plan(), filter: st.plan().FilterErrors, rewritten: st.rewritten}
	st.fate = &e.fate
	if !c.push(session.Owed[*execution]{Expect: session.Parse, Exec: e}) {
		return nil
	}
	c.statements.Define(name, st, &e.fate, c.batch)
	c.held += len(text)
	c.toServer.put(sent, c.trail.newest())
	if needsColumns(st.plan()) {
		c.askColumns(st, st.columns, wire.KindStatement, name)
	}
	return nil
}

// maxName is how many bytes of a name the server looks at (NAMEDATALEN - 1). Names that differ behind them are one to it, and
// so they must be to us.
const maxName = 63

// objectName is a prepared statement's or portal's name as the server knows it.
func objectName(b []byte) string { return string(b[:min(len(b), maxName)]) }

// maxHeld bounds the bytes of statement texts that a session may keep under names.
const maxHeld = 64 << 20

// tooManyNames reports that the session may not keep another text of this length under a name. Names that were removed
// stay in the tables, and held only grows, until there is need to count what is really kept.
func (c *conn) tooManyNames(length int) bool {
	full := func() bool {
		return c.statements.Len() >= c.srv.limits.Statements || c.cursors.Len() >= c.srv.limits.Statements || c.held+length > maxHeld
	}
	if !full() {
		return false
	}
	over := c.idleBatch
	c.held = 0
	c.statements.Prune(func(st *prepared) bool { c.held += len(st.text); return true })
	// The cursors of transactions that are over go, and with them those WITH HOLD: a FETCH from one is then refused.
	c.cursors.Prune(func(cu cursor) bool { c.held += len(cu.of.Text); return cu.batch >= over })
	return full()
}

// tooManyPortals makes room for a portal with a Bind of this length and reports whether there is none. Portals whose
// transaction is over are forgotten. What is not answered yet may hold parameters under one name many times over.
func (c *conn) tooManyPortals(length int) (bool, error) {
	limit := max(maxHeld, 4*c.srv.limits.MessageBytes)
	if c.bound+length > limit {
		if err := c.settle(c.lastBind); err != nil {
			c.toServer.buf = wire.AppendFlush(c.toServer.buf)
			return true, err
		}
	}
	if c.portals.Len() < 64 && c.bound+length <= limit {
		return false, nil
	}
	over := c.idleBatch
	c.bound = 0
	c.portals.Prune(func(p *portal) bool {
		keep := p.batch >= over
		if keep {
			c.bound += len(p.bind)
		}
		return keep
	})
	return c.portals.Len() >= c.srv.limits.Statements || c.bound+length > limit, nil
}

func (st *prepared) plan() *policy.Plan { return &st.verdict.decision.Plans[0] }

// needsColumns says that a result cannot be released without knowing its columns' types.
func needsColumns(p *policy.Plan) bool { return treated(p) && p.Statement.Copy == nil }

// treated says that rows do not just pass: something in them is masked, hidden or a person's number.
func treated(p *policy.Plan) bool {
	return slices.ContainsFunc(p.Outputs, func(o policy.OutputPlan) bool {
		return o.Mask != nil || o.Subject != "" || o.Hidden
	})
}

// askColumns sends a Describe of our own; the client does not see its replies.
func (c *conn) askColumns(st *prepared, columns *description, kind byte, name string) {
	expect := session.DescribeStatement
	if kind == wire.KindPortal {
		expect = session.DescribePortal
	}
	e := &execution{columns: columns, plan: st.plan(), subject: st.text, filter: st.plan().FilterErrors}
	if c.push(session.Owed[*execution]{Expect: expect, Exec: e, Own: true}) {
		c.toServer.put(wire.AppendDescribe(nil, kind, name), c.trail.newest())
	}
}

// bind binds a statement whose verdict still holds.
func (c *conn) bind(m wire.Message) error {
	b, err := wire.ParseBind(m.Body())
	if err != nil {
		return err
	}
	name, statement := objectName(b.Portal), objectName(b.Statement)
	if err := c.settle(c.statements.Unsettled(statement, c.batch)); err != nil {
		return err
	}
	st, ok := c.statements.Find(statement)
	if !ok || st.bySQL {
		if own := c.unheard(textOf(st, "prepared statement", statement)); own != nil {
			st, ok = own, true
		}
	}
	if !ok {
		return c.unknown("prepared statement", statement, "26000")
	}
	if st.bySQL {
		return c.fail("0A000", executeIt, st.text)
	}
	full, err := c.tooManyPortals(len(m))
	if err != nil {
		return err
	}
	if ok, err := c.renew(st, statement); !ok || err != nil {
		return err
	}
	if full && c.queue.Skipping() {
		return nil
	} else if full {
		return c.refuseNow("54000", "too many portals or too long parameters in this session: close some", st.text, session.Parse, refusedName)
	}
	po := &portal{name: name, of: st, plan: st.plan(), columns: st.columns, verdict: st.verdict, batch: c.batch}
	po.bind = slices.Clone(m.Body())
	if b, err = wire.ParseBind(po.bind); err != nil {
		return err
	}
	po.values, po.params, po.formats = b.Params, b.ParamFormats, b.ResultFormats
	var sent []byte = m
	if hidden := hiddenOutputs(po.plan); hidden > 0 && b.ResultFormats.Len() > 1 {
		if b.ResultFormats.Len() != len(po.plan.Outputs)-hidden {
			return c.fail("08P01", fmt.Sprintf("bind message has %d result formats but query has %d columns",
				b.ResultFormats.Len(), len(po.plan.Outputs)-hidden), st.text)
		}
		formats := slices.Clone(b.ResultFormats)
		for range hidden {
			formats = formats.Add(wire.FormatText)
		}
		b.ResultFormats, po.formats = formats, formats
		sent = wire.AppendBind(nil, b)
	}
	e := &execution{subject: st.text, portal: po, filter: po.plan.FilterErrors, rewritten: st.rewritten}
	if !c.push(session.Owed[*execution]{Expect: session.Bind, Exec: e}) {
		return nil
	}
	c.cursors.Remove(name, &e.fate, c.batch) // FETCH would take its rows from this portal
	c.portals.Define(name, po, &e.fate, c.batch)
	c.bound += len(po.bind)
	c.lastBind = &e.fate
	c.toServer.put(sent, c.trail.newest())
	return nil
}

// renew decides again what was decided under other circumstances. A statement that would now be sent in other words
// must be prepared again. ok is false when it was refused.
func (c *conn) renew(st *prepared, name string) (ok bool, err error) {
	now := time.Now()
	if err := c.settlePurpose(); err != nil {
		return false, err
	}
	if st.verdict.decision.Transparent {
		held, refused, err := c.stillObserved(st.verdict, st.text, st.types, now)
		if refused == nil {
			st.verdict = held
			return err == nil, err
		}
		return false, c.refuse(refused, st.text, nil, session.Parse, refusedName)
	}
	cat, err := c.catalogue()
	if errors.Is(err, errWait) {
		return false, err
	}
	if err == nil && st.verdict.holds(c.epoch(cat, now)) {
		return true, nil
	}
	v, err := c.judge(st.text, st.types, now)
	if err != nil {
		return false, err
	}
	if v.failure == nil {
		sent := st.text
		if v.decision.Plans[0].Text != "" {
			sent = v.decision.Plans[0].Text
		}
		if sent != st.sent || v.byName && !samePlan(&v.decision.Plans[0], st.plan()) {
			v.refuse("0A000", "the statement must be prepared again: what it touches or who may see it has changed")
		}
	}
	if v.failure != nil {
		return false, c.refuse(&v, st.text, nil, session.Parse, refusedName)
	}
	changed := v.epoch.catalogue != st.verdict.epoch.catalogue
	st.verdict = &v
	if changed { // what is under way keeps the description it began with
		st.columns = new(description)
	}
	if st.columns.Load() == nil && needsColumns(st.plan()) {
		c.askColumns(st, st.columns, wire.KindStatement, name)
	}
	return true, nil
}

func hiddenOutputs(p *policy.Plan) (n int) {
	for i := range p.Outputs {
		if p.Outputs[i].Hidden {
			n++
		}
	}
	return n
}

// textOf is what a statement prepared by PREPARE is known as.
func textOf(st *prepared, what, name string) string {
	if st != nil {
		return st.text
	}
	return "(" + what + " " + strconv.Quote(name) + ")"
}

// executeIt is said where SQL's and the protocol's prepared statements would be mixed: of the former the proxy keeps what
// EXECUTE needs and no more.
const executeIt = "a statement that was prepared by PREPARE can be run by EXECUTE only"

// unknown says what the server would say to a name that means nothing.
func (c *conn) unknown(what, name, code string) error {
	message := what + " \"" + name + "\" does not exist"
	if name == "" && code == "26000" {
		message = "unnamed prepared statement does not exist"
	}
	return c.fail(code, message, "")
}

// fail answers a message of the extended protocol with an error that the server would have made.
func (c *conn) fail(code, message, text string) error {
	v := verdict{purpose: c.purpose.Value(), word: record.DecisionFailed, failure: &wire.Error{Code: code, Message: message}}
	v.decision.Reason = message
	return c.refuse(&v, text, nil, session.Parse, refusedName)
}

// refuseNow refuses for a reason that is not the policy's.
func (c *conn) refuseNow(code, reason, text string, expect session.Expect, name string) error {
	v := verdict{purpose: c.purpose.Value()}
	v.refuse(code, reason)
	v.failure.Message = reason
	return c.refuse(&v, text, nil, expect, name)
}

// describe passes on a question about a statement's or portal's columns; the answer is checked against the plan.
func (c *conn) describe(m wire.Message) error {
	t, err := wire.ParseDescribe(m.Body())
	if err != nil {
		return err
	}
	name := objectName(t.Name)
	e := &execution{}
	expect := session.DescribeStatement
	if t.Kind == wire.KindStatement {
		if err := c.settle(c.statements.Unsettled(name, c.batch)); err != nil {
			return err
		}
		st, ok := c.statements.Find(name)
		if !ok || st.bySQL {
			if own := c.unheard(textOf(st, "prepared statement", name)); own != nil {
				st, ok = own, true
			}
		}
		if !ok {
			return c.unknown("prepared statement", name, "26000")
		}
		if st.bySQL {
			return c.fail("0A000", executeIt, st.text)
		}
		e.columns, e.plan, e.subject, e.rewritten = st.columns, st.plan(), st.text, st.rewritten
	} else {
		po, ok, err := c.findPortal(name)
		if err != nil {
			return err
		}
		if !ok {
			return c.unknown("portal", name, "34000")
		}
		po.asked = true
		expect, e.columns, e.plan, e.formats, e.portal = session.DescribePortal, po.columns, po.plan, po.formats, po
		e.subject, e.rewritten = po.of.text, po.of.rewritten
	}
	e.filter = e.plan.FilterErrors
	if c.push(session.Owed[*execution]{Expect: expect, Exec: e}) {
		c.toServer.put(m, c.trail.newest())
	}
	return nil
}

func (c *conn) findPortal(name string) (*portal, bool, error) {
	if err := c.settle(c.portals.Unsettled(name, c.batch)); err != nil {
		return nil, false, err
	}
	po, ok := c.portals.Find(name)
	if !ok {
		if st := c.unheard("(portal " + strconv.Quote(name) + ")"); st != nil {
			po, ok = &portal{name: name, of: st, plan: st.plan(), columns: st.columns, verdict: st.verdict, batch: c.batch}, true
		}
	}
	return po, ok, nil
}

// execute runs a portal: one record for each.
func (c *conn) execute(m wire.Message) error {
	x, err := wire.ParseExecute(m.Body())
	if err != nil {
		return err
	}
	po, ok, err := c.findPortal(objectName(x.Portal))
	if err != nil {
		return err
	}
	if !ok {
		return c.unknown("portal", string(x.Portal), "34000")
	}
	now := time.Now()
	if ok, err := c.renewPortal(po, now); !ok || err != nil {
		return err
	}
	if (len(po.plan.Outputs) > 0 && !po.plan.Transparent || treated(po.plan) || po.plan.AnyOutputs && byName(po.plan)) && po.columns.Load() == nil && !po.asked && po.plan.Statement.Copy == nil {
		c.askColumns(po.of, po.columns, wire.KindPortal, po.name)
		po.asked = true
	}
	e := &execution{portal: po, columns: po.columns, formats: po.formats, rewritten: po.of.rewritten}
	e.steps = []step{{plan: po.plan}}
	c.defineSQL(&e.steps[0].fate, po.plan)
	if err := c.record(&e.steps[0], po.verdict, now, po); err != nil {
		return err
	}
	return c.forward(e, m, session.Execute, c.mustWait(e))
}

// renewPortal decides again when circumstances have changed since the Bind. The portal runs what was bound, so the new
// verdict must come to the same plan.
func (c *conn) renewPortal(po *portal, now time.Time) (ok bool, err error) {
	if err := c.settlePurpose(); err != nil {
		return false, err
	}
	if po.verdict.decision.Transparent {
		held, refused, err := c.stillObserved(po.verdict, po.of.text, po.of.types, now)
		if refused == nil {
			po.verdict = held
			return err == nil, err
		}
		return false, c.refuse(refused, po.of.text, po, session.Parse, refusedName)
	}
	cat, err := c.catalogue()
	if errors.Is(err, errWait) {
		return false, err
	}
	if err == nil && po.verdict.holds(c.epoch(cat, now)) {
		return true, nil
	}
	v, err := c.judge(po.of.text, po.of.types, now)
	if err != nil {
		return false, err
	}
	if v.failure == nil && !samePlan(&v.decision.Plans[0], po.plan) {
		v.refuse("0A000", "the statement must be bound again: what it touches or who may see it has changed")
	}
	if v.failure != nil {
		return false, c.refuse(&v, po.of.text, po, session.Parse, refusedName)
	}
	po.verdict, po.plan = &v, &v.decision.Plans[0] // masks may have changed
	return true, nil
}

// samePlan reports that two plans release the same columns, if not under the same masks.
func samePlan(a, b *policy.Plan) bool {
	return a.Text == b.Text && a.AnyOutputs == b.AnyOutputs && a.MaxRows == b.MaxRows && a.Rows == b.Rows && slices.Equal(a.Daily, b.Daily) && a.AboutPersons == b.AboutPersons &&
		slices.EqualFunc(a.Outputs, b.Outputs, func(x, y policy.OutputPlan) bool {
			return x.Server == y.Server && x.Column == y.Column && sameMask(x.Mask, y.Mask) && x.Subject == y.Subject && x.Hidden == y.Hidden
		}) && slices.Equal(a.Pinned, b.Pinned)
}

// sameMask reports that two masks show the same of a value.
func sameMask(a, b *mask.Mask) bool {
	return (a == nil) == (b == nil) && (a == nil || a.Spec() == b.Spec())
}

// close forgets a name.
func (c *conn) close(m wire.Message) error {
	t, err := wire.ParseClose(m.Body())
	if err != nil {
		return err
	}
	e := &execution{}
	if !c.push(session.Owed[*execution]{Expect: session.Close, Exec: e}) {
		return nil
	}
	name := objectName(t.Name)
	if t.Kind == wire.KindStatement {
		c.statements.Remove(name, &e.fate, c.batch)
	} else {
		c.cursors.Remove(name, &e.fate, c.batch)
		c.portals.Remove(name, &e.fate, c.batch)
	}
	c.toServer.put(m, c.trail.newest())
	return nil
}

// defineSQL follows the names that SQL itself gives and takes. Each statement of a string has a fate of its own: what it
// did to names stays done when a later one fails, for neither prepared statements nor CLOSE are undone by a rollback.
func (c *conn) defineSQL(fate *session.Fate, plan *policy.Plan) {
	s := plan.Statement
	switch s.Verb {
	case sql.Prepare:
		st := &prepared{text: s.Text, sent: s.Text, bySQL: true, fate: fate}
		kept := *s
		kept.Inner = under(s.Inner, plan.Rows)
		st.verdict = &verdict{analysis: &sql.Analysis{Statements: []sql.Statement{kept}}}
		c.statements.Define(s.Name, st, fate, c.batch)
		c.held += len(s.Text)
	case sql.Deallocate:
		if s.Name == "" {
			c.statements.RemoveAll(fate, c.batch)
		} else {
			c.statements.Remove(s.Name, fate, c.batch)
		}
	case sql.Declare:
		c.portals.Remove(s.Name, fate, c.batch)
		c.cursors.Define(s.Name, cursor{under(s.Inner, plan.Rows), c.batch, new(int64)}, fate, c.batch)
		c.held += len(s.Text)
	case sql.CloseCur:
		c.closePortal(s.Name, fate)
	case sql.Create:
		for _, t := range s.Tables {
			if strings.HasPrefix(t.Schema, "pg_temp") {
				c.tempSchema, c.emptied = t.Schema, nil // it may hide tables of the same name
			}
		}
	case sql.Discard:
		if s.Name == "all" {
			c.emptied, c.emptiedIn = fate, c.batch
			c.statements.RemoveAll(fate, c.batch)
			c.closePortal("", fate)
		}
	}
}

// under is a statement that was sent on conditions.
func under(s *sql.Statement, conditions string) *sql.Statement {
	if s == nil || conditions == "" {
		return s
	}
	kept := *s
	kept.Under = conditions
	return &kept
}

// temporary is the schema where the session may have temporary tables: until it ends, or DISCARD ALL has been carried out.
// Dropping them otherwise may yet be undone.
func (c *conn) temporary() string {
	if c.emptied == nil {
		return c.tempSchema
	}
	if c.emptiedIn != c.batch && c.settle(c.emptied) != nil {
		return c.tempSchema
	}
	switch c.emptied.Get() {
	case session.Done:
		c.tempSchema, c.emptied = "", nil
	case session.Failed, session.Skipped:
		c.emptied = nil
	}
	return c.tempSchema
}

// closePortal forgets a cursor or portal, which share their names; "" is all of them.
func (c *conn) closePortal(name string, fate *session.Fate) {
	if name == "" {
		c.cursors.RemoveAll(fate, c.batch)
		c.portals.RemoveAll(fate, c.batch)
		return
	}
	c.cursors.Remove(name, fate, c.batch)
	c.portals.Remove(name, fate, c.batch)
}
