package sql

import (
	"slices"
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v6"
)

// utility fills s from one parsed statement. The switch is closed: what is known to PostgreSQL but not to us is Other.
func (an *analyser) utility(s *Statement, n *pg_query.Node) {
	switch n := n.GetNode().(type) {
	case *pg_query.Node_SelectStmt:
		if n.SelectStmt.IntoClause != nil {
			an.selectInto(s, n.SelectStmt)
			return
		}
		an.optimisable(s, &pg_query.Node{Node: n}, Select)
	case *pg_query.Node_InsertStmt:
		an.optimisable(s, &pg_query.Node{Node: n}, Insert)
	case *pg_query.Node_UpdateStmt:
		an.optimisable(s, &pg_query.Node{Node: n}, Update)
	case *pg_query.Node_DeleteStmt:
		an.optimisable(s, &pg_query.Node{Node: n}, Delete)
	case *pg_query.Node_MergeStmt:
		an.optimisable(s, &pg_query.Node{Node: n}, Merge)
	case *pg_query.Node_CopyStmt:
		an.copy(s, n.CopyStmt)
	case *pg_query.Node_TransactionStmt:
		an.transaction(s, n.TransactionStmt)
	case *pg_query.Node_VariableSetStmt:
		an.set(s, n.VariableSetStmt)
	case *pg_query.Node_VariableShowStmt:
		s.Verb, s.Setting = Show, &Setting{Name: strings.ToLower(n.VariableShowStmt.Name)}
		s.Outputs = showOutputs(s.Setting.Name)
	case *pg_query.Node_DiscardStmt:
		s.Verb, s.MayWrite = Discard, true
		s.Name = strings.ToLower(strings.TrimPrefix(n.DiscardStmt.Target.String(), "DISCARD_"))
	case *pg_query.Node_ConstraintsSetStmt:
		s.Verb, s.Setting = Set, &Setting{Name: "constraints", Local: true}
	case *pg_query.Node_ExplainStmt:
		an.explain(s, n.ExplainStmt)
	case *pg_query.Node_PrepareStmt, *pg_query.Node_ExecuteStmt, *pg_query.Node_DeallocateStmt,
		*pg_query.Node_DeclareCursorStmt, *pg_query.Node_FetchStmt, *pg_query.Node_ClosePortalStmt:
		an.cursorOrPrepared(s, n)
	default:
		an.definition(s, n)
	}
}

// optimisable is SELECT, INSERT, UPDATE, DELETE or MERGE.
func (an *analyser) optimisable(s *Statement, n *pg_query.Node, verb Verb) {
	s.Verb = verb
	an.fresh(s, func() {
		q := an.query(&scope{}, n, UseOutput)
		an.outputs(s, q)
	})
}

func (an *analyser) outputs(s *Statement, q query) {
	for _, f := range q.columns {
		s.Outputs = append(s.Outputs, f.output(f.name))
	}
	for _, p := range an.unchanged(an.held(q.conds), q.target) {
		s.Pins, s.pinned = append(s.Pins, p.Pin), append(s.pinned, p.lit)
	}
	s.Aggregated = q.grouped || len(s.Outputs) > 0
	if !q.grouped {
		for _, o := range s.Outputs {
			s.Aggregated = s.Aggregated && o.Aggregate
		}
	}
	s.tail.last, s.tail.returning, s.tail.rows = int(q.last), s.Verb != Select, q.rows
	if q.plain && len(q.columns) > 0 && q.last >= 0 {
		for _, it := range q.scope.items {
			if it.relation && it.alias != "" {
				s.tail.ranges = append(s.tail.ranges, it.entry)
			}
		}
	}
}

// unchanged drops pins that do not hold for all rows the statement changes, or no longer after the change: on tables that
// something else than the statement itself writes to (WITH, triggers), and on columns given another value.
func (an *analyser) unchanged(pins []heldPin, target *Relation) []heldPin {
	var own []uint32
	if target != nil {
		own = append([]uint32{target.OID}, an.behind(target)...)
	}
	return slices.DeleteFunc(pins, func(p heldPin) bool {
		inserted := false
		for _, t := range an.tables {
			if t.OID != p.Table || t.Verb == Select {
				continue
			}
			if r := an.cat.relations[t.OID]; r == nil || r.Triggers || !slices.Contains(own, t.OID) {
				return true
			}
			inserted = t.Verb == Insert
		}
		_, written := an.seenCol[columnKey{p.Column, UseWrite, Column{}}]
		return written && !inserted
	})
}

func showOutputs(name string) []Output {
	if name == "all" {
		return []Output{{Name: "name", Type: typeText}, {Name: "setting", Type: typeText}, {Name: "description", Type: typeText}}
	}
	return []Output{{Name: name, Type: typeText}}
}

func (an *analyser) transaction(s *Statement, t *pg_query.TransactionStmt) {
	s.Verb = Transaction
	switch t.Kind {
	case pg_query.TransactionStmtKind_TRANS_STMT_BEGIN, pg_query.TransactionStmtKind_TRANS_STMT_START:
		s.Block, s.Name = BlockBegin, "begin"
	case pg_query.TransactionStmtKind_TRANS_STMT_COMMIT:
		s.Block, s.Name, s.MayWrite = BlockCommit, "commit", true
	case pg_query.TransactionStmtKind_TRANS_STMT_PREPARE:
		// The transaction's fate is decided later, maybe by someone else: no rule can follow it.
		s.Verb, s.Reason = Other, "PREPARE TRANSACTION"
		s.Block, s.Name, s.MayWrite = BlockCommit, "prepare transaction", true
	case pg_query.TransactionStmtKind_TRANS_STMT_COMMIT_PREPARED, pg_query.TransactionStmtKind_TRANS_STMT_ROLLBACK_PREPARED:
		s.Verb, s.Reason, s.MayWrite = Other, "COMMIT PREPARED or ROLLBACK PREPARED", true
	case pg_query.TransactionStmtKind_TRANS_STMT_ROLLBACK:
		s.Block, s.Name = BlockRollback, "rollback"
	case pg_query.TransactionStmtKind_TRANS_STMT_SAVEPOINT:
		s.Block, s.Name = BlockInside, "savepoint"
	case pg_query.TransactionStmtKind_TRANS_STMT_RELEASE:
		s.Block, s.Name = BlockInside, "release"
	case pg_query.TransactionStmtKind_TRANS_STMT_ROLLBACK_TO:
		s.Block, s.Name = BlockInside, "rollback to"
	default:
		an.refuse("a transaction statement is not understood")
	}
	s.Chain, s.Savepoint = t.Chain, t.SavepointName
}

// set is SET and RESET. Becoming someone else is not a setting.
func (an *analyser) set(s *Statement, v *pg_query.VariableSetStmt) {
	name := strings.ToLower(v.Name)
	s.Verb, s.Setting = Set, &Setting{Name: name, Local: v.IsLocal}
	switch v.Kind {
	case pg_query.VariableSetKind_VAR_SET_VALUE:
		s.Setting.Value = settingValue(v.Args)
	case pg_query.VariableSetKind_VAR_SET_DEFAULT, pg_query.VariableSetKind_VAR_RESET:
		s.Setting.Reset = true
	case pg_query.VariableSetKind_VAR_RESET_ALL:
		s.Setting.Name, s.Setting.Reset = "all", true
	case pg_query.VariableSetKind_VAR_SET_CURRENT:
	case pg_query.VariableSetKind_VAR_SET_MULTI:
		switch name {
		case "transaction":
			s.Verb, s.Name, s.Setting = Transaction, "set transaction", nil
		case "session characteristics":
		default:
			s.Verb, s.Reason, s.Setting, s.MayWrite = Other, "SET "+strings.ToUpper(name), nil, true
		}
	default:
		an.refuse("a SET statement is not understood")
	}
	if name == "role" || name == "session_authorization" {
		s.Verb, s.Reason, s.MayWrite = Other, "SET "+strings.ToUpper(strings.ReplaceAll(name, "_", " ")), true
	}
}

// settingValue is the one literal of SET x = literal; "" for a list.
func settingValue(args []*pg_query.Node) string {
	if len(args) != 1 {
		return ""
	}
	if tc := args[0].GetTypeCast(); tc != nil { // SET TIME ZONE INTERVAL '…'
		return ""
	}
	c := args[0].GetAConst()
	if c == nil {
		return ""
	}
	if b := c.GetBoolval(); b != nil {
		if b.Boolval {
			return "true"
		}
		return "false"
	}
	return constant(c).text
}

func (an *analyser) explain(s *Statement, e *pg_query.ExplainStmt) {
	inner := &Statement{Text: s.Text}
	an.utility(inner, e.Query)
	s.Verb, s.Inner = Explain, inner
	s.borrow(inner)
	s.Outputs, s.Pins, s.Aggregated, s.MayWrite = []Output{{Name: "QUERY PLAN", Type: typeText}}, nil, false, false
	for _, n := range e.Options {
		d := n.GetDefElem()
		if d == nil {
			an.refuseNode("as an option of EXPLAIN", n.GetNode())
		}
		if d.Defname == "analyze" && optionOn(d) {
			s.MayWrite, s.Analyze = inner.MayWrite, true
			s.DDL = inner.DDL
		}
	}
	if inner.Verb == Execute || inner.Verb == Other {
		s.MayWrite = s.MayWrite || inner.Verb == Other
	}
}

// optionOn reads a boolean option: given alone it is on.
func optionOn(d *pg_query.DefElem) bool {
	switch a := d.Arg.GetNode().(type) {
	case nil:
		return true
	case *pg_query.Node_Boolean:
		return a.Boolean.Boolval
	case *pg_query.Node_Integer:
		return a.Integer.Ival != 0
	case *pg_query.Node_String_:
		v := strings.ToLower(a.String_.Sval)
		return v != "false" && v != "off" && v != "0"
	default:
		return true
	}
}

// borrow takes what the inner statement touches for the outer one.
func (s *Statement) borrow(inner *Statement) {
	s.Tables, s.Columns, s.Functions = inner.Tables, inner.Columns, inner.Functions
	s.Outputs, s.Pins, s.Aggregated, s.MayWrite = inner.Outputs, inner.Pins, inner.Aggregated, inner.MayWrite
	s.touched, s.Params, s.Occurrences = inner.touched, inner.Params, inner.Occurrences
}
