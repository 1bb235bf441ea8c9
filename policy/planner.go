package policy

import (
	"slices"

	"shiguan/policy/sql"
)

// Masks reports whether a person may meet masked columns: whether a rule speaks of him, at either level, that is not
// transparent.
func (p *Policy) Masks(person Person) bool {
	if p.ceiling != nil && p.ceiling.Masks(person) {
		return true
	}
	return slices.ContainsFunc(p.rules, func(r *rule) bool { return !r.transparent && r.appliesTo(person) })
}

// Sensitive reports whether one of the columns is sensitive.
func (p *Policy) Sensitive(cat *sql.Catalogue, columns []sql.Column) bool {
	b := p.bind(cat)
	return slices.ContainsFunc(columns, func(c sql.Column) bool { return b.columns[c] != nil })
}
