package wire

import (
	"encoding/binary"
	"fmt"
	"iter"
)

// Format codes of parameters and columns.
const (
	FormatText   int16 = 0
	FormatBinary int16 = 1
)

// Formats is a view of a list of format codes, without its count. Its At must be asked only below its Len.
type Formats []byte

// Len is the number of codes in the list.
func (f Formats) Len() int { return len(f) / 2 }

// At is the i-th code.
func (f Formats) At(i int) int16 { return int16(binary.BigEndian.Uint16(f[2*i:])) }

// Of is the format that the list means for column or parameter i: none is all text, one is for all.
func (f Formats) Of(i int) int16 {
	switch f.Len() {
	case 0:
		return FormatText
	case 1:
		return f.At(0)
	}
	return f.At(i)
}

// fits reports whether the list may describe n columns or parameters.
func (f Formats) fits(n int) bool { return f.Len() <= 1 || f.Len() == n }

// known is nil if all codes exist, else PostgreSQL's own complaint.
func (f Formats) known() error {
	for i := range f.Len() {
		if code := f.At(i); code != FormatText && code != FormatBinary {
			return unsupportedFormat(code)
		}
	}
	return nil
}

func unsupportedFormat(code int16) error {
	return &ProtocolError{Code: "22023", Message: fmt.Sprintf("unsupported format code: %d", code)}
}

// Add appends a code to a list. The list given must not be a view of a message that is still in use.
func (f Formats) Add(code int16) Formats { return binary.BigEndian.AppendUint16(f, uint16(code)) }

// OIDs is a view of a list of object IDs, without its count.
type OIDs []byte

// Len is the number of IDs in the list.
func (o OIDs) Len() int { return len(o) / 4 }

// At is the i-th ID.
func (o OIDs) At(i int) uint32 { return binary.BigEndian.Uint32(o[4*i:]) }

// Values is a view of a list of values: the parameters of a Bind, the columns of a DataRow. It is checked when it is made,
// so walking it cannot fail.
type Values struct {
	n    int
	rest []byte
}

// Len is the number of values left.
func (v Values) Len() int { return v.n }

// Next takes the first value off the list. A NULL is nil, an empty value is not; ok is false when none is left.
func (v *Values) Next() (value []byte, ok bool) {
	if v.n == 0 {
		return nil, false
	}
	v.n--
	size := int32(binary.BigEndian.Uint32(v.rest))
	if size < 0 {
		v.rest = v.rest[4:]
		return nil, true
	}
	end := 4 + int(size)
	value = v.rest[4:end:end]
	v.rest = v.rest[end:]
	return value, true
}

// All walks the values with their positions, from 0.
func (v Values) All() iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		for i := 0; ; i++ {
			value, ok := v.Next()
			if !ok || !yield(i, value) {
				return
			}
		}
	}
}

// MakeValues makes a list of values; nil is NULL.
func MakeValues(values ...[]byte) Values {
	v := Values{n: len(values)}
	for _, value := range values {
		v.rest = appendValue(v.rest, value)
	}
	return v
}
