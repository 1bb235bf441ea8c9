package sql

import (
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v6"
)

// view is what stands behind a view: its columns down to base columns, and everything its own conditions touch.
type view struct {
	*recorder
	columns []field
	targets []uint32 // relations that a write through the view writes to; none when it cannot be written through
	err     *Error
}

const maxViewDepth = 32

// expand analyses a view's definition, once for the life of the catalogue: a definition means the same to everyone.
func (c *Catalogue) expand(r *Relation, depth int) *view {
	c.mu.Lock()
	v := c.views[r.OID]
	c.mu.Unlock()
	if v != nil {
		return v
	}
	if depth > maxViewDepth {
		return &view{err: &Error{Reason: "views are nested too deeply", Position: -1}}
	}
	// Without the lock: the definition may contain other views. Two sessions may do this twice, with equal results.
	v = c.expandNow(r, depth)
	c.mu.Lock()
	c.views[r.OID] = v
	c.mu.Unlock()
	return v
}

func (c *Catalogue) expandNow(r *Relation, depth int) (v *view) {
	v = &view{}
	defer catch(&v.err)
	definition := strings.TrimSuffix(strings.TrimSpace(r.Definition), ";")
	if definition == "" {
		return &view{err: &Error{Reason: "its definition cannot be read by the proxy's catalogue role", Position: -1}}
	}
	tree, _, err := parse(definition, c.Major())
	if err != nil {
		return &view{err: &Error{Reason: "its definition cannot be parsed: " + err.Reason, Position: -1}}
	}
	if len(tree.Stmts) != 1 || tree.Stmts[0].Stmt.GetSelectStmt() == nil {
		return &view{err: &Error{Reason: "its definition is not one query", Position: -1}}
	}
	an := &analyser{cat: c, depth: depth + 1, recorder: newRecorder(c)}
	an.setPath([]string{"pg_catalog"})
	sel := tree.Stmts[0].Stmt.GetSelectStmt()
	// Outputs are recorded by who reads the view, and only those he reads.
	q := an.selectQuery(&scope{}, sel, "")
	for _, f := range q.columns {
		v.columns = append(v.columns, field{f.name, f.value.through(q.keepsRows)})
	}
	v.targets = an.writable(sel, q)
	v.recorder = an.recorder
	return v
}

// behind are the relations that a write to r is really made to, none when r is a table.
func (an *analyser) behind(r *Relation) []uint32 {
	if r.Kind != "v" || isSystem(r.OID) {
		return nil
	}
	return an.cat.expand(r, an.depth).targets
}

// writable finds what an automatically updatable view writes to: its one table, and what that, if a view, writes to.
func (an *analyser) writable(sel *pg_query.SelectStmt, q query) []uint32 {
	if !q.plain || sel.WithClause != nil || len(sel.FromClause) != 1 {
		return nil
	}
	rv := sel.FromClause[0].GetRangeVar()
	if rv == nil {
		return nil
	}
	r := an.find(rv)
	if r == nil {
		return nil
	}
	out := []uint32{r.OID}
	return append(out, an.behind(r)...)
}
