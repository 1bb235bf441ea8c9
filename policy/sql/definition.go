package sql

import (
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v6"
)

// definition handles what changes the catalogue or maintains tables. What names no relation, or does more than can be
// told from its text, is Other.
func (an *analyser) definition(s *Statement, n any) {
	s.MayWrite, s.DDL = true, true
	an.fresh(s, func() {
		switch n := n.(type) {
		case *pg_query.Node_CreateStmt:
			an.createTable(s, n.CreateStmt)
		case *pg_query.Node_CreateTableAsStmt:
			an.createTableAs(s, n.CreateTableAsStmt)
		case *pg_query.Node_ViewStmt:
			an.createView(s, n.ViewStmt)
		case *pg_query.Node_IndexStmt:
			an.createIndex(s, n.IndexStmt)
		case *pg_query.Node_CreateSeqStmt:
			s.Verb = Create
			an.table(an.created(n.CreateSeqStmt.Sequence, Create))
		case *pg_query.Node_AlterSeqStmt:
			s.Verb = Alter
			an.table(an.named(n.AlterSeqStmt.Sequence, Alter))
			for _, o := range n.AlterSeqStmt.Options {
				if o.GetDefElem().GetDefname() == "owned_by" {
					an.beyond("changes what the sequence belongs to")
				}
			}
		case *pg_query.Node_AlterTableStmt:
			an.alterTable(s, n.AlterTableStmt)
		case *pg_query.Node_RenameStmt:
			an.rename(s, n.RenameStmt)
		case *pg_query.Node_DropStmt:
			an.drop(s, n.DropStmt)
		case *pg_query.Node_TruncateStmt:
			an.truncate(s, n.TruncateStmt)
		case *pg_query.Node_VacuumStmt, *pg_query.Node_ReindexStmt, *pg_query.Node_ClusterStmt, *pg_query.Node_LockStmt,
			*pg_query.Node_RefreshMatViewStmt:
			an.maintain(s, n)
		default:
			an.other(s, n)
		}
	})
	s.MayWrite = true
}

// other is a statement no rule can follow. The closed list says which are known to change no name's meaning; the reason
// is the statement's own kind.
func (an *analyser) other(s *Statement, n any) {
	s.Verb = Other
	s.Reason = kindOf(n)
	switch n.(type) {
	case *pg_query.Node_ListenStmt, *pg_query.Node_UnlistenStmt, *pg_query.Node_NotifyStmt, *pg_query.Node_CheckPointStmt,
		*pg_query.Node_CommentStmt, *pg_query.Node_SecLabelStmt:
		s.DDL = false
	}
}

// kindOf turns CreateFunctionStmt into "create function".
func kindOf(n any) string {
	name := typeTail(n)
	name = strings.TrimSuffix(name, "Stmt")
	var b strings.Builder
	for i, r := range name {
		if r >= 'A' && r <= 'Z' && i > 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}

// beyond notes that the statement reaches further than its text says.
func (an *analyser) beyond(why string) {
	an.function(FunctionUse{Name: "definition", Why: why})
}

func (an *analyser) createTable(s *Statement, c *pg_query.CreateStmt) {
	s.Verb = Create
	an.table(an.created(c.Relation, Create))
	self := &entry{alias: c.Relation.Relname}
	for _, in := range c.InhRelations {
		an.readTable(in.GetRangeVar(), self)
	}
	if c.OfTypename != nil {
		an.beyond("is made of a type")
	}
	for _, n := range c.TableElts {
		switch e := n.GetNode().(type) {
		case *pg_query.Node_ColumnDef:
			an.columnDef(self, e.ColumnDef)
		case *pg_query.Node_TableLikeClause:
			an.readTable(e.TableLikeClause.Relation, self)
		case *pg_query.Node_Constraint:
		default:
			an.refuseNode("in CREATE TABLE", e)
		}
	}
	// Constraints may name any column, so they come after all of them.
	for _, n := range c.TableElts {
		if d := n.GetColumnDef(); d != nil {
			an.constraints(self, d.Constraints)
		}
		if k := n.GetConstraint(); k != nil {
			an.constraint(self, k)
		}
	}
	an.constraints(self, c.Constraints)
	if c.Partspec != nil {
		for _, p := range c.Partspec.PartParams {
			if x := p.GetPartitionElem().GetExpr(); x != nil {
				an.definedBy(self, x)
			}
		}
	}
	if c.Partbound != nil {
		for _, list := range [][]*pg_query.Node{c.Partbound.Listdatums, c.Partbound.Lowerdatums, c.Partbound.Upperdatums} {
			for _, n := range list {
				if n.GetColumnRef() == nil && n.GetPartitionRangeDatum() == nil { // MINVALUE and MAXVALUE look like columns
					an.definedBy(self, n)
				}
			}
		}
	}
}

// readTable is a table whose structure goes into another.
func (an *analyser) readTable(rv *pg_query.RangeVar, self *entry) {
	if rv == nil {
		an.refuse("a table's parent is not understood")
	}
	an.table(an.named(rv, Select))
	if r := an.find(rv); r != nil {
		for _, a := range liveAttributes(r) {
			self.columns = append(self.columns, field{a.Name, value{typ: a.Type, typmod: -1, column: true}})
		}
	}
}

var serials = wordSet("serial serial2 serial4 serial8 bigserial smallserial")

func (an *analyser) columnDef(self *entry, d *pg_query.ColumnDef) {
	v := value{typmod: -1, column: true}
	if d.TypeName != nil {
		parts := names(d.TypeName.Names)
		if _, ok := serials[parts[len(parts)-1]]; ok && len(parts) == 1 {
			v.typ = typeInt8
		} else {
			v.typ = an.typeNamed(d.TypeName).OID
		}
	}
	self.columns = append(self.columns, field{d.Colname, v})
	if d.RawDefault != nil {
		an.definedBy(self, d.RawDefault)
	}
}

func (an *analyser) constraints(self *entry, list []*pg_query.Node) {
	for _, n := range list {
		if c := n.GetConstraint(); c != nil {
			an.constraint(self, c)
		} else {
			an.refuseNode("as a constraint", n.GetNode())
		}
	}
}

func (an *analyser) constraint(self *entry, c *pg_query.Constraint) {
	switch c.Contype {
	case pg_query.ConstrType_CONSTR_NULL, pg_query.ConstrType_CONSTR_NOTNULL, pg_query.ConstrType_CONSTR_PRIMARY,
		pg_query.ConstrType_CONSTR_UNIQUE, pg_query.ConstrType_CONSTR_IDENTITY,
		pg_query.ConstrType_CONSTR_ATTR_DEFERRABLE, pg_query.ConstrType_CONSTR_ATTR_NOT_DEFERRABLE,
		pg_query.ConstrType_CONSTR_ATTR_DEFERRED, pg_query.ConstrType_CONSTR_ATTR_IMMEDIATE:
	case pg_query.ConstrType_CONSTR_DEFAULT, pg_query.ConstrType_CONSTR_CHECK, pg_query.ConstrType_CONSTR_GENERATED:
		an.definedBy(self, c.RawExpr)
	case pg_query.ConstrType_CONSTR_FOREIGN:
		if c.Pktable != nil {
			an.table(an.named(c.Pktable, Select)) // a foreign key tells which keys exist
		}
	default:
		an.beyond("has a constraint that is not understood")
	}
}

// definedBy is an expression that becomes part of a definition. It runs later, for everyone.
func (an *analyser) definedBy(self *entry, n *pg_query.Node) {
	s := &scope{items: []item{{entry: self, relation: true, columns: true}}}
	an.use(an.expr(s, n), UseSource)
}

func (an *analyser) createTableAs(s *Statement, c *pg_query.CreateTableAsStmt) {
	s.Verb = Create
	an.table(an.created(c.Into.Rel, Create))
	if ex := c.Query.GetExecuteStmt(); ex != nil {
		an.refuse("CREATE TABLE AS EXECUTE is not understood: write the query")
	}
	an.query(&scope{}, c.Query, UseSource)
}

// selectInto is SELECT … INTO, which is CREATE TABLE AS.
func (an *analyser) selectInto(s *Statement, sel *pg_query.SelectStmt) {
	into := sel.IntoClause
	sel.IntoClause = nil
	s.Verb, s.DDL = Create, true
	an.fresh(s, func() {
		an.table(an.created(into.Rel, Create))
		an.resolving()
		an.selectQuery(&scope{}, sel, UseSource)
	})
	s.MayWrite = true
}

func (an *analyser) createView(s *Statement, v *pg_query.ViewStmt) {
	s.Verb = Create
	an.table(an.created(v.View, Create))
	an.query(&scope{}, v.Query, UseSource)
}

func (an *analyser) createIndex(s *Statement, ix *pg_query.IndexStmt) {
	s.Verb = Create
	an.table(an.named(ix.Relation, Create))
	self := an.existing(ix.Relation)
	for _, list := range [][]*pg_query.Node{ix.IndexParams, ix.IndexIncludingParams} {
		for _, n := range list {
			e := n.GetIndexElem()
			if e == nil {
				an.refuseNode("in CREATE INDEX", n.GetNode())
			}
			if len(e.Opclass) > 0 && len(names(e.Opclass)) > 1 && names(e.Opclass)[0] != "pg_catalog" {
				an.beyond("uses an operator class of users")
			}
			if e.Expr != nil {
				an.definedBy(self, e.Expr)
			}
		}
	}
	if ix.WhereClause != nil {
		an.definedBy(self, ix.WhereClause)
	}
}

// existing is an entry with the columns of a relation as they are, or none when it does not exist yet.
func (an *analyser) existing(rv *pg_query.RangeVar) *entry {
	e := &entry{alias: rv.Relname}
	if r := an.find(rv); r != nil {
		for _, a := range liveAttributes(r) {
			col := Column{r.OID, a.Num}
			v := value{server: col, base: col, from: []source{{column: col}}, typ: a.Type, typmod: a.Typmod - 1, column: true}
			e.columns = append(e.columns, field{a.Name, v})
		}
	}
	return e
}
