package policy

import (
	"fmt"
	"slices"

	"shiguan/policy/sql"
)

// needs gathers the rights that one statement wants, before any rule is asked.
type needs struct {
	judge     *judge
	list      []*need
	functions []sql.FunctionUse
	places    [][]sql.Occurrence
}

func newNeeds(j *judge) *needs { return &needs{judge: j} }

// collect walks a statement and the ones inside it. bulk says that the rows leave by COPY, which needs its own right. A
// verb that is not listed here is refused.
func (n *needs) collect(s *sql.Statement, bulk bool) *refusal {
	switch s.Verb {
	case sql.Empty, sql.Transaction, sql.Deallocate, sql.CloseCur, sql.Discard:
		return nil
	case sql.Set, sql.Show:
		if why := judgeSetting(s.Verb, s.Setting); why != "" {
			return &refusal{defaultDeny, why}
		}
		return nil
	case sql.Execute, sql.Fetch, sql.Prepare, sql.Declare, sql.Explain:
		if s.Inner == nil {
			return &refusal{defaultDeny, fmt.Sprintf("%s refers to a statement that is not known here; prepare or declare it in this session first", s.Verb)}
		}
		return n.both(s, bulk)
	case sql.CopyOut:
		if s.Inner != nil {
			return n.both(s, true)
		}
	case sql.Select, sql.Insert, sql.Update, sql.Delete, sql.Merge, sql.CopyIn:
	case sql.Create, sql.Alter, sql.Drop, sql.Truncate, sql.Maintain:
		if !slices.ContainsFunc(s.Tables, func(t sql.TableUse) bool { return t.Verb == s.Verb }) {
			return &refusal{defaultDeny, fmt.Sprintf("%s is allowed by rules on named tables only; this one names none", s.Verb)}
		}
	default:
		what := s.Reason
		if what == "" {
			what = string(s.Verb)
		}
		return &refusal{defaultDeny, fmt.Sprintf("this kind of statement (%s) is not allowed through the proxy by any rule but a transparent one", what)}
	}
	return n.own(s, bulk)
}

// both collects what the statement needs by itself (the arguments of an EXECUTE, say) and what the one inside needs.
func (n *needs) both(s *sql.Statement, bulk bool) *refusal {
	if refused := n.own(s, bulk); refused != nil {
		return refused
	}
	return n.collect(s.Inner, bulk)
}

func (n *needs) own(s *sql.Statement, bulk bool) *refusal {
	if n.outdated(s) {
		return &refusal{defaultDeny, "the tables of this statement have changed since it was prepared or declared: prepare it again"}
	}
	if len(s.Occurrences) > 0 {
		n.places = append(n.places, s.Occurrences)
	}
	for _, f := range s.Functions {
		if !slices.Contains(n.functions, f) {
			n.functions = append(n.functions, f)
		}
	}
	for i := range s.Tables {
		if refused := n.table(s, &s.Tables[i], bulk); refused != nil {
			return refused
		}
	}
	for _, u := range s.Columns {
		if refused := n.column(u, bulk); refused != nil {
			return refused
		}
		if u.Use == sql.UseMatch && u.With != (sql.Column{}) {
			if refused := n.otherSide(u, bulk); refused != nil {
				return refused
			}
		}
	}
	return nil
}

// outdated reports whether the statement was analysed against another catalogue, so that its numbers may mean other tables
// and columns now. An EXECUTE or FETCH may bring such a statement.
func (n *needs) outdated(s *sql.Statement) bool {
	cat := n.judge.binding.catalogue
	for _, t := range s.Tables {
		if r := cat.Relation(t.OID); t.OID != 0 && (r == nil || r.Schema() != t.Schema || r.Name != t.Name) {
			return true
		}
	}
	for _, u := range s.Columns {
		schema, table, name, ok := cat.ColumnName(u.Column)
		if u.Table != 0 && (!ok || schema != u.Schema || table != u.TableName || name != u.Name) {
			return true
		}
	}
	return false
}

// table asks for the right to one relation. What is reached through a view of the system is judged by that view; reading
// a view is judged by the tables behind it, which are in the list too; the children of a table are judged by it.
func (n *needs) table(s *sql.Statement, t *sql.TableUse, bulk bool) *refusal {
	if isSystem(t.Schema) {
		return n.system(s, t)
	}
	if why := n.judge.binding.closed[t.OID]; t.OID != 0 && why != "" {
		return &refusal{defaultDeny, why}
	}
	if t.Kind == 'v' && t.Verb == sql.Select || n.isChild(s, t) {
		return nil
	}
	r, ok := rightFor(t.Verb)
	if !ok {
		return &refusal{defaultDeny, fmt.Sprintf("%s on %s.%s is not something a rule can allow", t.Verb, t.Schema, t.Name)}
	}
	if bulk && r == maySelect {
		r |= mayCopy
	}
	n.want(t, r, false)
	return nil
}

func (n *needs) want(t *sql.TableUse, r right, exactOnly bool) *need {
	for _, have := range n.list {
		if have.oid == t.OID && have.schema == t.Schema && have.name == t.Name && have.right == r {
			return have
		}
	}
	w := &need{oid: t.OID, schema: t.Schema, name: t.Name, right: r, exactOnly: exactOnly}
	n.list = append(n.list, w)
	return w
}

// isChild reports whether a table is touched only because a statement on its parent includes it.
func (n *needs) isChild(s *sql.Statement, t *sql.TableUse) bool {
	return t.Via != "" && slices.ContainsFunc(s.Tables, func(p sql.TableUse) bool {
		return p.Kind != 'v' && p.Schema+"."+p.Name == t.Via && p.Verb == t.Verb
	})
}

func (n *needs) system(s *sql.Statement, t *sql.TableUse) *refusal {
	name := t.Schema + "." + t.Name
	if t.Verb != sql.Select {
		return &refusal{defaultDeny, fmt.Sprintf("%s may only be read", name)}
	}
	if t.Via != "" && slices.ContainsFunc(s.Tables, func(v sql.TableUse) bool { return isSystem(v.Schema) && v.Schema+"."+v.Name == t.Via }) {
		return nil
	}
	switch accessTo(t.Schema, t.Name) {
	case systemFree:
	case systemRule:
		n.want(t, maySelect, true)
	default:
		return &refusal{defaultDeny, fmt.Sprintf("%s may not be read: it can show values of tables, secrets or other sessions", name)}
	}
	return nil
}

// column files one column use under the right it falls under: an assignment under the statement's right to write, any
// other use under the right to read the table, which PostgreSQL too wants for the conditions of an UPDATE.
func (n *needs) column(u sql.ColumnUse, bulk bool) *refusal {
	if isSystem(u.Schema) {
		return nil
	}
	t := &sql.TableUse{OID: u.Table, Schema: u.Schema, Name: u.TableName}
	if u.Use != sql.UseWrite {
		r := maySelect
		if bulk {
			r |= mayCopy
		}
		w := n.want(t, r, false)
		w.uses = append(w.uses, u)
		return nil
	}
	filed := false
	for _, w := range n.list {
		if w.oid == u.Table && w.right&writes != 0 {
			w.uses, filed = append(w.uses, u), true
		}
	}
	if !filed {
		return &refusal{defaultDeny, fmt.Sprintf("%s.%s.%s is written in a way that could not be followed", u.Schema, u.TableName, u.Name)}
	}
	return nil
}

// otherSide files the column that a match compares with: the comparison tells as much about it.
func (n *needs) otherSide(u sql.ColumnUse, bulk bool) *refusal {
	schema, table, name, ok := n.judge.binding.catalogue.ColumnName(u.With)
	if !ok {
		return &refusal{defaultDeny, fmt.Sprintf("%s.%s.%s is compared with a column that could not be found", u.Schema, u.TableName, u.Name)}
	}
	return n.column(sql.ColumnUse{Column: u.With, Schema: schema, TableName: table, Name: name, Use: sql.UseMatch, With: u.Column}, bulk)
}
