package policy

import (
	"cmp"
	"slices"
	"strings"
)

// pair is what the two levels decided; decisions are remembered, and so is what two of them come to.
type pair struct{ ceiling, department *Decision }

// both is the decision of two levels. The ceiling's reasons say whose they are.
func (p *Policy) both(r Request, ceiling, department *Decision) *Decision {
	switch {
	case !department.Allow:
		return department
	case !ceiling.Allow:
		return &Decision{Rule: inCeiling(ceiling.Rule), Reason: "the city's ceiling: " + ceiling.Reason}
	}
	key := pair{ceiling, department}
	if d, ok := p.memory.pairs.Get(key); ok {
		return d
	}
	switch ceiling, department = p.keptByBoth(r, ceiling, department); {
	case !department.Allow:
		return department
	case !ceiling.Allow:
		return &Decision{Rule: inCeiling(ceiling.Rule), Reason: "the city's ceiling: " + ceiling.Reason}
	}
	d := &Decision{Allow: true, Rule: department.Rule, Grant: joinGrants(ceiling.Grant, department.Grant),
		Transparent: ceiling.Transparent && department.Transparent}
	for i := range department.Plans {
		plan, ok := joinPlans(&ceiling.Plans[i], &department.Plans[i])
		if !ok {
			d = &Decision{Rule: defaultDeny, Reason: "the ceiling and the department's policy would carry the statement out in different ways"}
			break
		}
		d.Plans = append(d.Plans, plan)
	}
	if r.Analysis != nil && r.Analysis.Kept() {
		p.memory.pairs.Add(key, d, d.bytes())
	}
	return d
}

// inCeiling marks what is no rule's id as the ceiling's; rules there have marked ids.
func inCeiling(rule string) string {
	if strings.HasPrefix(rule, ceilingPrefix) {
		return rule
	}
	return ceilingPrefix + rule
}

func joinGrants(lists ...string) string {
	var ids []string
	for _, list := range lists {
		if list != "" {
			ids = append(ids, strings.Split(list, ",")...)
		}
	}
	slices.Sort(ids)
	return strings.Join(slices.Compact(ids), ",")
}

// joinPlans carries a statement out as both plans want it. Both know the same sensitive columns under the same masks; they
// differ in what is shown in clear, in limits, and where one level is transparent.
func joinPlans(a, b *Plan) (Plan, bool) {
	if a.Transparent && !b.Transparent {
		a, b = b, a
	}
	p := *a
	p.MaxRows = smaller(a.MaxRows, b.MaxRows)
	p.Daily = slices.Concat(a.Daily, b.Daily)
	p.FilterErrors = a.FilterErrors || b.FilterErrors
	p.AboutPersons = a.AboutPersons || b.AboutPersons
	if a.Statement != b.Statement {
		return p, false
	}
	if b.Transparent {
		return p, true // a holds all that is to be done, or is transparent too
	}
	if b.settled {
		p.Text, p.at, p.settled, p.unsettled = b.Text, b.at, true, b.unsettled
	}
	if a.unsettledText() != b.unsettledText() || a.Rows != b.Rows || a.AnyOutputs != b.AnyOutputs || len(a.Outputs) != len(b.Outputs) || !slices.Equal(a.Pinned, b.Pinned) {
		return p, false
	}
	p.Outputs = slices.Clone(a.Outputs)
	for i := range p.Outputs {
		x, y := &p.Outputs[i], &b.Outputs[i]
		if x.Server != y.Server || x.Column != y.Column || x.Subject != y.Subject || x.Hidden != y.Hidden ||
			x.Mask != nil && y.Mask != nil && x.Mask != y.Mask {
			return p, false
		}
		x.Mask = cmp.Or(x.Mask, y.Mask)
	}
	return p, true
}

// smaller is the smaller of two limits, of which 0 is none.
func smaller(a, b int64) int64 {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}
