package sql

import (
	"context"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
)

// Querier runs one query; *pgx.Conn and pgx.Tx are such.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Load reads the catalogue. The session must be the caller's own, never a client's: Load sets its search_path to
// pg_catalog, because view definitions are printed relative to it. Works on PostgreSQL 14 to 18, with no more rights than
// CONNECT; two Loads of an unchanged catalogue have the same Version.
//
// The catalogue is read in several queries. Load takes the fingerprint before and after and starts again when they differ,
// so that what it returns is one state; Catalogue.Fingerprint tells which.
func Load(ctx context.Context, q Querier) (*Catalogue, error) {
	for range 5 {
		before, err := Fingerprint(ctx, q)
		if err != nil {
			return nil, err
		}
		c, err := load(ctx, q)
		if err != nil {
			return nil, err
		}
		after, err := Fingerprint(ctx, q)
		if err != nil {
			return nil, err
		}
		if before == after {
			c.fingerprint = after
			return c, nil
		}
	}
	return nil, fmt.Errorf("catalogue: it changed during each of five attempts to read it; try again when the migration is over")
}

func load(ctx context.Context, q Querier) (*Catalogue, error) {
	var s Snapshot
	// One row, discarded: everything after depends on it, so it is a statement of its own.
	if err := each(ctx, q, "search_path", `SELECT pg_catalog.set_config('search_path', 'pg_catalog', false)`, new(string), func() {}); err != nil {
		return nil, err
	}
	var version string
	if err := collect(ctx, q, "version", `SELECT pg_catalog.current_setting('server_version_num'), pg_catalog.current_database()::pg_catalog.text`,
		[]any{&version, &s.Database}, func() {}); err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(version)
	if err != nil {
		return nil, fmt.Errorf("catalogue: server_version_num is not a number")
	}
	s.ServerVersion = n
	steps := []func(context.Context, Querier, *Snapshot) error{
		loadNamespaces, loadRelations, loadAttributes, loadInherits, loadTypes, loadFunctions, loadOperators, loadCasts,
	}
	for _, step := range steps {
		if err := step(ctx, q, &s); err != nil {
			return nil, err
		}
	}
	return NewCatalogue(s)
}

func each(ctx context.Context, q Querier, what, query string, dst any, row func()) error {
	return collect(ctx, q, what, query, []any{dst}, row)
}

// collect runs one query and calls row after each row has been scanned into dst.
func collect(ctx context.Context, q Querier, what, query string, dst []any, row func()) error {
	rows, err := q.Query(ctx, query)
	if err != nil {
		return fmt.Errorf("catalogue: read %s: %w", what, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(dst...); err != nil {
			return fmt.Errorf("catalogue: read %s: %w", what, err)
		}
		row()
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("catalogue: read %s: %w", what, err)
	}
	return nil
}

func loadNamespaces(ctx context.Context, q Querier, s *Snapshot) error {
	var n Namespace
	return collect(ctx, q, "schemas", `SELECT oid, nspname::pg_catalog.text FROM pg_catalog.pg_namespace ORDER BY oid`,
		[]any{&n.OID, &n.Name}, func() { s.Namespaces = append(s.Namespaces, n) })
}

// Indexes and TOAST tables cannot be named in a query; their names matter only to DROP and ALTER, so they come without
// attributes. The definitions of PostgreSQL's own views are left out: those views are judged by name.
func loadRelations(ctx context.Context, q Querier, s *Snapshot) error {
	var r Relation
	return collect(ctx, q, "relations", `
		SELECT c.oid, c.relnamespace, c.relname::pg_catalog.text, c.relkind::pg_catalog.text, c.reltype,
		  EXISTS (SELECT 1 FROM pg_catalog.pg_rewrite w WHERE w.ev_class OPERATOR(pg_catalog.=) c.oid
		          AND w.rulename OPERATOR(pg_catalog.<>) '_RETURN'),
		  EXISTS (SELECT 1 FROM pg_catalog.pg_trigger t WHERE t.tgrelid OPERATOR(pg_catalog.=) c.oid AND NOT t.tgisinternal),
		  CASE WHEN c.oid OPERATOR(pg_catalog.>=) 16384 AND c.relkind::pg_catalog.text OPERATOR(pg_catalog.=) ANY ('{v,m}'::pg_catalog.text[])
		       THEN pg_catalog.pg_get_viewdef(c.oid) ELSE '' END
		FROM pg_catalog.pg_class c
		WHERE c.relkind::pg_catalog.text OPERATOR(pg_catalog.<>) 't' AND c.relpersistence::pg_catalog.text OPERATOR(pg_catalog.<>) 't'
		ORDER BY c.oid`,
		[]any{&r.OID, &r.Namespace, &r.Name, &r.Kind, &r.RowType, &r.Rules, &r.Triggers, &r.Definition},
		func() { s.Relations = append(s.Relations, r) })
}

func loadAttributes(ctx context.Context, q Querier, s *Snapshot) error {
	index := make(map[uint32]int, len(s.Relations))
	for i := range s.Relations {
		index[s.Relations[i].OID] = i
	}
	var rel uint32
	var a Attribute
	return collect(ctx, q, "columns", `
		SELECT a.attrelid, a.attnum, a.attname::pg_catalog.text, a.atttypid, a.atttypmod OPERATOR(pg_catalog.+) 1, a.attisdropped,
		  a.atthasdef, a.attgenerated::pg_catalog.text OPERATOR(pg_catalog.<>) '',
		  NOT coalesce((SELECT l.collisdeterministic FROM pg_catalog.pg_collation l WHERE l.oid OPERATOR(pg_catalog.=) a.attcollation), true)
		FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) a.attrelid
		WHERE a.attnum OPERATOR(pg_catalog.>) 0 AND c.relpersistence::pg_catalog.text OPERATOR(pg_catalog.<>) 't'
		  AND c.relkind::pg_catalog.text OPERATOR(pg_catalog.=) ANY ('{r,v,m,f,p,S,c}'::pg_catalog.text[])
		ORDER BY a.attrelid, a.attnum`,
		[]any{&rel, &a.Num, &a.Name, &a.Type, &a.Typmod, &a.Dropped, &a.Default, &a.Generated, &a.Fuzzy},
		func() {
			if i, ok := index[rel]; ok {
				s.Relations[i].Attributes = append(s.Relations[i].Attributes, a)
			}
		})
}

func loadInherits(ctx context.Context, q Querier, s *Snapshot) error {
	var in Inherit
	return collect(ctx, q, "inheritance", `SELECT i.inhrelid, i.inhparent FROM pg_catalog.pg_inherits i
		JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) i.inhrelid
		WHERE c.relkind::pg_catalog.text OPERATOR(pg_catalog.=) ANY ('{r,f,p}'::pg_catalog.text[])
		ORDER BY 1, 2`,
		[]any{&in.Child, &in.Parent}, func() { s.Inherits = append(s.Inherits, in) })
}

func loadTypes(ctx context.Context, q Querier, s *Snapshot) error {
	var t Type
	return collect(ctx, q, "types", `
		SELECT oid, typnamespace, typname::pg_catalog.text, typtype::pg_catalog.text, typcategory::pg_catalog.text, typispreferred,
		  typelem, typarray, typrelid, typbasetype
		FROM pg_catalog.pg_type t WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_namespace n
		  WHERE n.oid OPERATOR(pg_catalog.=) t.typnamespace AND pg_catalog.starts_with(n.nspname::pg_catalog.text, 'pg_temp_'))
		ORDER BY oid`,
		[]any{&t.OID, &t.Namespace, &t.Name, &t.Kind, &t.Category, &t.Preferred, &t.Element, &t.Array, &t.Relation, &t.Base},
		func() { s.Types = append(s.Types, t) })
}

func loadFunctions(ctx context.Context, q Querier, s *Snapshot) error {
	var f Function
	var args, all []uint32
	var modes, names []string
	return collect(ctx, q, "functions", `
		SELECT oid, pronamespace, proname::pg_catalog.text, prokind::pg_catalog.text, provolatile::pg_catalog.text, prosecdef,
		  proargtypes::pg_catalog.oid[], pronargdefaults::pg_catalog.int8, provariadic, prorettype, proretset,
		  coalesce(proallargtypes, '{}'), coalesce(proargmodes::pg_catalog.text[], '{}'), coalesce(proargnames, '{}')
		FROM pg_catalog.pg_proc ORDER BY oid`,
		[]any{&f.OID, &f.Namespace, &f.Name, &f.Kind, &f.Volatility, &f.Definer, &args, &f.Defaults, &f.Variadic, &f.Result, &f.Set,
			&all, &modes, &names},
		func() {
			f.Args, f.OutNames, f.OutTypes = append([]uint32(nil), args...), nil, nil
			for i, m := range modes {
				if (m == "o" || m == "b" || m == "t") && i < len(all) {
					name := ""
					if i < len(names) {
						name = names[i]
					}
					f.OutNames, f.OutTypes = append(f.OutNames, name), append(f.OutTypes, all[i])
				}
			}
			s.Functions = append(s.Functions, f)
		})
}

func loadOperators(ctx context.Context, q Querier, s *Snapshot) error {
	var o Operator
	return collect(ctx, q, "operators", `SELECT oid, oprnamespace, oprname::pg_catalog.text, oprleft, oprright, oprresult, oprcode::pg_catalog.oid
		FROM pg_catalog.pg_operator ORDER BY oid`,
		[]any{&o.OID, &o.Namespace, &o.Name, &o.Left, &o.Right, &o.Result, &o.Function},
		func() { s.Operators = append(s.Operators, o) })
}

func loadCasts(ctx context.Context, q Querier, s *Snapshot) error {
	var c Cast
	return collect(ctx, q, "casts", `SELECT oid, castsource, casttarget, castfunc, castcontext::pg_catalog.text, castmethod::pg_catalog.text
		FROM pg_catalog.pg_cast ORDER BY castsource, casttarget`,
		[]any{&c.OID, &c.Source, &c.Target, &c.Function, &c.Context, &c.Method},
		func() { s.Casts = append(s.Casts, c) })
}

// fingerprintQuery counts rows and sums xmin over what Load reads. Every insert, update and delete of a row changes a
// count or the sum; the sum (unlike a maximum) also notices a transaction that commits after a younger one. Temporary
// relations, indexes and TOAST tables are left out: they come and go all day.
const fingerprintQuery = `
	SELECT pg_catalog.concat_ws(',', pg_catalog.current_setting('server_version_num'),
	  (SELECT pg_catalog.concat(pg_catalog.count(*), '/', pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.pg_namespace),
	  (SELECT pg_catalog.concat(pg_catalog.count(*), '/', pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.pg_class
	    WHERE relpersistence::pg_catalog.text OPERATOR(pg_catalog.<>) 't' AND relkind::pg_catalog.text OPERATOR(pg_catalog.<>) ALL ('{i,I,t}'::pg_catalog.text[])),
	  (SELECT pg_catalog.concat(pg_catalog.count(*), '/', pg_catalog.sum(a.xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.pg_attribute a
	    JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) a.attrelid
	    WHERE c.relpersistence::pg_catalog.text OPERATOR(pg_catalog.<>) 't' AND c.relkind::pg_catalog.text OPERATOR(pg_catalog.<>) ALL ('{i,I,t}'::pg_catalog.text[])),
	  (SELECT pg_catalog.concat(pg_catalog.count(*), '/', pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.pg_proc),
	  (SELECT pg_catalog.concat(pg_catalog.count(*), '/', pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.pg_rewrite),
	  (SELECT pg_catalog.concat(pg_catalog.count(*), '/', pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.pg_trigger),
	  (SELECT pg_catalog.concat(pg_catalog.count(*), '/', pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.pg_inherits),
	  (SELECT pg_catalog.concat(pg_catalog.count(*), '/', pg_catalog.sum(t.xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.pg_type t
	    JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) t.typnamespace
	    WHERE NOT pg_catalog.starts_with(n.nspname::pg_catalog.text, 'pg_temp_')),
	  (SELECT pg_catalog.concat(pg_catalog.count(*), '/', pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.pg_operator),
	  (SELECT pg_catalog.concat(pg_catalog.count(*), '/', pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.pg_cast))`

// Fingerprint is a short text that changes when anything changes that Load reads; it costs a few milliseconds. Equal
// fingerprints mean that a catalogue loaded at the first is still true at the second.
func Fingerprint(ctx context.Context, q Querier) (string, error) {
	var f string
	if err := each(ctx, q, "fingerprint", fingerprintQuery, &f, func() {}); err != nil {
		return "", err
	}
	if f == "" {
		return "", fmt.Errorf("catalogue: the fingerprint query returned nothing")
	}
	return f, nil
}
