package sql

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

//go:embed builtin.json.gz
var builtinFile []byte

// Builtin is the catalogue of a fresh database of PostgreSQL 15: the schemas pg_catalog, information_schema and public,
// nothing of users. It serves where no server can be asked: policy tests, the explaining of a policy on a desk, unit tests.
// Add the tables at hand with Table and View, then call NewCatalogue.
func Builtin() (Snapshot, error) {
	var s Snapshot
	z, err := gzip.NewReader(bytes.NewReader(builtinFile))
	if err != nil {
		return s, fmt.Errorf("built-in catalogue: %w", err)
	}
	if err := json.NewDecoder(z).Decode(&s); err != nil {
		return s, fmt.Errorf("built-in catalogue: %w", err)
	}
	return s, nil
}

// nextOID is one more than any OID in use, and at least the first that can be a user's.
func (s *Snapshot) nextOID() uint32 {
	next := uint32(firstUserOID)
	for _, n := range s.Namespaces {
		next = max(next, n.OID+1)
	}
	for _, r := range s.Relations {
		next = max(next, r.OID+1, r.RowType+1)
	}
	return next
}

// Schema makes sure that a schema exists and returns its OID.
func (s *Snapshot) Schema(name string) uint32 {
	if i := slices.IndexFunc(s.Namespaces, func(n Namespace) bool { return n.Name == name }); i >= 0 {
		return s.Namespaces[i].OID
	}
	n := Namespace{OID: s.nextOID(), Name: name}
	s.Namespaces = append(s.Namespaces, n)
	return n.OID
}

// Table adds a table; each column is "name type", the type by its name in pg_catalog or as SQL spells it.
func (s *Snapshot) Table(schema, name string, columns ...string) error {
	return s.spelled(schema, name, "r", "", columns)
}

// View adds a view by its query, in which every table is named with its schema, and its columns as Table has them.
func (s *Snapshot) View(schema, name, query string, columns ...string) error {
	return s.spelled(schema, name, "v", query, columns)
}

// newColumn is a column to be made, its type by a name in pg_catalog or as SQL spells it.
type newColumn struct{ name, typ string }

func (s *Snapshot) spelled(schema, name, kind, definition string, columns []string) error {
	var list []newColumn
	for _, c := range columns {
		col, typ, ok := strings.Cut(strings.TrimSpace(c), " ")
		if !ok {
			return fmt.Errorf("column %q of %s.%s: want name and type", c, schema, name)
		}
		list = append(list, newColumn{col, typ})
	}
	return s.relation(schema, name, kind, definition, list)
}

func (s *Snapshot) relation(schema, name, kind, definition string, columns []newColumn) error {
	ns := s.Schema(schema)
	oid := s.nextOID()
	r := Relation{OID: oid, Namespace: ns, Name: name, Kind: kind, RowType: oid + 1, Definition: definition}
	for i, c := range columns {
		t, err := s.typeOID(c.typ)
		if err != nil {
			return fmt.Errorf("column %q of %s.%s: %w", c.name, schema, name, err)
		}
		r.Attributes = append(r.Attributes, Attribute{Num: int16(i + 1), Name: c.name, Type: t})
	}
	s.Relations = append(s.Relations, r)
	s.Types = append(s.Types, Type{OID: oid + 1, Namespace: ns, Name: name, Kind: "c", Category: "C", Relation: oid})
	return nil
}

var sqlTypeNames = map[string]string{
	"integer": "int4", "int": "int4", "bigint": "int8", "smallint": "int2", "boolean": "bool", "decimal": "numeric", "real": "float4",
	"double precision": "float8", "character varying": "varchar", "character": "bpchar", "char": "bpchar",
	"timestamp without time zone": "timestamp", "timestamp with time zone": "timestamptz",
}

func (s *Snapshot) typeOID(name string) (uint32, error) {
	if i := strings.IndexByte(name, '('); i > 0 {
		name = strings.TrimSpace(name[:i]) // lengths do not matter to policy
	}
	if n, ok := sqlTypeNames[name]; ok {
		name = n
	}
	for _, t := range s.Types {
		if t.Name == name && isSystem(t.OID) {
			return t.OID, nil
		}
	}
	return 0, fmt.Errorf("type %q is not one of PostgreSQL's", name)
}
