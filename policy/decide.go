package policy

import (
	"fmt"
	"strings"

	"shiguan/policy/sql"
)

// Decide says whether a person may run a text and how each of its statements is carried out. It depends on nothing but
// the policy and the request. The same Decision may be given to several callers: its Plans must not be changed.
//
// A request without an Analysis (the text was not understood) is refused, unless a transparent rule holds: then it is
// allowed, without plans.
func (p *Policy) Decide(r Request) Decision {
	rules := p.rulesFor(r.Person)
	if r.Analysis == nil {
		return p.unanalysed(&r, rules)
	}
	if len(rules) > maxRemembered || len(r.Text) > longText {
		return p.newJudge(&r, rules).text(r.Analysis)
	}
	key := decisionKey{analysis: r.Analysis, person: r.Person, purpose: r.Purpose != ""}
	for i, rule := range rules {
		if rule.applies(&r) {
			key.holding |= 1 << i
		}
	}
	if d, ok := p.memory.decisions.Get(key); ok {
		return *d
	}
	d := p.newJudge(&r, rules).text(r.Analysis)
	p.memory.decisions.Add(key, &d)
	return d
}

// applies evaluates a rule's condition. One that cannot be evaluated does not hold.
func (r *rule) applies(request *Request) bool {
	ok, err := r.when.holds(request)
	return ok && err == nil
}

func (p *Policy) newJudge(r *Request, rules []*rule) *judge {
	j := &judge{binding: p.bind(r.Analysis.Catalogue), purpose: r.Purpose != "", source: r.Text, env: r.Env}
	for _, rule := range rules {
		if rule.applies(r) {
			j.holding = append(j.holding, rule)
		} else {
			j.dormant = append(j.dormant, rule)
		}
	}
	return j
}

func (p *Policy) unanalysed(r *Request, rules []*rule) Decision {
	for _, rule := range rules {
		if rule.transparent && rule.applies(r) {
			return Decision{Allow: true, Rule: rule.id}
		}
	}
	return Decision{Rule: defaultDeny, Reason: "the statement could not be understood, so it cannot be shown to be allowed"}
}

// text decides all statements of one text: one that is refused refuses them all.
func (j *judge) text(a *sql.Analysis) Decision {
	if len(a.Statements) == 0 {
		return Decision{Rule: defaultDeny, Reason: "the text holds no statement that could be allowed"}
	}
	var ids []string
	d := Decision{Allow: true, Plans: make([]Plan, 0, len(a.Statements))}
	seen := map[string]bool{}
	for i := range a.Statements {
		out, refused := j.statement(&a.Statements[i])
		var plan Plan
		if refused == nil {
			plan, refused = j.plan(a, i, out)
		}
		if refused != nil {
			if len(a.Statements) > 1 {
				refused.reason = fmt.Sprintf("statement %d: %s", i+1, refused.reason)
			}
			return Decision{Rule: refused.rule, Reason: refused.reason}
		}
		d.Plans = append(d.Plans, plan)
		for _, r := range out.rules {
			if !seen[r.id] {
				seen[r.id], ids = true, append(ids, r.id)
			}
		}
	}
	if len(ids) == 0 {
		ids = []string{everyone}
	}
	d.Rule = strings.Join(ids, ",")
	return d
}
