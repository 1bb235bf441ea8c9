package policy

import (
	"math"

	"shiguan/policy/mask"
	"shiguan/policy/sql"
)

// class is how a kind of value looks to those who may not see it.
type class struct {
	name string
	mask *mask.Mask
}

// dataColumn is one sensitive column as the policy names it.
type dataColumn struct {
	table   tablePattern // exact
	column  string
	class   *class
	subject bool
	line    int
}

// rule is one compiled rule.
type rule struct {
	id   string
	line int

	users, departments, positions []string // nil = not asked for

	may          right
	on           []tablePattern
	columns      []columnPattern // readable columns; meaningful when restrictsRead
	set          []columnPattern // assignable columns; meaningful when restrictsWrite
	clear, match []columnPattern
	by           []columnPattern // each names one column
	functions    []string        // "schema.name"
	when         *condition
	where        *sql.Predicate // nil = all rows
	rows         int64          // a statement; 0 = no limit
	daily        Daily          // without Rule

	restrictsRead, restrictsWrite bool
	transparent                   bool

	granted *granted // by which grant, for rules that hold only for one
}

// appliesTo reports whether the rule speaks of this person. Everything that `who` names must agree.
func (r *rule) appliesTo(p Person) bool {
	return (r.users == nil || contains(r.users, p.User)) &&
		(r.departments == nil || contains(r.departments, p.Department)) &&
		(r.positions == nil || contains(r.positions, p.Position))
}

// covers reports whether `on` includes a table. Tables whose contents a pattern's author cannot have meant (system
// relations, materialised views, which are copies of other tables) must be named exactly.
func (r *rule) covers(schema, name string, exactOnly bool) bool {
	for _, p := range r.on {
		if p.matches(schema, name) && (!exactOnly || p.exact() || r.transparent) {
			return true
		}
	}
	return false
}

// limit is the row limit as a number that can be compared: none is the largest.
func (r *rule) limit() int64 {
	if r.rows == 0 {
		return math.MaxInt64
	}
	return r.rows
}

func (r *rule) allowsFunction(schema, name string) bool {
	if r.transparent {
		return true
	}
	for _, f := range r.functions {
		if f == schema+"."+name {
			return true
		}
	}
	return false
}
