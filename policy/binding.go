package policy

import (
	"fmt"
	"slices"

	"shiguan/policy/sql"
)

// binding is a policy's `data` resolved against one catalogue snapshot. Whatever cannot be resolved closes a table instead
// of opening it.
type binding struct {
	catalogue *sql.Catalogue
	columns   map[sql.Column]*dataColumn
	subjects  map[uint32]subjectColumn // by table
	closed    map[uint32]string        // table → why nothing of it may be touched
	domains   map[uint32]uint32        // domain → the type it is over
	findings  []Finding
}

// subjectColumn is the column that names the person a row is about.
type subjectColumn struct {
	column    sql.Column
	namespace string
}

// Finding is something about a policy and a database that do not fit together.
type Finding struct {
	Line    int    // in the policy file
	Closed  bool   // the table is refused to everybody until the policy or the database is corrected
	Message string // what, and what to do
}

// bind resolves a policy against a catalogue. A proxy serves few databases, so the last snapshots are remembered.
func (p *Policy) bind(c *sql.Catalogue) *binding {
	if b, ok := p.memory.bindings.Get(c); ok {
		return b
	}
	b := p.newBinding(c)
	p.memory.bindings.Add(c, b)
	return b
}

func (p *Policy) newBinding(c *sql.Catalogue) *binding {
	b := &binding{catalogue: c, columns: map[sql.Column]*dataColumn{}, subjects: map[uint32]subjectColumn{}, closed: map[uint32]string{},
		domains: map[uint32]uint32{}}
	for _, t := range c.Snapshot().Types {
		if t.Kind == "d" && t.Base != 0 {
			b.domains[t.OID] = t.Base
		}
	}
	for i := range p.data {
		b.bindColumn(&p.data[i])
	}
	// Columns named by the policy win over what they inherit, so kin come second.
	for i := range p.data {
		b.bindKin(&p.data[i])
	}
	b.bindCopies()
	return b
}

func (b *binding) find(line int, closed bool, format string, args ...any) {
	b.findings = append(b.findings, Finding{line, closed, fmt.Sprintf(format, args...)})
}

// close refuses a table to everybody, and with it the tables that share its rows by inheritance.
func (b *binding) close(oid uint32, why string) {
	whole := sql.Column{Table: oid}
	for _, t := range slices.Concat([]sql.Column{whole}, b.catalogue.Descendants(whole), b.catalogue.Ancestors(whole)) {
		if b.closed[t.Table] == "" {
			b.closed[t.Table] = why
		}
	}
}

// bindColumn resolves one named column. A table that does not exist is no danger (a policy may serve several databases);
// a table without a column that the policy calls sensitive is: the column may have been renamed.
func (b *binding) bindColumn(d *dataColumn) {
	r := b.catalogue.Lookup(d.table.schema, d.table.name)
	if r == nil {
		b.find(d.line, false, "data names %s.%s, and this database has no table %s: check the name%s", d.table, d.column, d.table, meantTable(b.catalogue, d.table))
		return
	}
	switch r.Kind {
	case "v":
		b.find(d.line, true, "data names %s, which is a view: name the tables behind it", d.table)
		b.close(r.OID, fmt.Sprintf("the policy calls %s sensitive, but it is a view: the security administrator must name its tables", d.table))
		return
	case "r", "p", "f", "m":
	default:
		b.find(d.line, true, "data names %s, which is no table: remove it", d.table)
		return
	}
	a, ok := r.Attribute(d.column)
	if !ok {
		b.find(d.line, true, "data names %s.%s, and the table has no such column: if it was renamed, rename it here too%s", d.table, d.column, meantColumn(r, d.column))
		b.close(r.OID, fmt.Sprintf("the policy names column %s.%s, which the table no longer has: the security administrator must correct it", d.table, d.column))
		return
	}
	if d.subject && !isTextType(b.baseType(a.Type)) {
		b.find(d.line, true, "%s.%s is the subject and not a character column: a person is named by text here", d.table, d.column)
		b.close(r.OID, fmt.Sprintf("the policy's subject column %s.%s is no character column: the security administrator must correct it", d.table, d.column))
	}
	b.mark(sql.Column{Table: r.OID, Att: a.Num}, d)
}

// isTextType lists the types whose text and binary forms are the same characters, so that a person has one name whatever
// the client asks for.
func isTextType(oid uint32) bool { return oid == 25 || oid == 1043 || oid == 1042 || oid == 19 }

// baseType follows domains to the type that clients see.
func (b *binding) baseType(oid uint32) uint32 {
	for range 32 {
		base, ok := b.domains[oid]
		if !ok {
			break
		}
		oid = base
	}
	return oid
}

func (b *binding) mark(col sql.Column, d *dataColumn) {
	b.columns[col] = d
	if d.subject {
		b.subjects[col.Table] = subjectColumn{col, d.class.name}
	}
}

// bindKin carries a column's class to the same column of children and partitions, and to parents, whose rows include it.
func (b *binding) bindKin(d *dataColumn) {
	col, ok := b.catalogue.Column(d.table.schema, d.table.name, d.column)
	if !ok {
		return
	}
	for _, kin := range slices.Concat(b.catalogue.Descendants(col), b.catalogue.Ancestors(col)) {
		switch have := b.columns[kin]; {
		case have == nil:
			b.mark(kin, d)
		case have.class != d.class:
			b.find(d.line, true, "%s.%s is %s and by inheritance also %s: give both the same class", have.table, have.column, have.class.name, d.class.name)
			b.close(kin.Table, "the policy gives a column two classes by inheritance: the security administrator must correct it")
		}
	}
}

// bindCopies closes materialised views that hold copies of sensitive columns and are not under `data` themselves.
func (b *binding) bindCopies() {
	for _, r := range b.catalogue.Snapshot().Relations {
		if r.Kind != "m" {
			continue
		}
		for _, a := range r.Attributes {
			col := sql.Column{Table: r.OID, Att: a.Num}
			if a.Dropped || b.columns[col] != nil {
				continue
			}
			name := fmt.Sprintf("%s.%s.%s", r.Schema(), r.Name, a.Name)
			origins, err := b.catalogue.Origins(col)
			if err != nil {
				b.closeCopy(r.OID, name, "was computed in a way that cannot be followed")
				break
			}
			if slices.ContainsFunc(origins, func(o sql.Column) bool { return b.columns[o] != nil }) {
				b.closeCopy(r.OID, name, "was computed from sensitive columns")
			}
		}
	}
}

func (b *binding) closeCopy(oid uint32, column, how string) {
	b.find(0, true, "%s %s: name it under data", column, how)
	b.close(oid, fmt.Sprintf("%s %s: the security administrator must name it under data", column, how))
}

// name gives a column as schema.table.column; a column that the catalogue lacks cannot come from its own analyses.
func (b *binding) name(col sql.Column) string {
	schema, table, name, ok := b.catalogue.ColumnName(col)
	if !ok {
		return fmt.Sprintf("column %d of relation %d", col.Att, col.Table)
	}
	return schema + "." + table + "." + name
}

// sensitiveIn lists the sensitive columns of one table.
func (b *binding) sensitiveIn(oid uint32) []sql.Column {
	var list []sql.Column
	for col := range b.columns {
		if col.Table == oid {
			list = append(list, col)
		}
	}
	slices.SortFunc(list, func(x, y sql.Column) int { return int(x.Att) - int(y.Att) })
	return list
}
