package sql

import (
	pg_query "github.com/pganalyze/pg_query_go/v6"
)

// relation resolves a relation's name as the server would now; it refuses when there is none.
func (an *analyser) relation(rv *pg_query.RangeVar) *Relation {
	r := an.find(rv)
	if r == nil {
		an.refuse("relation %q does not exist in the search path: write schema.table, or grant the proxy's catalogue role access", rvName(rv))
	}
	return r
}

// find is relation, with nil for none.
func (an *analyser) find(rv *pg_query.RangeVar) *Relation {
	if rv.Catalogname != "" && rv.Catalogname != an.cat.snapshot.Database {
		an.refuse("relation %q is in another database", rvName(rv))
	}
	if rv.Schemaname == "pg_temp" {
		return nil // temporary relations are not in the catalogue
	}
	if rv.Schemaname != "" {
		return an.cat.Lookup(rv.Schemaname, rv.Relname)
	}
	if an.env.TempSchema != "" {
		an.refuse("this session has temporary tables, one of which may be called %q: write schema.table", rv.Relname)
	}
	for _, ns := range an.path {
		if r, ok := an.cat.relByName[objectName{ns, rv.Relname}]; ok {
			return r
		}
	}
	return nil
}

func rvName(rv *pg_query.RangeVar) string {
	if rv.Schemaname != "" {
		return rv.Schemaname + "." + rv.Relname
	}
	return rv.Relname
}

// created names a relation that the statement makes or drops: the existing one, or where it would be made.
func (an *analyser) created(rv *pg_query.RangeVar, verb Verb) TableUse {
	if rv.Schemaname == "" && rv.Relpersistence != "t" {
		// A new relation goes to the first schema of the path that is not implicit.
		for _, n := range an.env.SearchPath {
			if ns, ok := an.cat.schemas[n]; ok {
				if r, ok := an.cat.relByName[objectName{ns, rv.Relname}]; ok {
					return TableUse{OID: r.OID, Schema: n, Name: r.Name, Kind: r.Kind[0], Verb: verb}
				}
				return TableUse{Schema: n, Name: rv.Relname, Verb: verb}
			}
		}
		return TableUse{Name: rv.Relname, Verb: verb}
	}
	if rv.Relpersistence == "t" || rv.Schemaname == "pg_temp" {
		return TableUse{Schema: "pg_temp", Name: rv.Relname, Verb: verb}
	}
	return an.named(rv, verb)
}

// named is an existing relation that a statement acts on, or OID 0 when there is none of the name.
func (an *analyser) named(rv *pg_query.RangeVar, verb Verb) TableUse {
	if r := an.find(rv); r != nil {
		return TableUse{OID: r.OID, Schema: r.schema, Name: r.Name, Kind: r.Kind[0], Verb: verb}
	}
	schema := rv.Schemaname
	if schema == "" && len(an.env.SearchPath) > 0 {
		schema = an.env.SearchPath[0]
	}
	return TableUse{Schema: schema, Name: rv.Relname, Verb: verb}
}
