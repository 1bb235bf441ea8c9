package sql

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
)

// Predicate is a condition on the rows of one table, written in SQL: comparisons of columns with constants, with each other,
// and with what is known of the person. It is a small language of its own: whatever is not known to be a plain, immutable
// operator of PostgreSQL's, that cannot fail, is not part of it. It is written out anew for each statement, never pasted.
type Predicate struct {
	root    predicate
	columns []string
}

// Attributes of the person that a predicate may name, as person.user and so on.
var personAttributes = []string{"user", "department", "position"}

// predicate is a node: an operation over others, or a comparison.
type predicate struct {
	op   string // "and", "or", "not", "null" (of left), or the operator between left and right
	args []predicate
	left operand
	// right of a comparison.
	right operand
}

// operand is a column, an attribute of the person, or a constant.
type operand struct {
	column, person string
	text           string // of a constant
	kind           byte   // of a constant: 's'tring, 'n'umber or 'b'oolean
}

// maxPredicate bounds a predicate's text.
const maxPredicate = 4000

// ParsePredicate reads a predicate with PostgreSQL's grammar.
func ParsePredicate(text string) (*Predicate, error) {
	if len(text) > maxPredicate {
		return nil, fmt.Errorf("the condition is longer than %d bytes: shorten it", maxPredicate)
	}
	tree, _, err := parse("SELECT WHERE "+text, parserMajor)
	if err != nil {
		return nil, fmt.Errorf("the condition is not SQL: %s", max(err.Told, err.Reason))
	}
	empty, _, err := parse("SELECT", parserMajor)
	if err != nil || len(tree.Stmts) != 1 {
		return nil, fmt.Errorf("the condition is more than one expression: write one, as after WHERE")
	}
	sel := tree.Stmts[0].Stmt.GetSelectStmt()
	where := sel.GetWhereClause()
	if where == nil {
		return nil, fmt.Errorf("the condition is empty: write one, as after WHERE")
	}
	sel.WhereClause = nil
	if !proto.Equal(sel, empty.Stmts[0].Stmt.GetSelectStmt()) {
		return nil, fmt.Errorf("the condition is more than one expression: write one, as after WHERE")
	}
	p := &Predicate{}
	root, wrong := p.node(where)
	if wrong != nil {
		return nil, wrong
	}
	p.root = root
	if len(p.columns) == 0 {
		return nil, fmt.Errorf("the condition names no column, so it says nothing about rows: use when")
	}
	return p, nil
}

var errPredicate = fmt.Errorf("the condition may hold =, <>, <, <=, >, >=, IN, BETWEEN, LIKE, IS NULL, AND, OR and NOT between columns, constants and person.user, person.department, person.position, nothing else")

func (p *Predicate) node(n *pg_query.Node) (predicate, error) {
	switch x := n.GetNode().(type) {
	case *pg_query.Node_BoolExpr:
		return p.boolean(x.BoolExpr)
	case *pg_query.Node_NullTest:
		if x.NullTest.Argisrow {
			return predicate{}, errPredicate
		}
		v, err := p.operand(x.NullTest.Arg)
		if err != nil || v.column == "" {
			return predicate{}, errPredicate
		}
		out := predicate{op: "null", left: v}
		if x.NullTest.Nulltesttype == pg_query.NullTestType_IS_NOT_NULL {
			out = predicate{op: "not", args: []predicate{out}}
		}
		return out, nil
	case *pg_query.Node_AExpr:
		return p.comparison(x.AExpr)
	case *pg_query.Node_ColumnRef: // a boolean column
		v, err := p.operand(n)
		if err != nil || v.column == "" {
			return predicate{}, errPredicate
		}
		return predicate{op: "=", left: v, right: operand{kind: 'b', text: "true"}}, nil
	}
	return predicate{}, errPredicate
}

func (p *Predicate) boolean(b *pg_query.BoolExpr) (predicate, error) {
	op := map[pg_query.BoolExprType]string{
		pg_query.BoolExprType_AND_EXPR: "and", pg_query.BoolExprType_OR_EXPR: "or", pg_query.BoolExprType_NOT_EXPR: "not",
	}[b.Boolop]
	if op == "" {
		return predicate{}, errPredicate
	}
	out := predicate{op: op}
	for _, a := range b.Args {
		arg, err := p.node(a)
		if err != nil {
			return predicate{}, err
		}
		out.args = append(out.args, arg)
	}
	return out, nil
}

func (p *Predicate) comparison(e *pg_query.A_Expr) (predicate, error) {
	op := names(e.Name)
	if len(op) != 1 || e.Lexpr == nil {
		return predicate{}, errPredicate
	}
	left, err := p.operand(e.Lexpr)
	if err != nil {
		return predicate{}, err
	}
	switch e.Kind {
	case pg_query.A_Expr_Kind_AEXPR_OP:
		if !slices.Contains([]string{"=", "<>", "<", "<=", ">", ">="}, op[0]) {
			return predicate{}, errPredicate
		}
		return p.compare(op[0], left, e.Rexpr)
	case pg_query.A_Expr_Kind_AEXPR_LIKE:
		out, err := p.compare(op[0], left, e.Rexpr)
		if err == nil && (left.column == "" || out.right.kind != 's' || strings.Contains(out.right.text, `\`)) {
			return predicate{}, fmt.Errorf("LIKE compares a column with a pattern in quotes, without backslashes")
		}
		return out, err
	case pg_query.A_Expr_Kind_AEXPR_IN, pg_query.A_Expr_Kind_AEXPR_BETWEEN:
		list := e.Rexpr.GetList().GetItems()
		between := e.Kind == pg_query.A_Expr_Kind_AEXPR_BETWEEN
		if between && len(list) != 2 || len(list) == 0 {
			return predicate{}, errPredicate
		}
		out := predicate{op: map[string]string{"=": "or", "<>": "and", "BETWEEN": "and"}[op[0]]}
		for i, n := range list {
			one := op[0]
			if between {
				one = []string{">=", "<="}[i]
			}
			c, err := p.compare(one, left, n)
			if err != nil {
				return predicate{}, err
			}
			out.args = append(out.args, c)
		}
		if out.op == "" {
			return predicate{}, errPredicate
		}
		return out, nil
	}
	return predicate{}, errPredicate
}

func (p *Predicate) compare(op string, left operand, n *pg_query.Node) (predicate, error) {
	right, err := p.operand(n)
	if err != nil {
		return predicate{}, err
	}
	if left.column == "" && right.column == "" {
		return predicate{}, fmt.Errorf("a comparison in the condition names no column")
	}
	return predicate{op: op, left: left, right: right}, nil
}

func (p *Predicate) operand(n *pg_query.Node) (operand, error) {
	if c := n.GetAConst(); c != nil && !c.Isnull {
		switch v := c.Val.(type) {
		case *pg_query.A_Const_Ival:
			return operand{kind: 'n', text: strconv.Itoa(int(v.Ival.GetIval()))}, nil
		case *pg_query.A_Const_Fval:
			if plainNumber.MatchString(v.Fval.Fval) {
				return operand{kind: 'n', text: v.Fval.Fval}, nil
			}
		case *pg_query.A_Const_Sval:
			return operand{kind: 's', text: v.Sval.Sval}, nil
		case *pg_query.A_Const_Boolval:
			return operand{kind: 'b', text: strconv.FormatBool(v.Boolval.Boolval)}, nil
		}
		return operand{}, errPredicate
	}
	fields := n.GetColumnRef().GetFields()
	name := names(fields)
	switch {
	case len(name) != len(fields) || len(name) == 0 || len(name) > 2:
		return operand{}, errPredicate
	case len(name) == 1:
		if !slices.Contains(p.columns, name[0]) {
			p.columns = append(p.columns, name[0])
		}
		return operand{column: name[0]}, nil
	case name[0] == "person" && slices.Contains(personAttributes, name[1]):
		return operand{person: name[1]}, nil
	}
	return operand{}, errPredicate
}

var plainNumber = regexp.MustCompile(`^-?[0-9]{1,18}(\.[0-9]{1,18})?$`)

// Columns are the columns that the predicate names.
func (p *Predicate) Columns() []string { return p.columns }

// Kinds of columns that a predicate may compare.
const (
	kindText = 's'
	kindInt  = 'i'
	kindNum  = 'n'
	kindDate = 'd'
	kindBool = 'b'
)

func (c *Catalogue) comparable(typ uint32) byte {
	switch c.baseType(typ) {
	case typeText, typeVarchar, typeBpchar:
		return kindText
	case typeInt2, typeInt4, typeInt8:
		return kindInt
	case typeNumeric:
		return kindNum
	case typeDate:
		return kindDate
	case typeBool:
		return kindBool
	}
	return 0
}

// Fits says why the predicate cannot be asked of a table, nil when it can.
func (p *Predicate) Fits(c *Catalogue, r *Relation) error { return p.root.fits(c, r) }

func (p *predicate) fits(c *Catalogue, r *Relation) error {
	for i := range p.args {
		if err := p.args[i].fits(c, r); err != nil {
			return err
		}
	}
	if len(p.args) > 0 {
		return nil
	}
	var kinds []byte
	for _, o := range []operand{p.left, p.right} {
		if o.column == "" {
			continue
		}
		a, ok := r.Attribute(o.column)
		if !ok {
			return fmt.Errorf("%s.%s has no column %s", r.schema, r.Name, o.column)
		}
		k := c.comparable(a.Type)
		if k == 0 && p.op != "null" {
			return fmt.Errorf("%s.%s.%s is of a type that a condition cannot compare: only character types, integers, numeric, date and boolean can", r.schema, r.Name, o.column)
		}
		kinds = append(kinds, k)
	}
	switch {
	case p.op == "null":
		return nil
	case len(kinds) == 2 && kinds[0] != kinds[1]:
		return fmt.Errorf("%s and %s of %s.%s are of different types", p.left.column, p.right.column, r.schema, r.Name)
	case len(kinds) == 2:
		return nil
	}
	constant := p.right
	if p.left.column == "" {
		constant = p.left
	}
	if !constant.fits(kinds[0], p.op) {
		return fmt.Errorf("%s%s of %s.%s is compared with a constant of another type", p.left.column, p.right.column, r.schema, r.Name)
	}
	return nil
}

var (
	plainInt  = regexp.MustCompile(`^-?[0-9]{1,4}$|^-?[0-9]{1,18}$`)
	plainDate = regexp.MustCompile(`^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])$|^[0-9]{4}-(0[13-9]|1[0-2])-(29|30)$|^[0-9]{4}-(0[13578]|1[02])-31$`)
)

// fits says that a constant can be read as a value of a column's kind, whatever the session's settings.
func (o operand) fits(kind byte, op string) bool {
	if strings.HasSuffix(op, "~~") && kind != kindText {
		return false
	}
	switch kind {
	case kindText:
		return o.person != "" || o.kind == 's'
	case kindInt:
		return o.kind == 'n' && plainInt.MatchString(o.text)
	case kindNum:
		return o.kind == 'n'
	case kindDate:
		return o.kind == 's' && plainDate.MatchString(o.text)
	case kindBool:
		return o.kind == 'b' && (op == "=" || op == "<>")
	}
	return false
}

// SQL writes the predicate for the columns of a range variable, with the person's attributes as constants. Operators are
// named with their schema, so that no search_path changes what they mean.
func (p *Predicate) SQL(alias string, person map[string]string) (string, error) {
	for name, value := range person {
		if strings.ContainsAny(value, "\\\x00") {
			return "", fmt.Errorf("person.%s cannot be compared in SQL", name)
		}
	}
	var b strings.Builder
	p.root.write(&b, alias, person)
	return b.String(), nil
}

func (p *predicate) write(b *strings.Builder, alias string, person map[string]string) {
	b.WriteByte('(')
	switch p.op {
	case "and", "or":
		for i := range p.args {
			if i > 0 {
				b.WriteString(" " + strings.ToUpper(p.op) + " ")
			}
			p.args[i].write(b, alias, person)
		}
	case "not":
		b.WriteString("NOT ")
		p.args[0].write(b, alias, person)
	case "null":
		b.WriteString(p.left.sql(alias, person) + " IS NULL")
	default:
		b.WriteString(p.left.sql(alias, person) + " OPERATOR(pg_catalog." + p.op + ") " + p.right.sql(alias, person))
	}
	b.WriteByte(')')
}

func (o operand) sql(alias string, person map[string]string) string {
	switch {
	case o.column != "":
		return quoteIdentifier(alias) + "." + quoteIdentifier(o.column)
	case o.person != "":
		return quoteLiteral(person[o.person])
	case o.kind == 's':
		return quoteLiteral(o.text)
	}
	return o.text
}

// quoteLiteral writes a string constant. Sessions have standard_conforming_strings on, so that a backslash is itself.
func quoteLiteral(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
