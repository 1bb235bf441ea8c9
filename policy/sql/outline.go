package sql

import (
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Outline says of a text what its grammar alone tells: its statements, which of them begin or end transaction blocks, give
// or take names, copy. Tables, functions and columns are not looked up, so nothing can be decided by it but what is allowed
// whatever it touches. Its statements are marked Outlined and count as writing. nil says that the text does not parse.
func Outline(text string, major int) (analysis *Analysis) {
	defer func() {
		if recover() != nil {
			analysis = nil
		}
	}()
	tree, _, err := parse(text, major)
	if err != nil {
		return nil
	}
	an := &analyser{}
	analysis = &Analysis{}
	for _, raw := range tree.Stmts {
		start, end := int(raw.StmtLocation), len(text)
		if raw.StmtLen > 0 {
			end = start + int(raw.StmtLen)
		}
		s := Statement{Text: strings.TrimSpace(text[start:end]), Outlined: true, MayWrite: true}
		an.outline(&s, raw.Stmt)
		s.calls(raw.ProtoReflect())
		analysis.Statements = append(analysis.Statements, s)
	}
	if len(tree.Stmts) == 0 {
		analysis.Statements = []Statement{{Verb: Empty, Text: strings.TrimSpace(text)}}
	}
	return analysis
}

// outline fills in what needs no names. Where the analyser would refuse, Outline has no answer either.
func (an *analyser) outline(s *Statement, n *pg_query.Node) {
	inside := func(name string, verb Verb) {
		s.Verb, s.Name = verb, name
		s.Inner = &Statement{Verb: Other, Text: s.Text, Outlined: true, MayWrite: true}
	}
	switch n := n.GetNode().(type) {
	case *pg_query.Node_TransactionStmt:
		an.transaction(s, n.TransactionStmt)
	case *pg_query.Node_VariableSetStmt:
		an.set(s, n.VariableSetStmt)
	case *pg_query.Node_VariableShowStmt:
		s.Verb, s.Setting = Show, &Setting{Name: strings.ToLower(n.VariableShowStmt.Name)}
	case *pg_query.Node_DiscardStmt:
		s.Verb, s.Name = Discard, strings.ToLower(strings.TrimPrefix(n.DiscardStmt.Target.String(), "DISCARD_"))
	case *pg_query.Node_PrepareStmt:
		inside(n.PrepareStmt.Name, Prepare)
	case *pg_query.Node_DeclareCursorStmt:
		inside(n.DeclareCursorStmt.Portalname, Declare)
	case *pg_query.Node_DeallocateStmt:
		if s.Verb = Deallocate; !n.DeallocateStmt.Isall {
			s.Name = n.DeallocateStmt.Name
		}
	case *pg_query.Node_ClosePortalStmt:
		s.Verb, s.Name = CloseCur, n.ClosePortalStmt.Portalname
	case *pg_query.Node_ExecuteStmt:
		s.Verb, s.Name = Execute, n.ExecuteStmt.Name
	case *pg_query.Node_FetchStmt:
		s.Verb, s.Name = Fetch, n.FetchStmt.Portalname
	case *pg_query.Node_CopyStmt:
		s.Verb = Other
		if n.CopyStmt.Filename == "" && !n.CopyStmt.IsProgram {
			if s.Verb = CopyOut; n.CopyStmt.IsFrom {
				s.Verb, s.Copy = CopyIn, &Copy{}
			}
		}
	default:
		s.outlined(n)
	}
}

// outlined names what touches tables; only a plain query is certain to leave the catalogue alone.
func (s *Statement) outlined(n any) {
	switch n := n.(type) {
	case *pg_query.Node_SelectStmt:
		s.Verb, s.DDL = Select, n.SelectStmt.IntoClause != nil
	case *pg_query.Node_InsertStmt:
		s.Verb = Insert
	case *pg_query.Node_UpdateStmt:
		s.Verb = Update
	case *pg_query.Node_DeleteStmt:
		s.Verb = Delete
	case *pg_query.Node_MergeStmt:
		s.Verb = Merge
	default:
		s.Verb, s.DDL, s.Reason = Other, true, kindOf(n)
	}
}

// calls notes every function that is called by name, whatever it may be.
func (s *Statement) calls(m protoreflect.Message) {
	if f, ok := m.Interface().(*pg_query.FuncCall); ok {
		if path := names(f.Funcname); len(path) > 0 {
			s.Functions = append(s.Functions, FunctionUse{Name: path[len(path)-1], Why: "not looked up"})
		}
	}
	m.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case field.Kind() != protoreflect.MessageKind:
		case field.IsList():
			for i := range v.List().Len() {
				s.calls(v.List().Get(i).Message())
			}
		default:
			s.calls(v.Message())
		}
		return true
	})
}

// Strays says that the session's state may afterwards be another than the one in which later texts would be analysed: where
// names are looked up, who the session is, how literals are read. Functions of users may do as much unseen.
func (s *Statement) Strays() bool {
	switch {
	case s.Verb == Set && s.Setting != nil:
		return changesNames(s.Setting.Name)
	case s.Verb == Other:
		switch s.Reason {
		case "SET ROLE", "SET SESSION AUTHORIZATION", "do", "call":
			return true
		}
	}
	for _, f := range s.Functions {
		if f.Name == "set_config" {
			return true
		}
	}
	return s.Inner != nil && s.Verb != Prepare && s.Verb != Declare && s.Inner.Strays()
}
