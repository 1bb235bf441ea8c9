package sql

import (
	pg_query "github.com/pganalyze/pg_query_go/v6"
)

// jsonExpr handles the SQL/JSON constructors that are plain expressions. To servers before 17 the same words may be
// names of functions, so there they are refused (WIRE.md, route 51).
func (an *analyser) jsonExpr(s *scope, n any) value {
	if an.cat.Major() < parserMajor {
		an.refuse("SQL/JSON constructors mean something else to this server: use json_build_object or json_build_array")
	}
	switch n := n.(type) {
	case *pg_query.Node_JsonObjectConstructor:
		var parts []value
		for _, e := range n.JsonObjectConstructor.Exprs {
			kv := e.GetJsonKeyValue()
			if kv == nil || n.JsonObjectConstructor.Output != nil {
				an.refuseNode("in JSON_OBJECT", e.GetNode())
			}
			parts = append(parts, an.expr(s, kv.Key), an.jsonValue(s, kv.Value))
		}
		return expression(parts...).typed(114)
	case *pg_query.Node_JsonArrayConstructor:
		var parts []value
		for _, e := range n.JsonArrayConstructor.Exprs {
			if n.JsonArrayConstructor.Output != nil {
				an.refuseNode("in JSON_ARRAY", e.GetNode())
			}
			parts = append(parts, an.jsonValue(s, e.GetJsonValueExpr()))
		}
		return expression(parts...).typed(114)
	case *pg_query.Node_JsonIsPredicate:
		return expression(an.expr(s, n.JsonIsPredicate.Expr)).typed(typeBool)
	default:
		an.refuseNode("as an expression", n)
		return value{}
	}
}

func (an *analyser) jsonValue(s *scope, v *pg_query.JsonValueExpr) value {
	if v == nil || v.RawExpr == nil {
		an.refuse("a JSON value is not understood")
	}
	return an.expr(s, v.RawExpr)
}
