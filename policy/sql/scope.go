package sql

// entry is one range-table entry: something in FROM that has columns.
type entry struct {
	alias   string
	rel     *Relation // a relation of the catalogue, else nil
	named   bool      // has an explicit alias, so that schema.table does not find it
	columns []field
	system  bool // has ctid, tableoid, …
	scalar  bool // a function of one column: its whole row is that column
}

type field struct {
	name string
	value
}

// item is an entry in a scope with what can be seen of it there.
type item struct {
	*entry
	relation bool // as alias.column
	columns  bool // as a bare column name
	lateral  bool // only from LATERAL
}

// scope is one query level.
type scope struct {
	up      *scope
	items   []item
	ctes    map[string]*cte
	lateral bool // items marked lateral can be seen now

	aggregates bool // an aggregate of this level was met
	windows    bool
	// sublink says that this level is a subquery inside an expression; an aggregate in it may belong to a level above
	// (mayAggregate), when all its arguments do.
	sublink      bool
	mayAggregate bool
	targets      []field // output columns, which ORDER BY and GROUP BY may name
}

// withoutTargets is the same level where names of outputs mean nothing, as inside OVER and aggregates.
func (s *scope) withoutTargets() *scope {
	return &scope{up: s.up, items: s.items, ctes: s.ctes, lateral: s.lateral, sublink: s.sublink}
}

func (s *scope) child() *scope { return &scope{up: s} }

// visible calls fn for the items of each level from the inside out until fn says that the level had a match.
func (s *scope) visible(fn func(level *scope, it item) bool) {
	for sc := s; sc != nil; sc = sc.up {
		found := false
		for _, it := range sc.items {
			if it.lateral && !sc.lateral {
				continue
			}
			if fn(sc, it) {
				found = true
			}
		}
		if found {
			return
		}
	}
}

// columnNamed resolves an unqualified column name; n is the number of matches on the level that had any.
func (an *analyser) columnNamed(s *scope, name string) (v value, n int) {
	s.visible(func(_ *scope, it item) bool {
		if !it.columns {
			return false
		}
		got, k := an.fieldOf(it.entry, name)
		if k > 0 {
			v, n = got, n+k
		}
		return k > 0
	})
	return v, n
}

// fieldOf finds a column of an entry; n counts matches, more than one is ambiguous.
func (an *analyser) fieldOf(e *entry, name string) (v value, n int) {
	for _, f := range e.columns {
		if f.name == name {
			v, n = f.value, n+1
		}
	}
	if n == 0 && e.system {
		if att, ok := systemColumns[name]; ok {
			col := Column{e.rel.OID, att.num}
			v = value{server: col, base: col, from: []source{{column: col}}, typ: att.typ, typmod: -1, row: true, column: true}
			if len(e.columns) > 0 {
				v.place = e.columns[0].place
			}
			n = 1
		}
	}
	if n > 0 {
		an.touch(v)
	}
	return v, n
}

// touch notes a column of a relation as the text names it.
func (an *analyser) touch(v value) {
	if v.server != (Column{}) {
		an.direct[v.server] = struct{}{}
	}
}

// relationNamed resolves alias (schema "") or schema.table to an entry.
func (an *analyser) relationNamed(s *scope, schema, name string) *entry {
	var found *entry
	n := 0
	s.visible(func(_ *scope, it item) bool {
		if !it.relation {
			return false
		}
		ok := it.alias == name
		if schema != "" {
			ok = it.rel != nil && !it.named && it.rel.schema == schema && it.rel.Name == name
		}
		if ok {
			found, n = it.entry, n+1
		}
		return ok
	})
	if n > 1 {
		an.refuse("table name %q is ambiguous", name)
	}
	return found
}

// wholeRow is a reference to all of an entry's columns as one value.
func (an *analyser) wholeRow(e *entry) value {
	if e.scalar && len(e.columns) == 1 {
		an.touch(e.columns[0].value)
		return e.columns[0].value
	}
	v := value{whole: e, typmod: -1, column: true}
	if e.rel != nil && e.rel.Kind != "v" {
		v.server = Column{e.rel.OID, 0}
		v.from = []source{{column: v.server}}
		v.typ = e.rel.RowType
		an.touch(v)
		return v
	}
	for _, f := range e.columns {
		if e.rel == nil {
			an.touch(f.value)
		}
		for _, s := range f.from {
			v.from = appendSource(v.from, source{column: s.column})
		}
	}
	if e.rel != nil {
		v.server, v.typ = Column{e.rel.OID, 0}, e.rel.RowType
		an.direct[v.server] = struct{}{}
	}
	return v
}
