package policy

import (
	"fmt"
	"slices"

	"shiguan/policy/sql"
)

// faults lists what a rule forbids of the column uses of one need; nil means that all are allowed.
func (j *judge) faults(r *rule, n *need) []string {
	var list []string
	for _, u := range n.uses {
		why := j.readFault(r, n, u)
		if u.Use == sql.UseWrite {
			why = writeFault(r, n, u)
		}
		if why != "" && !slices.Contains(list, why) {
			list = append(list, why)
		}
	}
	if why := j.byFault(r, n); why != "" {
		list = append(list, why)
	}
	return list
}

func writeFault(r *rule, n *need, u sql.ColumnUse) string {
	if !r.restrictsWrite || (u.Att > 0 && matchesAny(r.set, u.Schema, u.TableName, u.Name)) {
		return ""
	}
	return fmt.Sprintf("rule %s does not let you write %s", r.id, usedName(n, u))
}

// readFault says why a rule forbids one use of one column, "" when it does not. This is the heart of the promise that a
// masked value cannot be inferred: of a masked column only bare output is allowed, and comparison for equality where the
// rule says so. Every use that is not listed is refused, those that a later analyser may invent included.
func (j *judge) readFault(r *rule, n *need, u sql.ColumnUse) string {
	if u.Att == 0 {
		return j.wholeRowFault(r, n)
	}
	if u.Att < 0 && u.Att != tableOID && r.where != nil {
		return fmt.Sprintf("%s tells how rows are stored, those included that rule %s does not show: name other columns", usedName(n, u), r.id)
	}
	if u.Att < 0 && (u.Att != tableOID || j.parted(n)) && j.masks(r, n) {
		return fmt.Sprintf("%s tells how rows are stored, which depends on values that are masked for you under rule %s: name other columns", usedName(n, u), r.id)
	}
	matchable := u.Use == sql.UseMatch && matchesAny(r.match, u.Schema, u.TableName, u.Name)
	if r.restrictsRead && !matchable && !matchesAny(r.columns, u.Schema, u.TableName, u.Name) {
		return fmt.Sprintf("rule %s does not let you read %s", r.id, usedName(n, u))
	}
	if j.binding.columns[u.Column] == nil || matchesAny(r.clear, u.Schema, u.TableName, u.Name) {
		return ""
	}
	if u.Use == sql.UseOutput || matchable {
		return ""
	}
	return maskedFault(r, usedName(n, u), u.Use, matchesAny(r.match, u.Schema, u.TableName, u.Name))
}

// parted reports whether rows of the table lie in partitions or children, which may have been chosen by a masked value.
func (j *judge) parted(n *need) bool {
	return len(j.binding.catalogue.Descendants(sql.Column{Table: n.oid})) > 0
}

// tableOID is the system column that says only which table a row is of.
const tableOID = -6

// masks reports whether the table has a sensitive column that the rule does not show in clear.
func (j *judge) masks(r *rule, n *need) bool {
	return slices.ContainsFunc(j.binding.sensitiveIn(n.oid), func(col sql.Column) bool {
		_, _, name, ok := j.binding.catalogue.ColumnName(col)
		return !ok || !matchesAny(r.clear, n.schema, n.name, name)
	})
}

// wholeRowFault judges a row used as one value, which is all of its columns at once and shown as no mask can reach.
func (j *judge) wholeRowFault(r *rule, n *need) string {
	if r.restrictsRead {
		return fmt.Sprintf("rule %s lets you read some columns of %s only: name them instead of the whole row", r.id, n.table())
	}
	for _, col := range j.binding.sensitiveIn(n.oid) {
		_, _, name, ok := j.binding.catalogue.ColumnName(col)
		if !ok || !matchesAny(r.clear, n.schema, n.name, name) {
			return fmt.Sprintf("%s is masked for you, so rows of %s may not be used as one value: name the columns", j.binding.name(col), n.table())
		}
	}
	return ""
}

// wordsFor says what a use is, for people.
var wordsFor = map[sql.Use]string{
	sql.UseExpression: "computed with",
	sql.UseMatch:      "compared",
	sql.UseFilter:     "used as a condition",
	sql.UseOrder:      "ordered by",
	sql.UseGroup:      "grouped by, made distinct or used in a set operation",
	sql.UseSource:     "copied into another column",
	sql.UseCount:      "counted (count(*) is allowed)",
	sql.UseAggregate:  "summed or averaged",
}

func maskedFault(r *rule, name string, use sql.Use, matchable bool) string {
	what := wordsFor[use]
	if what == "" {
		what = "used as " + string(use)
	}
	allowed := "it may only be shown as it is"
	if matchable {
		allowed = "it may only be shown as it is, or compared for equality with constants, parameters or columns"
	}
	return fmt.Sprintf("%s is masked for you under rule %s and may not be %s: %s", name, r.id, what, allowed)
}

// usedName prefers the names in the use, which a refusal may quote, to those of the catalogue.
func usedName(n *need, u sql.ColumnUse) string {
	if u.Att == 0 {
		return "the whole row of " + n.table()
	}
	return u.Schema + "." + u.TableName + "." + u.Name
}
