package sql

import (
	pg_query "github.com/pganalyze/pg_query_go/v6"
)

// cursorOrPrepared handles the statements that make, use and end named statements and cursors.
func (an *analyser) cursorOrPrepared(s *Statement, n any) {
	switch n := n.(type) {
	case *pg_query.Node_PrepareStmt:
		an.prepare(s, n.PrepareStmt)
	case *pg_query.Node_ExecuteStmt:
		an.execute(s, n.ExecuteStmt)
	case *pg_query.Node_DeallocateStmt:
		s.Verb, s.Name = Deallocate, n.DeallocateStmt.Name
		if n.DeallocateStmt.Isall {
			s.Name = ""
			clear(an.prepared)
		}
		delete(an.prepared, s.Name)
	case *pg_query.Node_DeclareCursorStmt:
		an.declare(s, n.DeclareCursorStmt)
	case *pg_query.Node_FetchStmt:
		an.fetch(s, n.FetchStmt)
	case *pg_query.Node_ClosePortalStmt:
		s.Verb, s.Name = CloseCur, n.ClosePortalStmt.Portalname
	default:
		an.refuseNode("as a statement", n)
	}
}

// prepare analyses the inner statement; preparing it changes nothing and returns nothing.
func (an *analyser) prepare(s *Statement, p *pg_query.PrepareStmt) {
	declared := an.declared
	an.declared = []uint32{}
	for _, t := range p.Argtypes {
		an.resolving()
		an.declared = append(an.declared, an.typeNamed(t.GetTypeName()).OID)
	}
	defer func() { an.declared = declared }()
	s.Verb, s.Name = Prepare, p.Name
	s.Inner = &Statement{Text: s.Text, tail: appendPoint{start: s.tail.start}}
	an.utility(s.Inner, p.Query)
	s.borrow(s.Inner)
	s.Outputs, s.Pins, s.Aggregated, s.MayWrite = nil, nil, false, false
	an.prepared[p.Name] = s
}

// execute is the prepared statement with its parameters put in.
func (an *analyser) execute(s *Statement, e *pg_query.ExecuteStmt) {
	s.Verb, s.Name = Execute, e.Name
	inner := an.prepared[e.Name]
	if inner == nil && an.env.Prepared != nil {
		inner = an.env.Prepared(e.Name)
	}
	if inner != nil && inner.Verb == Prepare && inner.Inner != nil {
		inner = inner.Inner
	}
	if inner == nil {
		an.refuse("prepared statement %q is not known in this session", e.Name)
	}
	s.Inner = inner
	s.borrow(inner)
	s.Params = 0
	s.Pins = nil
	var args []value
	own := &Statement{}
	an.resolving()
	an.fresh(own, func() { args = an.exprList(&scope{}, e.Params) })
	s.Functions = append(s.Functions[:len(s.Functions):len(s.Functions)], own.Functions...)
	s.MayWrite = s.MayWrite || own.MayWrite
	s.Params = own.Params
	for _, p := range inner.Pins {
		if p.Param > 0 {
			if p.Param > len(args) {
				continue
			}
			a := args[p.Param-1]
			if !(a.literal && a.typ == typeUnknown) && a.param == 0 {
				continue
			}
			p.Value, p.Param = a.text, a.param
		}
		s.Pins = append(s.Pins, p)
	}
}

func (an *analyser) declare(s *Statement, d *pg_query.DeclareCursorStmt) {
	s.Verb, s.Name = Declare, d.Portalname
	s.Inner = &Statement{Text: s.Text, tail: appendPoint{start: s.tail.start}}
	an.utility(s.Inner, d.Query)
	s.borrow(s.Inner)
	s.Outputs, s.Pins, s.Aggregated = nil, nil, false
	an.cursors[d.Portalname] = s
}

// fetch returns the cursor's rows; MOVE returns none.
func (an *analyser) fetch(s *Statement, f *pg_query.FetchStmt) {
	s.Verb, s.Name = Fetch, f.Portalname
	c := an.cursors[f.Portalname]
	if c == nil && an.env.Cursor != nil {
		c = an.env.Cursor(f.Portalname)
	}
	if c != nil && c.Verb == Declare && c.Inner != nil {
		c = c.Inner
	}
	if c == nil {
		an.refuse("cursor %q is not known in this session", f.Portalname)
	}
	s.Inner = c
	s.borrow(c)
	s.Params = 0
	if f.Ismove {
		s.Outputs, s.Pins, s.Aggregated = nil, nil, false
	}
}
