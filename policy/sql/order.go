package sql

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v6"
)

// rowShape is what is known of the order in which a query's rows come, besides its ORDER BY.
type rowShape uint8

const (
	otherRows   rowShape = iota // rows of which nothing is known
	oneRow                      // aggregates without GROUP BY: at most one row
	plainRows                   // each is made of one row of every range in FROM
	groupedRows                 // GROUP BY or DISTINCT: no two are the same
)

// shows notes what lets the order in which rows are read show in values, or in which rows there are: see OrderShows.
func (r *recorder) shows(what string) {
	if r.orderShows == "" {
		r.orderShows = what
	}
}

// orderless are the aggregates of PostgreSQL whose value does not depend on the order of rows. Sums and averages of
// floating-point numbers do: each addition rounds.
var orderless = wordSet(`count sum avg min max bool_and bool_or every bit_and bit_or bit_xor`)

const typeFloat4, typeFloat8 = 700, 701

// aggregateShows notes an aggregate whose value depends on the order of rows.
func (an *analyser) aggregateShows(r result, name string) {
	_, ok := orderless[name]
	for _, f := range r.functions {
		ok = ok && isSystem(f.OID) && f.Result != typeFloat4 && f.Result != typeFloat8
	}
	if !ok {
		an.shows(name + "()")
	}
}

// limitShows notes a LIMIT or OFFSET below the top of the statement; at the top SettleOrder says which rows come first.
func (an *analyser) limitShows(s *scope, sel *pg_query.SelectStmt) {
	limited := sel.LimitCount != nil || sel.LimitOffset != nil
	ties := sel.LimitOption == pg_query.LimitOption_LIMIT_OPTION_WITH_TIES
	if limited && (s.up != nil || ties || an.depth > 0) {
		an.shows("LIMIT inside the statement, or WITH TIES")
	}
}

// sortable are the types for which equal values look alike.
var sortable = []uint32{typeBool, typeName, typeInt2, typeInt4, typeInt8, typeText, typeVarchar, typeDate, typeNumeric, typeUUID, 1114, 1184}

// SettleOrder writes further keys to the end of a statement's outermost ORDER BY, so that the order of its rows follows
// from where rows are stored, and not from how the server joins them. It returns the whole new text, or the same when no
// more than one row can come. The caller analyses the new text and compares.
func SettleOrder(a *Analysis, text string, statement int) (string, error) {
	s := &a.Statements[statement]
	inner := s
	for inner.Inner != nil {
		inner = inner.Inner
	}
	t := &inner.tail
	if inner.Verb != Select {
		return "", fmt.Errorf("settle order: %s has no ORDER BY", inner.Verb)
	}
	var keys []string
	switch t.rows {
	case oneRow:
		return text, nil
	case plainRows:
		for _, e := range t.ranges {
			if e.rel == nil || !strings.Contains("rmp", e.rel.Kind) {
				return "", fmt.Errorf("settle order: %q is no table", e.alias)
			}
			q := quoteIdentifier(e.alias)
			keys = append(keys, q+".tableoid", q+".ctid")
		}
	case groupedRows:
		for i, o := range inner.Outputs {
			if !slices.Contains(sortable, o.Type) {
				return "", fmt.Errorf("settle order: output %d is of a type that does not sort", i+1)
			}
			keys = append(keys, strconv.Itoa(i+1))
		}
	}
	end := t.start + len(s.Text)
	if len(keys) == 0 || t.last < s.tail.start || t.last >= end || end > len(text) || text[s.tail.start:end] != s.Text {
		return "", fmt.Errorf("settle order: keys cannot be added to this statement")
	}
	at, sorted, err := orderEnd(text[t.last:end])
	if err != nil {
		return "", err
	}
	at += t.last
	word := " ORDER BY "
	if sorted {
		word = ", "
	}
	return text[:at] + word + strings.Join(keys, ", ") + text[at:], nil
}

// orderEnd finds where ORDER BY ends, or would stand, in a text that begins inside the select list: before LIMIT and what
// else may follow, or before the bracket that closes COPY (…).
func orderEnd(text string) (at int, sorted bool, err error) {
	scan, err := pg_query.Scan(text)
	if err != nil {
		return 0, false, fmt.Errorf("settle order: the text cannot be read again")
	}
	depth := 0
	var last pg_query.Token
	for _, tok := range scan.Tokens {
		name := last == pg_query.Token_AS || last == pg_query.Token_ASCII_46 // a label may be any word
		switch tok.Token {
		case pg_query.Token_SQL_COMMENT, pg_query.Token_C_COMMENT:
			continue
		case pg_query.Token_ASCII_40, pg_query.Token_ASCII_91: // ( [
			depth++
		case pg_query.Token_ASCII_41, pg_query.Token_ASCII_93: // ) ]
			if depth--; depth < 0 {
				return at, sorted, nil
			}
		case pg_query.Token_ORDER:
			sorted = sorted || depth == 0 && !name
		case pg_query.Token_LIMIT, pg_query.Token_OFFSET, pg_query.Token_FETCH, pg_query.Token_FOR:
			if depth == 0 && !name {
				return at, sorted, nil
			}
		}
		at, last = int(tok.End), tok.Token
	}
	return at, sorted, nil
}

// OrderColumn says whether a column is one that SettleOrder sorts by.
func OrderColumn(c Column) bool {
	return c.Att == systemColumns["ctid"].num || c.Att == systemColumns["tableoid"].num
}
