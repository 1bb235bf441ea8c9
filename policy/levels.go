package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"shiguan/policy/mask"
)

// ceilingPrefix stands before the ids of the ceiling's rules, in records and refusals, where there are two levels.
const ceilingPrefix = "ceiling:"

// Join puts a department's policy under the city's ceiling: a statement must be allowed by both, a value is shown in clear
// only where both do so, and of limits the smaller holds. What is sensitive at one level is at both; a rule shows in clear
// what its own level does not call sensitive.
//
// It refuses a department's rule that gives what no rule of the ceiling gives to these people, as far as that can be seen
// without a database, and masks that cannot be joined. The error joins one *Problem for each.
func Join(ceiling, department *Policy) (*Policy, error) {
	c := compiler{file: department.file}
	if department.grantable != nil || department.officers != nil {
		c.problem(0, "a department's policy names no officers and grants nothing: under a ceiling that is the ceiling's to say")
	}
	data := c.joinData(ceiling.data, department.data)
	for _, r := range department.rules {
		c.within(r, ceiling)
	}
	if len(c.problems) > 0 {
		return nil, join(c.problems)
	}
	sum := sha256.Sum256([]byte("shiguan policy levels v1\nceiling " + ceiling.digest + "\ndepartment " + department.digest + "\n"))
	p := &Policy{file: department.file, digest: "sha256:" + hex.EncodeToString(sum[:]), data: data, officers: ceiling.officers, grantable: ceiling.grantable,
		foreign: missing(data, department.data), memory: newMemory()}
	p.rules = clearing(department.rules, p.foreign, "")
	p.ceiling = &Policy{file: ceiling.file, digest: ceiling.digest, data: data, foreign: missing(data, ceiling.data), memory: newMemory()}
	p.ceiling.rules = clearing(ceiling.rules, p.ceiling.foreign, ceilingPrefix)
	return p, nil
}

// joinData is all that either level calls sensitive, each column under a mask that reveals no more than either level's.
func (c *compiler) joinData(ceiling, department []dataColumn) []dataColumn {
	all := map[string]dataColumn{}
	subjects := map[tablePattern]string{} // table → its subject column
	for _, d := range ceiling {
		all[d.table.String()+"."+d.column] = d
		if d.subject {
			subjects[d.table] = d.column
		}
	}
	for _, d := range department {
		name := d.table.String() + "." + d.column
		if first := subjects[d.table]; d.subject && first != "" && first != d.column {
			c.problem(d.line, "%s is the subject here, and %s is in the ceiling: rows have one person, name the same column", name, first)
		}
		above, both := all[name]
		if !both {
			all[name] = d
			continue
		}
		if (d.subject || above.subject) && d.class.name != above.class.name {
			c.problem(d.line, "%s is of class %s here and of class %s in the ceiling: persons are traced by the class's name, use one", name, d.class.name, above.class.name)
		}
		stricter, ok := mask.Stricter(above.class.mask, d.class.mask)
		if !ok {
			c.problem(d.line, "%s is masked otherwise than in the ceiling, and neither mask reveals less than the other: use the ceiling's, or "+
				"keep less of it (with least: as many characters as the ceiling's first and last together), or mask: constant or null", name)
			continue
		}
		above.class = &class{name: above.class.name, mask: stricter}
		above.subject = above.subject || d.subject
		all[name] = above
	}
	list := slices.Collect(maps.Values(all))
	slices.SortFunc(list, func(a, b dataColumn) int {
		return strings.Compare(a.table.String()+"."+a.column, b.table.String()+"."+b.column)
	})
	return c.sameClasses(list)
}

// sameClasses gives columns that look alike one class again: a column and those it inherits from are compared by it.
func (c *compiler) sameClasses(list []dataColumn) []dataColumn {
	type look struct {
		name string
		spec mask.Spec
	}
	classes := map[look]*class{}
	for i := range list {
		k := list[i].class
		if have := classes[look{k.name, k.mask.Spec()}]; have != nil {
			list[i].class = have
		} else {
			classes[look{k.name, k.mask.Spec()}] = k
		}
	}
	return list
}

// missing lists the columns that are sensitive at the other level only.
func missing(all, own []dataColumn) []columnPattern {
	var list []columnPattern
	for _, d := range all {
		if !names(own, d.table, d.column) {
			list = append(list, columnPattern{table: d.table, column: d.column})
		}
	}
	return list
}

func names(data []dataColumn, table tablePattern, column string) bool {
	return slices.ContainsFunc(data, func(d dataColumn) bool { return d.table == table && d.column == column })
}

// clearing copies rules, with further columns shown in clear.
func clearing(rules []*rule, clear []columnPattern, prefix string) []*rule {
	list := make([]*rule, len(rules))
	for i, r := range rules {
		copied := *r
		copied.id = prefix + r.id
		copied.clear = slices.Concat(r.clear, clear)
		list[i] = &copied
	}
	return list
}

// within reports what a department's rule gives beyond every rule of the ceiling for the same people.
func (c *compiler) within(r *rule, ceiling *Policy) {
	var above []*rule
	for _, a := range ceiling.rules {
		if !disjoint(r.users, a.users) && !disjoint(r.departments, a.departments) && !disjoint(r.positions, a.positions) {
			above = append(above, a)
		}
	}
	some := func(gives func(a *rule) bool) bool { return slices.ContainsFunc(above, gives) }
	wider := func(format string, args ...any) {
		c.problem(r.line, "rule %s %s, which no rule of the ceiling gives to these people: a department can only narrow", r.id, fmt.Sprintf(format, args...))
	}
	if r.transparent {
		if !some(func(a *rule) bool { return a.transparent }) {
			wider("is transparent")
		}
		return
	}
	for _, w := range rightWords {
		for _, on := range r.on {
			if w.bit != mayAll && r.may&w.bit != 0 && !some(func(a *rule) bool { return a.may&w.bit != 0 && anyIncludes(a.on, on) }) {
				wider("gives %s on %s", w.word, on)
			}
		}
	}
	for _, p := range r.clear {
		plain := p.table.exact() && p.column != "" && !names(ceiling.data, p.table, p.column)
		if !plain && !some(func(a *rule) bool { return a.transparent || anyIncludesColumn(a.clear, p) }) {
			wider("shows %s in clear", p)
		}
	}
	for _, p := range r.match {
		plain := p.table.exact() && p.column != "" && !names(ceiling.data, p.table, p.column)
		if !plain && !some(func(a *rule) bool {
			return a.transparent || anyIncludesColumn(a.match, p) || anyIncludesColumn(a.clear, p)
		}) {
			wider("lets %s be matched", p)
		}
	}
	for _, f := range r.functions {
		if !some(func(a *rule) bool { return a.transparent || slices.Contains(a.functions, f) }) {
			wider("allows the function %s", f)
		}
	}
}

// disjoint reports that nobody can be in both lists; an absent list is everybody.
func disjoint(a, b []string) bool {
	if a == nil || b == nil || slices.Contains(a, "*") || slices.Contains(b, "*") {
		return false
	}
	return !slices.ContainsFunc(a, func(name string) bool { return slices.Contains(b, name) })
}

func anyIncludes(list []tablePattern, q tablePattern) bool {
	return slices.ContainsFunc(list, func(p tablePattern) bool { return p.includes(q) })
}

func anyIncludesColumn(list []columnPattern, q columnPattern) bool {
	return slices.ContainsFunc(list, func(p columnPattern) bool { return p.includes(q) })
}
