package sql

import (
	"regexp"
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v6"
)

// condition walks WHERE, HAVING or ON. conds is nil where a conjunct does not restrict every row.
func (an *analyser) condition(s *scope, n *pg_query.Node, conds *conditions) {
	switch x := n.GetNode().(type) {
	case *pg_query.Node_BoolExpr:
		switch x.BoolExpr.Boolop {
		case pg_query.BoolExprType_AND_EXPR:
			for _, a := range x.BoolExpr.Args {
				an.condition(s, a, conds)
			}
			return
		case pg_query.BoolExprType_OR_EXPR:
			for _, a := range x.BoolExpr.Args {
				an.condition(s, a, nil)
			}
			return
		}
	case *pg_query.Node_AExpr:
		if an.comparison(s, x.AExpr, conds) {
			return
		}
	case *pg_query.Node_SubLink:
		if an.membership(s, x.SubLink, conds) {
			return
		}
	}
	an.use(an.expr(s, n), UseFilter)
}

// comparison handles =, IN and = ANY, the forms that may be a match; false for everything else.
func (an *analyser) comparison(s *scope, e *pg_query.A_Expr, conds *conditions) bool {
	op := names(e.Name)
	if len(op) == 0 || op[len(op)-1] != "=" {
		return false
	}
	switch e.Kind {
	case pg_query.A_Expr_Kind_AEXPR_OP:
		if e.Lexpr == nil {
			return false
		}
		lr, rr := e.Lexpr.GetRowExpr(), e.Rexpr.GetRowExpr()
		if lr != nil && rr != nil && len(lr.Args) == len(rr.Args) && len(lr.Args) > 0 {
			ls, rs := an.exprList(s, lr.Args), an.exprList(s, rr.Args)
			if len(ls) != len(rs) {
				an.refuse("rows compared are of different length")
			}
			for i := range ls {
				an.binary(op, ls[i], rs[i])
				an.equal(ls[i], rs[i], conds)
			}
			return true
		}
		l, r := an.expr(s, e.Lexpr), an.expr(s, e.Rexpr)
		an.binary(op, l, r)
		an.operands(op, l, r)
		an.equal(l, r, conds)
		return true
	case pg_query.A_Expr_Kind_AEXPR_IN:
		list := e.Rexpr.GetList()
		if list == nil || e.Lexpr.GetRowExpr() != nil {
			return false
		}
		l := an.expr(s, e.Lexpr)
		constant := true
		for i, n := range list.Items {
			if n.GetRowExpr() != nil {
				an.refuse("a row cannot be a member of a list of values")
			}
			r := an.expr(s, n)
			an.binary(op, l, r)
			an.operands(op, r)
			constant = constant && !r.column && !an.foreign
			if i == 0 && len(list.Items) == 1 {
				an.equal(l, r, conds)
			} else {
				an.equal(l, r, nil)
			}
		}
		if constant && len(list.Items) > 1 {
			an.hold(l, value{}, conds)
		}
		return true
	case pg_query.A_Expr_Kind_AEXPR_OP_ANY:
		l, r := an.expr(s, e.Lexpr), an.expr(s, e.Rexpr)
		an.binary(op, l, expression(r).typed(an.cat.elementType(r.typ)))
		an.operands(op, r)
		switch {
		case l.bare() && !r.column && !an.foreign:
			an.column(l.base, UseMatch, Column{})
			an.computed(l, r)
			an.hold(l, value{}, conds)
		case l.bare() && r.array != nil:
			for _, m := range r.array {
				an.equal(l, m, nil)
			}
		default:
			an.use(l, UseFilter)
			an.use(r, UseFilter)
		}
		return true
	default:
		return false
	}
}

// membership handles x IN (SELECT y …) and = ANY (SELECT …): a comparison of columns, as a join would be.
func (an *analyser) membership(s *scope, l *pg_query.SubLink, conds *conditions) bool {
	op := names(l.OperName)
	if l.SubLinkType != pg_query.SubLinkType_ANY_SUBLINK || len(op) > 0 && op[len(op)-1] != "=" {
		return false
	}
	if len(op) == 0 {
		op = []string{"="}
	}
	var left []value
	if row := l.Testexpr.GetRowExpr(); row != nil {
		left = an.exprList(s, row.Args)
	} else {
		left = []value{an.expr(s, l.Testexpr)}
	}
	q := an.subquery(s, l.Subselect)
	if len(left) != len(q.columns) {
		an.refuse("the subquery of IN must have as many columns as stand on its left")
	}
	for i := range left {
		an.binary(op, left[i], q.columns[i].value)
		an.equal(left[i], q.columns[i].value, nil)
		if !an.foreign {
			an.hold(left[i], q.columns[i].value, conds) // not the other way: the subquery's rows are all read
		}
	}
	return true
}

// equal records a comparison by the operator = just resolved, and what it pins.
func (an *analyser) equal(l, r value, conds *conditions) {
	switch {
	case an.foreign:
		an.use(l, UseFilter)
		an.use(r, UseFilter)
	case l.bare() && r.bare():
		an.recorder.column(l.base, UseMatch, r.base)
		an.recorder.column(r.base, UseMatch, l.base)
		an.hold(l, r, conds)
		an.hold(r, l, conds)
		if conds != nil && !conds.outer && l.row && r.row && an.exact(l) && an.exact(r) && l.base != r.base {
			conds.equal = append(conds.equal, [2]Column{l.base, r.base})
		}
	case l.bare() && !r.column:
		an.recorder.column(l.base, UseMatch, Column{})
		an.computed(l, r)
		an.hold(l, r, conds)
		an.pin(l, r, conds)
	case r.bare() && !l.column:
		an.recorder.column(r.base, UseMatch, Column{})
		an.computed(r, l)
		an.hold(r, l, conds)
		an.pin(r, l, conds)
	default:
		an.use(l, UseFilter)
		an.use(r, UseFilter)
	}
}

// exact says that = on the column's type holds for equal text only.
func (an *analyser) exact(v value) bool {
	if v.coll {
		return false
	}
	switch an.cat.baseType(v.typ) {
	case typeText, typeVarchar, typeInt2, typeInt4, typeInt8, typeUUID:
		return true
	default:
		return false
	}
}

var canonicalInt = regexp.MustCompile(`^(0|-?[1-9][0-9]{0,18})$`)
var canonicalUUID = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// pin notes that the column is held to the constant or parameter, where the value's text is the column's text.
func (an *analyser) pin(col, c value, conds *conditions) {
	if conds == nil || conds.outer || !col.row || !an.exact(col) || col.base.Att <= 0 {
		return
	}
	p := heldPin{Pin{Column: col.base, Param: c.param, Value: c.text}, c.lit}
	typ := an.cat.baseType(col.typ)
	text := typ == typeText || typ == typeVarchar
	if c.typ != typeUnknown && c.typ != 0 {
		ct := an.cat.baseType(c.typ)
		if text != (ct == typeText || ct == typeVarchar) || typ == typeUUID && ct != typeUUID {
			return
		}
	}
	if c.typmod != -1 && c.typmod != 0 {
		return // cut or padded to a length
	}
	switch {
	case c.param > 0 && text:
		p.Value = ""
	case !c.literal: // a parameter of another type may be sent in a form of its own ("007")
		return
	case text:
	case typ == typeUUID:
		if p.Value = strings.ToLower(p.Value); !canonicalUUID.MatchString(p.Value) {
			return
		}
	case !canonicalInt.MatchString(p.Value):
		return
	}
	conds.pins = append(conds.pins, p)
}

// held are the pins of the conditions and those that follow from equal columns, for relations whose rows enter the
// statement only once: the pinned column of a table that stands in FROM twice says nothing about its other rows.
func (an *analyser) held(conds *conditions) []heldPin {
	if conds == nil {
		return nil
	}
	// First the relations, then what follows: a = b says nothing when it is not known which of two a's is meant.
	once := func(c Column) bool { return an.occurrences(c.Table) == 1 }
	var pins []heldPin
	for _, p := range conds.pins {
		if once(p.Column) {
			pins = append(pins, p)
		}
	}
	for changed := true; changed; {
		changed = false
		for _, eq := range conds.equal {
			for i := range 2 {
				if p, ok := pinned(pins, eq[i]); ok && once(eq[1-i]) {
					if _, has := pinned(pins, eq[1-i]); !has {
						p.Column = eq[1-i]
						pins, changed = append(pins, p), true
					}
				}
			}
		}
	}
	return pins
}

func pinned(pins []heldPin, c Column) (heldPin, bool) {
	for _, p := range pins {
		if p.Column == c {
			return p, true
		}
	}
	return heldPin{}, false
}
