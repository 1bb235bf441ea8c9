package sql

import (
	pg_query "github.com/pganalyze/pg_query_go/v6"
)

// typeCast converts a value to a named type.
func (an *analyser) typeCast(v value, t *pg_query.TypeName) value {
	typ := an.typeNamed(t)
	if mod, ok := typmodOf(typ.OID, t); ok && v.bare() && v.typ == typ.OID && v.typmod == mod {
		return v // cast to the very length it has: the server leaves the node as it is
	}
	return an.convert(v, typ.OID, len(t.Typmods) > 0)
}

// convert notes the cast's function when it is a user's, and says what is left of the value's identity.
func (an *analyser) convert(v value, to uint32, typmod bool) value {
	for _, c := range an.cat.userCasts {
		if c.Target == to && (c.Source == v.typ || v.typ == 0) {
			an.useCast(c)
		}
	}
	switch {
	case !typmod && (v.literal || v.param > 0) && (v.typ == typeUnknown || an.cat.sameText(v.typ, to) ||
		v.literal && an.cat.integer(v.typ) && canonicalInt.MatchString(v.text)):
		// The constant's text is still what the value's would be. 1e3::text is not "1e3".
		v.typ, v.typmod = to, -1
		if !inertTo[to] {
			v.lit = 0
		}
		return v
	case v.typ == to && !typmod && v.typmod == -1:
		return v // the server leaves the node as it is
	case v.bare() && !typmod && an.cat.sameText(v.typ, to):
		v.server, v.relabelled, v.typ, v.typmod = Column{}, true, to, -1
		return v
	}
	out := expression(v)
	out.typ, out.typmod = to, -1
	if typmod {
		out.typmod = 0
	}
	return out
}

// sameText says that a cast between the types changes no byte of the value.
func (c *Catalogue) sameText(from, to uint32) bool {
	from, to = c.baseType(from), c.baseType(to)
	text := func(t uint32) bool { return t == typeText || t == typeVarchar }
	return from != 0 && from == to || text(from) && text(to)
}

func (c *Catalogue) integer(typ uint32) bool {
	return typ == typeInt2 || typ == typeInt4 || typ == typeInt8
}

// typmodOf is atttypmod of the type with its length or precision, where that is known how to compute.
func typmodOf(typ uint32, t *pg_query.TypeName) (int32, bool) {
	var mods []int32
	for _, n := range t.Typmods {
		c, ok := n.GetAConst().GetVal().(*pg_query.A_Const_Ival)
		if !ok {
			return 0, false
		}
		mods = append(mods, c.Ival.GetIval())
	}
	switch {
	case (typ == typeVarchar || typ == typeBpchar) && len(mods) == 1:
		return mods[0] + 4, true
	case typ == typeNumeric && len(mods) == 1:
		return mods[0]<<16 + 4, true
	case typ == typeNumeric && len(mods) == 2:
		return (mods[0]<<16 | mods[1]&0x7ff) + 4, true
	default:
		return 0, false
	}
}
