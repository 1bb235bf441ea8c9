package policy

import (
	"fmt"
	"slices"
	"strings"

	"shiguan/policy/sql"
)

// Decide says whether a person may run a text and how each of its statements is carried out. It depends on nothing but
// the policy and the request. The same Decision may be given to several callers: its Plans must not be changed.
//
// A request without an Analysis (the text was not understood) is refused, unless a transparent rule holds: then it is
// allowed, without plans.
func (p *Policy) Decide(r Request) Decision {
	d := p.decide(r)
	if p.ceiling == nil {
		return *d
	}
	return *p.both(r, p.ceiling.decide(r), d)
}

// decide is the decision of one level.
func (p *Policy) decide(r Request) *Decision {
	s := p.standing(r)
	if r.Analysis == nil {
		d := p.unanalysed(s)
		return &d
	}
	if len(s.rules) > maxRemembered {
		d := p.judged(r, s)
		return &d
	}
	key := decisionKey{analysis: r.Analysis, person: r.Person, holding: s.bits, purpose: r.Purpose != ""}
	if d, ok := p.memory.decisions.Get(key); ok {
		return d
	}
	d, ok := p.carried(r, s, key)
	if !ok {
		d = p.judged(r, s)
	}
	if !ok || r.Analysis.Kept() {
		p.memory.decisions.Add(key, &d, d.bytes())
	}
	return &d
}

func (p *Policy) judged(r Request, s *standing) Decision { return p.newJudge(&r, s).text(r.Analysis) }

// applies evaluates a rule's condition. One that cannot be evaluated does not hold.
func (r *rule) applies(request *Request) bool {
	if !r.granted.holds(request) {
		return false
	}
	ok, err := r.when.holds(request)
	return ok && err == nil
}

func (p *Policy) newJudge(r *Request, s *standing) *judge {
	return &judge{binding: p.bind(r.Analysis.Catalogue), person: r.Person, purpose: r.Purpose != "", source: r.Text, env: r.Env,
		holding: s.holding, dormant: s.dormant}
}

// Observes reports whether there is a transparent rule, for anybody.
func (p *Policy) Observes() bool {
	return slices.ContainsFunc(p.rules, func(r *rule) bool { return r.transparent })
}

func (p *Policy) unanalysed(s *standing) Decision {
	for _, rule := range s.holding {
		if rule.transparent {
			return Decision{Allow: true, Rule: rule.id, Transparent: true}
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
	var grants []string
	d := Decision{Allow: true, Transparent: j.transparentRule() != nil, Plans: make([]Plan, 0, len(a.Statements))}
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
				if r.granted != nil {
					grants = append(grants, r.granted.id)
				}
			}
		}
	}
	if len(ids) == 0 {
		ids = []string{everyone}
	}
	d.Rule, d.Grant = strings.Join(ids, ","), joinGrants(grants...)
	return d
}
