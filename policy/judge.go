package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"shiguan/policy/sql"
)

// judgement is what one statement was found to be allowed under.
type judgement struct {
	rules      []*rule          // that allowed something, sorted by id; empty when everyone may
	reading    map[uint32]*rule // by table: the rule that decides how its columns are shown
	rows       int64            // smallest row limit, 0 = none
	daily      []Daily
	restricted map[uint32]*restriction // by table: rules with `where` among those that decide
	open       *rule                   // the transparent rule that allowed everything, else nil
}

// refusal is why a statement is not allowed.
type refusal struct {
	rule   string
	reason string
}

// Names that stand where a rule's id would.
const (
	defaultDeny = "default-deny" // no rule came near
	everyone    = "everyone"     // allowed without a rule: transaction control, harmless settings, the catalogue
)

// judge holds what stays the same for all statements of one request.
type judge struct {
	binding *binding
	person  Person
	also    []Plan // of the other level, by statement: the rows it keeps to are kept to here too
	purpose bool   // whether a purpose was stated
	source  string // the text of the request, with the session's state for analysing it again
	env     sql.Env
	holding []*rule // rules for this person whose condition holds
	dormant []*rule // rules for this person whose condition does not
}

// need is one right wanted on one table, with the column uses that fall under it.
type need struct {
	oid          uint32
	schema, name string
	right        right
	exactOnly    bool // a pattern in `on` does not suffice
	uses         []sql.ColumnUse
	places       [][]sql.Occurrence // of the statements that want it
}

func (n *need) table() string { return n.schema + "." + n.name }

// statement decides one statement. Every right it needs must be given by a rule; the rules may differ from table to table.
func (j *judge) statement(s *sql.Statement) (*judgement, *refusal) {
	if open := j.transparentRule(); open != nil {
		return &judgement{rules: []*rule{open}, reading: map[uint32]*rule{}, open: open}, nil
	}
	n := newNeeds(j)
	if refused := n.collect(s, s.Verb == sql.CopyOut); refused != nil {
		return nil, refused
	}
	out := &judgement{reading: map[uint32]*rule{}}
	for _, need := range n.list {
		need.places = n.places
		r, refused := j.choose(need)
		if refused != nil {
			return nil, refused
		}
		out.add(r)
		out.restrict(need, r)
		if need.right&maySelect != 0 {
			out.reading[need.oid] = r
		}
	}
	for _, f := range n.functions {
		r, refused := j.function(f)
		if refused != nil {
			return nil, refused
		}
		out.add(r)
	}
	return out, nil
}

func (out *judgement) add(r *rule) {
	if !slices.Contains(out.rules, r) {
		out.rules = append(out.rules, r)
		slices.SortFunc(out.rules, byID)
	}
	if d := r.daily; !d.none() && !slices.ContainsFunc(out.daily, func(have Daily) bool { return have.Rule == r.id }) {
		d.Rule = r.id
		out.daily = append(out.daily, d)
	}
	if r.rows > 0 && (out.rows == 0 || r.rows < out.rows) {
		out.rows = r.rows
	}
}

func byID(a, b *rule) int { return strings.Compare(a.id, b.id) }

func (j *judge) transparentRule() *rule {
	for _, r := range j.holding {
		if r.transparent {
			return r
		}
	}
	return nil
}

// choose finds the rule that decides one need. Among the rules that allow everything the statement does with the table it
// is the one that shows most of its sensitive columns in clear, then one that shows all rows, then the one with the widest row
// limit, then one without daily limits, then one that holds without a grant, then the one whose id sorts first: the order of
// rules in the file means nothing.
func (j *judge) choose(n *need) (*rule, *refusal) {
	var best, nearest *rule
	var faults []string
	for _, r := range j.holding {
		if r.may&n.right != n.right || !r.covers(n.schema, n.name, n.exactOnly) {
			continue
		}
		found := j.faults(r, n)
		switch {
		case len(found) > 0:
			if nearest == nil || len(found) < len(faults) {
				nearest, faults = r, found
			}
		case best == nil || j.better(n, r, best):
			best = r
		}
	}
	switch {
	case best != nil:
		return best, nil
	case nearest != nil:
		return nil, &refusal{nearest.id, strings.Join(faults, "; ")}
	}
	return nil, j.unmet(n)
}

func (j *judge) better(n *need, a, b *rule) bool {
	return cmp.Or(cmp.Compare(j.clearCount(a, n), j.clearCount(b, n)), compareBool(a.where == nil, b.where == nil), cmp.Compare(a.limit(), b.limit()),
		compareBool(a.daily.none(), b.daily.none()),
		compareBool(a.granted == nil, b.granted == nil), cmp.Compare(b.id, a.id)) > 0
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// clearCount counts the sensitive columns that the statement uses and the rule shows in clear.
func (j *judge) clearCount(r *rule, n *need) int {
	seen := map[sql.Column]bool{}
	for _, u := range n.uses {
		if j.binding.columns[u.Column] != nil && matchesAny(r.clear, u.Schema, u.TableName, u.Name) {
			seen[u.Column] = true
		}
	}
	return len(seen)
}

// unmet explains a need that no holding rule covers: the nearest is a rule whose condition fails, then one that lacks the
// right.
func (j *judge) unmet(n *need) *refusal {
	for _, r := range j.dormant {
		if r.may&n.right == n.right && r.covers(n.schema, n.name, n.exactOnly) {
			why := fmt.Sprintf("rule %s gives %s on %s, but its condition does not hold now", r.id, n.right, n.table())
			if !j.purpose && r.when != nil && strings.Contains(r.when.text, "purpose") {
				why += "; it asks for a purpose: state one with SET " + PurposeSetting + " = '…'"
			}
			return &refusal{r.id, why}
		}
	}
	for _, r := range j.holding {
		if r.covers(n.schema, n.name, n.exactOnly) {
			return &refusal{r.id, fmt.Sprintf("rule %s gives you %s on %s, not %s", r.id, r.may, n.table(), n.right)}
		}
	}
	return &refusal{defaultDeny, fmt.Sprintf("no rule gives you %s on %s", n.right, n.table())}
}

func (j *judge) function(f sql.FunctionUse) (*rule, *refusal) {
	for _, r := range j.holding {
		if r.allowsFunction(f.Schema, f.Name) {
			return r, nil
		}
	}
	name := f.Name
	if f.Schema != "" {
		name = f.Schema + "." + f.Name
	}
	return nil, &refusal{defaultDeny, fmt.Sprintf("%s may not be used (%s); a rule must name it under functions", name, f.Why)}
}
