package noninterference

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// grammar composes statements at random over the tables of the city. Most of them mean something to PostgreSQL; about
// half are of a kind that policy allows, for only those can leak.
type grammar struct {
	*rand.Rand
	values map[string]string
	tables []ranged // in FROM, from the inside out
	depth  int
	serial int
	wild   bool // uses masked columns and tables of others freely; else hardly ever
}

// ranged is a name in FROM and the columns that can be asked of it.
type ranged struct {
	alias   string
	columns []string
}

var cityTables = map[string][]string{
	"civil.citizens":        {"id_number", "name", "phone", "address", "birth_date"},
	"civil.households":      {"household_id", "id_number", "size", "district"},
	"civil.citizen_names":   {"id_number", "name"},
	"housing.fund_accounts": {"account_no", "id_number", "employer", "balance"},
}

var masked = map[string]bool{"id_number": true, "phone": true, "address": true, "account_no": true, "balance": true}

func (g *grammar) pick(list ...string) string { return list[g.IntN(len(list))] }

func (g *grammar) one(in int) bool { return g.IntN(in) == 0 }

// statement is one statement, with an order where that is allowed, so that order is asked about too.
func (g *grammar) statement() string {
	g.tables, g.depth, g.serial, g.wild = nil, 0, 0, g.one(3)
	text := g.query(g.one(3))
	switch g.IntN(12) {
	case 0:
		return "with w as (" + text + ") select * from w"
	case 1:
		return "select * from (" + text + ") as w"
	case 2:
		return "copy (" + text + ") to stdout" + g.pick("", " (format csv)", " (format csv, header)", " (delimiter '|')", " (null '"+g.values["phone0"]+"')")
	case 3:
		return "explain (costs off) " + text
	}
	return text
}

func (g *grammar) query(plain bool) string {
	g.depth++
	defer func() { g.depth-- }()
	outer := len(g.tables)
	defer func() { g.tables = g.tables[:outer] }()
	from := g.from()
	var b strings.Builder
	b.WriteString("select " + g.pick("", "", "", "", "", "", "", "", "", "distinct ") + g.outputs(plain) + " from " + from)
	if !g.one(3) {
		b.WriteString(" where " + g.condition(2))
	}
	if g.one(12) {
		b.WriteString(" group by " + g.column())
	}
	if g.one(2) {
		b.WriteString(" order by " + g.pick(g.column(), g.column(), "1", g.expression(1)))
	}
	if g.one(3) {
		b.WriteString(fmt.Sprintf(" limit %d", 1+g.IntN(20)))
	}
	if g.one(15) && g.depth == 1 {
		g.tables = g.tables[:outer]
		return "(" + b.String() + ") " + g.pick("union all", "union", "except", "intersect") + " " + "(" + g.query(plain) + ")"
	}
	return b.String()
}

func (g *grammar) from() string {
	first := g.table()
	for g.one(4) && len(g.tables) < 4 {
		before := g.tables[len(g.tables)-1]
		switch kind := g.pick("join", "left join", ",", "natural join", "using", "match", "match", "match"); kind {
		case "match": // what the clerk may do with a masked number
			first += " " + g.pick("join ", "left join ", "right join ", "full join ") + g.table()
			first += " on " + before.alias + ".id_number = " + g.tables[len(g.tables)-1].alias + ".id_number"
		case ",":
			first += ", " + g.few()
		case "natural join":
			first += " natural join " + g.table()
		case "using":
			first += " join " + g.table() + " using (" + g.pick("id_number", "name", "phone") + ")"
		default:
			first += " " + kind + " " + g.table() + " on " + g.condition(1)
		}
	}
	return first
}

func (g *grammar) table() string {
	g.serial++
	alias := fmt.Sprintf("t%d", g.serial)
	if g.depth < 3 && g.one(5) {
		text, columns := g.derived()
		g.tables = append(g.tables, ranged{alias, columns})
		return "(" + text + ") as " + alias
	}
	name := g.pick("civil.citizens", "civil.citizens", "civil.households")
	if g.wild && g.one(5) {
		name = g.pick("civil.citizen_names", "housing.fund_accounts")
	}
	columns := cityTables[name]
	if g.one(20) && len(columns) == 5 { // names that stand for others
		renamed := []string{"name", "phone", "id_number", "birth_date", "address"}
		g.tables = append(g.tables, ranged{alias, renamed})
		return name + " as " + alias + " (" + strings.Join(renamed, ", ") + ")"
	}
	g.tables = append(g.tables, ranged{alias, columns})
	return name + " as " + alias
}

// few are some rows of a table: products of whole tables take too long.
func (g *grammar) few() string {
	g.serial++
	alias := fmt.Sprintf("t%d", g.serial)
	name, which := "civil.households", " where household_id < 10012"
	if g.one(2) {
		name, which = "civil.citizens", " where birth_date < '1931-01-01'"
	}
	g.tables = append(g.tables, ranged{alias, cityTables[name]})
	return g.pick("", "lateral ") + "(select * from " + name + which + ") as " + alias
}

// derived is a subquery in FROM whose columns are known: some of one table's, perhaps under each other's names.
func (g *grammar) derived() (text string, columns []string) {
	outer := len(g.tables)
	defer func() { g.tables = g.tables[:outer] }()
	g.depth++
	defer func() { g.depth-- }()
	from := g.table()
	t := g.tables[len(g.tables)-1]
	columns = append(columns, t.columns...)
	g.Shuffle(len(columns), func(i, j int) { columns[i], columns[j] = columns[j], columns[i] })
	columns = columns[:1+g.IntN(len(columns))]
	names := append([]string(nil), columns...)
	if g.one(4) {
		g.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	}
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = t.alias + "." + c + " as " + names[i]
	}
	text = "select " + strings.Join(list, ", ") + " from " + from
	if g.one(2) {
		text += " where " + g.condition(1)
	}
	if g.one(4) {
		text += " order by " + g.column()
	}
	return text, names
}

func (g *grammar) column() string {
	t := g.tables[g.IntN(len(g.tables))]
	c := t.columns[g.IntN(len(t.columns))]
	for range 8 {
		if !masked[c] || g.wild && g.one(4) || g.one(60) { // clear ones more often, or all is refused
			break
		}
		c = t.columns[g.IntN(len(t.columns))]
	}
	return t.alias + "." + c
}

func (g *grammar) outputs(plain bool) string {
	if g.one(8) {
		return g.pick("*", "*", g.tables[g.IntN(len(g.tables))].alias+".*", "count(*)")
	}
	var list []string
	if t := g.tables[g.IntN(len(g.tables))]; g.one(2) && slices.Contains(t.columns, "id_number") {
		list = append(list, t.alias+".id_number")
	}
	for range 1 + g.IntN(4) {
		text := g.bare()
		if !plain && g.one(3) {
			text = g.expression(2)
		}
		if g.one(5) {
			text += " as " + g.pick("name", "phone", "id_number", "birth_date", "x")
		}
		list = append(list, text)
	}
	return strings.Join(list, ", ")
}

// bare is a column as plain output, masked ones as often as others.
func (g *grammar) bare() string {
	t := g.tables[g.IntN(len(g.tables))]
	c := t.columns[g.IntN(len(t.columns))]
	return g.pick(t.alias+"."+c, t.alias+"."+c, "("+t.alias+")."+c, c+"("+t.alias+")", t.alias+"."+c+"::text")
}

func (g *grammar) constant() string {
	return g.pick("'"+g.values["id0"]+"'", "'"+g.values["id1"]+"'", "'"+g.values["name0"]+"'", "'"+g.values["phone0"]+"'",
		"'1543%'", "'张%'", "'1960-01-01'", "3", "0", "null", "true", "'东湖区'", "''")
}

func (g *grammar) condition(depth int) string {
	if depth > 0 && g.one(3) {
		return "(" + g.condition(depth-1) + g.pick(" and ", " and ", " or ") + g.condition(depth-1) + ")"
	}
	if !g.wild || g.one(3) {
		if text := g.tame(); text != "" {
			return text
		}
	}
	if !g.wild {
		return "true"
	}
	switch g.IntN(8) {
	case 0, 1, 2, 3:
		return g.column() + " = " + g.pick(g.constant(), g.constant(), g.column())
	case 4:
		return g.column() + " in (" + g.constant() + ", " + g.constant() + ")"
	case 5:
		if g.depth < 3 {
			return g.pick("exists (", "not exists (", g.column()+" in (", g.column()+" = any (") + g.query(true) + ")"
		}
	case 6:
		return g.column() + g.pick(" < ", " >= ", " <> ", " like ", " is distinct from ") + g.constant()
	case 7:
		return g.expression(1) + " is " + g.pick("null", "not null")
	}
	return "not " + g.column() + " = " + g.constant()
}

// tame is a condition of the kind that the clerk may use, on a column that fits; "" where none was found.
func (g *grammar) tame() string {
	t := g.tables[g.IntN(len(g.tables))]
	c := t.columns[g.IntN(len(t.columns))]
	x := t.alias + "." + c
	switch c {
	case "id_number":
		other := g.tables[g.IntN(len(g.tables))]
		return x + g.pick(" = '"+g.values["id0"]+"'", " in ('"+g.values["id1"]+"', '"+g.values["id2"]+"')", " = "+other.alias+".id_number", " = any (array['"+g.values["id3"]+"'])")
	case "name":
		return x + g.pick(" like '张%'", " = '"+g.values["name0"]+"'", " > '李'", " in ('"+g.values["name1"]+"')", " is not null")
	case "birth_date":
		return x + g.pick(" < '1950-01-01'", " between '1960-01-01' and '1961-01-01'", " = '"+g.values["born0"]+"'", " >= '2010-01-01'")
	case "size", "household_id":
		return x + g.pick(" > 3", " = 2", " <> 10002", " in (1, 10001, 6)")
	case "district":
		return x + g.pick(" = '东湖区'", " like '%区'", " < '新'")
	}
	return ""
}

func (g *grammar) expression(depth int) string {
	if depth == 0 {
		return g.pick(g.column(), g.column(), g.constant())
	}
	if !g.wild {
		return g.pick("upper("+g.column()+"::text)", "length("+g.column()+"::text)", "coalesce("+g.column()+"::text, '')", g.column()+" is null",
			"case when "+g.condition(0)+" then 1 else 2 end", "md5("+g.column()+"::text)", g.column()+"::text || '!'", "count(*)", "row_number() over (order by "+g.column()+")")
	}
	x := func() string { return g.expression(depth - 1) }
	switch g.IntN(10) {
	case 0:
		return g.pick("upper", "length", "md5", "reverse", "to_json", "count", "max", "min", "array_agg", "sum", "string_to_array") + "(" + x() + ")"
	case 1:
		return "coalesce(" + x() + ", " + x() + ")"
	case 2:
		return "case when " + g.condition(0) + " then " + x() + " else " + x() + " end"
	case 3:
		return x() + " || " + x()
	case 4:
		return x() + "::" + g.pick("text", "int", "varchar", "date", "json", "bytea")
	case 5:
		if g.depth < 3 {
			return "(" + g.query(true) + " limit 1)"
		}
	case 6:
		t := g.tables[g.IntN(len(g.tables))]
		return g.pick("row_to_json("+t.alias+")", t.alias+"::text", t.alias, "("+t.alias+").phone", t.alias+".ctid", t.alias+".tableoid")
	case 7:
		return g.pick("row_number", "rank", "count") + "() over (" + g.pick("order by ", "partition by ") + g.column() + ")"
	case 8:
		return "array[" + x() + ", " + x() + "]"
	}
	return x()
}
