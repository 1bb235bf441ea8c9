package sql

import (
	"math"
	"slices"

	pg_query "github.com/pganalyze/pg_query_go/v6"
)

// from adds the items of a FROM clause to the scope, with PostgreSQL's rules of what LATERAL sees when.
func (an *analyser) from(s *scope, nodes []*pg_query.Node, conds *conditions) {
	for _, n := range nodes {
		items, _ := an.fromItem(s, n, conds)
		for i := range items {
			items[i].lateral = true
		}
		s.items = append(s.items, items...)
	}
	for i := range s.items {
		s.items[i].lateral = false
	}
}

// fromItem returns the items one element of FROM contributes, and the entry of the element itself. conds is nil where a
// condition does not hold for all rows (the ON of an outer join).
func (an *analyser) fromItem(s *scope, n *pg_query.Node, conds *conditions) ([]item, *entry) {
	switch n := n.GetNode().(type) {
	case *pg_query.Node_RangeVar:
		e := an.rangeVar(s, n.RangeVar)
		return []item{{entry: e, relation: true, columns: true}}, e
	case *pg_query.Node_RangeSubselect:
		e := an.rangeSubselect(s, n.RangeSubselect)
		return []item{{entry: e, relation: e.alias != "", columns: true}}, e
	case *pg_query.Node_RangeFunction:
		e := an.rangeFunction(s, n.RangeFunction)
		return []item{{entry: e, relation: true, columns: true}}, e
	case *pg_query.Node_RangeTableSample:
		items, e := an.fromItem(s, n.RangeTableSample.Relation, conds)
		an.sampled(n.RangeTableSample.Relation)
		if an.tableSample(s, n.RangeTableSample) && e.rel != nil {
			an.column(Column{e.rel.OID, systemColumns["ctid"].num}, UseFilter, Column{})
		}
		return items, e
	case *pg_query.Node_JoinExpr:
		return an.join(s, n.JoinExpr, conds)
	default:
		an.refuseNode("in FROM", n)
		return nil, nil
	}
}

// tableSample reports whether the sample is chosen by where rows are stored, not by chance alone.
func (an *analyser) tableSample(s *scope, t *pg_query.RangeTableSample) (byPlace bool) {
	name := names(t.Method)
	if len(name) != 1 || name[0] != "bernoulli" && name[0] != "system" {
		an.refuse("only TABLESAMPLE BERNOULLI and SYSTEM are understood")
	}
	for _, a := range t.Args {
		an.use(an.expr(s, a), UseFilter)
	}
	if t.Repeatable != nil {
		an.use(an.expr(s, t.Repeatable), UseFilter)
	}
	return name[0] == "system" || t.Repeatable != nil
}

func (an *analyser) rangeVar(s *scope, rv *pg_query.RangeVar) *entry {
	if rv.Catalogname == "" && rv.Schemaname == "" {
		if c, level := s.cte(rv.Relname); c != nil {
			an.mention(rv, 0, Select)
			return an.cteEntry(level, c, rv.Alias)
		}
	}
	r := an.relation(rv)
	switch r.Kind {
	case "r", "v", "m", "f", "p", "S":
	default:
		an.refuse("%s.%s cannot be read: it is an index or a composite type", r.schema, r.Name)
	}
	an.mention(rv, r.OID, Select)
	return an.tableEntry(r, rv, Select)
}

// tableEntry records one occurrence of the relation under verb, with all that stands behind it, and makes its entry.
func (an *analyser) tableEntry(r *Relation, rv *pg_query.RangeVar, verb Verb) *entry {
	e := &entry{alias: r.Name, rel: r, system: r.Kind != "v"}
	an.table(TableUse{OID: r.OID, Schema: r.schema, Name: r.Name, Kind: r.Kind[0], Verb: verb})
	self := r.schema + "." + r.Name
	var behind []field
	place, shift := 0, 0
	if r.Kind == "v" && !isSystem(r.OID) {
		v := an.cat.expand(r, an.depth)
		if v.err != nil {
			an.refuse("view %s: %s", self, v.err.Reason)
		}
		shift = an.mergeView(v, self, verb)
		behind = v.columns
	} else if verb != Insert && verb != CopyIn {
		place = an.occurs(r.OID)
	}
	if rv.Inh {
		an.inherited(r, verb, self)
	}
	for i, a := range liveAttributes(r) {
		col := Column{r.OID, a.Num}
		v := value{server: col, base: col, from: []source{{column: col}}, row: true, column: true, place: place}
		if i < len(behind) {
			v = behind[i].value.through(true).moved(1, math.MaxInt, shift)
			v.server = col
		}
		v.typ, v.typmod, v.coll = a.Type, a.Typmod-1, a.Fuzzy
		e.columns = append(e.columns, field{a.Name, v})
	}
	if behind != nil && len(behind) != len(e.columns) {
		an.refuse("view %s has other columns than its definition", self)
	}
	an.aliased(e, rv.Alias)
	return e
}

func (an *analyser) inherited(r *Relation, verb Verb, self string) {
	for _, oid := range an.cat.family(r.OID, an.cat.children) {
		child := an.cat.relations[oid]
		an.table(TableUse{OID: oid, Schema: child.schema, Name: child.Name, Kind: child.Kind[0], Verb: verb, Via: self})
	}
}

// mergeView adds what is behind a view. What is written through a simple view is written to its one table.
func (an *analyser) mergeView(v *view, self string, verb Verb) (shift int) {
	if verb == Select {
		return an.merge(v.recorder, self)
	}
	changed := *v.recorder
	changed.tables = append([]TableUse(nil), v.tables...)
	for i := range changed.tables {
		if t := &changed.tables[i]; slices.Contains(v.targets, t.OID) {
			t.Verb = verb
		}
	}
	return an.merge(&changed, self)
}

// aliased applies AS alias (names…).
func (an *analyser) aliased(e *entry, a *pg_query.Alias) {
	if a == nil {
		return
	}
	e.alias, e.named = a.Aliasname, true
	list := names(a.Colnames)
	if len(list) > len(e.columns) {
		an.refuse("table %q has fewer columns than names are given for", a.Aliasname)
	}
	if len(list) == 0 {
		return
	}
	e.columns = append([]field(nil), e.columns...)
	for i, n := range list {
		e.columns[i].name = n
	}
}

func (an *analyser) rangeSubselect(s *scope, r *pg_query.RangeSubselect) *entry {
	saved := s.lateral
	s.lateral = r.Lateral
	q := an.query(s.child(), r.Subquery, UseOutput)
	s.lateral = saved
	e := &entry{}
	for _, f := range q.columns {
		e.columns = append(e.columns, field{f.name, f.value.through(q.keepsRows)})
	}
	an.aliased(e, r.Alias)
	if e.alias == "" {
		an.shows("a subquery in FROM without a name")
	}
	return e
}

func (an *analyser) join(s *scope, j *pg_query.JoinExpr, conds *conditions) ([]item, *entry) {
	inner := j.Jointype == pg_query.JoinType_JOIN_INNER && conds != nil
	below, on := conds, conds
	if !inner {
		// Joins inside keep their conditions to themselves. The outer join's own holds for the side that it makes nullable.
		below = &conditions{lo: len(an.places) + 1, outer: true}
		on = &conditions{lo: len(an.places) + 1, outer: true}
	}
	left, le := an.fromItem(s, j.Larg, below)
	between := len(an.places) + 1
	mark := len(s.items)
	for _, it := range left {
		it.lateral = true
		s.items = append(s.items, it)
	}
	right, re := an.fromItem(s, j.Rarg, below)
	s.items = s.items[:mark]
	switch j.Jointype {
	case pg_query.JoinType_JOIN_INNER:
	case pg_query.JoinType_JOIN_LEFT:
		on.lo, on.hi = between, len(an.places)+1
	case pg_query.JoinType_JOIN_RIGHT:
		on.hi = between
	default:
		on = nil
	}
	both := append(append([]item(nil), left...), right...)

	merged, usingNames := an.using(j, le, re, on)
	e := &entry{columns: merged}
	for _, f := range append(append([]field(nil), le.columns...), re.columns...) {
		if _, ok := usingNames[f.name]; !ok {
			e.columns = append(e.columns, f)
		}
	}
	if j.Quals != nil {
		saved := s.items
		s.items = append([]item(nil), both...)
		an.condition(s, j.Quals, on)
		s.items = saved
	}
	if j.JoinUsingAlias != nil {
		both = append(both, item{entry: &entry{alias: j.JoinUsingAlias.Aliasname, named: true, columns: merged}, relation: true})
	}
	if j.Alias != nil {
		an.aliased(e, j.Alias)
		return []item{{entry: e, relation: true, columns: true}}, e
	}
	for i := range both {
		both[i].columns = false
	}
	return append(both, item{entry: e, columns: true}), e
}

// using computes the merged columns of USING and NATURAL and records the comparison.
func (an *analyser) using(j *pg_query.JoinExpr, le, re *entry, conds *conditions) ([]field, map[string]struct{}) {
	list := names(j.UsingClause)
	if j.IsNatural {
		for _, f := range le.columns {
			if _, n := an.peek(re, f.name); n > 0 {
				list = append(list, f.name)
			}
		}
	}
	set := make(map[string]struct{}, len(list))
	var merged []field
	for _, name := range list {
		l, nl := an.fieldOf(le, name)
		r, nr := an.fieldOf(re, name)
		if nl != 1 || nr != 1 {
			an.refuse("column %q of USING is missing or ambiguous", name)
		}
		set[name] = struct{}{}
		an.binary([]string{"="}, l, r)
		an.equal(l, r, conds)
		merged = append(merged, field{name, an.mergedColumn(j.Jointype, l, r)})
	}
	return merged, set
}

// peek is fieldOf without recording.
func (an *analyser) peek(e *entry, name string) (v value, n int) {
	for _, f := range e.columns {
		if f.name == name {
			v, n = f.value, n+1
		}
	}
	return v, n
}

// mergedColumn follows buildMergedJoinVar: which side's column the server shows for a column of USING.
func (an *analyser) mergedColumn(jt pg_query.JoinType, l, r value) value {
	typ := an.cat.commonType(l.typ, r.typ)
	typmod := int32(-1)
	if l.typ == typ && r.typ == typ && l.typmod == r.typmod {
		typmod = l.typmod
	}
	as := func(v value) value {
		if v.typ != typ || v.typmod != typmod || typ == 0 {
			// The value may be converted on the way: no longer the column itself to the server.
			v = expression(v)
		}
		v.typ, v.typmod = typ, typmod
		return v
	}
	lv, rv := as(l), as(r)
	switch jt {
	case pg_query.JoinType_JOIN_LEFT:
		return lv
	case pg_query.JoinType_JOIN_RIGHT:
		return rv
	case pg_query.JoinType_JOIN_INNER:
		if lv.server == (Column{}) && l.server != (Column{}) && rv.server == r.server {
			return rv
		}
		return lv
	default:
		v := expression(l, r)
		v.typ, v.typmod = typ, typmod
		return v
	}
}
