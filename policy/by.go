package policy

import (
	"fmt"
	"slices"
	"strings"

	"shiguan/policy/sql"
)

// byRights are those whose exercise reads or changes stored rows, which `by` restricts.
const byRights = maySelect | mayUpdate | mayDelete | mayMerge

// byColumns are the columns of a table by which a rule lets its rows be asked for: those that `by` names, and the same
// columns of parents, children and partitions, which share rows with it. restricted is false when `by` does not speak of
// the table at all.
func (j *judge) byColumns(r *rule, oid uint32) (columns []int16, restricted bool) {
	if len(r.by) == 0 {
		return nil, false
	}
	cat := j.binding.catalogue
	whole := sql.Column{Table: oid}
	for _, kin := range slices.Concat([]sql.Column{whole}, cat.Ancestors(whole), cat.Descendants(whole)) {
		rel := cat.Relation(kin.Table)
		if rel == nil {
			continue
		}
		for _, p := range r.by {
			if !p.table.matches(rel.Schema(), rel.Name) {
				continue
			}
			restricted = true // also where the column is gone: it may have been renamed
			if a, ok := cat.Relation(oid).Attribute(p.column); ok && !slices.Contains(columns, a.Num) {
				columns = append(columns, a.Num)
			}
		}
	}
	return columns, restricted
}

// byFault says why a rule's `by` forbids what a statement does with a table, "" when it does not: somewhere its rows are
// not held to values that are known without reading them.
func (j *judge) byFault(r *rule, n *need) string {
	columns, restricted := j.byColumns(r, n.oid)
	if !restricted || n.right&byRights == 0 {
		return ""
	}
	rows := 0
	for _, all := range n.places {
		known := j.knownRows(all, n.oid, columns)
		for i, o := range all {
			if o.Table != n.oid {
				continue
			}
			if rows++; !known[i] {
				return j.byReason(r, n)
			}
		}
	}
	if rows == 0 { // read in a way that is not followed row by row
		return j.byReason(r, n)
	}
	return ""
}

// knownRows reports for each occurrence whether its rows may be told what to look for: it is held to constants, to rows of
// a table that may be read freely, or to rows that are known by the same reasoning. Tables that hold each other and
// nothing else are not known.
func (j *judge) knownRows(all []sql.Occurrence, oid uint32, columns []int16) []bool {
	known := make([]bool, len(all))
	ways := make([][]int16, len(all)) // the columns by which an occurrence may become known
	for i, o := range all {
		if ways[i] = columns; o.Table != oid {
			known[i], ways[i] = j.free(o.Table)
		}
	}
	for changed := true; changed; {
		changed = false
		for i, o := range all {
			if !known[i] && slices.ContainsFunc(o.Holds, func(h sql.Hold) bool {
				return slices.Contains(ways[i], h.Att) && (h.By < 0 || known[h.By])
			}) {
				known[i], changed = true, true
			}
		}
	}
	return known
}

// free reports whether some rule in force opens a table without asking by what, and else the columns it may be asked by.
// Whether that rule allows everything else that the statement does with the table is judged with that table.
func (j *judge) free(oid uint32) (free bool, columns []int16) {
	rel := j.binding.catalogue.Relation(oid)
	if rel == nil {
		return false, nil
	}
	if isSystem(rel.Schema()) {
		return true, nil
	}
	for _, r := range j.holding {
		if r.may&byRights == 0 || !r.covers(rel.Schema(), rel.Name, false) {
			continue
		}
		by, restricted := j.byColumns(r, oid)
		if !restricted {
			return true, nil
		}
		columns = append(columns, by...)
	}
	return false, columns
}

func (j *judge) byReason(r *rule, n *need) string {
	return fmt.Sprintf("rule %s lets you read %s only by %s: compare it by = or IN with values or with a column of another table, in a condition that every row must meet (no OR)",
		r.id, n.table(), j.byNames(r, n))
}

// byNames lists the columns of `by` for people.
func (j *judge) byNames(r *rule, n *need) string {
	var names []string
	columns, _ := j.byColumns(r, n.oid)
	for _, att := range columns {
		names = append(names, j.binding.name(sql.Column{Table: n.oid, Att: att}))
	}
	if names == nil {
		return "a column that it no longer has"
	}
	return strings.Join(names, " or ")
}
