package sql

import (
	"fmt"
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v6"
)

func typeTail(n any) string {
	return strings.TrimPrefix(fmt.Sprintf("%T", n), "*pg_query.Node_")
}

// plainAlter are the subcommands of ALTER TABLE that touch nothing but the table itself and run no expression.
var plainAlter = map[pg_query.AlterTableType]struct{}{
	pg_query.AlterTableType_AT_DropColumn: {}, pg_query.AlterTableType_AT_SetNotNull: {}, pg_query.AlterTableType_AT_DropNotNull: {},
	pg_query.AlterTableType_AT_SetStatistics: {}, pg_query.AlterTableType_AT_SetOptions: {}, pg_query.AlterTableType_AT_ResetOptions: {},
	pg_query.AlterTableType_AT_SetStorage: {}, pg_query.AlterTableType_AT_SetCompression: {},
	pg_query.AlterTableType_AT_DropConstraint: {}, pg_query.AlterTableType_AT_ValidateConstraint: {}, pg_query.AlterTableType_AT_AlterConstraint: {},
	pg_query.AlterTableType_AT_SetRelOptions: {}, pg_query.AlterTableType_AT_ResetRelOptions: {}, pg_query.AlterTableType_AT_SetLogged: {},
	pg_query.AlterTableType_AT_SetUnLogged: {}, pg_query.AlterTableType_AT_ClusterOn: {}, pg_query.AlterTableType_AT_DropCluster: {},
	pg_query.AlterTableType_AT_AddIdentity: {}, pg_query.AlterTableType_AT_SetIdentity: {}, pg_query.AlterTableType_AT_DropIdentity: {},
	pg_query.AlterTableType_AT_DropExpression: {}, pg_query.AlterTableType_AT_ReplicaIdentity: {},
}

func (an *analyser) alterTable(s *Statement, a *pg_query.AlterTableStmt) {
	s.Verb = Alter
	switch a.Objtype {
	case pg_query.ObjectType_OBJECT_TABLE, pg_query.ObjectType_OBJECT_INDEX, pg_query.ObjectType_OBJECT_VIEW,
		pg_query.ObjectType_OBJECT_MATVIEW, pg_query.ObjectType_OBJECT_SEQUENCE, pg_query.ObjectType_OBJECT_FOREIGN_TABLE:
	default:
		s.Verb, s.Reason = Other, "alter "+objectKind(a.Objtype)
		return
	}
	t := an.named(a.Relation, Alter)
	an.table(t)
	if r := an.find(a.Relation); r != nil && a.Relation.Inh {
		an.inherited(r, Alter, r.schema+"."+r.Name)
	}
	self := an.existing(a.Relation)
	for _, n := range a.Cmds {
		c := n.GetAlterTableCmd()
		if c == nil {
			an.refuseNode("in ALTER TABLE", n.GetNode())
		}
		an.alterCommand(s, self, c)
	}
}

func (an *analyser) alterCommand(s *Statement, self *entry, c *pg_query.AlterTableCmd) {
	if c.Behavior == pg_query.DropBehavior_DROP_CASCADE {
		an.beyond("CASCADE reaches what the statement does not name")
	}
	switch c.Subtype {
	case pg_query.AlterTableType_AT_AddColumn:
		d := c.Def.GetColumnDef()
		if d == nil {
			an.refuseNode("in ADD COLUMN", c.Def.GetNode())
		}
		an.columnDef(self, d)
		an.constraints(self, d.Constraints)
	case pg_query.AlterTableType_AT_ColumnDefault, pg_query.AlterTableType_AT_SetExpression:
		if c.Def != nil {
			an.definedBy(self, c.Def)
		}
	case pg_query.AlterTableType_AT_AlterColumnType:
		d := c.Def.GetColumnDef()
		if d == nil {
			an.refuseNode("in ALTER COLUMN TYPE", c.Def.GetNode())
		}
		typ := an.typeNamed(d.TypeName)
		if v, n := an.peek(self, c.Name); n == 1 {
			an.convert(v, typ.OID, true)
		}
		if d.RawDefault != nil {
			an.definedBy(self, d.RawDefault)
		}
	case pg_query.AlterTableType_AT_AddConstraint:
		k := c.Def.GetConstraint()
		if k == nil {
			an.refuseNode("in ADD CONSTRAINT", c.Def.GetNode())
		}
		an.constraint(self, k)
	case pg_query.AlterTableType_AT_AttachPartition, pg_query.AlterTableType_AT_DetachPartition:
		p := c.Def.GetPartitionCmd()
		if p == nil || p.Name == nil {
			an.refuseNode("in ALTER TABLE", c.Def.GetNode())
		}
		an.table(an.named(p.Name, Alter))
	case pg_query.AlterTableType_AT_AddInherit, pg_query.AlterTableType_AT_DropInherit:
		rv := c.Def.GetRangeVar()
		if rv == nil {
			an.refuseNode("in ALTER TABLE", c.Def.GetNode())
		}
		an.table(an.named(rv, Alter))
	default:
		if _, ok := plainAlter[c.Subtype]; !ok {
			s.Verb, s.Reason = Other, "alter table: "+strings.TrimPrefix(c.Subtype.String(), "AT_")
		}
	}
}

func objectKind(t pg_query.ObjectType) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(t.String(), "OBJECT_"), "_", " "))
}

func (an *analyser) rename(s *Statement, r *pg_query.RenameStmt) {
	s.Verb = Alter
	kind := r.RenameType
	switch kind {
	case pg_query.ObjectType_OBJECT_TABLE, pg_query.ObjectType_OBJECT_VIEW, pg_query.ObjectType_OBJECT_MATVIEW,
		pg_query.ObjectType_OBJECT_INDEX, pg_query.ObjectType_OBJECT_SEQUENCE, pg_query.ObjectType_OBJECT_COLUMN,
		pg_query.ObjectType_OBJECT_TABCONSTRAINT, pg_query.ObjectType_OBJECT_FOREIGN_TABLE:
	default:
		s.Verb, s.Reason = Other, "rename "+objectKind(kind)
		return
	}
	if r.Relation == nil {
		an.refuse("a RENAME is not understood")
	}
	t := an.named(r.Relation, Alter)
	an.table(t)
	if kind != pg_query.ObjectType_OBJECT_COLUMN && kind != pg_query.ObjectType_OBJECT_TABCONSTRAINT {
		an.table(TableUse{Schema: t.Schema, Name: r.Newname, Verb: Create})
	}
}

func (an *analyser) drop(s *Statement, d *pg_query.DropStmt) {
	s.Verb = Drop
	switch d.RemoveType {
	case pg_query.ObjectType_OBJECT_TABLE, pg_query.ObjectType_OBJECT_VIEW, pg_query.ObjectType_OBJECT_MATVIEW,
		pg_query.ObjectType_OBJECT_INDEX, pg_query.ObjectType_OBJECT_SEQUENCE, pg_query.ObjectType_OBJECT_FOREIGN_TABLE:
	default:
		s.Verb, s.Reason = Other, "drop "+objectKind(d.RemoveType)
		return
	}
	if d.Behavior == pg_query.DropBehavior_DROP_CASCADE {
		an.beyond("CASCADE reaches what the statement does not name")
	}
	for _, n := range d.Objects {
		parts := names(n.GetList().GetItems())
		rv := &pg_query.RangeVar{}
		switch len(parts) {
		case 1:
			rv.Relname = parts[0]
		case 2:
			rv.Schemaname, rv.Relname = parts[0], parts[1]
		case 3:
			rv.Catalogname, rv.Schemaname, rv.Relname = parts[0], parts[1], parts[2]
		default:
			an.refuse("a name in DROP is not understood")
		}
		an.table(an.named(rv, Drop))
	}
}

func (an *analyser) truncate(s *Statement, t *pg_query.TruncateStmt) {
	s.Verb, s.DDL = Truncate, false
	if t.Behavior == pg_query.DropBehavior_DROP_CASCADE {
		an.beyond("CASCADE reaches what the statement does not name")
	}
	for _, n := range t.Relations {
		rv := n.GetRangeVar()
		if rv == nil {
			an.refuseNode("in TRUNCATE", n.GetNode())
		}
		an.resolving()
		an.table(an.named(rv, Truncate))
		if r := an.find(rv); r != nil && rv.Inh {
			an.inherited(r, Truncate, r.schema+"."+r.Name)
		}
	}
}

// maintain handles VACUUM, ANALYZE, REINDEX, CLUSTER, LOCK TABLE and REFRESH MATERIALIZED VIEW.
func (an *analyser) maintain(s *Statement, n any) {
	s.Verb, s.DDL = Maintain, false
	use := func(rv *pg_query.RangeVar) {
		an.resolving()
		an.table(an.named(rv, Maintain))
		if r := an.find(rv); r != nil && rv.Inh {
			an.inherited(r, Maintain, r.schema+"."+r.Name)
		}
	}
	switch n := n.(type) {
	case *pg_query.Node_VacuumStmt:
		for _, r := range n.VacuumStmt.Rels {
			rel := r.GetVacuumRelation()
			if rel == nil || rel.Relation == nil {
				an.refuseNode("in VACUUM", r.GetNode())
			}
			use(rel.Relation)
		}
		if len(n.VacuumStmt.Rels) == 0 {
			an.beyond("every table of the database")
		}
	case *pg_query.Node_ReindexStmt:
		if n.ReindexStmt.Relation == nil {
			an.beyond("every index of a schema or database")
			return
		}
		use(n.ReindexStmt.Relation)
	case *pg_query.Node_ClusterStmt:
		if n.ClusterStmt.Relation == nil {
			an.beyond("every clustered table of the database")
			return
		}
		use(n.ClusterStmt.Relation)
	case *pg_query.Node_LockStmt:
		for _, r := range n.LockStmt.Relations {
			if r.GetRangeVar() == nil {
				an.refuseNode("in LOCK", r.GetNode())
			}
			use(r.GetRangeVar())
		}
	case *pg_query.Node_RefreshMatViewStmt:
		use(n.RefreshMatViewStmt.Relation)
	default:
		an.refuseNode("as a statement", n)
	}
}
