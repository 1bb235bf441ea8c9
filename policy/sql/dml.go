package sql

import (
	pg_query "github.com/pganalyze/pg_query_go/v6"
)

// target records the relation a statement writes to and makes its entry.
func (an *analyser) target(rv *pg_query.RangeVar, verb Verb) *entry {
	an.writes = true
	r := an.relation(rv)
	switch r.Kind {
	case "r", "p", "f", "v":
	default:
		an.refuse("%s.%s cannot be written to", r.schema, r.Name)
	}
	if r.Rules {
		an.function(FunctionUse{Schema: r.schema, Name: r.Name, Why: "has rules that rewrite what is done to it"})
	}
	if r.Kind == "v" && r.Triggers {
		an.function(FunctionUse{Schema: r.schema, Name: r.Name, Why: "has triggers that decide what is written"})
	}
	an.mention(rv, r.OID, verb)
	return an.tableEntry(r, rv, verb)
}

// written records an assignment to a named column.
func (an *analyser) written(e *entry, name string) value {
	for i, a := range liveAttributes(e.rel) {
		if a.Name == name && i < len(e.columns) {
			v := e.columns[i].value // aliases rename columns for reading; assignments use the real names
			for _, s := range v.from {
				an.column(s.column, UseWrite, Column{})
			}
			return v
		}
	}
	an.refuse("column %q of %s.%s does not exist", name, e.rel.schema, e.rel.Name)
	return value{}
}

func (an *analyser) insert(s *scope, n *pg_query.InsertStmt) query {
	an.with(s, n.WithClause)
	e := an.target(n.Relation, Insert)
	var rows query
	single := false
	if n.SelectStmt != nil {
		sel := n.SelectStmt.GetSelectStmt()
		if sel == nil {
			an.refuseNode("as the source of INSERT", n.SelectStmt.GetNode())
		}
		single = len(sel.ValuesLists) == 1 && sel.WithClause == nil && sel.LimitCount == nil && sel.LimitOffset == nil
		child := s.child()
		if single {
			vals := an.exprList(child, sel.ValuesLists[0].GetList().GetItems())
			an.inert(vals...)
			for _, v := range vals {
				an.use(v, UseSource)
				rows.columns = append(rows.columns, field{"", v})
			}
		} else {
			rows = an.selectQuery(child, sel, UseSource)
		}
	}
	conds := an.conditions()
	for i, name := range an.insertColumns(s, n, e, len(rows.columns)) {
		v := an.written(e, name)
		if single && i < len(rows.columns) && n.OnConflictClause == nil && v.bare() && !inPart(n, i) {
			an.pin(v, rows.columns[i].value, conds)
		}
	}
	an.onConflict(s, n.OnConflictClause, e)
	q := an.returning(s, n.ReturningList, []item{{entry: e, relation: true, columns: true}}, conds)
	q.target = e.rel
	return q
}

// insertColumns are the columns assigned: those named, or as many from the left as there are values.
func (an *analyser) insertColumns(s *scope, n *pg_query.InsertStmt, e *entry, values int) []string {
	var out []string
	for _, c := range n.Cols {
		rt := c.GetResTarget()
		if rt == nil {
			an.refuseNode("in the column list of INSERT", c.GetNode())
		}
		an.subscripts(s, rt)
		out = append(out, rt.Name)
	}
	if len(n.Cols) > 0 || n.SelectStmt == nil {
		return out
	}
	for i, a := range liveAttributes(e.rel) {
		if i < values {
			out = append(out, a.Name)
		}
	}
	return out
}

// subscripts reads what says which part of a column an INSERT gives a value to: INSERT INTO t (a[expression]) …
func (an *analyser) subscripts(s *scope, rt *pg_query.ResTarget) {
	if len(rt.Indirection) > 0 {
		an.use(an.indirect(s, value{typmod: -1}, rt.Indirection), UseSource)
	}
}

// inPart says that column i of the INSERT's list is given a value in part only.
func inPart(n *pg_query.InsertStmt, i int) bool {
	return i < len(n.Cols) && len(n.Cols[i].GetResTarget().GetIndirection()) > 0
}

func (an *analyser) onConflict(s *scope, oc *pg_query.OnConflictClause, e *entry) {
	if oc == nil {
		return
	}
	own := &scope{up: s.up, ctes: s.ctes, items: []item{{entry: e, relation: true, columns: true}}}
	if oc.Infer != nil {
		for _, n := range oc.Infer.IndexElems {
			ie := n.GetIndexElem()
			switch {
			case ie == nil:
				an.refuseNode("in ON CONFLICT", n.GetNode())
			case ie.Expr != nil:
				an.use(an.expr(own, ie.Expr), UseFilter)
			default:
				if v, k := an.fieldOf(e, ie.Name); k == 1 && v.bare() {
					an.column(v.base, UseMatch, Column{}) // the conflict tells that such a row exists
				} else {
					an.refuse("column %q of ON CONFLICT does not exist", ie.Name)
				}
			}
		}
		if oc.Infer.WhereClause != nil {
			an.condition(own, oc.Infer.WhereClause, nil)
		}
	}
	if oc.Action != pg_query.OnConflictAction_ONCONFLICT_UPDATE {
		return
	}
	an.table(TableUse{OID: e.rel.OID, Schema: e.rel.schema, Name: e.rel.Name, Kind: e.rel.Kind[0], Verb: Update})
	an.occurs(e.rel.OID)
	for _, oid := range an.behind(e.rel) {
		if r := an.cat.relations[oid]; r != nil {
			an.table(TableUse{OID: oid, Schema: r.schema, Name: r.Name, Kind: r.Kind[0], Verb: Update, Via: e.rel.schema + "." + e.rel.Name})
			an.occurs(oid)
		}
	}
	// excluded holds the row that was to be inserted: its sources are recorded as such already.
	excluded := &entry{alias: "excluded", named: true}
	for i, a := range liveAttributes(e.rel) {
		v := value{typ: e.columns[i].typ, typmod: e.columns[i].typmod, column: true}
		excluded.columns = append(excluded.columns, field{a.Name, v})
	}
	own.items = append(own.items, item{entry: excluded, relation: true})
	an.assign(own, e, oc.TargetList)
	if oc.WhereClause != nil {
		an.condition(own, oc.WhereClause, nil)
	}
}

// assign handles SET lists.
func (an *analyser) assign(s *scope, e *entry, list []*pg_query.Node) {
	var source *pg_query.Node // of a multi-column assignment, which every one of its columns refers to
	for _, n := range list {
		rt := n.GetResTarget()
		if rt == nil {
			an.refuseNode("in SET", n.GetNode())
		}
		old := an.written(e, rt.Name)
		if len(rt.Indirection) > 0 { // SET a[1] = …: the rest of the old value stays
			an.use(an.indirect(s, old, rt.Indirection), UseSource)
		}
		if m := rt.Val.GetMultiAssignRef(); m != nil {
			if m.Colno == 1 || source == nil {
				source = m.Source
				an.use(an.expr(s, source), UseSource)
			}
			continue
		}
		v := an.expr(s, rt.Val)
		an.inert(v)
		an.use(v, UseSource)
	}
}

func (an *analyser) update(s *scope, n *pg_query.UpdateStmt) query {
	an.with(s, n.WithClause)
	conds := an.conditions()
	e := an.target(n.Relation, Update)
	// FROM items do not see the target; SET, WHERE and RETURNING see both.
	an.from(s, n.FromClause, conds)
	s.items = append([]item{{entry: e, relation: true, columns: true}}, s.items...)
	an.assign(s, e, n.TargetList)
	if n.WhereClause != nil {
		an.condition(s, n.WhereClause, conds)
	}
	q := an.returning(s, n.ReturningList, s.items, conds)
	q.target = e.rel
	return q
}

func (an *analyser) delete(s *scope, n *pg_query.DeleteStmt) query {
	an.with(s, n.WithClause)
	conds := an.conditions()
	e := an.target(n.Relation, Delete)
	an.from(s, n.UsingClause, conds)
	s.items = append([]item{{entry: e, relation: true, columns: true}}, s.items...)
	if n.WhereClause != nil {
		an.condition(s, n.WhereClause, conds)
	}
	q := an.returning(s, n.ReturningList, s.items, conds)
	q.target = e.rel
	return q
}

// returning resolves a RETURNING list over the items.
func (an *analyser) returning(s *scope, list []*pg_query.Node, items []item, conds *conditions) query {
	own := &scope{up: s.up, ctes: s.ctes, items: items}
	q := query{keepsRows: true, scope: own, conds: conds, last: -1}
	if len(list) == 0 {
		return q
	}
	q.columns = an.targetList(own, list)
	if rt := list[len(list)-1].GetResTarget(); rt != nil {
		q.last = rt.Location
	}
	q.plain = true
	an.record(q.columns, UseOutput)
	return q
}

func (an *analyser) mergeStmt(s *scope, n *pg_query.MergeStmt) query {
	an.with(s, n.WithClause)
	verbs := map[Verb]bool{}
	for _, w := range n.MergeWhenClauses {
		if c := w.GetMergeWhenClause(); c != nil {
			verbs[mergeVerbs[c.CommandType]] = true
		}
	}
	e := an.mergeTarget(n.Relation, verbs)
	target := item{entry: e, relation: true, columns: true}
	sources, _ := an.fromItem(s, n.SourceRelation, nil)
	both := append([]item{target}, sources...)
	s.items = both
	an.condition(s, n.JoinCondition, nil)
	for _, w := range n.MergeWhenClauses {
		c := w.GetMergeWhenClause()
		if c == nil {
			an.refuseNode("in MERGE", w.GetNode())
		}
		an.mergeWhen(s, e, target, sources, c)
	}
	// RETURNING * shows the source first.
	return an.returning(s, n.ReturningList, append(append([]item(nil), sources...), target), nil)
}

var mergeVerbs = map[pg_query.CmdType]Verb{
	pg_query.CmdType_CMD_INSERT: Insert, pg_query.CmdType_CMD_UPDATE: Update, pg_query.CmdType_CMD_DELETE: Delete,
	pg_query.CmdType_CMD_NOTHING: Select,
}

// mergeTarget records the target once for each thing that may be done to it.
func (an *analyser) mergeTarget(rv *pg_query.RangeVar, verbs map[Verb]bool) *entry {
	var e *entry
	for _, v := range []Verb{Insert, Update, Delete, Select} {
		if verbs[v] {
			e = an.target(rv, v)
		}
	}
	if e == nil {
		an.refuse("MERGE without a WHEN clause that is understood")
	}
	return e
}

func (an *analyser) mergeWhen(s *scope, e *entry, target item, sources []item, c *pg_query.MergeWhenClause) {
	own := &scope{up: s.up, ctes: s.ctes}
	switch c.MatchKind {
	case pg_query.MergeMatchKind_MERGE_WHEN_MATCHED:
		own.items = append([]item{target}, sources...)
	case pg_query.MergeMatchKind_MERGE_WHEN_NOT_MATCHED_BY_SOURCE:
		own.items = []item{target}
	case pg_query.MergeMatchKind_MERGE_WHEN_NOT_MATCHED_BY_TARGET:
		own.items = sources
	default:
		an.refuse("a WHEN clause of MERGE is not understood")
	}
	if c.Condition != nil {
		an.condition(own, c.Condition, nil)
	}
	switch c.CommandType {
	case pg_query.CmdType_CMD_UPDATE:
		an.assign(own, e, c.TargetList)
	case pg_query.CmdType_CMD_INSERT:
		vals := an.exprList(own, c.Values)
		for _, v := range vals {
			an.use(v, UseSource)
		}
		for _, n := range c.TargetList {
			rt := n.GetResTarget()
			if rt == nil {
				an.refuseNode("in INSERT of MERGE", n.GetNode())
			}
			an.subscripts(own, rt)
			an.written(e, rt.Name)
		}
		if len(c.TargetList) == 0 {
			for i, a := range liveAttributes(e.rel) {
				if i < len(vals) {
					an.written(e, a.Name)
				}
			}
		}
	case pg_query.CmdType_CMD_DELETE, pg_query.CmdType_CMD_NOTHING:
	default:
		an.refuse("an action of MERGE is not understood")
	}
}
