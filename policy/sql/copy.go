package sql

import (
	"strconv"

	pg_query "github.com/pganalyze/pg_query_go/v6"
)

// copy analyses a COPY whose other end is the client.
func (an *analyser) copy(s *Statement, c *pg_query.CopyStmt) {
	switch {
	case c.IsProgram:
		an.refuse("COPY to or from a program of the server is not allowed: use STDIN or STDOUT")
	case c.Filename != "":
		an.refuse("COPY to or from a file of the server is not allowed: use STDIN or STDOUT")
	}
	s.Verb = CopyOut
	if c.IsFrom {
		s.Verb = CopyIn
	}
	s.Copy = an.copyOptions(c)
	if c.Query != nil {
		s.Inner = &Statement{Text: s.Text, tail: appendPoint{start: s.tail.start}}
		an.utility(s.Inner, c.Query)
		s.borrow(s.Inner)
		return
	}
	an.resolving()
	an.fresh(s, func() { an.copyTable(s, c) })
}

func (an *analyser) copyTable(s *Statement, c *pg_query.CopyStmt) {
	rv := &pg_query.RangeVar{Catalogname: c.Relation.Catalogname, Schemaname: c.Relation.Schemaname, Relname: c.Relation.Relname,
		Inh: c.IsFrom, Relpersistence: c.Relation.Relpersistence}
	var e *entry
	if c.IsFrom {
		an.mention(c.Relation, 0, CopyIn)
		e = an.target(rv, CopyIn)
	} else {
		r := an.relation(rv)
		rv.Inh = r.Kind == "p"
		an.mention(c.Relation, r.OID, CopyOut)
		e = an.tableEntry(r, rv, CopyOut)
	}
	cols := names(c.Attlist)
	if len(cols) == 0 {
		for _, a := range liveAttributes(e.rel) {
			if !a.Generated {
				cols = append(cols, a.Name)
			}
		}
	}
	for _, name := range cols {
		if c.IsFrom {
			an.written(e, name)
			continue
		}
		v, n := an.peek(e, name)
		if n != 1 {
			an.refuse("column %q of %s.%s does not exist", name, e.rel.schema, e.rel.Name)
		}
		an.touch(v)
		an.reaches(v)
		s.Outputs = append(s.Outputs, v.output(name))
	}
	if c.WhereClause != nil {
		an.condition(&scope{items: []item{{entry: e, relation: true, columns: true}}}, c.WhereClause, nil)
	}
}

// copyOptions reads what decides how rows are written. Unknown options are refused.
func (an *analyser) copyOptions(c *pg_query.CopyStmt) *Copy {
	out := &Copy{Format: "text", Delimiter: '\t', Null: `\N`}
	set := map[string]string{}
	for _, n := range c.Options {
		d := n.GetDefElem()
		if d == nil {
			an.refuseNode("as an option of COPY", n.GetNode())
		}
		switch d.Defname {
		case "format", "delimiter", "null", "quote", "escape", "encoding":
			set[d.Defname] = d.Arg.GetString_().GetSval()
		case "header":
			out.Header = optionOn(d)
		case "freeze", "force_quote", "force_not_null", "force_null", "default", "on_error", "log_verbosity", "reject_limit":
		default:
			an.refuse("option %q of COPY is not understood", d.Defname)
		}
		if d.Defname == "force_quote" {
			out.ForceQuote = true
		}
	}
	if enc, ok := set["encoding"]; ok && enc != "UTF8" && enc != "utf8" && enc != "UTF-8" && enc != "utf-8" {
		an.refuse("COPY in another encoding than UTF8 is not understood")
	}
	if f, ok := set["format"]; ok {
		out.Format = f
	}
	switch out.Format {
	case "text", "binary":
	case "csv":
		out.Delimiter, out.Quote, out.Escape, out.Null = ',', '"', '"', ""
	default:
		an.refuse("format %s of COPY is not understood", strconv.Quote(out.Format))
	}
	one := func(name string, dst *byte) {
		if v, ok := set[name]; ok {
			if len(v) != 1 {
				an.refuse("option %q of COPY must be one byte", name)
			}
			*dst = v[0]
		}
	}
	one("delimiter", &out.Delimiter)
	one("quote", &out.Quote)
	if _, ok := set["quote"]; ok {
		out.Escape = out.Quote
	}
	one("escape", &out.Escape)
	if v, ok := set["null"]; ok {
		out.Null = v
	}
	return out
}
