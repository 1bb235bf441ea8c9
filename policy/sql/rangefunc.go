package sql

import (
	pg_query "github.com/pganalyze/pg_query_go/v6"
)

// rangeFunction is a function in FROM, or several in ROWS FROM. Its columns depend on its arguments.
func (an *analyser) rangeFunction(s *scope, r *pg_query.RangeFunction) *entry {
	saved := s.lateral
	s.lateral = true // functions in FROM see what stands before them without being told
	defer func() { s.lateral = saved }()
	e := &entry{}
	for _, n := range r.Functions {
		pair := n.GetList()
		if pair == nil || len(pair.Items) == 0 {
			an.refuseNode("as a function in FROM", n.GetNode())
		}
		defs := r.Coldeflist
		if len(pair.Items) > 1 {
			if l := pair.Items[1].GetList(); l != nil {
				defs = l.Items
			}
		}
		alias := ""
		if r.Alias != nil && len(r.Functions) == 1 {
			alias = r.Alias.Aliasname
		}
		columns, name, scalar := an.functionColumns(s, pair.Items[0], defs, alias)
		if e.alias == "" {
			e.alias = name
		}
		e.scalar = scalar && len(r.Functions) == 1 && !r.Ordinality
		e.columns = append(e.columns, columns...)
	}
	if r.Ordinality {
		e.columns = append(e.columns, field{"ordinality", value{typ: typeInt8, typmod: -1, column: true}})
	}
	an.aliased(e, r.Alias)
	e.named = true
	return e
}

// functionColumns are the columns of one function's rows, and whether that is one scalar.
func (an *analyser) functionColumns(s *scope, n *pg_query.Node, defs []*pg_query.Node, alias string) ([]field, string, bool) {
	name := an.columnLabel(n)
	f := n.GetFuncCall()
	if f == nil {
		v := an.expr(s, n)
		return []field{{pick(alias, name), rowsOf(v, v.typ)}}, name, true
	}
	if names := names(f.Funcname); len(names) == 1 && names[0] == "unnest" && len(f.Args) > 1 {
		var out []field
		for _, a := range f.Args {
			v := an.expr(s, a)
			an.call(names, []value{v}, true)
			out = append(out, field{"unnest", rowsOf(v, an.cat.elementType(v.typ))})
		}
		return out, name, false
	}
	fn := names(f.Funcname)
	args := make([]value, 0, len(f.Args))
	named := false
	for _, a := range f.Args {
		args = append(args, an.expr(s, a))
		named = named || a.GetNamedArgExpr() != nil
	}
	if named {
		for i := range args {
			args[i].typ = 0
		}
	}
	r := an.call(fn, args, true)
	if aggregate, window := kinds(r.functions); aggregate || window || f.Over != nil {
		an.refuse("an aggregate cannot stand in FROM")
	}
	if len(defs) > 0 {
		var out []field
		for _, d := range defs {
			cd := d.GetColumnDef()
			if cd == nil {
				an.refuseNode("as a column definition", d.GetNode())
			}
			out = append(out, field{cd.Colname, rowsOf(r.value, an.typeNamed(cd.TypeName).OID)})
		}
		return out, name, false
	}
	columns, scalar := an.shape(r, args, name, alias)
	return columns, name, scalar
}

func pick(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// rowsOf is a value of a function's row: it depends on the arguments and is never a constant.
func rowsOf(v value, typ uint32) value {
	out := expression(v)
	out.typ, out.typmod, out.column, out.agg = typ, -1, true, false
	return out
}

// shape finds the columns that every function the call may be agrees on. Where they differ, a scalar is assumed: if that
// is wrong, the server's row description disagrees with Outputs, and the result is stopped.
func (an *analyser) shape(r result, args []value, name, alias string) ([]field, bool) {
	var best []field
	scalar := false
	for i, f := range r.functions {
		columns, one := an.shapeOf(f, r.value, args, name, alias)
		switch {
		case i == 0, one && !scalar:
			best, scalar = columns, one
		case one == scalar && !sameNames(best, columns):
			an.refuse("the columns of function %q cannot be told: cast its arguments", name)
		}
	}
	if best == nil {
		an.refuse("the columns of function %q cannot be told: give a column definition list", name)
	}
	return best, scalar
}

func sameNames(a, b []field) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].name != b[i].name {
			return false
		}
	}
	return true
}

func (an *analyser) shapeOf(f *Function, v value, args []value, name, alias string) ([]field, bool) {
	if len(f.OutNames) == 1 && f.OutNames[0] != "" {
		return []field{{f.OutNames[0], rowsOf(v, f.OutTypes[0])}}, true
	}
	if len(f.OutNames) > 1 {
		var out []field
		for i, n := range f.OutNames {
			if n == "" {
				n = "column" + itoa(i+1)
			}
			out = append(out, field{n, rowsOf(v, f.OutTypes[i])})
		}
		return out, false
	}
	typ := f.Result
	if typ == typeRecord {
		return nil, false
	}
	if t := an.cat.types[typ]; t != nil && t.Kind == "p" {
		typ = 0
		if len(args) > 0 {
			// anyelement of anyarray, as in unnest; any row type, as in jsonb_populate_record(set).
			if typ = an.cat.elementType(args[0].typ); typ == 0 && an.cat.composite(args[0].typ) != nil {
				typ = args[0].typ
			}
		}
	}
	if rel := an.cat.composite(typ); rel != nil {
		var out []field
		for _, a := range liveAttributes(rel) {
			out = append(out, field{a.Name, rowsOf(v, a.Type)})
		}
		return out, false
	}
	return []field{{pick(alias, name), rowsOf(v, typ)}}, true
}
