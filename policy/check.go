package policy

import (
	"slices"

	"shiguan/policy/sql"
)

// Check compares the policy with a database and reports what does not fit. Findings that are Closed refuse a table to
// everybody; the others are probably slips of the pen.
func (p *Policy) Check(c *sql.Catalogue) []Finding {
	b := p.newBinding(c)
	b.checkMasks()
	for _, r := range p.rules {
		b.checkRule(r, len(b.subjects) > 0)
	}
	slices.SortStableFunc(b.findings, func(x, y Finding) int { return x.Line - y.Line })
	return b.findings
}

// checkMasks reports masks that a column's type cannot show.
func (b *binding) checkMasks() {
	for col, d := range b.columns {
		r := b.catalogue.Relation(col.Table)
		for _, a := range r.Attributes {
			if a.Num == col.Att && !d.class.mask.Supports(b.baseType(a.Type), 0) && d.table.matches(r.Schema(), r.Name) {
				b.find(d.line, false, "%s is masked as %s, which its type cannot hold: statements that show it masked are refused, choose another class", b.name(col), d.class.name)
			}
		}
	}
}

// checkRule reports names in a rule that mean nothing in this database.
func (b *binding) checkRule(r *rule, subjects bool) {
	b.checkWhere(r)
	if r.transparent && subjects {
		b.find(r.line, false, "rule %s is transparent: what its people see is not always put on record by person", r.id)
	}
	for _, t := range r.on {
		if !t.exact() {
			continue
		}
		switch rel := b.catalogue.Lookup(t.schema, t.name); {
		case rel == nil:
			b.find(r.line, false, "rule %s names %s, which this database does not have: check the name%s", r.id, t, meantTable(b.catalogue, t))
		case rel.Kind == "v" && !isSystem(t.schema):
			b.find(r.line, false, "rule %s names the view %s: what counts are the tables behind it, name those", r.id, t)
		}
	}
	for _, list := range [][]columnPattern{r.columns, r.set, r.clear, r.match} {
		for _, p := range list {
			b.checkColumn(r, p)
		}
	}
	for _, list := range [][]columnPattern{r.clear, r.match} {
		for _, p := range list {
			if col, ok := b.catalogue.Column(p.table.schema, p.table.name, p.column); ok && b.columns[col] == nil {
				b.find(r.line, false, "rule %s lists %s under clear or match, and data does not call it sensitive: remove it, or add it to data", r.id, b.name(col))
			}
		}
	}
}

func (b *binding) checkColumn(r *rule, p columnPattern) {
	rel := b.catalogue.Lookup(p.table.schema, p.table.name)
	if !p.table.exact() || p.column == "" || rel == nil {
		return
	}
	if _, ok := b.catalogue.Column(p.table.schema, p.table.name, p.column); !ok {
		b.find(r.line, false, "rule %s names column %s.%s, which the table does not have: check the name%s", r.id, p.table, p.column, meantColumn(rel, p.column))
	}
}
