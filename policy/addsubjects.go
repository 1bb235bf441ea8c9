package policy

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"shiguan/policy/sql"
)

// addSubjects adds columns to the outputs of a statement, hidden from the client, and makes sure that nothing else changes
// by it.
func (j *judge) addSubjects(a *sql.Analysis, i int, add []sql.AppendCandidate, p *Plan) *refusal {
	for _, c := range add {
		subject := j.binding.subjects[c.Column.Table]
		p.Outputs = append(p.Outputs, OutputPlan{Server: c.ServerColumn, Column: j.binding.name(c.Column), Subject: subject.namespace, Hidden: true})
	}
	if len(add) == 0 || p.Statement.Verb == sql.Execute || p.Statement.Verb == sql.Fetch {
		return nil // they were added when the statement was prepared or the cursor declared
	}
	text, ok := j.rewrite(a, i, add)
	if !ok {
		return &refusal{defaultDeny, fmt.Sprintf("%s names the person whom rows are about and could not be added to this statement: add it to the select list", j.binding.name(add[0].Column))}
	}
	p.Text, p.at = text, commonPrefix(p.Statement.Text, text)
	return nil
}

// candidates are the columns to add so that every occurrence of t is named; nil when that is not possible. COPY describes
// no columns that could be stripped again.
func candidates(s, rows *sql.Statement, t *subjectTable) []sql.AppendCandidate {
	if s.Verb == sql.CopyOut {
		return nil
	}
	var add []sql.AppendCandidate
	for _, c := range rows.Appendable() {
		if c.Column == t.subject.column {
			add = append(add, c)
		}
	}
	if len(add) < t.times {
		return nil
	}
	return add
}

// lateNamed reports whether a parameter names the person of t: known at EXECUTE, and at PREPARE to come with it.
func (j *judge) lateNamed(s *sql.Statement, t *subjectTable) bool {
	switch s.Verb {
	case sql.Prepare:
		return j.pins(s.Inner, t, true)
	case sql.Execute:
		return j.pins(s, t, true)
	}
	return false
}

// rewrite adds columns to statement i of the request's text and gives the statement's new text. The new text is analysed
// again, and only used if nothing but the added outputs is new.
func (j *judge) rewrite(a *sql.Analysis, i int, add []sql.AppendCandidate) (string, bool) {
	if j.source == "" {
		return "", false
	}
	text, err := sql.AppendOutputs(a, j.source, i, add)
	if err != nil {
		return "", false
	}
	b, err := sql.Analyse(text, a.Catalogue, j.env)
	if err != nil || len(b.Statements) != len(a.Statements) {
		return "", false
	}
	for k := range b.Statements {
		added := add
		if k != i {
			added = nil
		}
		if !sameBut(&a.Statements[k], &b.Statements[k], added) {
			return "", false
		}
	}
	return b.Statements[i].Text, true
}

// commonPrefix is where an addition may be thought to begin: up to there the texts are the same.
func commonPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// sameBut reports whether two statements are the same but for outputs added at the end.
func sameBut(was, is *sql.Statement, added []sql.AppendCandidate) bool {
	if was.Inner != nil && is.Inner != nil && (was.Verb == sql.Prepare || was.Verb == sql.Declare) {
		return was.Verb == is.Verb && was.Name == is.Name && sameBut(was.Inner, is.Inner, added)
	}
	n := len(was.Outputs)
	if was.Verb != is.Verb || len(is.Outputs) != n+len(added) || was.Aggregated != is.Aggregated || was.MayWrite != is.MayWrite ||
		!reflect.DeepEqual(was.Outputs, is.Outputs[:n:n]) || !slices.Equal(was.Tables, is.Tables) ||
		!slices.Equal(was.Functions, is.Functions) || !slices.Equal(was.Pins, is.Pins) {
		return false
	}
	for k, c := range added {
		if o := is.Outputs[n+k]; o.Base != c.Column || o.Server != c.ServerColumn {
			return false
		}
	}
	for _, u := range is.Columns {
		shown := u.Use == sql.UseOutput && slices.ContainsFunc(added, func(c sql.AppendCandidate) bool { return c.Column == u.Column })
		if !shown && !slices.Contains(was.Columns, u) {
			return false
		}
	}
	return true
}

// unnamed is the refusal of a statement whose rows cannot be recorded by person.
func (j *judge) unnamed(t *subjectTable, rows *sql.Statement, bulk bool) *refusal {
	_, _, column, _ := j.binding.catalogue.ColumnName(t.subject.column)
	how := fmt.Sprintf("add %s of %s to the select list, or ask for one person with %s = …", column, t.name, column)
	switch {
	case t.times > 1:
		how = fmt.Sprintf("%s stands in it %d times: ask for each in a statement of its own", t.name, t.times)
	case bulk:
		how = fmt.Sprintf("add %s of %s to the copied columns", column, t.name)
	case rows.Aggregated:
		how = fmt.Sprintf("group by %s of %s and select it, or use count, sum and avg only", column, t.name)
	case strings.Contains(strings.ToLower(sql.WithoutLiterals(rows.Text)), "distinct"):
		how = fmt.Sprintf("add %s of %s to the select list, or use GROUP BY instead of DISTINCT", column, t.name)
	}
	return &refusal{defaultDeny, fmt.Sprintf("rows of %s are about persons, and this statement does not say which: %s", t.name, how)}
}
