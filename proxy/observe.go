package proxy

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"shiguan/auditlog/record"
	"shiguan/policy"
	"shiguan/policy/sql"
	"shiguan/proxy/auth"
	"shiguan/proxy/session"
	"shiguan/proxy/wire"
)

// A transparent rule lets its people do everything, understood or not, and everything is put on record: an installation
// observes before it enforces. What cannot be analysed is forwarded as it came, counts as writing, and its record says why
// nothing more is known of it. A session that went beyond what could be followed can never go on under another rule.

// unreadable says why no text of the session can be analysed now without waiting, "" when it can.
func (c *conn) unreadable() string {
	switch {
	case c.requoted:
		return "the session's quoting or encoding was changed"
	case c.astray:
		return "the session has changed where names are looked up, or who it is"
	case c.db.dirty.Load():
		return "the catalogue has changed and was not read again yet"
	}
	return ""
}

// observe is the verdict on a text that is not analysed. ok is false when no transparent rule holds.
func (c *conn) observe(text, why string, now time.Time) (v verdict, ok bool) {
	cat := c.db.known.Load()
	v = verdict{epoch: c.epoch(cat, now), unread: why}
	var a *sql.Analysis
	if cat != nil && !c.requoted {
		if a = sql.Outline(text, cat.Major()); a != nil {
			v.analysis = a
		}
	}
	if v.decision = c.transparently(text, a, &v, now); !v.decision.Allow {
		return verdict{}, false
	}
	if a == nil {
		a = opaque(text)
	}
	for i := range a.Statements {
		v.decision.Plans = append(v.decision.Plans, policy.Plan{Statement: &a.Statements[i], AnyOutputs: true, Transparent: true})
	}
	if c.checkShape(&v); v.failure == nil {
		c.noteObserved(&v)
	}
	return v, true
}

// transparently asks whether a transparent rule holds, under the purpose that the text states.
func (c *conn) transparently(text string, a *sql.Analysis, v *verdict, now time.Time) policy.Decision {
	if a == nil {
		a = &sql.Analysis{}
	}
	v.purpose = c.purposeOf(text, a)
	return v.epoch.policy.Decide(policy.Request{
		Person:   policy.Person{User: c.person.User, Department: c.person.Department, Position: c.person.Position},
		Database: c.db.Name, Role: c.person.Role, Application: c.application, Client: c.address, Purpose: v.purpose, Time: now, Text: text,
	})
}

// opaque is a text of which nothing is known, not even how many statements it holds: all of them are one to us.
func opaque(text string) *sql.Analysis {
	return &sql.Analysis{Statements: []sql.Statement{{
		Verb: sql.Other, Text: text, Outlined: true, MayWrite: true, DDL: true, Block: sql.BlockInside, Reason: unparsed,
	}}}
}

// observes reports whether a transparent rule holds for a session that is about to begin.
func (s *Server) observes(person auth.Person, asked *params) bool {
	return s.policy.Load().Decide(policy.Request{
		Person:   policy.Person{User: person.User, Department: person.Department, Position: person.Position},
		Database: asked.database, Role: person.Role, Application: asked.application, Purpose: asked.purpose, Time: time.Now(),
	}).Allow
}

// unparsed is the kind of what does not parse.
const unparsed = "unparsed"

// noteObserved keeps in mind what a text allowed by a transparent rule may have done to the session, and refuses one that
// is not, where that cannot be known any more.
func (c *conn) noteObserved(v *verdict) {
	if !v.decision.Transparent {
		if c.observed {
			v.refuse("42501", "this session did what could only be observed, so nothing can be decided about it any more: connect again")
		}
		return
	}
	for i := range v.decision.Plans {
		s := v.decision.Plans[i].Statement
		if !harmless(s) {
			c.observed = true
		}
		if s.Strays() {
			c.astray = true
		}
		if s.Setting != nil && s.Verb == sql.Set && requotes(s.Setting) {
			c.requoted = true
		}
	}
}

// harmless lists what leaves the session as it was for those who analyse its next text.
func harmless(s *sql.Statement) bool {
	switch s.Verb {
	case sql.Select, sql.Insert, sql.Update, sql.Delete, sql.Merge, sql.CopyIn, sql.CopyOut, sql.Transaction, sql.Show, sql.Empty:
		return !s.Outlined && len(s.Functions) == 0
	}
	return false
}

// requotes reports that a setting changes how the server cuts texts into words.
func requotes(s *sql.Setting) bool {
	switch s.Name {
	case "standard_conforming_strings":
		return !slices.Contains([]string{"on", "true", "yes", "1"}, strings.ToLower(s.Value))
	case "client_encoding":
		return !slices.Contains([]string{"utf8", "utf-8", "unicode"}, strings.ToLower(s.Value))
	}
	return false
}

// unheard is a prepared statement or portal that the session did not make by a message we understood, where a transparent
// rule lets it be used; nil where none does.
func (c *conn) unheard(text string) *prepared {
	v, ok := c.observe(text, "it was not made by a message of the protocol", time.Now())
	if !ok || v.failure != nil {
		return nil
	}
	v.analysis = opaque(text)
	v.decision.Plans = []policy.Plan{{Statement: &v.analysis.Statements[0], AnyOutputs: true, Transparent: true}}
	return &prepared{text: text, sent: text, verdict: &v, columns: new(description), fate: new(session.Fate)}
}

// stillObserved decides again about a statement that a transparent rule allowed. What was prepared is carried out as it
// stands while some transparent rule holds: held is then the verdict to keep, and nothing is refused.
func (c *conn) stillObserved(v *verdict, text string, types []uint32, now time.Time) (held, refused *verdict, _ error) {
	e := c.epoch(v.epoch.catalogue, now)
	if v.epoch == e {
		return v, nil, nil
	}
	renewed := verdict{epoch: e}
	if d := c.transparently(text, nil, &renewed, now); d.Allow {
		again := *v
		again.epoch, again.decision.Rule, again.purpose = e, d.Rule, renewed.purpose
		return &again, nil, nil
	}
	again, err := c.judge(text, types, now)
	if err != nil {
		return v, nil, err
	}
	if again.failure == nil {
		again.refuse("0A000", "the statement must be prepared again: what it touches or who may see it has changed")
	}
	return v, &again, nil
}

// copies is how often a statement can ask for COPY data.
func copies(s *sql.Statement) int {
	switch {
	case s.Verb == sql.CopyIn:
		return 1
	case s.Reason == unparsed: // as often as the word stands there
		return strings.Count(strings.ToLower(s.Text), "copy")
	}
	return 0
}

// callFunction forwards a FunctionCall under a transparent rule; ok is false when there is none.
func (c *conn) callFunction(m wire.Message) (ok bool, err error) {
	f, err := wire.ParseFunctionCall(m.Body())
	if err != nil {
		return false, err
	}
	st := c.unheard(fmt.Sprintf("(function call of %d)", f.Function))
	if st == nil {
		return false, nil
	}
	po := &portal{of: st, plan: st.plan(), values: f.Args, params: f.ArgFormats}
	e := &execution{loose: true}
	e.steps = []step{{plan: st.plan()}}
	if err := c.record(&e.steps[0], st.verdict, time.Now(), po); err != nil {
		return true, err
	}
	return true, c.forward(e, m, session.FunctionCall, true)
}

// completeLoosely notes one completion of several that the last statement of a string may have: how many statements there
// are was not foreseen for certain. It ends with the string.
func (c *conn) completeLoosely(e *execution, s *step, m wire.Message, tag []byte) {
	if rows, ok := wire.RowsAffected(tag); ok && s.rows == s.seen {
		s.rows += rows
	}
	if s.seen, s.last, s.ran = s.rows, string(tag), true; s.tag == "" {
		s.tag = s.last
	}
	c.current = nil
	c.settled(&s.fate, session.Done)
	if e.ddl {
		c.catalogueChanged()
	}
	c.toClient.put(m, c.trail.newest())
}

// endLoosely ends the last statement of a string that is over.
func (c *conn) endLoosely(e *execution) error {
	s := e.step()
	if s == nil || !e.loose || !s.ran {
		return nil
	}
	e.at++
	return c.endStep(e, s, "", []byte(s.last))
}

// asUnread notes on a record why so little is known of the statement.
func asUnread(r *record.Record, plan *policy.Plan, v *verdict) {
	for s := plan.Statement; s != nil; s = s.Inner {
		if s.Outlined {
			why := v.unread
			if why == "" {
				why = "what it runs was not analysed"
			}
			r.Detail = map[string]string{"not_analysed": why}
			break
		}
	}
	if !utf8.ValidString(r.Statement) { // in another encoding
		r.SetStatement([]byte(r.Statement))
	}
}
