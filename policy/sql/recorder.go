package sql

import "slices"

// recorder collects what one statement, or one view, touches. The order of first touch is kept, so that the result is
// deterministic.
type recorder struct {
	cat       *Catalogue
	tables    []TableUse
	columns   []ColumnUse
	functions []FunctionUse
	seenTable map[tableKey]int
	seenCol   map[columnKey]struct{}
	seenFunc  map[FunctionUse]struct{}
	direct    map[Column]struct{} // columns of relations as named by the text, views not expanded; for the oracle in the tests
	places    []occurrence
	writes    bool
	params    int
	// orderShows is the first thing met that lets the order of rows show; see Statement.OrderShows.
	orderShows string
}

type tableKey struct {
	oid          uint32
	schema, name string
	verb         Verb
	via          string
}

type columnKey struct {
	Column
	use  Use
	with Column
}

func newRecorder(cat *Catalogue) *recorder {
	return &recorder{cat: cat, seenTable: map[tableKey]int{}, seenCol: map[columnKey]struct{}{}, seenFunc: map[FunctionUse]struct{}{},
		direct: map[Column]struct{}{}}
}

// table records one more occurrence of a relation.
func (r *recorder) table(t TableUse) {
	if t.Times == 0 {
		t.Times = 1
	}
	k := tableKey{t.OID, t.Schema, t.Name, t.Verb, t.Via}
	if i, ok := r.seenTable[k]; ok {
		r.tables[i].Times += t.Times
		return
	}
	r.seenTable[k] = len(r.tables)
	r.tables = append(r.tables, t)
}

func (r *recorder) column(col Column, use Use, with Column) {
	if use == "" {
		return
	}
	k := columnKey{col, use, with}
	if _, ok := r.seenCol[k]; ok {
		return
	}
	r.seenCol[k] = struct{}{}
	schema, table, name, _ := r.cat.ColumnName(col)
	r.columns = append(r.columns, ColumnUse{Column: col, Schema: schema, TableName: table, Name: name, Use: use, With: with})
}

func (r *recorder) function(f FunctionUse) {
	if _, ok := r.seenFunc[f]; ok {
		return
	}
	r.seenFunc[f] = struct{}{}
	r.functions = append(r.functions, f)
}

// use records one use of everything a value depends on. An empty use records what the value's own sources say (count,
// aggregate), and otherwise plain.
func (r *recorder) use(v value, use Use) {
	for _, s := range v.from {
		r.column(s.column, use, Column{})
	}
}

// reaches records a value that reaches rows: an output of the statement or of a subquery.
func (r *recorder) reaches(v value) {
	if v.base != (Column{}) {
		r.column(v.base, UseOutput, Column{})
		return
	}
	for _, s := range v.from {
		if s.how != "" {
			r.column(s.column, s.how, Column{})
		} else {
			r.column(s.column, UseExpression, Column{})
		}
	}
}

// merge adds what a view touches, its outputs apart, to the statement that reads the view. shift is what to add to the
// numbers of the view's own occurrences.
func (r *recorder) merge(o *recorder, via string) (shift int) {
	for _, t := range o.tables {
		if t.Via == "" {
			t.Via = via
		}
		r.table(t)
	}
	for _, c := range o.columns {
		r.column(c.Column, c.Use, c.With)
	}
	for _, f := range o.functions {
		r.function(f)
	}
	r.writes = r.writes || o.writes
	if o.orderShows != "" {
		r.shows(o.orderShows)
	}
	return r.replay(o.places, 1)
}

// occurrences counts how often rows of the relation enter the statement.
func (r *recorder) occurrences(oid uint32) int {
	n := 0
	for _, t := range r.tables {
		if t.OID == oid {
			n += t.Times
		}
	}
	return n
}

func (r *recorder) fill(s *Statement) {
	s.Tables = slices.Clip(r.tables)
	s.Columns = slices.Clip(r.columns)
	s.Functions = slices.Clip(r.functions)
	s.Occurrences = r.occurrencesRead()
	s.Params = r.params
	s.touched = r.direct
	s.OrderShows = r.orderShows
	if r.writes || len(r.functions) > 0 {
		s.MayWrite = true
	}
}
