package wire

import "encoding/binary"

// RowDescriptionBuilder appends a RowDescription field by field, so that columns may be left out or added.
type RowDescriptionBuilder struct {
	dst []byte
	at  int
	n   int
}

// BeginRowDescription begins a RowDescription at the end of dst, which is the builder's until End.
func BeginRowDescription(dst []byte) RowDescriptionBuilder {
	dst, at := Begin(dst, MsgRowDescription)
	return RowDescriptionBuilder{dst: append(dst, 0, 0), at: at}
}

// Field appends a column.
func (b *RowDescriptionBuilder) Field(f Field) {
	b.n++
	b.dst = appendText(b.dst, f.Name)
	b.dst = binary.BigEndian.AppendUint32(b.dst, f.TableOID)
	b.dst = binary.BigEndian.AppendUint16(b.dst, uint16(f.Att))
	b.dst = binary.BigEndian.AppendUint32(b.dst, f.TypeOID)
	b.dst = binary.BigEndian.AppendUint16(b.dst, uint16(f.TypeLen))
	b.dst = binary.BigEndian.AppendUint32(b.dst, uint32(f.TypeMod))
	b.dst = binary.BigEndian.AppendUint16(b.dst, uint16(f.Format))
}

// End completes the message and returns dst with it.
func (b *RowDescriptionBuilder) End() []byte { return endCounted(b.dst, b.at, b.n) }

// AppendRowDescription appends a RowDescription of these fields.
func AppendRowDescription(dst []byte, fields ...Field) []byte {
	b := BeginRowDescription(dst)
	for _, f := range fields {
		b.Field(f)
	}
	return b.End()
}

// DataRowBuilder appends a DataRow value by value.
type DataRowBuilder struct {
	dst []byte
	at  int
	n   int
}

// BeginDataRow begins a DataRow at the end of dst, which is the builder's until End.
func BeginDataRow(dst []byte) DataRowBuilder {
	dst, at := Begin(dst, MsgDataRow)
	return DataRowBuilder{dst: append(dst, 0, 0), at: at}
}

// Value appends a value; nil is NULL.
func (b *DataRowBuilder) Value(value []byte) {
	b.n++
	b.dst = appendValue(b.dst, value)
}

// Null appends a NULL.
func (b *DataRowBuilder) Null() { b.Value(nil) }

// OpenValue begins a value that is written in place: append to the slice returned, then give it to CloseValue.
func (b *DataRowBuilder) OpenValue() (dst []byte, at int) {
	b.n++
	return append(b.dst, 0, 0, 0, 0), len(b.dst)
}

// CloseValue ends the value that OpenValue began at at.
func (b *DataRowBuilder) CloseValue(dst []byte, at int) {
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	b.dst = dst
}

// CloseNull ends the value that OpenValue began at at as a NULL, whatever was appended to it.
func (b *DataRowBuilder) CloseNull(dst []byte, at int) {
	binary.BigEndian.PutUint32(dst[at:], 0xffffffff)
	b.dst = dst[:at+4]
}

// End completes the message and returns dst with it.
func (b *DataRowBuilder) End() []byte { return endCounted(b.dst, b.at, b.n) }

// endCounted completes a message that begins with a count of its parts.
func endCounted(dst []byte, at, n int) []byte {
	if n > 0xffff {
		panic("wire: more than 65535 columns cannot be sent")
	}
	binary.BigEndian.PutUint16(dst[at+headerSize:], uint16(n))
	return End(dst, at)
}
