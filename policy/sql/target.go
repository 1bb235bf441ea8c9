package sql

import (
	"strconv"

	pg_query "github.com/pganalyze/pg_query_go/v6"
)

func itoa(n int) string { return strconv.Itoa(n) }

// names reads a list of String nodes.
func names(nodes []*pg_query.Node) []string {
	out := make([]string, 0, len(nodes))
	for _, n := range nodes {
		if s := n.GetString_(); s != nil {
			out = append(out, s.Sval)
		}
	}
	return out
}

// targetList resolves a select list or a RETURNING list, stars expanded.
func (an *analyser) targetList(s *scope, list []*pg_query.Node) []field {
	var out []field
	for _, n := range list {
		rt := n.GetResTarget()
		if rt == nil {
			an.refuseNode("in the select list", n.GetNode())
		}
		if star := an.star(s, rt.Val); star != nil {
			out = append(out, star...)
			continue
		}
		name := rt.Name
		if name == "" {
			name = an.columnLabel(rt.Val)
		}
		v := an.expr(s, rt.Val)
		if v.relabelled {
			v = expression(v).typed(v.typ)
		}
		an.inert(v)
		out = append(out, field{name, v})
	}
	return out
}

// star expands *, t.*, schema.t.* and (composite).*; nil when n is none of these.
func (an *analyser) star(s *scope, n *pg_query.Node) []field {
	if ind := n.GetAIndirection(); ind != nil && len(ind.Indirection) > 0 && ind.Indirection[len(ind.Indirection)-1].GetAStar() != nil {
		return an.compositeStar(s, ind)
	}
	cr := n.GetColumnRef()
	if cr == nil || len(cr.Fields) == 0 || cr.Fields[len(cr.Fields)-1].GetAStar() == nil {
		return nil
	}
	out := []field{}
	if len(cr.Fields) == 1 {
		for _, it := range s.items {
			if it.columns && !it.lateral {
				out = append(out, an.all(it.entry)...)
			}
		}
		if len(out) == 0 && len(s.items) == 0 {
			an.refuse("SELECT * needs a FROM clause")
		}
		return out
	}
	e := an.entryOf(s, names(cr.Fields))
	if e == nil {
		an.refuse("table %q of %q.* is not in FROM", names(cr.Fields)[len(cr.Fields)-2], names(cr.Fields)[len(cr.Fields)-2])
	}
	return append(out, an.all(e)...)
}

func (an *analyser) all(e *entry) []field {
	for _, f := range e.columns {
		an.touch(f.value)
	}
	return e.columns
}

// entryOf resolves [db.][schema.]alias.
func (an *analyser) entryOf(s *scope, parts []string) *entry {
	switch len(parts) {
	case 1:
		return an.relationNamed(s, "", parts[0])
	case 2:
		return an.relationNamed(s, parts[0], parts[1])
	case 3:
		if parts[0] == an.cat.snapshot.Database {
			return an.relationNamed(s, parts[1], parts[2])
		}
	}
	an.refuse("a name has too many parts or is of another database")
	return nil
}

// compositeStar expands (x).*. A whole row of a FROM item gives its columns as they are; any other composite gives
// expressions over the composite's sources.
func (an *analyser) compositeStar(s *scope, ind *pg_query.A_Indirection) []field {
	v := an.expr(s, ind.Arg)
	steps := ind.Indirection[:len(ind.Indirection)-1]
	if len(steps) > 0 {
		v = an.indirect(s, v, steps)
	}
	if v.whole != nil {
		return append([]field{}, an.all(v.whole)...)
	}
	r := an.cat.composite(v.typ)
	if r == nil {
		an.refuse("the columns of (…).* cannot be told: name them")
	}
	out := []field{}
	for _, a := range liveAttributes(r) {
		f := expression(v)
		f.typ, f.typmod, f.column = a.Type, a.Typmod-1, true
		out = append(out, field{a.Name, f})
	}
	return out
}

// columnLabel is FigureColname of parse_target.c: what an output column without AS is called.
func (an *analyser) columnLabel(n *pg_query.Node) string {
	name, _ := an.label(n)
	if name == "" {
		return "?column?"
	}
	return name
}

// label returns a name and how good it is: 0 none, 1 second choice, 2 good.
func (an *analyser) label(n *pg_query.Node) (string, int) {
	switch n := n.GetNode().(type) {
	case *pg_query.Node_ColumnRef:
		return lastName(n.ColumnRef.Fields), 2
	case *pg_query.Node_AIndirection:
		if name := lastName(n.AIndirection.Indirection); name != "" {
			return name, 2
		}
		return an.label(n.AIndirection.Arg)
	case *pg_query.Node_FuncCall:
		return lastName(n.FuncCall.Funcname), 2
	case *pg_query.Node_AExpr:
		if n.AExpr.Kind == pg_query.A_Expr_Kind_AEXPR_NULLIF {
			return "nullif", 2
		}
	case *pg_query.Node_AConst:
		if n.AConst.GetBoolval() != nil && an.cat.Major() < 15 {
			return "bool", 1 // true was 't'::bool then
		}
	case *pg_query.Node_TypeCast:
		if name, good := an.label(n.TypeCast.Arg); good > 1 {
			return name, good
		}
		if n.TypeCast.TypeName != nil {
			return lastName(n.TypeCast.TypeName.Names), 1
		}
	case *pg_query.Node_CollateClause:
		return an.label(n.CollateClause.Arg)
	case *pg_query.Node_GroupingFunc:
		return "grouping", 2
	case *pg_query.Node_SubLink:
		return an.subLinkLabel(n.SubLink)
	case *pg_query.Node_CaseExpr:
		if name, good := an.label(n.CaseExpr.Defresult); good > 1 {
			return name, good
		}
		return "case", 1
	case *pg_query.Node_AArrayExpr:
		return "array", 2
	case *pg_query.Node_RowExpr:
		return "row", 2
	case *pg_query.Node_CoalesceExpr:
		return "coalesce", 2
	case *pg_query.Node_MinMaxExpr:
		if n.MinMaxExpr.Op == pg_query.MinMaxOp_IS_GREATEST {
			return "greatest", 2
		}
		return "least", 2
	case *pg_query.Node_SqlvalueFunction:
		return valueFunctions[n.SqlvalueFunction.Op].name, 2
	case *pg_query.Node_XmlExpr:
		return xmlLabels[n.XmlExpr.Op], 2
	case *pg_query.Node_XmlSerialize:
		return "xmlserialize", 2
	case *pg_query.Node_JsonObjectConstructor:
		return "json_object", 2
	case *pg_query.Node_JsonArrayConstructor, *pg_query.Node_JsonArrayQueryConstructor:
		return "json_array", 2
	}
	return "", 0
}

func (an *analyser) subLinkLabel(l *pg_query.SubLink) (string, int) {
	switch l.SubLinkType {
	case pg_query.SubLinkType_EXISTS_SUBLINK:
		return "exists", 2
	case pg_query.SubLinkType_ARRAY_SUBLINK:
		return "array", 2
	case pg_query.SubLinkType_EXPR_SUBLINK:
		sel := l.Subselect.GetSelectStmt()
		for sel != nil && sel.Larg != nil {
			sel = sel.Larg
		}
		if sel != nil && len(sel.ValuesLists) > 0 {
			return "column1", 2
		}
		if sel != nil && len(sel.TargetList) > 0 {
			if rt := sel.TargetList[0].GetResTarget(); rt != nil {
				if rt.Name != "" {
					return rt.Name, 2
				}
				return an.columnLabel(rt.Val), 2
			}
		}
	}
	return "", 0
}

func lastName(nodes []*pg_query.Node) string {
	for i := len(nodes) - 1; i >= 0; i-- {
		if s := nodes[i].GetString_(); s != nil {
			return s.Sval
		}
	}
	return ""
}

var xmlLabels = map[pg_query.XmlExprOp]string{
	pg_query.XmlExprOp_IS_XMLCONCAT: "xmlconcat", pg_query.XmlExprOp_IS_XMLELEMENT: "xmlelement",
	pg_query.XmlExprOp_IS_XMLFOREST: "xmlforest", pg_query.XmlExprOp_IS_XMLPARSE: "xmlparse",
	pg_query.XmlExprOp_IS_XMLPI: "xmlpi", pg_query.XmlExprOp_IS_XMLROOT: "xmlroot",
}

type valueFunction struct {
	name string
	typ  uint32
}

var valueFunctions = map[pg_query.SQLValueFunctionOp]valueFunction{
	pg_query.SQLValueFunctionOp_SVFOP_CURRENT_DATE:        {"current_date", typeDate},
	pg_query.SQLValueFunctionOp_SVFOP_CURRENT_TIME:        {"current_time", 1266},
	pg_query.SQLValueFunctionOp_SVFOP_CURRENT_TIME_N:      {"current_time", 1266},
	pg_query.SQLValueFunctionOp_SVFOP_CURRENT_TIMESTAMP:   {"current_timestamp", 1184},
	pg_query.SQLValueFunctionOp_SVFOP_CURRENT_TIMESTAMP_N: {"current_timestamp", 1184},
	pg_query.SQLValueFunctionOp_SVFOP_LOCALTIME:           {"localtime", 1083},
	pg_query.SQLValueFunctionOp_SVFOP_LOCALTIME_N:         {"localtime", 1083},
	pg_query.SQLValueFunctionOp_SVFOP_LOCALTIMESTAMP:      {"localtimestamp", 1114},
	pg_query.SQLValueFunctionOp_SVFOP_LOCALTIMESTAMP_N:    {"localtimestamp", 1114},
	pg_query.SQLValueFunctionOp_SVFOP_CURRENT_ROLE:        {"current_role", typeName},
	pg_query.SQLValueFunctionOp_SVFOP_CURRENT_USER:        {"current_user", typeName},
	pg_query.SQLValueFunctionOp_SVFOP_USER:                {"user", typeName},
	pg_query.SQLValueFunctionOp_SVFOP_SESSION_USER:        {"session_user", typeName},
	pg_query.SQLValueFunctionOp_SVFOP_CURRENT_CATALOG:     {"current_catalog", typeName},
	pg_query.SQLValueFunctionOp_SVFOP_CURRENT_SCHEMA:      {"current_schema", typeName},
}
