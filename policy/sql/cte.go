package sql

import (
	"slices"

	pg_query "github.com/pganalyze/pg_query_go/v6"
)

// cte is one element of WITH, analysed when it is first referred to or when the WITH is done.
type cte struct {
	def       *pg_query.CommonTableExpr
	recursive bool
	done      bool
	running   bool
	// selfReference says that the running analysis met its own name.
	selfReference bool
	columns       []field // of a running recursive query: what is known so far
	keepsRows     bool
	references    int
	tables        []TableUse   // that its query reads, so often
	places        []occurrence // that its query makes
	lo            int          // number of the first of them
}

// cte finds a WITH name from the inside out, and the level that has it.
func (s *scope) cte(name string) (*cte, *scope) {
	for sc := s; sc != nil; sc = sc.up {
		if c, ok := sc.ctes[name]; ok {
			return c, sc
		}
	}
	return nil, nil
}

// with declares the elements of a WITH clause on the scope, which has no FROM items yet, and analyses them all.
func (an *analyser) with(s *scope, w *pg_query.WithClause) {
	if w == nil {
		return
	}
	if s.ctes == nil {
		s.ctes = map[string]*cte{}
	}
	var list []*cte
	for _, n := range w.Ctes {
		def := n.GetCommonTableExpr()
		if def == nil {
			an.refuseNode("in WITH", n.GetNode())
		}
		if def.SearchClause != nil || def.CycleClause != nil {
			an.refuse("SEARCH and CYCLE of WITH RECURSIVE are not understood")
		}
		c := &cte{def: def, recursive: w.Recursive}
		list = append(list, c)
		if w.Recursive {
			if _, ok := s.ctes[def.Ctename]; ok {
				an.refuse("WITH name %q is given twice", def.Ctename)
			}
			s.ctes[def.Ctename] = c // forward and self references are allowed
		}
	}
	for _, c := range list {
		if c.recursive {
			continue
		}
		// Not recursive: an element sees only those before it, and a table of its own name.
		an.analyseCTE(s, c)
		if _, ok := s.ctes[c.def.Ctename]; ok {
			an.refuse("WITH name %q is given twice", c.def.Ctename)
		}
		s.ctes[c.def.Ctename] = c
	}
	for _, c := range list {
		an.analyseCTE(s, c)
	}
}

// analyseCTE computes the columns of a WITH element. level is the scope that has the WITH clause: its FROM items are not
// visible inside, its other WITH names are.
func (an *analyser) analyseCTE(level *scope, c *cte) {
	if c.done {
		return
	}
	if c.running {
		an.refuse("WITH elements that refer to each other in a circle are not understood")
	}
	c.running = true
	c.lo = len(an.places) + 1
	outer := &scope{up: level.up, ctes: level.ctes, lateral: false}
	run := func() query {
		q := an.query(outer.child(), c.def.Ctequery, UseOutput)
		return q
	}
	if c.recursive {
		an.seedRecursive(outer, c)
	}
	before := slices.Clone(an.tables)
	q := run()
	c.tables = since(before, an.tables)
	for range 64 {
		c.keepsRows = q.keepsRows && !c.selfReference
		next := an.cteColumns(c, q)
		grown := !sameSources(c.columns, next)
		c.columns = next
		if !c.selfReference || !grown {
			break
		}
		// The recursive arm may have carried new sources into the columns it reads: once more, until nothing is added.
		q = run()
	}
	c.running, c.done = false, true
	c.places = slices.Clone(an.places[c.lo-1:])
}

// since lists the occurrences recorded after before was taken.
func since(before, after []TableUse) []TableUse {
	var out []TableUse
	for i, t := range after {
		if i < len(before) {
			t.Times -= before[i].Times
		}
		if t.Times > 0 {
			out = append(out, t)
		}
	}
	return out
}

// seedRecursive analyses the non-recursive arm alone, whose column names and types the self-reference has.
func (an *analyser) seedRecursive(outer *scope, c *cte) {
	sel := c.def.Ctequery.GetSelectStmt()
	if sel == nil || sel.Op != pg_query.SetOperation_SETOP_UNION || sel.Larg == nil {
		return
	}
	s := outer.child()
	an.with(s, sel.WithClause)
	q := an.selectQuery(s.child(), sel.Larg, UseOutput)
	if c.selfReference {
		an.refuse("the first arm of a recursive WITH refers to itself")
	}
	for i := range q.columns {
		q.columns[i].value = expression(q.columns[i].value).typed(q.columns[i].typ)
	}
	c.columns = an.cteColumns(c, q)
}

func (an *analyser) cteColumns(c *cte, q query) []field {
	list := names(c.def.Aliascolnames)
	if len(list) > len(q.columns) {
		an.refuse("WITH name %q has fewer columns than names are given for", c.def.Ctename)
	}
	out := append([]field(nil), q.columns...)
	for i, n := range list {
		out[i].name = n
	}
	return out
}

func sameSources(a, b []field) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if len(a[i].from) != len(b[i].from) {
			return false
		}
	}
	return true
}

// cteEntry is a reference to a WITH name in FROM.
func (an *analyser) cteEntry(level *scope, c *cte, alias *pg_query.Alias) *entry {
	e := &entry{alias: c.def.Ctename}
	switch {
	case c.running && c.columns == nil:
		an.refuse("WITH name %q refers to itself in a way that is not understood", c.def.Ctename)
	case c.running:
		c.selfReference = true
		for _, f := range c.columns {
			v := expression(f.value)
			v.typ, v.typmod, v.column = f.typ, -1, true
			e.columns = append(e.columns, field{f.name, v})
		}
	default:
		an.analyseCTE(level, c)
		if c.references++; c.references > 1 {
			// Its rows enter the statement once more.
			for _, t := range c.tables {
				an.table(t)
			}
		}
		// What this reference restricts says nothing about the rows that another one shows.
		shift, hi := an.replay(c.places, c.lo), c.lo+len(c.places)
		if c.def.Ctequery.GetSelectStmt() != nil { // any other runs in full, whoever refers to it
			for i := c.lo; i < hi; i++ {
				an.places[i-1].template = true
			}
		}
		for _, f := range c.columns {
			e.columns = append(e.columns, field{f.name, f.value.through(c.keepsRows).moved(c.lo, hi, shift)})
		}
	}
	an.aliased(e, alias)
	return e
}
