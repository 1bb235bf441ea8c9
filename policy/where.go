package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"shiguan/policy/sql"
)

// whereRights are those that a rule with `where` may give: of these it is known how to keep them to some rows.
const whereRights = maySelect | mayCopy | mayUpdate | mayDelete

// where compiles a rule's `where`.
func (c *compiler) where(spec *ruleSpec, r *rule) {
	if spec.Where.line == 0 {
		return
	}
	p, err := sql.ParsePredicate(spec.Where.text)
	if err != nil {
		c.problem(spec.Where.line, "rule %s: where: %v", r.id, err)
		return
	}
	if more := r.may &^ whereRights; more != 0 && !r.transparent {
		c.problem(spec.May.line, "rule %s: %s cannot be kept to the rows that where names: give it in a rule of its own, without where", r.id, more)
	}
	r.where = p
}

// restriction says which rows of one table a statement may touch, and by which rules.
type restriction struct {
	read, write []*rule
}

// restrict notes that a need was met by a rule with `where`.
func (out *judgement) restrict(n *need, r *rule) {
	if r.where == nil || n.oid == 0 {
		return
	}
	if out.restricted == nil {
		out.restricted = map[uint32]*restriction{}
	}
	to := out.restricted[n.oid]
	if to == nil {
		to = &restriction{}
		out.restricted[n.oid] = to
	}
	if n.right&maySelect != 0 && !slices.Contains(to.read, r) {
		to.read = append(to.read, r)
	}
	if n.right&(mayUpdate|mayDelete) != 0 && !slices.Contains(to.write, r) {
		to.write = append(to.write, r)
	}
}

// restrictAlso adds what another level asks for.
func (out *judgement) restrictAlso(more map[uint32]*restriction) {
	if len(more) == 0 {
		return
	}
	joint := map[uint32]*restriction{}
	for _, from := range []map[uint32]*restriction{out.restricted, more} {
		for oid, r := range from {
			if joint[oid] == nil {
				joint[oid] = &restriction{}
			}
			joint[oid].read = append(joint[oid].read, r.read...)
			joint[oid].write = append(joint[oid].write, r.write...)
		}
	}
	out.restricted = joint
}

// keptByBoth decides a text again at both levels where they let the person have different rows of a table: each with what the
// other one asks for, so that both come to the same text.
func (p *Policy) keptByBoth(r Request, ceiling, department *Decision) (*Decision, *Decision) {
	same := func(a, b Plan) bool { return a.Rows == b.Rows || a.Transparent || b.Transparent }
	if r.Analysis == nil || slices.EqualFunc(ceiling.Plans, department.Plans, same) {
		return ceiling, department
	}
	also := func(level *Policy, of []Plan) *Decision {
		j := level.newJudge(&r, level.standing(r))
		j.also = of
		d := j.text(r.Analysis)
		return &d
	}
	return also(p.ceiling, department.Plans), also(p, ceiling.Plans)
}

// attributes are what a condition may say of the person.
func attributes(p Person) map[string]string {
	return map[string]string{"user": p.User, "department": p.Department, "position": p.Position}
}

// keepRows sees to it that a statement touches no other rows than the deciding rules let it. It returns the text to send and
// its analysis, those of the request where no rule restricts rows. What cannot be restricted without doubt is refused.
func (j *judge) keepRows(a *sql.Analysis, i int, out *judgement, p *Plan) (*sql.Analysis, string, *refusal) {
	s := &a.Statements[i]
	if s.Verb == sql.Execute || s.Verb == sql.Fetch {
		return a, j.source, j.keptBefore(s, out, p)
	}
	if i < len(j.also) {
		out.restrictAlso(j.also[i].kept)
	}
	if len(out.restricted) == 0 {
		return a, j.source, nil
	}
	p.FilterErrors, p.kept = true, out.restricted
	tables := map[uint32]sql.Restriction{}
	for _, oid := range slices.Sorted(maps.Keys(out.restricted)) {
		r := out.restricted[oid]
		if why := j.keepable(s, oid, r); why != "" {
			return nil, "", j.rowsRefusal(oid, r, why)
		}
		tables[oid] = sql.Restriction{Read: predicates(r.read), Write: predicates(append(slices.Clone(r.write), r.read...))}
	}
	var refused *refusal
	if p.Rows, refused = j.fingerprint(out); refused != nil {
		return nil, "", refused
	}
	first := slices.Min(slices.Collect(maps.Keys(tables)))
	text, err := sql.Restrict(a, j.source, i, tables, attributes(j.person), j.env)
	if err != nil {
		return nil, "", j.rowsRefusal(first, out.restricted[first], err.Error())
	}
	b, err := sql.Analyse(text, a.Catalogue, j.env)
	if err != nil || !sql.Restricted(a, b, i, tables) {
		return nil, "", j.rowsRefusal(first, out.restricted[first], "write it more plainly: columns as alias.column, tables in FROM")
	}
	if restated := b.Statements[i].Text; restated != s.Text {
		p.Text = restated
	}
	return b, text, nil
}

func predicates(rules []*rule) (list []*sql.Predicate) {
	for _, r := range rules {
		list = append(list, r.where)
	}
	return list
}

// keepable says why the rows of a table cannot be restricted in a statement, "" when they can, as far as its analysis tells.
func (j *judge) keepable(s *sql.Statement, oid uint32, r *restriction) string {
	rel := j.binding.catalogue.Relation(oid)
	if rel == nil {
		return "the table is not known"
	}
	for _, rule := range slices.Concat(r.read, r.write) {
		if err := rule.where.Fits(j.binding.catalogue, rel); err != nil {
			return fmt.Sprintf("the security administrator must correct the condition: %v", err)
		}
	}
	if s.Verb == sql.Explain {
		return "EXPLAIN tells of the table as a whole: explain something else"
	}
	if rel.Kind != "r" && rel.Kind != "p" && rel.Kind != "m" {
		return "it is no ordinary table"
	}
	n := newNeeds(j)
	for inner := s; inner != nil; inner = inner.Inner {
		for k := range inner.Tables {
			t := &inner.Tables[k]
			switch {
			case t.OID != oid || n.isChild(inner, t):
			case t.Via != "":
				return fmt.Sprintf("name it itself, not %s", t.Via)
			case t.Verb == sql.Update && rel.Triggers && len(r.write) > 0:
				return "it has triggers, which could move a row out of them"
			}
		}
		for _, u := range inner.Columns {
			if why := moves(u, rel, r.write); u.Table == oid && why != "" {
				return why
			}
		}
	}
	return ""
}

// moves says why an assignment could move a row out of the rows of `where`, or into them.
func moves(u sql.ColumnUse, rel *sql.Relation, write []*rule) string {
	if u.Use != sql.UseWrite {
		return ""
	}
	for _, r := range write {
		for _, column := range r.where.Columns() {
			if a, ok := rel.Attribute(column); !ok || a.Generated || a.Num == u.Att {
				return fmt.Sprintf("column %s decides which rows these are and may not be changed", column)
			}
		}
	}
	return ""
}

// between stands between the parts of a fingerprint.
const between = "\x00"

// fingerprint is which rows of which tables a statement is kept to.
func (j *judge) fingerprint(out *judgement) (string, *refusal) {
	var b strings.Builder
	for _, oid := range slices.Sorted(maps.Keys(out.restricted)) {
		r := out.restricted[oid]
		for what, rules := range map[string][]*rule{"read": r.read, "write": r.write} {
			for _, rule := range rules {
				text, err := rule.where.SQL("", attributes(j.person))
				if err != nil {
					return "", j.rowsRefusal(oid, r, err.Error())
				}
				fmt.Fprintf(&b, "%s %d %s%s", what, oid, text, between)
			}
		}
	}
	parts := strings.Split(strings.TrimSuffix(b.String(), between), between)
	slices.Sort(parts)
	return strings.Join(slices.Compact(parts), between), nil
}

// keptBefore checks that what EXECUTE or FETCH runs was prepared or declared with all the restrictions that hold now.
func (j *judge) keptBefore(s *sql.Statement, out *judgement, p *Plan) *refusal {
	now, refused := j.fingerprint(out)
	if refused != nil {
		return refused
	}
	if s.Inner == nil {
		return nil
	}
	p.FilterErrors = p.FilterErrors || now != ""
	p.Rows = s.Inner.Under
	before := strings.Split(p.Rows, between)
	if now != "" && slices.ContainsFunc(strings.Split(now, between), func(part string) bool { return !slices.Contains(before, part) }) {
		return &refusal{defaultDeny, "which rows you may see has changed since this was prepared or declared: prepare or declare it again"}
	}
	return nil
}

func (j *judge) rowsRefusal(oid uint32, r *restriction, why string) *refusal {
	rules := append(slices.Clone(r.read), r.write...)
	name := j.binding.name(sql.Column{Table: oid})
	return &refusal{rules[0].id, fmt.Sprintf("rule %s lets you have some rows of %s only, to which this statement cannot be kept: %s",
		rules[0].id, strings.TrimSuffix(name, ".*"), why)}
}

// checkWhere reports tables that a rule's `where` does not fit.
func (b *binding) checkWhere(r *rule) {
	if r.where == nil {
		return
	}
	for _, rel := range b.catalogue.Snapshot().Relations {
		kept := b.catalogue.Relation(rel.OID)
		if kept == nil || isSystem(kept.Schema()) || kept.Kind != "r" && kept.Kind != "p" && kept.Kind != "m" || !r.covers(kept.Schema(), kept.Name, false) {
			continue
		}
		if err := r.where.Fits(b.catalogue, kept); err != nil {
			b.find(r.line, false, "rule %s: where: %v: what the rule allows on this table is refused", r.id, err)
		}
	}
}
