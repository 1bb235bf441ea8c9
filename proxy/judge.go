package proxy

import (
	"errors"
	"slices"
	"time"
	"unicode/utf8"

	"shiguan/auditlog/record"
	"shiguan/policy"
	"shiguan/policy/sql"
	"shiguan/proxy/wire"
)

// verdict is what was decided about one text, and under which circumstances.
type verdict struct {
	epoch    epoch
	analysis *sql.Analysis
	decision policy.Decision
	purpose  string
	// failure is the error the client gets; word is how the record puts it. Both are empty when the text is allowed.
	failure *wire.Error
	word    string
	detail  map[string]string // for the record of a refusal

	// byName says that the text names a statement or cursor of the session, which may come to mean another one.
	byName bool

	// unread says why the text was not analysed, where a transparent rule let it pass all the same.
	unread string

	known []facts // of the plans, once computed
}

// holds reports that nothing the verdict depends on can have changed.
func (v *verdict) holds(now epoch) bool { return v.epoch == now && !v.byName }

// epoch is what a verdict depends on besides the text. While it lasts the verdict may be used again.
type epoch struct {
	policy    *policy.Policy
	catalogue *sql.Catalogue
	purpose   string
	minute    int64 // conditions may look at the clock; rules are written in hours
}

// judge decides about a text; types are those that its Parse declares for its parameters. The error is errWait, and nothing
// has come of the text, where what it means is not known yet.
func (c *conn) judge(text string, types []uint32, now time.Time) (verdict, error) {
	if err := c.settlePurpose(); err != nil {
		return verdict{}, err
	}
	if why := c.unreadable(); why != "" {
		if v, ok := c.observe(text, why, now); ok {
			return v, nil
		}
	}
	cat, err := c.catalogue()
	if errors.Is(err, errWait) {
		return verdict{}, err
	}
	if err != nil {
		c.log.Error("catalogue is not available, statement refused", "database", c.db.Name, "err", err)
		return verdict{word: record.DecisionRefused, failure: &wire.Error{Code: "55000",
			Message: "the proxy cannot read the catalogue of this database", Hint: "Try again; if it lasts, ask the system administrator."}}, nil
	}
	v := verdict{epoch: c.epoch(cat, now)}
	env := c.env(types)
	a, err := c.db.cache.Analyse(text, cat, env)
	if c.fate != nil { // env could not say what a name means
		return verdict{}, errWait
	}
	if err != nil {
		if v, ok := c.observe(text, err.Error(), now); ok {
			return v, nil
		}
		return v.unresolved(text, err), nil
	}
	v.analysis, v.byName = a, a.DependsOnNames()
	v.purpose = c.purposeOf(text, a)
	v.decision = v.epoch.policy.Decide(policy.Request{
		Person:   policy.Person{User: c.person.User, Department: c.person.Department, Position: c.person.Position},
		Database: c.db.Name, Role: c.person.Role, Application: c.application, Client: c.address,
		Purpose: v.purpose, Time: now, Latest: c.srv.latest(now), Analysis: a, Text: text, Env: env,
	})
	if !v.decision.Allow {
		v.refuse("42501", v.decision.Reason)
		return v, nil
	}
	if len(a.Statements) == 0 {
		v.decision.Plans = emptyPlans
		return v, nil
	}
	if len(v.decision.Plans) != len(a.Statements) {
		v.refuse("42501", "the policy made no plan for every statement")
		return v, nil
	}
	if c.checkShape(&v); v.failure == nil {
		c.noteObserved(&v)
	}
	return v, nil
}

// emptyPlans is how a text without a statement is carried out: the server answers EmptyQueryResponse.
var emptyPlans = []policy.Plan{{Statement: &sql.Statement{Verb: sql.Empty}, AnyOutputs: true}}

func (c *conn) epoch(cat *sql.Catalogue, now time.Time) epoch {
	return epoch{policy: c.srv.policy.Load(), catalogue: cat, purpose: c.purpose.Value(), minute: now.Unix() / 60}
}

func (v *verdict) refuse(code, reason string) {
	v.word = record.DecisionRefused
	v.failure = &wire.Error{Code: code, Message: "refused by policy: " + reason}
	v.decision.Allow, v.decision.Reason = false, reason
}

// unresolved is the verdict on a text that could not be analysed. A syntax error is reported as PostgreSQL does, and
// like everything unresolved it never reaches the server.
func (v verdict) unresolved(text string, err error) verdict {
	var e *sql.Error
	if !errors.As(err, &e) {
		e = &sql.Error{Reason: "the statement could not be analysed", Position: -1}
	}
	if e.Syntax {
		v.word = record.DecisionFailed
		v.failure = &wire.Error{Code: "42601", Message: e.Told}
		if e.Position >= 0 && e.Position <= len(text) {
			v.failure.Position = utf8.RuneCountInString(text[:e.Position]) + 1
		}
		v.decision.Reason = e.Reason
		return v
	}
	v.refuse("42501", e.Reason)
	v.decision.Rule = "default-deny"
	return v
}

// checkShape refuses what the proxy could not carry out to the letter.
func (c *conn) checkShape(v *verdict) {
	plans := v.decision.Plans
	for i := range plans {
		p := &plans[i]
		switch {
		case (p.Statement.Verb == sql.Prepare || p.Statement.Verb == sql.Declare) && c.tooManyNames(len(p.Statement.Text)):
			v.refuse("54000", "too many prepared statements or cursors in this session: close some")
		case c.srv.lagging.Load() == lagStop:
			v.refuse("58030", "the witnesses of the audit log have not answered for too long")
		case c.srv.lagging.Load() == lagReadOnly && p.Statement.MayWrite:
			v.refuse("58030", "the witnesses of the audit log have not answered for too long: only reading is allowed")
		case p.Transparent:
		case limited(p) && len(plans) > 1:
			v.refuse("42501", "a statement with a row limit must be sent alone, not in a string of several")
		case p.Statement.Verb == sql.Execute && slices.ContainsFunc(p.Pinned, func(s policy.PinnedSubject) bool { return s.Param > 0 }):
			v.refuse("42501", "EXECUTE hides whom its parameters name: use the driver's prepared statements")
		case p.Statement.Copy != nil && p.Statement.Copy.Format == "text" && p.Statement.Copy.Null != `\N` && treated(p):
			// A value that is spelled like NULL would pass for it: in clear, and without its person.
			v.refuse("42501", `NULL must be \N where columns are masked or name persons: in text format no value looks like that`)
		case limited(p) && c.spent(v, p):
		case p.AboutPersons && p.Statement.Verb == sql.CopyOut && p.Statement.Copy == nil:
			v.refuse("42501", "this form of COPY cannot be masked")
		}
	}
}

// env is what of the session's state changes the meaning of names.
func (c *conn) env(types []uint32) sql.Env {
	if c.findPrepared == nil {
		c.findPrepared, c.findCursor = c.preparedNamed, c.cursorNamed
	}
	return sql.Env{SearchPath: c.searchPath, TempSchema: c.temporary(), Role: c.person.Role, ParamTypes: types,
		Prepared: c.findPrepared, Cursor: c.findCursor}
}

// preparedNamed is what EXECUTE of a name runs, nil when that is unknown.
func (c *conn) preparedNamed(name string) *sql.Statement {
	if c.settle(c.statements.Unsettled(name, c.batch)) != nil {
		return nil
	}
	if p, ok := c.statements.Find(name); ok && p.verdict != nil && p.verdict.analysis != nil && len(p.verdict.analysis.Statements) == 1 {
		s := &p.verdict.analysis.Statements[0]
		if s.Verb == sql.Prepare {
			return s.Inner
		}
		switch s.Verb { // of others EXECUTE would hide that they end blocks, copy, or give and take names
		case sql.Select, sql.Insert, sql.Update, sql.Delete, sql.Merge:
			return under(s, p.plan().Rows)
		}
	}
	return nil
}

// cursorNamed is what FETCH from a cursor returns rows of, nil when that is unknown.
func (c *conn) cursorNamed(name string) *sql.Statement {
	if c.settle(c.cursors.Unsettled(name, c.batch)) != nil {
		return nil
	}
	cu, _ := c.cursors.Find(name)
	return cu.of
}
