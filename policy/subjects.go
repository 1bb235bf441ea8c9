package policy

import (
	"slices"
	"strings"

	"shiguan/policy/sql"
)

// subjectTable is a table whose rows are about persons, as one statement uses it.
type subjectTable struct {
	oid     uint32
	name    string
	subject subjectColumn
	times   int // how often its rows enter the statement
}

// nameSubjects makes sure that each row about a person can be put on record under that person (see FORMAT.md, data): by an
// output that is the subject column, by a value that the statement itself names, or by a column that the proxy adds. It
// completes p, or refuses. What it adds depends on the rows' statement alone, so that an EXECUTE or FETCH expects exactly
// the columns that were added when its PREPARE or DECLARE was sent.
func (j *judge) nameSubjects(a *sql.Analysis, i int, rows *sql.Statement, out *judgement, p *Plan) *refusal {
	s := p.Statement
	var named, missing []subjectTable
	var add []sql.AppendCandidate
	for _, t := range j.subjectTables(rows) {
		if !j.returnsRowsOf(rows, &t) {
			continue
		}
		if j.named(rows, &t, s) {
			named = append(named, t)
		} else if more := candidates(s, rows, &t); more != nil && out.open == nil {
			named, add = append(named, t), append(add, more...)
		} else if j.lateNamed(s, &t) {
			named = append(named, t)
		} else {
			missing = append(missing, t)
		}
	}
	p.AboutPersons = len(named) > 0
	if out.open != nil {
		return nil
	}
	for _, t := range missing {
		if !j.linked(rows, &t, named) {
			return j.unnamed(&t, rows, s.Verb == sql.CopyOut)
		}
	}
	return j.addSubjects(a, i, add, p)
}

// subjectTables lists the tables with a subject column whose rows a statement reads or returns. Children that are read
// through their parent are named as the parent.
func (j *judge) subjectTables(rows *sql.Statement) []subjectTable {
	n := newNeeds(j)
	var list []subjectTable
	written := map[uint32]bool{}
	for i := range rows.Tables {
		t := &rows.Tables[i]
		subject, ok := j.binding.subjects[t.OID]
		if !ok || n.isChild(rows, t) {
			continue
		}
		at := slices.IndexFunc(list, func(s subjectTable) bool { return s.oid == t.OID })
		if at < 0 {
			list, at = append(list, subjectTable{oid: t.OID, name: t.Schema + "." + t.Name, subject: subject}), len(list)
		}
		switch {
		case t.Verb == sql.Select || t.Verb == sql.CopyOut:
			list[at].times += max(t.Times, 1)
		case !written[t.OID]: // INSERT … ON CONFLICT DO UPDATE is one target and two verbs
			written[t.OID] = true
			list[at].times++
		}
	}
	return list
}

// returnsRowsOf reports whether the statement's rows are about the persons of t. Counts, sums and averages are not; nor,
// where rows are aggregated, and not grouped by sensitive columns, is what comes of columns that are not sensitive alone.
func (j *judge) returnsRowsOf(rows *sql.Statement, t *subjectTable) bool {
	if !rows.Aggregated {
		return true
	}
	sensitive := func(c sql.Column) bool { return c.Table == t.oid && (c.Att == 0 || j.binding.columns[c] != nil) }
	byPerson := slices.ContainsFunc(rows.Columns, func(u sql.ColumnUse) bool { return u.Use == sql.UseGroup && sensitive(u.Column) })
	return slices.ContainsFunc(rows.Outputs, func(o sql.Output) bool {
		switch {
		case o.Base.Table == t.oid:
			return sensitive(o.Base)
		case o.Aggregate:
			return false
		}
		return byPerson && dependsOn(o, t.oid) || slices.ContainsFunc(o.From, sensitive)
	})
}

func dependsOn(o sql.Output, table uint32) bool {
	return o.Base.Table == table || slices.ContainsFunc(o.From, func(c sql.Column) bool { return c.Table == table })
}

// named reports whether the statement as it stands names the persons of t.
func (j *judge) named(rows *sql.Statement, t *subjectTable, s *sql.Statement) bool {
	if j.pins(rows, t, s == rows) {
		return true
	}
	if t.times != 1 || !slices.ContainsFunc(rows.Outputs, func(o sql.Output) bool { return o.Base == t.subject.column }) {
		return false
	}
	return !j.mixesRows(rows) || !slices.ContainsFunc(rows.Outputs, func(o sql.Output) bool {
		return o.Base == (sql.Column{}) && !o.Aggregate && dependsOn(o, t.oid)
	})
}

// pins reports whether a statement holds the subject of t to one value; to one of its own parameters only with params.
func (j *judge) pins(s *sql.Statement, t *subjectTable, params bool) bool {
	return slices.ContainsFunc(s.Pins, func(pin sql.Pin) bool {
		return pin.Column == t.subject.column && (pin.Param == 0 || params)
	})
}

// mixing are the words without which no row of a result can hold values of several rows of a table beside one bare
// column: window functions and grouping sets.
var mixing = []string{"over", "rollup", "cube", "sets"}

// mixesRows reports whether an expression in the result could be computed from rows of other persons than the one the row
// names. The words are looked for as plain text, in the statement (but for literals) and in the views it reads: to find one too many refuses
// a statement, to miss one is not possible, since keywords cannot be spelled otherwise.
func (j *judge) mixesRows(rows *sql.Statement) bool { return j.mentions(rows, mixing) }

// mentions reports whether one of the words stands in a statement's text or in that of a view it reads.
func (j *judge) mentions(rows *sql.Statement, words []string) bool {
	texts := []string{sql.WithoutLiterals(rows.Text)}
	for _, t := range rows.Tables {
		if r := j.binding.catalogue.Relation(t.OID); r != nil && t.Kind == 'v' {
			texts = append(texts, r.Definition)
		}
	}
	return slices.ContainsFunc(texts, func(text string) bool {
		text = strings.ToLower(text)
		return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(text, word) })
	})
}

// linked reports whether t only decides which rows of named tables are returned, by comparing its subject with theirs:
// the persons it is read about are then those that are named.
func (j *judge) linked(rows *sql.Statement, t *subjectTable, named []subjectTable) bool {
	if slices.ContainsFunc(rows.Outputs, func(o sql.Output) bool { return dependsOn(o, t.oid) }) {
		return false
	}
	return slices.ContainsFunc(rows.Columns, func(u sql.ColumnUse) bool {
		return u.Column == t.subject.column && u.Use == sql.UseMatch &&
			slices.ContainsFunc(named, func(n subjectTable) bool { return n.subject.column == u.With })
	})
}

// pinned lists the subjects that a statement names by itself, also one that returns no rows. The parameters of a PREPARE
// come with its EXECUTE, and those of a cursor came with its DECLARE: only the others are this execution's own.
func (b *binding) pinned(s *sql.Statement) []PinnedSubject {
	pins := s.Pins
	if s.Inner != nil && s.Verb != sql.Execute && s.Verb != sql.Fetch {
		pins = s.Inner.Pins
	}
	var list []PinnedSubject
	for _, pin := range pins {
		subject, ok := b.subjects[pin.Table]
		if !ok || subject.column != pin.Column || pin.Param != 0 && (s.Verb == sql.Fetch || s.Verb == sql.Prepare) {
			continue
		}
		found := PinnedSubject{Namespace: subject.namespace, Value: pin.Value, Param: pin.Param}
		if !slices.Contains(list, found) {
			list = append(list, found)
		}
	}
	return list
}
