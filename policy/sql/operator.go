package sql

import (
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v6"
)

// operatorExpr resolves an A_Expr that is not one of the comparisons handled by condition.
func (an *analyser) operatorExpr(s *scope, e *pg_query.A_Expr) value {
	op := names(e.Name)
	if len(op) == 0 {
		an.refuse("an operator lacks a name")
	}
	if e.Kind == pg_query.A_Expr_Kind_AEXPR_OP && e.Lexpr == nil {
		v := an.expr(s, e.Rexpr)
		if v.literal && v.typ != typeUnknown && op[len(op)-1] == "-" && len(op) == 1 { // -1 is a constant
			v.text, v.lit = strings.TrimPrefix("-"+v.text, "--"), 0
			return v
		}
		return expression(v).typed(an.prefix(op, v))
	}
	l := an.expr(s, e.Lexpr)
	var rs []value
	if list := e.Rexpr.GetList(); list != nil {
		rs = an.exprList(s, list.Items)
	} else {
		rs = []value{an.expr(s, e.Rexpr)}
	}
	out := expression(append([]value{l}, rs...)...)
	var result uint32 = typeBool
	switch e.Kind {
	case pg_query.A_Expr_Kind_AEXPR_OP:
		result = an.binary(op, l, rs[0])
		an.operands(op, l, rs[0])
	case pg_query.A_Expr_Kind_AEXPR_NULLIF:
		an.binary(op, l, rs[0])
		result = l.typ
	case pg_query.A_Expr_Kind_AEXPR_OP_ANY, pg_query.A_Expr_Kind_AEXPR_OP_ALL:
		an.binary(op, l, value{typ: an.cat.elementType(rs[0].typ)})
	case pg_query.A_Expr_Kind_AEXPR_DISTINCT, pg_query.A_Expr_Kind_AEXPR_NOT_DISTINCT, pg_query.A_Expr_Kind_AEXPR_IN,
		pg_query.A_Expr_Kind_AEXPR_LIKE, pg_query.A_Expr_Kind_AEXPR_ILIKE, pg_query.A_Expr_Kind_AEXPR_SIMILAR:
		for _, r := range rs {
			an.binary(op, l, r)
			an.operands(op, r)
		}
	case pg_query.A_Expr_Kind_AEXPR_BETWEEN, pg_query.A_Expr_Kind_AEXPR_NOT_BETWEEN,
		pg_query.A_Expr_Kind_AEXPR_BETWEEN_SYM, pg_query.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM:
		for _, r := range rs {
			for _, cmp := range []string{"<", "<=", ">", ">="} {
				an.binary([]string{cmp}, l, r)
			}
			an.operands([]string{"<"}, r)
		}
	default:
		an.refuse("an operator expression of kind %s is not understood", e.Kind)
	}
	return out.typed(result)
}

// binary notes the operator that op can mean between the two, where it is not PostgreSQL's own, and returns the type of
// the result, 0 when that depends.
func (an *analyser) binary(op []string, l, r value) uint32 {
	an.foreign = false
	an.implicitCasts(l, r)
	lt, rt := l.typ, r.typ
	name, path := an.operatorName(op)
	if lt != 0 && rt != 0 && (lt != typeUnknown || rt != typeUnknown) {
		// binary_oper_exact: an unknown literal is taken to be of the other's type.
		el, er := lt, rt
		if el == typeUnknown {
			el = er
		} else if er == typeUnknown {
			er = el
		}
		for _, pair := range [][2]uint32{{el, er}, {an.cat.baseType(el), an.cat.baseType(er)}} {
			for _, ns := range path {
				if o := an.cat.exactOps[operatorKey{ns, name, pair[0], pair[1]}]; o != nil {
					an.useOperator(o)
					return o.Result
				}
			}
		}
	}
	found := an.operatorsNamed(op)
	return an.candidates(found, func(o *Operator) bool {
		return o.Left != 0 && an.cat.implicit(lt, o.Left) && an.cat.implicit(rt, o.Right)
	})
}

func (an *analyser) prefix(op []string, v value) uint32 {
	an.implicitCasts(v)
	return an.candidates(an.operatorsNamed(op), func(o *Operator) bool {
		return o.Left == 0 && an.cat.implicit(v.typ, o.Right)
	})
}

func (an *analyser) candidates(found []*Operator, fits func(*Operator) bool) uint32 {
	var result uint32
	first := true
	for _, o := range found {
		if !fits(o) {
			continue
		}
		an.useOperator(o)
		if !first && o.Result != result {
			result = 0
		} else if first {
			result, first = o.Result, false
		}
	}
	return result
}

// operatorName is the operator's own name and the schemas it is looked for in.
func (an *analyser) operatorName(op []string) (string, []uint32) {
	name := op[len(op)-1]
	if name == "!=" {
		name = "<>"
	}
	if len(op) == 1 {
		return name, an.path
	}
	ns, ok := an.cat.schemas[op[len(op)-2]]
	if !ok {
		an.refuse("operator schema %q does not exist", op[len(op)-2])
	}
	return name, []uint32{ns}
}

// operatorsNamed are the visible operators of the name, in search-path order.
func (an *analyser) operatorsNamed(op []string) []*Operator {
	name, path := an.operatorName(op)
	var out []*Operator
	for _, ns := range path {
		for _, o := range an.cat.operators[name] {
			if o.Namespace == ns {
				out = append(out, o)
			}
		}
	}
	if len(out) == 0 {
		an.refuse("operator %q does not exist in the search path", name)
	}
	return out
}

func (an *analyser) useOperator(o *Operator) {
	if !isSystem(o.OID) {
		an.foreign = true
		an.function(FunctionUse{OID: o.Function, Schema: an.cat.names[o.Namespace], Name: o.Name, Why: "user-defined operator"})
		return
	}
	if f := an.cat.funcByOID[o.Function]; f != nil {
		if why := an.cat.unsafe(f); why != "" {
			an.function(FunctionUse{OID: f.OID, Schema: an.cat.names[f.Namespace], Name: f.Name, Why: why})
		}
	}
}

// implicitCasts notes functions of users that may run because a value of a user's type is converted unasked.
func (an *analyser) implicitCasts(vs ...value) {
	for _, v := range vs {
		if isSystem(v.typ) {
			continue
		}
		for _, c := range an.cat.userCasts {
			if c.Source == v.typ && c.Context == "i" {
				an.useCast(c)
			}
		}
	}
}

func (an *analyser) useCast(c *Cast) {
	f := an.cat.funcByOID[c.Function]
	use := FunctionUse{OID: c.Function, Name: "cast", Why: "user-defined cast"}
	if f != nil {
		use.Schema, use.Name = an.cat.names[f.Namespace], f.Name
	}
	an.function(use)
}
