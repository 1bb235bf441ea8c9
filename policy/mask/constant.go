package mask

import "github.com/jackc/pgx/v5/pgtype"

// Types whose text and binary forms are both the characters themselves.
const (
	nameOID    = pgtype.NameOID
	textOID    = pgtype.TextOID
	unknownOID = pgtype.UnknownOID
	bpcharOID  = pgtype.BPCharOID
	varcharOID = pgtype.VarcharOID
)

func isText(oid uint32) bool {
	switch oid {
	case textOID, varcharOID, bpcharOID, nameOID, unknownOID:
		return true
	}
	return false
}

// constantTypes are the other types that a constant is offered in. A type that is not here gets NULL.
var constantTypes = [...]uint32{
	pgtype.BoolOID, pgtype.ByteaOID, pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.Float4OID,
	pgtype.Float8OID, pgtype.NumericOID, pgtype.DateOID, pgtype.TimeOID, pgtype.TimestampOID, pgtype.TimestamptzOID,
	pgtype.UUIDOID, pgtype.JSONOID, pgtype.JSONBOID,
}

// encoded is a constant in one type, by format code.
type encoded struct {
	oid uint32
	in  [2][]byte
}

type constants []encoded

func (c constants) find(oid uint32) *encoded {
	for i := range c {
		if c[i].oid == oid {
			return &c[i]
		}
	}
	return nil
}

// encodeConstant writes value in every type that can hold it. Text forms are ISO and UTC whatever the session's DateStyle
// and TimeZone: all PostgreSQL drivers read those, and a constant tells nothing.
func encodeConstant(value string) constants {
	var all constants
	types := pgtype.NewMap()
	for _, oid := range constantTypes {
		if e, ok := encodeAs(types, oid, value); ok {
			all = append(all, e)
		}
	}
	return all
}

func encodeAs(types *pgtype.Map, oid uint32, value string) (encoded, bool) {
	t, ok := types.TypeForOID(oid)
	if !ok {
		return encoded{}, false
	}
	v, err := t.Codec.DecodeValue(types, oid, pgtype.TextFormatCode, []byte(value))
	if err != nil || v == nil {
		return encoded{}, false
	}
	e := encoded{oid: oid}
	for _, format := range []int16{pgtype.TextFormatCode, pgtype.BinaryFormatCode} {
		b, err := types.Encode(oid, format, v, nil)
		if err != nil || b == nil {
			return encoded{}, false
		}
		e.in[format] = b
	}
	return e, true
}
