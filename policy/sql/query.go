package sql

import (
	pg_query "github.com/pganalyze/pg_query_go/v6"
)

// query is what a query level gives to the one around it.
type query struct {
	columns []field
	// keepsRows says that every row is made of one row of each thing in FROM: no grouping, windows, DISTINCT or set
	// operation, so that a condition on an output column is one on that row.
	keepsRows bool
	grouped   bool // groups or aggregates
	plain     bool // output columns may be appended: see Appendable
	rows      rowShape
	scope     *scope
	conds     *conditions
	target    *Relation // what INSERT, UPDATE or DELETE writes to
	last      int32     // where the last element of the target list begins, -1 when unknown
}

// query analyses a SELECT, VALUES, TABLE, set operation, or a statement with RETURNING inside WITH. use is what becomes of
// its output columns: UseOutput for rows that reach someone, UseSource for rows that are written, "" when whoever asked
// records it.
func (an *analyser) query(s *scope, n *pg_query.Node, use Use) query {
	an.resolving()
	switch n := n.GetNode().(type) {
	case *pg_query.Node_SelectStmt:
		return an.selectQuery(s, n.SelectStmt, use)
	case *pg_query.Node_InsertStmt:
		return an.insert(s, n.InsertStmt)
	case *pg_query.Node_UpdateStmt:
		return an.update(s, n.UpdateStmt)
	case *pg_query.Node_DeleteStmt:
		return an.delete(s, n.DeleteStmt)
	case *pg_query.Node_MergeStmt:
		return an.mergeStmt(s, n.MergeStmt)
	default:
		an.refuseNode("as a query", n)
		return query{}
	}
}

// selectQuery analyses on the fresh scope s.
func (an *analyser) selectQuery(s *scope, sel *pg_query.SelectStmt, use Use) query {
	if sel.IntoClause != nil {
		an.refuse("SELECT INTO can only stand at the top of a statement: use CREATE TABLE AS")
	}
	an.with(s, sel.WithClause)
	var q query
	switch {
	case sel.Op != pg_query.SetOperation_SETOP_NONE:
		q = an.setOperation(s, sel, use)
	case len(sel.ValuesLists) > 0:
		q = an.values(s, sel, use)
	default:
		q = an.plainSelect(s, sel, use)
	}
	q.scope = s
	for _, lc := range sel.LockingClause {
		if lc.GetLockingClause() == nil {
			an.refuseNode("as a locking clause", lc.GetNode())
		}
		an.writes = true // row locks are written to the rows
		if an.survey != nil {
			an.survey.locks = true
		}
	}
	an.limitShows(s, sel)
	an.limit(s, sel.LimitOffset)
	an.limit(s, sel.LimitCount)
	return q
}

func (an *analyser) limit(s *scope, n *pg_query.Node) {
	if n != nil {
		an.use(an.expr(s, n), UseFilter)
	}
}

func (an *analyser) plainSelect(s *scope, sel *pg_query.SelectStmt, use Use) query {
	conds := an.conditions()
	an.from(s, sel.FromClause, conds)
	q := query{conds: conds, last: -1}
	q.columns = an.targetList(s, sel.TargetList)
	if n := len(sel.TargetList); n > 0 {
		if rt := sel.TargetList[n-1].GetResTarget(); rt != nil {
			q.last = rt.Location
		}
	}
	s.targets = q.columns
	if sel.WhereClause != nil {
		an.condition(s, sel.WhereClause, conds)
	}
	an.windowClause(s, sel.WindowClause)
	an.groupBy(s, sel.GroupClause)
	if sel.HavingClause != nil {
		an.condition(s, sel.HavingClause, nil)
	}
	an.orderBy(s, sel.SortClause)
	an.distinct(s, sel.DistinctClause)
	an.record(q.columns, use)

	q.grouped = len(sel.GroupClause) > 0 || sel.HavingClause != nil || s.aggregates
	q.keepsRows = !q.grouped && !s.mayAggregate && !s.windows && len(sel.DistinctClause) == 0
	q.plain = q.keepsRows && len(sel.FromClause) > 0
	switch {
	case q.plain:
		q.rows = plainRows
	case s.mayAggregate || s.windows:
	case len(sel.GroupClause) > 0 || len(sel.DistinctClause) > 0:
		q.rows = groupedRows
	case q.grouped:
		q.rows = oneRow
	}
	return q
}

// record notes what becomes of output columns.
func (an *analyser) record(columns []field, use Use) {
	for _, f := range columns {
		switch use {
		case UseOutput:
			an.reaches(f.value)
		default:
			an.use(f.value, use)
		}
	}
}

func (an *analyser) distinct(s *scope, clause []*pg_query.Node) {
	if len(clause) == 0 {
		return
	}
	if len(clause) == 1 && clause[0].GetNode() == nil { // plain DISTINCT
		for _, f := range s.targets {
			an.use(f.value, UseGroup)
		}
		return
	}
	an.shows("DISTINCT ON")
	for _, n := range clause {
		an.use(an.sortKey(s, n, false), UseGroup)
	}
}

func (an *analyser) orderBy(s *scope, clause []*pg_query.Node) {
	for _, n := range clause {
		sb := n.GetSortBy()
		if sb == nil {
			an.refuseNode("in ORDER BY", n.GetNode())
		}
		v := an.sortKey(s, sb.Node, false)
		if len(sb.UseOp) > 0 {
			an.binary(names(sb.UseOp), v, v)
		}
		an.use(v, UseOrder)
	}
}

// sortKey resolves an element of ORDER BY, GROUP BY or DISTINCT ON as SQL-92 wants it: a name of an output column, a
// position, else an expression. GROUP BY prefers a column of FROM to an output column's name.
func (an *analyser) sortKey(s *scope, n *pg_query.Node, group bool) value {
	if cr := n.GetColumnRef(); cr != nil && len(cr.Fields) == 1 && cr.Fields[0].GetString_() != nil {
		name := cr.Fields[0].GetString_().Sval
		own := false
		if group {
			probe := &scope{items: s.items}
			_, k := an.columnNamed(probe, name)
			own = k > 0
		}
		if !own {
			var hits []value
			for _, f := range s.targets {
				if f.name == name {
					hits = append(hits, f.value)
				}
			}
			if len(hits) > 0 {
				v := expression(hits...) // all of them, should there be several equal ones
				if len(hits) == 1 {
					v = hits[0]
				}
				return v
			}
		}
	}
	if c := n.GetAConst(); c != nil && !c.Isnull && s.targets != nil {
		if _, ok := c.Val.(*pg_query.A_Const_Ival); ok {
			i := int(c.GetIval().GetIval())
			if i < 1 || i > len(s.targets) {
				an.refuse("position in ORDER BY or GROUP BY is not in the select list")
			}
			return s.targets[i-1].value
		}
	}
	return an.expr(s, n)
}

func (an *analyser) groupBy(s *scope, clause []*pg_query.Node) {
	for _, n := range clause {
		if gs := n.GetGroupingSet(); gs != nil {
			an.groupBy(s, gs.Content)
			continue
		}
		if row := n.GetRowExpr(); row != nil && row.RowFormat == pg_query.CoercionForm_COERCE_IMPLICIT_CAST {
			an.groupBy(s, row.Args)
			continue
		}
		an.use(an.sortKey(s, n, true), UseGroup)
	}
}

func (an *analyser) windowClause(s *scope, clause []*pg_query.Node) {
	for _, n := range clause {
		w := n.GetWindowDef()
		if w == nil {
			an.refuseNode("in WINDOW", n.GetNode())
		}
		an.window(s.withoutTargets(), w)
	}
}

// window records what a window definition reads; a named window is recorded where it is defined.
func (an *analyser) window(s *scope, w *pg_query.WindowDef) {
	for _, n := range w.PartitionClause {
		an.use(an.sortKey(s, n, false), UseGroup)
	}
	an.orderBy(s, w.OrderClause)
	for _, n := range []*pg_query.Node{w.StartOffset, w.EndOffset} {
		if n != nil {
			an.use(an.expr(s, n), UseFilter)
		}
	}
}

func (an *analyser) values(s *scope, sel *pg_query.SelectStmt, use Use) query {
	var q query
	for i, n := range sel.ValuesLists {
		row := n.GetList()
		if row == nil {
			an.refuseNode("in VALUES", n.GetNode())
		}
		vals := an.exprList(s, row.Items)
		an.inert(vals...)
		if i == 0 {
			for j, v := range vals {
				q.columns = append(q.columns, field{"column" + itoa(j+1), expression(v).typed(v.typ)})
			}
			continue
		}
		if len(vals) != len(q.columns) {
			an.refuse("VALUES lists must all be of the same length")
		}
		for j, v := range vals {
			f := &q.columns[j]
			typ := f.typ
			if v.typ != typ {
				typ = an.cat.commonType(typ, v.typ)
			}
			f.value = expression(f.value, v).typed(typ)
		}
	}
	s.targets = q.columns
	an.orderBy(s, sel.SortClause)
	an.record(q.columns, use)
	return query{columns: q.columns, last: -1}
}

// setOperation combines two arms. No output has an identity to the server; what distinguishes rows is a use of its own.
func (an *analyser) setOperation(s *scope, sel *pg_query.SelectStmt, use Use) query {
	if sel.Larg == nil || sel.Rarg == nil {
		an.refuse("a set operation lacks an arm")
	}
	l := an.selectQuery(s.child(), sel.Larg, "")
	r := an.selectQuery(s.child(), sel.Rarg, "")
	if len(l.columns) != len(r.columns) {
		an.refuse("each arm of a set operation must have the same number of columns")
	}
	compares := !(sel.Op == pg_query.SetOperation_SETOP_UNION && sel.All)
	var q query
	q.last = -1
	for i := range l.columns {
		lv, rv := l.columns[i].value, r.columns[i].value
		if compares {
			an.use(lv, UseGroup)
			an.use(rv, UseGroup)
		}
		v := expression(lv, rv)
		v.typ, v.typmod = an.cat.commonType(lv.typ, rv.typ), -1
		q.columns = append(q.columns, field{l.columns[i].name, v})
	}
	q.grouped = l.grouped && r.grouped
	// ORDER BY of a set operation sees output columns only.
	sorted := &scope{targets: q.columns, up: s.up}
	s.targets = q.columns
	an.orderBy(sorted, sel.SortClause)
	an.record(q.columns, use)
	return q
}
