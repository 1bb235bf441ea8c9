package sql

import "slices"

// value is what an expression's value comes from.
type value struct {
	server Column   // what the server reports when this is an output, zero for an expression
	base   Column   // the base column whose bare value this is, zero for an expression
	from   []source // every base column it depends on, base included
	typ    uint32
	typmod int32
	place  int    // number of the occurrence that has base, 0 when no row of a table is behind it
	coll   bool   // the column's collation calls different strings equal
	whole  *entry // this is the whole row of that range entry
	// row says that the value stands in the same row as the rest of its base table's columns: no window, grouping or set
	// operation lies between, so that a condition on it is a condition on that row.
	row bool
	// agg says that the value is count, sum or avg, or computed from such and constants alone.
	agg bool
	// relabelled says that the value went through a cast that changes nothing of it: still the column's own to compare,
	// but an expression to the server.
	relabelled bool
	column     bool // depends on a column or on a subquery: not a constant
	literal    bool // a constant of the text, in text
	text       string
	param      int   // a bare parameter's number
	lit        int32 // number of the literal, from 1, that the value is; see constants
	array      []value
}

// source is a base column and, when it went through count, sum or avg alone, which.
type source struct {
	column Column
	how    Use
}

// expression is the value computed from others: all their sources, no identity.
func expression(vs ...value) value {
	var out value
	aggs := 0
	plain := false
	for _, v := range vs {
		for _, s := range v.from {
			out.from = appendSource(out.from, s)
		}
		out.column = out.column || v.column
		switch {
		case v.agg:
			aggs++
		case v.column:
			plain = true
		}
	}
	out.agg = aggs > 0 && !plain
	return out
}

func appendSource(list []source, s source) []source {
	if slices.Contains(list, s) {
		return list
	}
	return append(list[:len(list):len(list)], s)
}

func (v value) typed(typ uint32) value {
	v.typ, v.typmod = typ, -1
	return v
}

// bare says that the value is a column's own.
func (v value) bare() bool { return v.base != Column{} && v.whole == nil }

// through is the value seen from outside a subquery: identities survive, row-wise ones only if the subquery keeps rows.
func (v value) through(keepsRows bool) value {
	v.row = v.row && keepsRows
	v.whole, v.literal, v.text, v.param, v.array, v.lit = nil, false, "", 0, nil, 0
	v.column = true
	return v
}

// columns are the sources without what they went through.
func (v value) columns() []Column {
	var out []Column
	for _, s := range v.from {
		out = appendColumn(out, s.column)
	}
	return out
}

// output is the value as a column of the statement's rows.
func (v value) output(name string) Output {
	o := Output{Name: name, Server: v.server, Base: v.base, Type: v.typ}
	if v.base == (Column{}) {
		o.From, o.Aggregate = v.columns(), v.agg
	}
	return o
}
