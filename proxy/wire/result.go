package wire

import (
	"bytes"
	"encoding/binary"
)

// Decoders of what a server sends about a statement. Each takes the body of a message and returns views of it.

// Field describes one column of a result.
type Field struct {
	Name     []byte
	TableOID uint32 // the relation the column comes from as it is; 0: computed
	Att      int16  // its attribute number there
	TypeOID  uint32
	TypeLen  int16
	TypeMod  int32
	Format   int16 // text when a statement is described; as bound when a portal is
}

// Fields is a view of the columns of a RowDescription. It is checked when it is made, so walking it cannot fail.
type Fields struct {
	n    int
	rest []byte
}

// fieldTail is the length of a Field without its name.
const fieldTail = 4 + 2 + 4 + 2 + 4 + 2

// ParseRowDescription decodes a RowDescription.
func ParseRowDescription(body []byte) (Fields, error) {
	c := cursor{rest: body}
	n := int(c.uint16())
	all := c.rest
	for range n {
		c.text()
		if tail := c.bytes(fieldTail); c.bad || !knownFormat(tail[fieldTail-2:]) {
			c.fail()
			break
		}
	}
	if err := c.end("RowDescription"); err != nil {
		return Fields{}, err
	}
	return Fields{n: n, rest: all}, nil
}

func knownFormat(b []byte) bool {
	f := int16(binary.BigEndian.Uint16(b))
	return f == FormatText || f == FormatBinary
}

// Len is the number of fields left.
func (f Fields) Len() int { return f.n }

// Next takes the first field off the list; ok is false when none is left.
func (f *Fields) Next() (field Field, ok bool) {
	if f.n == 0 {
		return Field{}, false
	}
	f.n--
	c := cursor{rest: f.rest}
	field = Field{
		Name: c.text(), TableOID: c.uint32(), Att: int16(c.uint16()), TypeOID: c.uint32(),
		TypeLen: int16(c.uint16()), TypeMod: int32(c.uint32()), Format: int16(c.uint16()),
	}
	f.rest = c.rest
	return field, true
}

// ParseDataRow returns the values of a row; nil is NULL.
func ParseDataRow(body []byte) (Values, error) {
	c := cursor{rest: body}
	v := c.values(int(c.uint16()))
	return v, c.end("DataRow")
}

// ParseCommandComplete returns the command tag.
func ParseCommandComplete(body []byte) (tag []byte, err error) {
	c := cursor{rest: body}
	tag = c.text()
	return tag, c.end("CommandComplete")
}

// RowsAffected reads the number of rows from a command tag such as "SELECT 5" or "INSERT 0 1"; ok is false where the
// command has none.
func RowsAffected(tag []byte) (rows int64, ok bool) {
	digits := tag[bytes.LastIndexByte(tag, ' ')+1:]
	if len(digits) == len(tag) || len(digits) == 0 || len(digits) > 18 {
		return 0, false
	}
	for _, d := range digits {
		if d < '0' || d > '9' {
			return 0, false
		}
		rows = rows*10 + int64(d-'0')
	}
	return rows, true
}

// States of the transaction, as ReadyForQuery says them.
const (
	TxIdle   byte = 'I'
	TxBlock  byte = 'T'
	TxFailed byte = 'E'
)

// ParseReadyForQuery returns the state of the transaction.
func ParseReadyForQuery(body []byte) (status byte, err error) {
	if len(body) != 1 || body[0] != TxIdle && body[0] != TxBlock && body[0] != TxFailed {
		return 0, violation("invalid ReadyForQuery message")
	}
	return body[0], nil
}

// ParseParameterDescription returns the types of a statement's parameters.
func ParseParameterDescription(body []byte) (OIDs, error) {
	c := cursor{rest: body}
	types := OIDs(c.bytes(4 * int(c.uint16())))
	return types, c.end("ParameterDescription")
}

// CopyResponse announces a COPY.
type CopyResponse struct {
	Format  byte    // 0 text, 1 binary
	Columns Formats // one for each column
}

// ParseCopyResponse decodes a CopyInResponse, CopyOutResponse or CopyBothResponse: they look the same.
func ParseCopyResponse(body []byte) (r CopyResponse, err error) {
	c := cursor{rest: body}
	r.Format = c.byte()
	r.Columns = c.formats()
	if r.Format > 1 || r.Columns.known() != nil {
		c.fail()
	}
	return r, c.end("CopyResponse")
}

// ParseFunctionCallResponse returns what a function called by FunctionCall returned; nil is NULL.
func ParseFunctionCallResponse(body []byte) (value []byte, err error) {
	c := cursor{rest: body}
	value = c.value()
	return value, c.end("FunctionCallResponse")
}
