package sql

import (
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v6"
)

// OIDs of pg_type that the grammar or the analyser gives to values itself.
const (
	typeBool    = 16
	typeName    = 19
	typeInt8    = 20
	typeInt2    = 21
	typeInt4    = 23
	typeText    = 25
	typeUnknown = 705
	typeVarchar = 1043
	typeBpchar  = 1042
	typeDate    = 1082
	typeBit     = 1560
	typeNumeric = 1700
	typeRecord  = 2249
	typeUUID    = 2950
)

// typeNamed resolves a type's name. Unknown types are refused: what a cast does depends on them.
func (an *analyser) typeNamed(t *pg_query.TypeName) *Type {
	if t == nil || t.PctType || t.Setof {
		an.refuse("a type is given as %%TYPE or SETOF, which is not understood here")
	}
	parts := names(t.Names)
	var typ *Type
	switch len(parts) {
	case 1:
		for _, ns := range an.path {
			if found, ok := an.cat.typByName[objectName{ns, parts[0]}]; ok {
				typ = found
				break
			}
		}
	case 2:
		typ = an.cat.typByName[objectName{an.cat.schemas[parts[0]], parts[1]}]
	}
	if typ == nil {
		an.refuse("type %q does not exist in the search path: write schema.type", strings.Join(parts, "."))
	}
	if len(t.ArrayBounds) > 0 {
		arr := an.cat.types[typ.Array]
		if arr == nil {
			an.refuse("type %q has no array type", strings.Join(parts, "."))
		}
		return arr
	}
	return typ
}

// baseType follows domains.
func (c *Catalogue) baseType(oid uint32) uint32 {
	for range 32 {
		t := c.types[oid]
		if t == nil || t.Kind != "d" || t.Base == 0 {
			return oid
		}
		oid = t.Base
	}
	return oid
}

func (c *Catalogue) elementType(oid uint32) uint32 {
	t := c.types[c.baseType(oid)]
	if t == nil || t.Category != "A" {
		return 0
	}
	return t.Element
}

// composite is the relation whose row type oid is, nil when it is none.
func (c *Catalogue) composite(oid uint32) *Relation { return c.rowTypes[c.baseType(oid)] }

// commonType is select_common_type for two types; 0 when it cannot be told.
func (c *Catalogue) commonType(a, b uint32) uint32 {
	switch {
	case a == b:
		return a
	case a == 0 || b == 0:
		return 0
	case a == typeUnknown:
		return b
	case b == typeUnknown:
		return a
	}
	a, b = c.baseType(a), c.baseType(b)
	ta, tb := c.types[a], c.types[b]
	if a == b {
		return a
	}
	if ta == nil || tb == nil || ta.Category != tb.Category {
		return 0
	}
	if !ta.Preferred && c.implicit(a, b) && !c.implicit(b, a) {
		return b
	}
	return a
}

// implicit says that a value of type from is converted to type to without being asked; unknown types may be.
func (c *Catalogue) implicit(from, to uint32) bool {
	if from == to || from == 0 || to == 0 || from == typeUnknown {
		return true
	}
	t := c.types[to]
	if t == nil || t.Kind == "p" { // pseudo-types: any, anyelement, record, …
		return true
	}
	from = c.baseType(from)
	if from == to {
		return true
	}
	if cast, ok := c.casts[[2]uint32{from, to}]; ok {
		return cast.Context == "i"
	}
	f := c.types[from]
	if f == nil {
		return true
	}
	// Arrays convert as their elements do; a domain over the target is reached explicitly only; composites convert to
	// what they inherit from.
	if f.Category == "A" && t.Category == "A" && f.Element != 0 && t.Element != 0 {
		return c.implicit(f.Element, t.Element)
	}
	return f.Kind == "c" && t.Kind == "c"
}
