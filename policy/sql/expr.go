package sql

import (
	pg_query "github.com/pganalyze/pg_query_go/v6"
)

// expr resolves an expression: what its value comes from. Subqueries inside record their own uses; the sources of the
// value itself are recorded by whoever knows what becomes of it. The switch is closed: what is not listed is refused.
func (an *analyser) expr(s *scope, n *pg_query.Node) value {
	switch n := n.GetNode().(type) {
	case *pg_query.Node_ColumnRef:
		return an.columnRef(s, n.ColumnRef)
	case *pg_query.Node_ParamRef:
		an.params = max(an.params, int(n.ParamRef.Number))
		return value{param: int(n.ParamRef.Number), typ: an.paramType(int(n.ParamRef.Number)), typmod: -1}
	case *pg_query.Node_AConst:
		v := constant(n.AConst)
		v.lit = an.note(n.AConst, v.text)
		return v
	case *pg_query.Node_TypeCast:
		return an.typeCast(an.expr(s, n.TypeCast.Arg), n.TypeCast.TypeName)
	case *pg_query.Node_FuncCall:
		return an.funcCall(s, n.FuncCall)
	case *pg_query.Node_AExpr:
		return an.operatorExpr(s, n.AExpr)
	case *pg_query.Node_BoolExpr:
		return expression(an.exprList(s, n.BoolExpr.Args)...).typed(typeBool)
	case *pg_query.Node_NullTest:
		return expression(an.expr(s, n.NullTest.Arg)).typed(typeBool)
	case *pg_query.Node_BooleanTest:
		return expression(an.expr(s, n.BooleanTest.Arg)).typed(typeBool)
	case *pg_query.Node_SubLink:
		return an.subLink(s, n.SubLink)
	case *pg_query.Node_CaseExpr:
		return an.caseExpr(s, n.CaseExpr)
	case *pg_query.Node_CoalesceExpr:
		return an.oneOf(an.exprList(s, n.CoalesceExpr.Args))
	case *pg_query.Node_MinMaxExpr:
		return an.oneOf(an.exprList(s, n.MinMaxExpr.Args))
	case *pg_query.Node_AArrayExpr:
		return an.arrayExpr(s, n.AArrayExpr)
	case *pg_query.Node_RowExpr:
		return expression(an.exprList(s, n.RowExpr.Args)...).typed(typeRecord)
	case *pg_query.Node_AIndirection:
		return an.indirect(s, an.expr(s, n.AIndirection.Arg), n.AIndirection.Indirection)
	case *pg_query.Node_CollateClause:
		an.collation(n.CollateClause)
		v := an.expr(s, n.CollateClause.Arg)
		return expression(v).typed(v.typ)
	case *pg_query.Node_SqlvalueFunction:
		f, ok := valueFunctions[n.SqlvalueFunction.Op]
		if !ok {
			an.refuseNode("as an expression", n)
		}
		return value{typ: f.typ, typmod: -1}
	case *pg_query.Node_XmlExpr:
		args := append(an.exprList(s, n.XmlExpr.Args), an.targetValues(s, n.XmlExpr.NamedArgs)...)
		return expression(args...).typed(142)
	case *pg_query.Node_XmlSerialize:
		return an.typeCast(expression(an.expr(s, n.XmlSerialize.Expr)), n.XmlSerialize.TypeName)
	case *pg_query.Node_GroupingFunc:
		an.exprList(s, n.GroupingFunc.Args) // says which columns are grouped, nothing of their values
		return value{typ: typeInt4, typmod: -1}
	case *pg_query.Node_NamedArgExpr:
		return an.expr(s, n.NamedArgExpr.Arg)
	case *pg_query.Node_SetToDefault:
		return value{typmod: -1}
	case *pg_query.Node_CurrentOfExpr:
		return value{typ: typeBool, typmod: -1, column: true}
	case *pg_query.Node_JsonObjectConstructor, *pg_query.Node_JsonArrayConstructor, *pg_query.Node_JsonIsPredicate:
		return an.jsonExpr(s, n)
	default:
		an.refuseNode("as an expression", n)
		return value{}
	}
}

// paramType is the declared type of a parameter, unknown when that is left to the server, 0 when we were not told.
func (an *analyser) paramType(n int) uint32 {
	switch {
	case an.declared == nil:
		return 0
	case n < 1 || n > len(an.declared) || an.declared[n-1] == 0:
		return typeUnknown
	default:
		return an.declared[n-1]
	}
}

func (an *analyser) exprList(s *scope, nodes []*pg_query.Node) []value {
	out := make([]value, 0, len(nodes))
	for _, n := range nodes {
		if star := an.star(s, n); star != nil { // ROW(t.*), VALUES (t.*)
			for _, f := range star {
				out = append(out, f.value)
			}
			continue
		}
		out = append(out, an.expr(s, n))
	}
	return out
}

// targetValues reads ResTargets used as named arguments.
func (an *analyser) targetValues(s *scope, nodes []*pg_query.Node) []value {
	var out []value
	for _, n := range nodes {
		rt := n.GetResTarget()
		if rt == nil {
			an.refuseNode("as a named argument", n.GetNode())
		}
		out = append(out, an.expr(s, rt.Val))
	}
	return out
}

func constant(c *pg_query.A_Const) value {
	v := value{literal: true, typ: typeUnknown, typmod: -1}
	if c.Isnull {
		v.literal = false
		return v
	}
	switch k := c.Val.(type) {
	case *pg_query.A_Const_Ival:
		v.typ, v.text = typeInt4, itoa(int(k.Ival.GetIval()))
	case *pg_query.A_Const_Fval:
		v.typ, v.text = typeNumeric, k.Fval.GetFval()
		if len(v.text) < 20 && canonicalInt.MatchString(v.text) {
			v.typ = typeInt8
		}
	case *pg_query.A_Const_Sval:
		v.text = k.Sval.GetSval()
	case *pg_query.A_Const_Boolval:
		v.typ, v.literal = typeBool, false
	case *pg_query.A_Const_Bsval:
		v.typ, v.literal = typeBit, false
	default:
		v.literal = false
	}
	return v
}

// columnRef follows transformColumnRef: a column, else a whole row, else a column by functional notation.
func (an *analyser) columnRef(s *scope, cr *pg_query.ColumnRef) value {
	parts := names(cr.Fields)
	star := len(cr.Fields) > 0 && cr.Fields[len(cr.Fields)-1].GetAStar() != nil
	switch {
	case star && len(parts) == 0:
		an.refuse("* cannot stand in an expression")
	case star: // t.* inside an expression is the row
		e := an.entryOf(s, parts)
		if e == nil {
			an.refuse("table %q is not in FROM", parts[len(parts)-1])
		}
		return an.wholeRow(e)
	case len(parts) == 1:
		v, n := an.columnNamed(s, parts[0])
		if n == 1 {
			return v
		}
		if n > 1 {
			an.refuse("column %q is ambiguous: write table.column", parts[0])
		}
		if e := an.relationNamed(s, "", parts[0]); e != nil {
			return an.wholeRow(e)
		}
		an.refuse("column %q does not exist", parts[0])
	}
	e := an.entryOf(s, parts[:len(parts)-1])
	if e == nil {
		an.refuse("table %q is not in FROM", parts[len(parts)-2])
	}
	return an.columnOf(e, parts[len(parts)-1])
}

// columnOf is alias.name: a column, or a function of the row in attribute notation.
func (an *analyser) columnOf(e *entry, name string) value {
	v, n := an.fieldOf(e, name)
	switch {
	case n == 1:
		return v
	case n > 1:
		an.refuse("column %q is ambiguous", name)
	}
	return an.call([]string{name}, []value{an.wholeRow(e)}, false).value
}

// indirect applies subscripts and field selections.
func (an *analyser) indirect(s *scope, v value, steps []*pg_query.Node) value {
	for _, st := range steps {
		switch st := st.GetNode().(type) {
		case *pg_query.Node_String_:
			v = an.selectField(v, st.String_.Sval)
		case *pg_query.Node_AIndices:
			typ := an.cat.elementType(v.typ)
			if st.AIndices.IsSlice {
				typ = v.typ
			}
			parts := []value{v}
			for _, i := range []*pg_query.Node{st.AIndices.Lidx, st.AIndices.Uidx} {
				if i != nil {
					parts = append(parts, an.expr(s, i))
				}
			}
			v = expression(parts...).typed(typ)
		case *pg_query.Node_AStar:
			return expression(v)
		default:
			an.refuseNode("after a value", st)
		}
	}
	return v
}

func (an *analyser) selectField(v value, name string) value {
	if v.whole != nil {
		// (t).name: the server turns it into the column itself. The whole row was noted on the way; it is not read.
		if f, n := an.fieldOf(v.whole, name); n == 1 {
			return f
		}
		return an.call([]string{name}, []value{v}, false).value
	}
	out := expression(v)
	out.column, out.typmod = true, -1
	switch r := an.cat.composite(v.typ); {
	case r != nil:
		if a, ok := r.Attribute(name); ok {
			out.typ = a.Type
			return out
		}
	case v.typ == 0 || v.typ == typeRecord:
		// A field, or else the function of that name.
		for _, f := range an.functionsNamed([]string{name}, []value{v}) {
			an.calls(f, name)
		}
		return out
	}
	return an.call([]string{name}, []value{v}, false).value // (value).name is name(value)
}

func (an *analyser) oneOf(vs []value) value {
	out := expression(vs...)
	for i, v := range vs {
		if i == 0 {
			out.typ = v.typ
		} else {
			out.typ = an.cat.commonType(out.typ, v.typ)
		}
	}
	out.typmod = -1
	return out
}

func (an *analyser) caseExpr(s *scope, c *pg_query.CaseExpr) value {
	var tests, results []value
	var arg *value
	if c.Arg != nil {
		v := an.expr(s, c.Arg)
		arg = &v
		tests = append(tests, v)
	}
	for _, n := range c.Args {
		w := n.GetCaseWhen()
		if w == nil {
			an.refuseNode("in CASE", n.GetNode())
		}
		t := an.expr(s, w.Expr)
		if arg != nil {
			an.binary([]string{"="}, *arg, t)
		}
		tests = append(tests, t)
		results = append(results, an.expr(s, w.Result))
	}
	if c.Defresult != nil {
		results = append(results, an.expr(s, c.Defresult))
	}
	out := expression(append(tests, results...)...)
	return out.typed(an.oneOf(results).typ)
}

func (an *analyser) arrayExpr(s *scope, a *pg_query.A_ArrayExpr) value {
	vs := an.exprList(s, a.Elements)
	one := an.oneOf(vs)
	out := expression(vs...)
	out.typmod = -1
	if t := an.cat.types[one.typ]; t != nil && t.Array != 0 {
		out.typ = t.Array
	} else if t != nil && t.Category == "A" {
		out.typ = one.typ
	}
	out.array = vs
	return out
}

func (an *analyser) collation(c *pg_query.CollateClause) {
	// A collation decides how strings compare, with its definition's rules, not with code of users.
	if len(names(c.Collname)) == 0 {
		an.refuse("a COLLATE clause lacks a name")
	}
}

func (an *analyser) subquery(s *scope, n *pg_query.Node) query {
	child := s.child()
	child.sublink = true
	return an.query(child, n, "")
}

func (an *analyser) subLink(s *scope, l *pg_query.SubLink) value {
	var parts []value
	if l.Testexpr != nil {
		parts = append(parts, an.expr(s, l.Testexpr))
	}
	q := an.subquery(s, l.Subselect)
	out := value{typmod: -1}
	switch l.SubLinkType {
	case pg_query.SubLinkType_EXISTS_SUBLINK:
		// The values go nowhere, but where the planner keeps the list (OFFSET, HAVING) computing them may fail visibly.
		an.record(q.columns, UseOutput)
		return value{typ: typeBool, typmod: -1, column: true}
	case pg_query.SubLinkType_ANY_SUBLINK, pg_query.SubLinkType_ALL_SUBLINK:
		op := names(l.OperName)
		if len(op) == 0 {
			op = []string{"="}
		}
		for _, f := range q.columns {
			left := value{}
			if len(parts) > 0 && parts[0].typ != typeRecord {
				left = parts[0]
			}
			an.binary(op, left, f.value)
		}
		out.typ = typeBool
	case pg_query.SubLinkType_EXPR_SUBLINK:
		if len(q.columns) == 1 {
			out.typ = q.columns[0].typ
		}
	case pg_query.SubLinkType_ARRAY_SUBLINK:
		an.shows("ARRAY (SELECT …)")
		if len(q.columns) == 1 {
			if t := an.cat.types[q.columns[0].typ]; t != nil {
				out.typ = t.Array
			}
		}
	default:
		an.refuse("this kind of subquery is not understood")
	}
	for _, f := range q.columns {
		parts = append(parts, f.value)
	}
	v := expression(parts...)
	v.typ, v.typmod, v.column = out.typ, -1, true
	v.agg = v.agg && len(v.from) > 0 && l.SubLinkType == pg_query.SubLinkType_EXPR_SUBLINK
	return v
}
