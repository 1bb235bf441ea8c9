package sql

import (
	"fmt"
	"slices"
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v6"
)

// appendPoint remembers where a statement's list of outputs stands in the source text.
type appendPoint struct {
	start     int // where the statement begins in the whole text
	last      int // where the last element of the select list or RETURNING begins in the whole text
	returning bool
	ranges    []*entry
	rows      rowShape
}

// AppendCandidate is a column that can be added to the end of a statement's outputs without changing its rows.
type AppendCandidate struct {
	Column       Column // the base column
	ServerColumn Column // what the server will report for it
	Alias        string // the range variable that has it
	Name         string // its name there
}

// Appendable lists what AppendOutputs can add: bare base columns of the tables, simple views and subqueries in the
// outermost FROM (or of a RETURNING statement). It is empty where adding a column would change the rows (DISTINCT,
// grouping, set operations), where rows carry values of other rows (window functions), and where rows are not returned.
// A table with more occurrences (TableUse.Times) than there are candidates for one of its columns is also read elsewhere in
// the statement.
func (s *Statement) Appendable() []AppendCandidate {
	t := s.outputTail()
	if t == nil {
		return nil
	}
	var out []AppendCandidate
	for _, e := range t.ranges {
		for _, f := range e.columns {
			// Two columns of the same name cannot be told apart by a reference.
			if f.bare() && f.row && f.server != (Column{}) && f.base.Att > 0 && countNamed(e, f.name) == 1 {
				out = append(out, AppendCandidate{Column: f.base, ServerColumn: f.server, Alias: e.alias, Name: f.name})
			}
		}
	}
	return out
}

func countNamed(e *entry, name string) int {
	n := 0
	for _, f := range e.columns {
		if f.name == name {
			n++
		}
	}
	return n
}

// outputTail is the tail of the query whose rows the statement returns, or will return when executed or fetched from.
func (s *Statement) outputTail() *appendPoint {
	switch s.Verb {
	case Select, Insert, Update, Delete, Merge:
		if len(s.tail.ranges) > 0 {
			return &s.tail
		}
	case Prepare, Declare:
		return s.Inner.outputTail()
	case CopyOut:
		if s.Inner != nil {
			return s.Inner.outputTail()
		}
	}
	return nil
}

// AppendOutputs writes the columns at the end of the outputs of one statement of the text and returns the whole new text.
// cols must come from that statement's Appendable. The caller analyses the new text and compares: what was there before
// must be the same, and the new outputs must be at its end.
func AppendOutputs(a *Analysis, text string, statement int, cols []AppendCandidate) (string, error) {
	if statement < 0 || statement >= len(a.Statements) {
		return "", fmt.Errorf("append outputs: the text has %d statements, not a statement %d", len(a.Statements), statement)
	}
	s := &a.Statements[statement]
	t := s.outputTail()
	if t == nil || len(cols) == 0 {
		return "", fmt.Errorf("append outputs: columns cannot be added to this statement")
	}
	can := s.Appendable()
	var add strings.Builder
	for _, c := range cols {
		if !slices.Contains(can, c) {
			return "", fmt.Errorf("append outputs: %s.%s is not a column that can be added", c.Alias, c.Name)
		}
		add.WriteString(", " + quoteIdentifier(c.Alias) + "." + quoteIdentifier(c.Name))
	}
	end := t.start + len(s.Text)
	if s.Inner != nil {
		end = s.tail.start + len(s.Text)
	}
	if t.last < s.tail.start || t.last >= end || end > len(text) || text[s.tail.start:end] != s.Text {
		return "", fmt.Errorf("append outputs: the text is not the one that was analysed")
	}
	at, err := listEnd(text[t.last:end], t.returning)
	if err != nil {
		return "", err
	}
	at += t.last
	return text[:at] + add.String() + text[at:], nil
}

// listEnd finds where the select list ends whose last element begins at the start of the text: after the last token before
// the FROM that belongs to it, or, for RETURNING, after the last token that is not outside a bracket around the statement.
func listEnd(text string, returning bool) (int, error) {
	scan, err := pg_query.Scan(text)
	if err != nil {
		return 0, fmt.Errorf("append outputs: the text cannot be read again")
	}
	depth, end := 0, 0
	var last pg_query.Token
	for _, tok := range scan.Tokens {
		switch tok.Token {
		case pg_query.Token_SQL_COMMENT, pg_query.Token_C_COMMENT:
			continue
		case pg_query.Token_ASCII_40, pg_query.Token_ASCII_91: // ( [
			depth++
		case pg_query.Token_ASCII_41, pg_query.Token_ASCII_93: // ) ]
			depth--
			if depth < 0 && returning {
				return end, nil // the bracket of COPY (… RETURNING …)
			}
		case pg_query.Token_FROM:
			// IS [NOT] DISTINCT FROM is an operator.
			if depth == 0 && last != pg_query.Token_DISTINCT && !returning {
				return end, nil
			}
		}
		if depth < 0 {
			break
		}
		end, last = int(tok.End), tok.Token
	}
	if returning && depth == 0 {
		return end, nil
	}
	return 0, fmt.Errorf("append outputs: the end of the list of outputs was not found")
}

// quoteIdentifier always quotes, so that no word needs to be known as reserved.
func quoteIdentifier(name string) string {
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}
