package sql

// Occurrence is one place at which stored rows of a table enter a statement: an element of a FROM, also behind a view or a
// WITH name (there once for each reference), or the target of an UPDATE, DELETE or MERGE. Holds are the conditions that
// every one of these rows meets. What INSERT and COPY FROM add is no occurrence.
type Occurrence struct {
	Table uint32
	Holds []Hold
}

// Hold says that a top-level AND conjunct of WHERE or of a join compares a column with =, IN or = ANY, and with what.
type Hold struct {
	Att int16
	// By is the index among the statement's occurrences of the one whose column, ByAtt, it is compared with; -1 when it is
	// compared with constants and parameters alone. That occurrence may itself be held by nothing.
	By    int
	ByAtt int16
}

// occurrence is an Occurrence in the making. Numbers of occurrences in values and conditions begin at 1, since 0 is none.
type occurrence struct {
	table uint32
	holds []hold
	// template says that these rows are read through copies of this occurrence, one for each reference to a WITH name.
	template bool
}

type hold struct {
	att   int16
	by    int // number of the other occurrence, 0 for constants
	byAtt int16
}

// occurs notes one more occurrence of a relation and returns its number.
func (r *recorder) occurs(oid uint32) int {
	r.places = append(r.places, occurrence{table: oid})
	return len(r.places)
}

// replay appends copies of occurrences, holds among them included, and returns what to add to a number among the old ones
// to find its copy. first is the number that the first of them has where it comes from.
func (r *recorder) replay(list []occurrence, first int) (shift int) {
	shift = len(r.places) + 1 - first
	for _, o := range list {
		c := occurrence{table: o.table, template: o.template}
		for _, h := range o.holds {
			if h.by >= first && h.by < first+len(list) {
				h.by += shift
			}
			c.holds = append(c.holds, h)
		}
		r.places = append(r.places, c)
	}
	return shift
}

// moved is a value seen through a copy of the occurrences lo to hi-1.
func (v value) moved(lo, hi, shift int) value {
	if v.place >= lo && v.place < hi {
		v.place += shift
	}
	return v
}

// heldPin is a Pin and the number of its literal, 0 for none.
type heldPin struct {
	Pin
	lit int32
}

// conditions are the top-level AND conjuncts, of WHERE and joins, that hold a column to something.
type conditions struct {
	pins  []heldPin
	equal [][2]Column
	// lo and hi bound the occurrences whose rows all meet the conjuncts; hi 0 is no bound. Columns of others, which
	// are those of a query around this one, come as values.
	lo, hi int
	// outer says that the conjuncts belong to an outer join. They restrict the rows of the range, but a row of the result
	// need not hold any of them, so nothing is pinned.
	outer bool
}

// conditions begins the conjuncts of a query level. It must be called before the level's FROM is looked at.
func (an *analyser) conditions() *conditions { return &conditions{lo: len(an.places) + 1} }

// hold notes that a comparison for equality holds the column v to another value.
func (an *analyser) hold(v, by value, conds *conditions) {
	if conds == nil || !v.bare() || !v.row || v.place < conds.lo || conds.hi > 0 && v.place >= conds.hi {
		return
	}
	h := hold{att: v.base.Att}
	switch {
	case by.bare() && by.place > 0 && by.place != v.place:
		h.by, h.byAtt = by.place, by.base.Att
	case by.column || by.bare():
		return
	}
	o := &an.places[v.place-1]
	o.holds = append(o.holds[:len(o.holds):len(o.holds)], h)
}

// occurrencesRead lists what was noted, without templates. A hold by a template is left out with it.
func (r *recorder) occurrencesRead() []Occurrence {
	index := make([]int, len(r.places)+1)
	var out []Occurrence
	for i, o := range r.places {
		index[i+1] = -1
		if !o.template {
			index[i+1] = len(out)
			out = append(out, Occurrence{Table: o.table})
		}
	}
	for i, o := range r.places {
		if o.template {
			continue
		}
		to := &out[index[i+1]]
		for _, h := range o.holds {
			switch {
			case h.by == 0:
				to.Holds = append(to.Holds, Hold{Att: h.att, By: -1})
			case index[h.by] >= 0:
				to.Holds = append(to.Holds, Hold{Att: h.att, By: index[h.by], ByAtt: h.byAtt})
			}
		}
	}
	return out
}
