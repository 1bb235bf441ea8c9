package policy

import (
	"fmt"
	"reflect"
	"slices"

	"shiguan/policy/sql"
)

// settleOrder keeps the order of rows from telling of masked values. A statement that compares a masked column with other
// columns is carried out by sorting or hashing its values (merge joins, hash joins, semi-joins), and rows come in an order that
// follows from them. So the proxy has such statements sorted to the end: after the client's own keys by where rows are
// stored, which is the same whatever the values are. Where that is not possible, or the order shows otherwise, the statement
// is refused.
//
// BUG: an EXECUTE carries out what its PREPARE was; a column that was in clear under another purpose then is not settled.
func (j *judge) settleOrder(a *sql.Analysis, i int, rows *sql.Statement, out *judgement, p *Plan) *refusal {
	u, both := j.hiddenLink(rows, out)
	if u == nil || !both && !j.showsUnmatched(rows, u, out) {
		return nil
	}
	refuse := func(why string) *refusal {
		return &refusal{ruleID(out.reading[u.Table]), fmt.Sprintf("%s is compared with other columns and masked for you on one side at least, and the order in which the server finds rows tells of its values: %s", j.binding.name(u.Column), why)}
	}
	switch {
	case rows.OrderShows != "":
		return refuse(fmt.Sprintf("leave %s out, or compare the column with values", rows.OrderShows))
	case p.Statement.Verb == sql.Execute || p.Statement.Verb == sql.Fetch:
		return nil // settled when the statement was prepared or the cursor declared
	}
	text, ok := j.settled(a, i, out, p.Text)
	if !ok {
		return refuse("join tables themselves, in FROM of the outermost SELECT, or compare the column with values")
	}
	if text != p.Text {
		p.settled, p.unsettled = true, p.Text
		p.Text, p.at = text, commonPrefix(p.Statement.Text, text)
	}
	return nil
}

// settled is the text of statement i with an order that is settled. written is its text where the proxy has already added to
// it, else "". The new text is analysed again, and only used if nothing but keys of ORDER BY is new, none of them masked.
func (j *judge) settled(a *sql.Analysis, i int, out *judgement, written string) (string, bool) {
	source := j.source
	if written != "" {
		var err error
		if a, err = sql.Analyse(written, a.Catalogue, j.env); err != nil || len(a.Statements) != 1 {
			return "", false
		}
		source, i = written, 0
	}
	if source == "" {
		return "", false
	}
	text, err := sql.SettleOrder(a, source, i)
	if err != nil {
		return "", false
	}
	if text == source {
		return written, true
	}
	b, err := sql.Analyse(text, a.Catalogue, j.env)
	if err != nil || len(b.Statements) != len(a.Statements) {
		return "", false
	}
	for k := range b.Statements {
		if !j.sameButSorted(&a.Statements[k], &b.Statements[k], out) {
			return "", false
		}
	}
	return b.Statements[i].Text, true
}

// unsettledText is the text of a plan without the keys by which its rows are settled.
func (p *Plan) unsettledText() string {
	if p.settled {
		return p.unsettled
	}
	return p.Text
}

// sameButSorted reports whether two statements are the same but for what their rows are ordered by.
func (j *judge) sameButSorted(was, is *sql.Statement, out *judgement) bool {
	for was.Inner != nil && is.Inner != nil {
		if was.Verb != is.Verb || was.Name != is.Name || !reflect.DeepEqual(was.Copy, is.Copy) {
			return false
		}
		was, is = was.Inner, is.Inner
	}
	if was.Inner != nil || is.Inner != nil || was.Verb != is.Verb || was.Aggregated != is.Aggregated || was.MayWrite != is.MayWrite ||
		!reflect.DeepEqual(was.Outputs, is.Outputs) || !slices.Equal(was.Tables, is.Tables) || !slices.Equal(was.Functions, is.Functions) ||
		!slices.Equal(was.Pins, is.Pins) {
		return false
	}
	return !slices.ContainsFunc(is.Columns, func(u sql.ColumnUse) bool {
		key := u.Use == sql.UseOrder && (sql.OrderColumn(u.Column) || slices.ContainsFunc(is.Outputs, func(o sql.Output) bool {
			return o.Base == u.Column || slices.Contains(o.From, u.Column)
		}))
		if slices.Contains(was.Columns, u) {
			return false
		}
		_, masked := j.masked(u.Column, out) // a masked column can be an output beside the key of GROUP BY
		return !key || masked && !sql.OrderColumn(u.Column)
	})
}

// unmatching are the words without which no row is found by what it is not equal to.
var unmatching = []string{"left", "right", "full", "not", "except"}

// showsUnmatched reports whether a comparison of a masked column with one in clear may bring rows whose masked value equals
// none in clear: the others tell their values anyway. Under a rule with `by` there are none.
func (j *judge) showsUnmatched(rows *sql.Statement, u *sql.ColumnUse, out *judgement) bool {
	table := u.Table
	if _, masked := j.masked(u.Column, out); !masked {
		table = u.With.Table
	}
	if r := out.reading[table]; r != nil && len(r.by) > 0 {
		return false
	}
	return j.mentions(rows, unmatching)
}

// hiddenLink finds a comparison of two columns of which one at least is masked; both says whether one has both masked.
// Columns held to one value order nothing.
func (j *judge) hiddenLink(s *sql.Statement, out *judgement) (found *sql.ColumnUse, both bool) {
	for i := range s.Columns {
		u := &s.Columns[i]
		if u.Use != sql.UseMatch || u.With == (sql.Column{}) {
			continue
		}
		if slices.ContainsFunc(s.Pins, func(p sql.Pin) bool { return p.Column == u.Column || p.Column == u.With }) {
			continue
		}
		_, one := j.masked(u.Column, out)
		_, other := j.masked(u.With, out)
		if one && other {
			return u, true
		}
		if (one || other) && found == nil {
			found = u
		}
	}
	return found, false
}

// linkedWrite refuses to write what a join finds by values that are masked on both sides: rows would be stored in the order
// in which they were found.
func (j *judge) linkedWrite(s *sql.Statement, out *judgement) *refusal {
	for ; s != nil; s = s.Inner {
		writes := slices.ContainsFunc(s.Tables, func(t sql.TableUse) bool { return t.Verb != sql.Select && t.Verb != sql.CopyOut })
		if !writes {
			continue
		}
		if u, both := j.hiddenLink(s, out); both {
			return &refusal{ruleID(out.reading[u.Table]), fmt.Sprintf("%s is masked for you, and rows found by comparing it with other masked columns may not be written: they would be stored in an order that tells of its values", j.binding.name(u.Column))}
		}
	}
	return nil
}
