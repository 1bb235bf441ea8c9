package policy

import (
	"fmt"
	"slices"

	"shiguan/policy/sql"
)

// Explanation is a decision with its reasons, for the security administrator: unlike a refusal shown to a client it quotes
// conditions and says what a rule would have to say.
type Explanation struct {
	Decision   string               `json:"decision"` // "allowed" or "refused"
	Rule       string               `json:"rule"`
	Reason     string               `json:"reason,omitempty"`
	Policy     string               `json:"policy"`
	Person     string               `json:"person"`
	Department string               `json:"department"`
	Position   string               `json:"position"`
	Purpose    string               `json:"purpose,omitempty"`
	Rules      []ExplainedRule      `json:"rules"` // every rule that speaks of the person
	Statements []ExplainedStatement `json:"statements"`

	// Ceiling is the level above, explained by itself; what it refuses is refused, whatever this level says.
	Ceiling *Explanation `json:"ceiling,omitempty"`
}

// ExplainedRule is a rule that speaks of the person, and whether its condition holds.
type ExplainedRule struct {
	ID    string `json:"id"`
	Line  int    `json:"line"`
	When  string `json:"when,omitempty"`
	Holds bool   `json:"holds"`
	Error string `json:"error,omitempty"` // why the condition could not be evaluated
}

// ExplainedStatement is one statement of the text: what it touches and how that is treated.
type ExplainedStatement struct {
	Text      string            `json:"text"`
	Verb      string            `json:"verb"`
	Rights    []ExplainedRight  `json:"rights,omitempty"`
	Functions []ExplainedRight  `json:"functions,omitempty"`
	Outputs   []ExplainedOutput `json:"outputs,omitempty"` // when allowed
	Sent      string            `json:"sent,omitempty"`    // the text sent instead, when columns were added
	MaxRows   int64             `json:"max_rows,omitempty"`
	Daily     []ExplainedLimit  `json:"a_day,omitempty"`
	Pinned    []string          `json:"pinned,omitempty"` // namespaces of subjects that the statement itself names
	About     bool              `json:"about_persons"`
	Refused   string            `json:"refused,omitempty"`
}

// ExplainedLimit is what a rule lets the person have in a day.
type ExplainedLimit struct {
	Rule     string `json:"rule"`
	Rows     int64  `json:"rows,omitempty"`
	Bytes    int64  `json:"bytes,omitempty"`
	Subjects int64  `json:"subjects,omitempty"`
}

// ExplainedRight is one right on one table (or one function) and who gives it.
type ExplainedRight struct {
	On      string            `json:"on"`
	Right   string            `json:"right,omitempty"`
	Rule    string            `json:"rule,omitempty"` // the deciding rule, or the one that came nearest
	Given   bool              `json:"given"`
	Reason  string            `json:"reason,omitempty"`
	Needed  string            `json:"needed,omitempty"` // what a rule would have to say
	By      string            `json:"by,omitempty"`     // the columns by which the rule lets rows be asked for
	Columns []ExplainedColumn `json:"columns,omitempty"`
}

// ExplainedColumn is one use of one column.
type ExplainedColumn struct {
	Column    string `json:"column"`
	Use       string `json:"use"`
	Class     string `json:"class,omitempty"`
	Treatment string `json:"treatment"` // "clear", "masked", "written" or "refused"
	Needed    string `json:"needed,omitempty"`
}

// ExplainedOutput is one column of the result.
type ExplainedOutput struct {
	Name    string `json:"name"`
	Column  string `json:"column,omitempty"`
	Mask    string `json:"mask,omitempty"`
	Subject string `json:"subject,omitempty"`
	Hidden  bool   `json:"hidden,omitempty"`
}

// Explain decides a request and says why.
func (p *Policy) Explain(r Request) Explanation {
	d := p.Decide(r)
	e := Explanation{Decision: "refused", Rule: d.Rule, Reason: d.Reason, Policy: p.digest, Person: r.Person.User,
		Department: r.Person.Department, Position: r.Person.Position, Purpose: r.Purpose}
	if d.Allow {
		e.Decision = "allowed"
	}
	standing := p.standing(r)
	for _, rule := range standing.rules {
		e.Rules = append(e.Rules, explainRule(rule, &r))
	}
	if p.ceiling != nil {
		above := p.ceiling.Explain(r)
		e.Ceiling = &above
	}
	if r.Analysis == nil {
		return e
	}
	j := p.newJudge(&r, standing)
	for i := range r.Analysis.Statements {
		s := j.explain(&r.Analysis.Statements[i])
		if d.Allow && i < len(d.Plans) {
			j.explainPlan(&s, &d.Plans[i])
		}
		e.Statements = append(e.Statements, s)
	}
	return e
}

func explainRule(rule *rule, r *Request) ExplainedRule {
	out := ExplainedRule{ID: rule.id, Line: rule.line}
	if rule.when != nil {
		out.When = rule.when.text
	}
	holds, err := rule.when.holds(r)
	out.Holds = holds && err == nil
	if err != nil {
		out.Error = err.Error()
	}
	return out
}

func (j *judge) explain(s *sql.Statement) ExplainedStatement {
	out := ExplainedStatement{Text: s.Text, Verb: string(s.Verb)}
	if j.transparentRule() != nil {
		return out
	}
	n := newNeeds(j)
	if refused := n.collect(s, s.Verb == sql.CopyOut); refused != nil {
		out.Refused = refused.reason
	}
	for _, need := range n.list {
		need.places = n.places
		out.Rights = append(out.Rights, j.explainNeed(need))
	}
	for _, f := range n.functions {
		e := ExplainedRight{On: f.Schema + "." + f.Name}
		if r, refused := j.function(f); refused != nil {
			e.Reason, e.Needed = refused.reason, fmt.Sprintf("functions: [%s]", e.On)
		} else {
			e.Rule, e.Given = r.id, true
		}
		out.Functions = append(out.Functions, e)
	}
	return out
}

func (j *judge) explainNeed(n *need) ExplainedRight {
	e := ExplainedRight{On: n.table(), Right: n.right.String()}
	r, refused := j.choose(n)
	if refused != nil {
		e.Rule, e.Reason = refused.rule, refused.reason
		r = j.ruleNamed(refused.rule)
	} else {
		e.Rule, e.Given = r.id, true
	}
	if r == nil || r.may&n.right != n.right {
		e.Needed = fmt.Sprintf("a rule for this person with may: [%s] and on: [%s]", n.right, n.table())
		return e
	}
	if _, restricted := j.byColumns(r, n.oid); restricted && n.right&byRights != 0 {
		if e.By = j.byNames(r, n); j.byFault(r, n) != "" {
			e.Needed = "a rule without by, or a statement that holds " + e.By + " to values (= or IN, not under OR)"
		}
	}
	for _, u := range n.uses {
		e.Columns = append(e.Columns, j.explainUse(r, n, u))
	}
	return e
}

func (j *judge) ruleNamed(id string) *rule {
	for _, r := range slices.Concat(j.holding, j.dormant) {
		if r.id == id {
			return r
		}
	}
	return nil
}

// explainUse says how a rule treats one use, and what it would have to say to allow it.
func (j *judge) explainUse(r *rule, n *need, u sql.ColumnUse) ExplainedColumn {
	name := usedName(n, u)
	e := ExplainedColumn{Column: name, Use: string(u.Use), Treatment: "clear"}
	sensitive := j.binding.columns[u.Column]
	if sensitive != nil {
		e.Class = sensitive.class.name
	}
	switch {
	case u.Use == sql.UseWrite:
		e.Treatment = "written"
		if writeFault(r, n, u) != "" {
			e.Treatment, e.Needed = "refused", fmt.Sprintf("set: [%s]", name)
		}
	case j.readFault(r, n, u) == "":
		if sensitive != nil && !matchesAny(r.clear, u.Schema, u.TableName, u.Name) {
			e.Treatment = "masked"
		}
	case u.Att == 0:
		e.Treatment, e.Needed = "refused", "columns by name instead of the whole row"
	case r.restrictsRead && !matchesAny(r.columns, u.Schema, u.TableName, u.Name):
		e.Treatment, e.Needed = "refused", fmt.Sprintf("columns: [%s]", name)
	case u.Use == sql.UseMatch:
		e.Treatment, e.Needed = "refused", fmt.Sprintf("match: [%s] (or clear)", name)
	default:
		e.Treatment, e.Needed = "refused", fmt.Sprintf("clear: [%s]", name)
	}
	return e
}

func (j *judge) explainPlan(s *ExplainedStatement, plan *Plan) {
	s.Sent, s.MaxRows, s.About = plan.Text, plan.MaxRows, plan.AboutPersons
	for _, d := range plan.Daily {
		s.Daily = append(s.Daily, ExplainedLimit(d))
	}
	for _, pin := range plan.Pinned {
		s.Pinned = append(s.Pinned, pin.Namespace)
	}
	names := outputNames(plan)
	for i, o := range plan.Outputs {
		e := ExplainedOutput{Name: names[i], Column: o.Column, Subject: o.Subject, Hidden: o.Hidden}
		if o.Mask != nil {
			e.Mask = string(o.Mask.Spec().Kind)
		}
		s.Outputs = append(s.Outputs, e)
	}
}
