package sql

import (
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v6"
)

// result is what is known of a call: its value, and the functions it may be.
type result struct {
	value
	functions []*Function
}

// funcCall resolves a function call, aggregates and window functions included.
func (an *analyser) funcCall(s *scope, f *pg_query.FuncCall) value {
	name := names(f.Funcname)
	if len(name) == 0 {
		an.refuse("a function call lacks a name")
	}
	args := make([]value, 0, len(f.Args))
	named := false
	for _, n := range f.Args {
		args = append(args, an.expr(s, n))
		named = named || n.GetNamedArgExpr() != nil
	}
	if named { // in any order, so types cannot tell overloads apart
		for i := range args {
			args[i].typ = 0
		}
	}
	extra := f.AggStar || f.Over != nil || f.AggFilter != nil || f.AggDistinct || f.AggWithinGroup || len(f.AggOrder) > 0 || f.FuncVariadic
	typed := args
	if f.AggWithinGroup {
		// The ordered columns are arguments of the aggregate too.
		for _, o := range f.AggOrder {
			if sb := o.GetSortBy(); sb != nil {
				typed = append(typed[:len(typed):len(typed)], an.expr(s, sb.Node))
			}
		}
	}
	r := an.call(name, typed, extra)
	aggregate, window := kinds(r.functions)
	own := s.withoutTargets()
	an.orderBy(own, f.AggOrder)
	if f.AggFilter != nil {
		an.condition(own, f.AggFilter, nil)
	}
	if f.Over != nil {
		an.shows("the window function " + name[len(name)-1] + "()")
		s.windows = true
		an.window(own, f.Over)
	}
	if window || f.Over != nil {
		return overRows(r.value)
	}
	if !aggregate {
		return r.value
	}
	an.aggregateShows(r, name[len(name)-1])
	s.aggregates = true
	for up := s; up.sublink && up.up != nil; up = up.up {
		up.up.mayAggregate = true
	}
	if f.AggDistinct {
		for _, a := range args {
			an.use(a, UseGroup)
		}
	}
	return an.aggregated(r, name[len(name)-1], args, f.AggStar)
}

// overRows is a window function's value: computed from rows around, it is no aggregate of the whole.
func overRows(v value) value {
	out := value{typ: v.typ, typmod: -1, column: true}
	for _, x := range v.from {
		out.from = appendSource(out.from, source{column: x.column})
	}
	return out
}

// aggregated marks what went through count, sum or avg of PostgreSQL alone.
func (an *analyser) aggregated(r result, name string, args []value, star bool) value {
	out := value{typ: r.typ, typmod: -1, column: true}
	how := Use("")
	switch name {
	case "count":
		how = UseCount
	case "sum", "avg":
		how = UseAggregate
	}
	for _, f := range r.functions {
		if !isSystem(f.OID) {
			how = ""
		}
	}
	if how != "" && (star || len(args) == 1 && args[0].bare()) {
		out.agg = true
	} else {
		how = ""
	}
	for _, a := range args {
		for _, x := range a.from {
			out.from = appendSource(out.from, source{x.column, how})
		}
	}
	for _, x := range r.from { // ordered-set arguments
		if how == "" {
			out.from = appendSource(out.from, source{column: x.column})
		}
	}
	return out
}

func kinds(fs []*Function) (aggregate, window bool) {
	for _, f := range fs {
		aggregate = aggregate || f.Kind == "a"
		window = window || f.Kind == "w"
	}
	return aggregate, window
}

// call resolves a name and arguments to the functions it may mean, and notes those that are unsafe. decorated says that
// the syntax allows nothing but a function; else name(x) may also be a column of x or a cast of x.
func (an *analyser) call(name []string, args []value, decorated bool) result {
	an.implicitCasts(args...)
	found := an.functionsNamed(name, args)
	out := expression(args...)
	out.typmod = -1
	last := name[len(name)-1]
	if last == "current_setting" { // also in attribute notation
		an.settingRead(args)
	}
	if len(args) == 1 && !decorated {
		if v, ok := an.notAFunction(name, args[0], len(found) > 0); ok {
			return result{value: v}
		}
	}
	if len(found) == 0 {
		an.refuse("function %q with %d arguments does not exist in the search path", strings.Join(name, "."), len(args))
	}
	for i, f := range found {
		an.calls(f, last)
		out.column = out.column || f.Set // many values, whatever the arguments: no constant
		switch t := an.cat.types[f.Result]; {
		case t == nil || t.Kind == "p":
			out.typ = 0
		case i == 0:
			out.typ = f.Result
		case out.typ != f.Result:
			out.typ = 0
		}
	}
	return result{out, found}
}

// calls notes a function that may run under a name, where it is unsafe.
func (an *analyser) calls(f *Function, name string) {
	if f.Volatility == "v" {
		an.shows(name + "()")
	}
	if why := an.cat.unsafe(f); why != "" {
		an.function(FunctionUse{OID: f.OID, Schema: an.cat.names[f.Namespace], Name: name, Why: why})
	}
}

// notAFunction tells column(row) and type(value) from a call. known says that functions of the name exist as well.
func (an *analyser) notAFunction(name []string, arg value, known bool) (value, bool) {
	if len(name) == 1 && arg.whole != nil {
		v, n := an.peek(arg.whole, name[0])
		if n == 1 && !known {
			an.touch(v)
			return v, true
		}
	} else if r := an.cat.composite(arg.typ); len(name) == 1 && r != nil && !known {
		if a, ok := r.Attribute(name[0]); ok {
			v := expression(arg)
			v.typ, v.typmod, v.column = a.Type, a.Typmod-1, true
			return v, true
		}
	}
	if known {
		return value{}, false
	}
	for _, ns := range an.path {
		key := objectName{ns, name[len(name)-1]}
		if len(name) == 2 {
			key.namespace = an.cat.schemas[name[0]]
		}
		if t, ok := an.cat.typByName[key]; ok {
			return an.convert(arg, t.OID, false), true
		}
	}
	return value{}, false
}

// functionsNamed are the visible functions that could take the arguments; the one that matches exactly, if there is one.
func (an *analyser) functionsNamed(name []string, args []value) []*Function {
	last := name[len(name)-1]
	path := an.path
	switch len(name) {
	case 1:
	case 2, 3:
		ns, ok := an.cat.schemas[name[len(name)-2]]
		if !ok || len(name) == 3 && name[0] != an.cat.snapshot.Database {
			an.refuse("schema of function %q does not exist", strings.Join(name, "."))
		}
		path = []uint32{ns}
	default:
		an.refuse("function name has too many parts")
	}
	var out []*Function
	for _, ns := range path {
		for _, f := range an.cat.functions[last] {
			if f.Namespace != ns || f.Kind == "p" || !an.cat.takes(f, args) {
				continue
			}
			if exactArgs(f, args) {
				return []*Function{f}
			}
			out = append(out, f)
		}
	}
	return out
}

// takes says that a call with these arguments could be one of f.
func (c *Catalogue) takes(f *Function, args []value) bool {
	n := len(f.Args)
	if len(args) > n && f.Variadic == 0 || len(args) < n-f.Defaults && !(f.Variadic != 0 && len(args) >= n-1) {
		return false
	}
	for i, a := range args {
		switch {
		case f.Variadic != 0 && i >= n-1:
			if !c.implicit(a.typ, f.Variadic) && !c.implicit(a.typ, f.Args[n-1]) {
				return false
			}
		case i < n && !c.implicit(a.typ, f.Args[i]):
			return false
		}
	}
	return true
}

func exactArgs(f *Function, args []value) bool {
	if len(args) == 0 || len(f.Args) != len(args) || f.Variadic != 0 {
		return false
	}
	for i, a := range args {
		if a.typ == 0 || a.typ == typeUnknown || a.typ != f.Args[i] {
			return false
		}
	}
	return true
}

func (an *analyser) settingRead(args []value) {
	if len(args) > 0 && args[0].literal {
		if _, ok := publicSettings[strings.ToLower(args[0].text)]; ok {
			return
		}
	}
	an.function(FunctionUse{Schema: "pg_catalog", Name: "current_setting", Why: settings})
}
