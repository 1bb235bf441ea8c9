package sql

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// survey is what Restrict must know of a text beyond its analysis: where it names tables, and in what way.
type survey struct {
	mentions map[int32]mention   // by where the name stands in the text
	hazards  map[uint32]struct{} // tables whose columns are compared with what is computed
	locks    bool                // FOR UPDATE or the like
}

// mention is one place where a text names a relation.
type mention struct {
	table   uint32 // 0 for the name of a WITH element
	verb    Verb
	merge   bool
	name    string // of the relation, as the text has it
	alias   string
	only    bool
	sampled bool
}

// mention notes where a relation is named, while a survey is made.
func (an *analyser) mention(rv *pg_query.RangeVar, table uint32, verb Verb) {
	if an.survey == nil {
		return
	}
	m := mention{table: table, verb: verb, name: rv.Relname, only: !rv.Inh}
	if rv.Alias != nil {
		m.alias = rv.Alias.Aliasname
	}
	if had, ok := an.survey.mentions[rv.Location]; ok && (had.verb != verb || had.table != table) {
		m.merge = true // the target of MERGE, which is several things at once
	}
	an.survey.mentions[rv.Location] = m
}

// sampled notes that a relation just mentioned is read by TABLESAMPLE.
func (an *analyser) sampled(n *pg_query.Node) {
	if rv := n.GetRangeVar(); rv != nil && an.survey != nil {
		m := an.survey.mentions[rv.Location]
		m.sampled = true
		an.survey.mentions[rv.Location] = m
	}
}

// computed notes that a column is compared with something that is no plain constant or parameter: computing it may fail, and
// whether it is computed at all may depend on the rows that come before.
func (an *analyser) computed(column, with value) {
	if an.survey != nil && !with.literal && with.param == 0 {
		an.survey.hazards[column.base.Table] = struct{}{}
	}
}

// Restriction says which rows of a table a statement may touch.
type Restriction struct {
	Read  []*Predicate // rows that it reads, in FROM
	Write []*Predicate // rows that it updates or deletes; those of Read among them
}

// Restrict rewrites one statement of an analysed text so that it touches only those rows of tables for which the predicates
// of their restrictions are true, and returns the whole new text. In FROM a table is replaced by a subquery that selects these
// rows; the target of UPDATE and DELETE gets a further condition. Where a condition of the statement's own may fail for some
// row, the subquery and the condition are made such that PostgreSQL evaluates it for no other rows than these.
//
// The error says what cannot be rewritten, in words for the client. The caller analyses the new text and compares; the checks
// that rows come from nowhere else (views, rules, functions) are his too.
func Restrict(a *Analysis, text string, statement int, restrictions map[uint32]Restriction, person map[string]string, env Env) (string, error) {
	s := &a.Statements[statement]
	sv, err := surveyOf(text, statement, a.Catalogue, env)
	if err != nil {
		return "", err
	}
	if sv.locks {
		return "", fmt.Errorf("leave out FOR UPDATE and FOR SHARE")
	}
	begin := s.tail.start
	end := begin + len(s.Text)
	if end > len(text) || text[begin:end] != s.Text {
		return "", fmt.Errorf("the text is not the one that was analysed")
	}
	scan, serr := pg_query.Scan(text[begin:end])
	if serr != nil {
		return "", fmt.Errorf("the text cannot be read again")
	}
	w := &restricting{text: text, begin: begin, person: person, a: a}
	for _, t := range scan.Tokens {
		if t.Token != pg_query.Token_SQL_COMMENT && t.Token != pg_query.Token_C_COMMENT {
			w.tokens = append(w.tokens, t)
		}
	}
	for at, m := range sv.mentions {
		r, ok := restrictions[m.table]
		if !ok || m.table == 0 {
			continue
		}
		if err := w.mention(int(at), m, r, hazardous(s, sv, m.table, a.Catalogue)); err != nil {
			return "", err
		}
	}
	return w.apply(), nil
}

// surveyOf walks one statement of a text and makes sure that no place where it names a relation was missed.
func surveyOf(text string, statement int, cat *Catalogue, env Env) (sv *survey, err error) {
	tree, _, perr := parse(text, cat.Major())
	if perr != nil || statement >= len(tree.Stmts) {
		return nil, fmt.Errorf("the text cannot be read again")
	}
	an := &analyser{cat: cat, env: env, prepared: map[string]*Statement{}, cursors: map[string]*Statement{}, declared: env.ParamTypes}
	an.setPath(env.SearchPath)
	an.survey = &survey{mentions: map[int32]mention{}, hazards: map[uint32]struct{}{}}
	raw := tree.Stmts[statement]
	if _, aerr := an.statement(text, raw); aerr != nil {
		return nil, fmt.Errorf("send the statement on its own")
	}
	missed := false
	eachRangeVar(raw.Stmt.ProtoReflect(), func(rv *pg_query.RangeVar) {
		if _, ok := an.survey.mentions[rv.Location]; !ok {
			missed = true
		}
	})
	if missed {
		return nil, fmt.Errorf("it names a table in a way that is not understood here")
	}
	return an.survey, nil
}

// eachRangeVar calls fn for every relation named below a node.
func eachRangeVar(m protoreflect.Message, fn func(*pg_query.RangeVar)) {
	if rv, ok := m.Interface().(*pg_query.RangeVar); ok {
		fn(rv)
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Message() == nil:
		case f.IsList():
			for i := range v.List().Len() {
				eachRangeVar(v.List().Get(i).Message(), fn)
			}
		default:
			eachRangeVar(v.Message(), fn)
		}
		return true
	})
}

// hazardous reports whether a condition of the statement's own on the table could fail: then it may be evaluated for rows
// that the predicate lets through, and for no others. Equality with constants, parameters and columns of the plainest types
// cannot.
func hazardous(s *Statement, sv *survey, table uint32, cat *Catalogue) bool {
	if _, ok := sv.hazards[table]; ok {
		return true
	}
	for ; s != nil; s = s.Inner {
		for _, u := range s.Columns {
			if u.Table != table {
				continue
			}
			switch u.Use {
			case UseFilter:
				return true
			case UseMatch:
				if !cat.plainlyEqual(u.Column) || u.With != (Column{}) && !cat.plainlyEqual(u.With) {
					return true
				}
			}
		}
	}
	return false
}

// plainlyEqual says that comparing the column for equality fails for no value.
func (c *Catalogue) plainlyEqual(col Column) bool {
	r := c.relations[col.Table]
	if r == nil {
		return false
	}
	for _, a := range r.Attributes {
		if a.Num == col.Att {
			k := c.comparable(a.Type)
			return k == kindText || k == kindInt || k == kindBool
		}
	}
	return false
}

// restricting collects the changes to one statement.
type restricting struct {
	text   string
	begin  int // where the statement begins; tokens count from there
	tokens []*pg_query.ScanToken
	person map[string]string
	a      *Analysis
	edits  []edit
}

type edit struct {
	from, to int
	with     string
}

func (w *restricting) apply() string {
	slices.SortFunc(w.edits, func(x, y edit) int { return y.from - x.from })
	text := w.text
	for _, e := range w.edits {
		text = text[:e.from] + e.with + text[e.to:]
	}
	return text
}

func (w *restricting) mention(at int, m mention, r Restriction, hazard bool) error {
	rel := w.a.Catalogue.relations[m.table]
	name := rel.schema + "." + rel.Name
	switch {
	case m.merge:
		return fmt.Errorf("MERGE into %s cannot be restricted: use UPDATE and DELETE", name)
	case m.sampled:
		return fmt.Errorf("leave out TABLESAMPLE of %s", name)
	case m.only:
		return fmt.Errorf("name %s without ONLY", name)
	case m.verb == Select && len(r.Read) > 0:
		return w.read(at, m, rel, r.Read, hazard)
	case (m.verb == Update || m.verb == Delete) && len(r.Write) > 0:
		return w.write(at, m, r.Write, hazard)
	case m.verb == CopyOut:
		return fmt.Errorf("copy it by COPY (SELECT … FROM %s) TO", name)
	case m.verb == Select, m.verb == Update, m.verb == Delete:
		return nil // the restriction is on the other of reading and writing
	}
	return fmt.Errorf("%s on %s cannot be restricted", m.verb, name)
}

func (w *restricting) condition(list []*Predicate, alias string) (string, error) {
	var parts []string
	for _, p := range list {
		one, err := p.SQL(alias, w.person)
		if err != nil {
			return "", err
		}
		parts = append(parts, one)
	}
	slices.Sort(parts) // whoever asks for the same rows gets the same text
	return strings.Join(slices.Compact(parts), " AND "), nil
}

// rowsAlias is what a restricted table is called inside its subquery.
const rowsAlias = "shiguan_rows"

// read puts a subquery in the place of a table in FROM. OFFSET 0 keeps PostgreSQL from moving conditions into it.
func (w *restricting) read(at int, m mention, rel *Relation, list []*Predicate, hazard bool) error {
	i := w.tokenAt(at)
	if i < 0 {
		return fmt.Errorf("the text cannot be read again")
	}
	// A name of up to three parts.
	for i+2 < len(w.tokens) && w.tokens[i+1].Token == pg_query.Token_ASCII_46 {
		i += 2
	}
	if i+1 < len(w.tokens) && (w.tokens[i+1].Token == pg_query.Token_ASCII_42 || w.tokens[i+1].Token == pg_query.Token_UESCAPE) {
		return fmt.Errorf("name %s.%s plainly", rel.schema, rel.Name)
	}
	where, err := w.condition(list, rowsAlias)
	if err != nil {
		return err
	}
	q := quoteIdentifier(rowsAlias)
	text := "(SELECT " + q + ".* FROM " + quoteIdentifier(rel.schema) + "." + quoteIdentifier(rel.Name) + " AS " + q + " WHERE " + where
	if hazard {
		text += " OFFSET 0"
	}
	text += ")"
	if m.alias == "" {
		text += " AS " + quoteIdentifier(m.name)
	}
	w.edits = append(w.edits, edit{at, w.begin + int(w.tokens[i].End), text})
	return nil
}

// write adds a condition to an UPDATE or DELETE. CASE keeps PostgreSQL from evaluating the statement's own condition first.
func (w *restricting) write(at int, m mention, list []*Predicate, hazard bool) error {
	alias := m.alias
	if alias == "" {
		alias = m.name
	}
	where, err := w.condition(list, alias)
	if err != nil {
		return err
	}
	i := w.tokenAt(at)
	if i < 0 {
		return fmt.Errorf("the text cannot be read again")
	}
	depth, own, last := 0, -1, i
	for ; i < len(w.tokens); i++ {
		switch w.tokens[i].Token {
		case pg_query.Token_ASCII_40, pg_query.Token_ASCII_91: // ( [
			depth++
		case pg_query.Token_ASCII_41, pg_query.Token_ASCII_93: // ) ]
			depth--
		case pg_query.Token_WHERE:
			if depth == 0 {
				own = i
			}
		}
		if depth < 0 || depth == 0 && w.tokens[i].Token == pg_query.Token_RETURNING {
			break
		}
		last = i
	}
	end := w.begin + int(w.tokens[last].End)
	if own < 0 {
		w.edits = append(w.edits, edit{end, end, " WHERE " + where})
		return nil
	}
	from := w.begin + int(w.tokens[own].End)
	before, after := " "+where+" AND (", ")"
	if hazard {
		before, after = " CASE WHEN "+where+" THEN (", ") ELSE false END"
	}
	w.edits = append(w.edits, edit{from, from, before}, edit{end, end, after})
	return nil
}

func (w *restricting) tokenAt(at int) int {
	return slices.IndexFunc(w.tokens, func(t *pg_query.ScanToken) bool { return w.begin+int(t.Start) == at })
}

// Restricted reports whether statement i of the second analysis is that of the first but for restrictions on rows of these
// tables: it returns the same columns and does the same to the same tables, and uses no other columns but those of the
// restricted tables.
func Restricted(was, is *Analysis, i int, tables map[uint32]Restriction) bool {
	if len(was.Statements) != len(is.Statements) {
		return false
	}
	for k := range was.Statements {
		if k != i && !reflect.DeepEqual(was.Statements[k].Outputs, is.Statements[k].Outputs) {
			return false
		}
	}
	return sameBut(&was.Statements[i], &is.Statements[i], tables)
}

func sameBut(was, is *Statement, tables map[uint32]Restriction) bool {
	if (was.Inner == nil) != (is.Inner == nil) || was.Inner != nil && !sameBut(was.Inner, is.Inner, tables) {
		return false
	}
	use := func(s *Statement) (list []ColumnUse) {
		for _, u := range s.Columns {
			if _, ok := tables[u.Table]; !ok {
				list = append(list, u)
			}
		}
		return list
	}
	return was.Verb == is.Verb && was.Name == is.Name && was.Block == is.Block && was.MayWrite == is.MayWrite && was.DDL == is.DDL &&
		was.Aggregated == is.Aggregated && reflect.DeepEqual(was.Outputs, is.Outputs) && reflect.DeepEqual(was.Copy, is.Copy) &&
		sameTables(was.Tables, is.Tables) && slices.Equal(was.Functions, is.Functions) && slices.Equal(use(was), use(is))
}

func sameTables(was, is []TableUse) bool {
	return len(was) == len(is) && !slices.ContainsFunc(was, func(t TableUse) bool { return !slices.Contains(is, t) })
}
