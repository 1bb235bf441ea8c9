package sql

import (
	"errors"
	"fmt"
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v6"
)

// maxCreate bounds the texts that Create reads.
const maxCreate = 256 << 10

// Create adds what CREATE SCHEMA, CREATE TABLE (also INHERITS and PARTITION OF) and CREATE VIEW statements make. Constraints,
// defaults and lengths are read over: they do not matter to policy. In views every table is named with its schema.
func (s *Snapshot) Create(text string) error {
	if len(text) > maxCreate {
		return fmt.Errorf("the CREATE statements are longer than %d KiB: leave out what the policy does not speak of", maxCreate>>10)
	}
	tree, _, perr := parse(text, parserMajor)
	if perr != nil {
		return fmt.Errorf("%s %s", perr.Reason, perr.Told)
	}
	for i, raw := range tree.Stmts {
		if err := s.create(raw.Stmt, tree); err != nil {
			return fmt.Errorf("statement %d: %w", i+1, err)
		}
	}
	return nil
}

func (s *Snapshot) create(n *pg_query.Node, tree *pg_query.ParseResult) error {
	switch n := n.GetNode().(type) {
	case *pg_query.Node_CreateSchemaStmt:
		if len(n.CreateSchemaStmt.SchemaElts) > 0 {
			return errors.New("write the tables of a schema as statements of their own")
		}
		s.Schema(n.CreateSchemaStmt.Schemaname)
		return nil
	case *pg_query.Node_CreateStmt:
		return s.createTable(n.CreateStmt)
	case *pg_query.Node_ViewStmt:
		return s.createView(n.ViewStmt, tree.Version)
	default:
		return errors.New("only CREATE SCHEMA, CREATE TABLE and CREATE VIEW are understood: leave the others out, or record a catalogue with shiguan policy snapshot")
	}
}

func schemaOf(rv *pg_query.RangeVar) string {
	if rv.Schemaname == "" {
		return "public"
	}
	return rv.Schemaname
}

func (s *Snapshot) createTable(c *pg_query.CreateStmt) error {
	var columns []newColumn
	var parents []uint32
	for _, n := range c.InhRelations {
		parent := s.find(schemaOf(n.GetRangeVar()), n.GetRangeVar().GetRelname())
		if parent == nil {
			return fmt.Errorf("table %s is not there: create it before its children", rvName(n.GetRangeVar()))
		}
		parents = append(parents, parent.OID)
		for _, a := range parent.Attributes {
			columns = append(columns, newColumn{a.Name, s.typeName(a.Type)})
		}
	}
	for _, n := range c.TableElts {
		d := n.GetColumnDef()
		if d == nil {
			if n.GetConstraint() != nil {
				continue
			}
			return errors.New("LIKE is not understood: write the columns out")
		}
		name, err := columnType(d.TypeName)
		if err != nil {
			return fmt.Errorf("column %q of %s: %w", d.Colname, rvName(c.Relation), err)
		}
		columns = append(columns, newColumn{d.Colname, name})
	}
	kind := "r"
	if c.Partspec != nil {
		kind = "p"
	}
	if err := s.relation(schemaOf(c.Relation), c.Relation.Relname, kind, "", columns); err != nil {
		return err
	}
	child := s.Relations[len(s.Relations)-1].OID
	for _, p := range parents {
		s.Inherits = append(s.Inherits, Inherit{Child: child, Parent: p})
	}
	return nil
}

// createView has the analyser say what the view's columns are.
func (s *Snapshot) createView(v *pg_query.ViewStmt, version int32) error {
	query, err := pg_query.Deparse(&pg_query.ParseResult{Version: version, Stmts: []*pg_query.RawStmt{{Stmt: v.Query}}})
	if err != nil {
		return fmt.Errorf("view %s: its query cannot be read: %w", rvName(v.View), err)
	}
	cat, err := NewCatalogue(*s)
	if err != nil {
		return err
	}
	a, err := Analyse(query, cat, Env{SearchPath: []string{"pg_catalog"}})
	if err != nil {
		return fmt.Errorf("view %s: %w", rvName(v.View), err)
	}
	var columns []newColumn
	for i, o := range a.Statements[0].Outputs {
		name := o.Name
		if i < len(v.Aliases) {
			name = v.Aliases[i].GetString_().GetSval()
		}
		columns = append(columns, newColumn{name, s.typeName(o.Type)})
	}
	return s.relation(schemaOf(v.View), v.View.Relname, "v", query, columns)
}

func (s *Snapshot) find(schema, name string) *Relation {
	for i := range s.Relations {
		if r := &s.Relations[i]; r.Name == name && r.Namespace == s.Schema(schema) {
			return r
		}
	}
	return nil
}

// columnType is a type as relation reads it.
func columnType(t *pg_query.TypeName) (string, error) {
	parts := names(t.GetNames())
	if len(parts) == 0 || len(parts) == 2 && parts[0] != "pg_catalog" || len(parts) > 2 {
		return "", fmt.Errorf("type %q is not one of PostgreSQL's", strings.Join(parts, "."))
	}
	name := parts[len(parts)-1]
	switch name {
	case "serial":
		name = "int4"
	case "bigserial":
		name = "int8"
	case "smallserial":
		name = "int2"
	}
	if len(t.ArrayBounds) > 0 {
		name = "_" + name
	}
	return name, nil
}

// typeName is a type of PostgreSQL's own by its name; text for what the analyser could not tell.
func (s *Snapshot) typeName(oid uint32) string {
	for i := range s.Types {
		if t := &s.Types[i]; t.OID == oid && isSystem(oid) && t.Kind != "p" {
			return t.Name
		}
	}
	return "text"
}
