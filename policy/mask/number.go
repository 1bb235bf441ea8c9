package mask

import (
	"encoding/binary"
	"math"
	"strconv"

	"github.com/jackc/pgx/v5/pgtype"
)

func isNumber(oid uint32) bool {
	switch oid {
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.Float4OID, pgtype.Float8OID, pgtype.NumericOID:
		return true
	}
	return false
}

// exactFloat bounds the numbers whose whole part a float8 holds exactly; longest the digits of a numeric's that are read.
const (
	exactFloat = 1 << 53
	longest    = 18
)

// appendStep writes the multiple of step that is next to the number towards zero. It is false for what has none: NaN,
// infinity, and numbers too large to be taken apart.
func appendStep(dst, value []byte, format int16, oid uint32, step int64) ([]byte, bool) {
	var n int64
	var ok bool
	if format == pgtype.BinaryFormatCode {
		n, ok = binaryWhole(value, oid)
	} else {
		n, ok = textWhole(value, oid)
	}
	if !ok {
		return dst, false
	}
	n -= n % step
	if format == pgtype.TextFormatCode {
		return strconv.AppendInt(dst, n, 10), true
	}
	switch oid {
	case pgtype.Int2OID:
		return binary.BigEndian.AppendUint16(dst, uint16(n)), true
	case pgtype.Int4OID:
		return binary.BigEndian.AppendUint32(dst, uint32(n)), true
	case pgtype.Int8OID:
		return binary.BigEndian.AppendUint64(dst, uint64(n)), true
	case pgtype.Float4OID:
		return binary.BigEndian.AppendUint32(dst, math.Float32bits(float32(n))), true
	case pgtype.Float8OID:
		return binary.BigEndian.AppendUint64(dst, math.Float64bits(float64(n))), true
	}
	return appendNumeric(dst, n), true
}

// wholeFloat is the whole part of a float.
func wholeFloat(f float64) (int64, bool) {
	if math.IsNaN(f) || math.Abs(f) >= exactFloat {
		return 0, false
	}
	return int64(f), true
}

func binaryWhole(value []byte, oid uint32) (int64, bool) {
	switch {
	case oid == pgtype.Int2OID && len(value) == 2:
		return int64(int16(binary.BigEndian.Uint16(value))), true
	case oid == pgtype.Int4OID && len(value) == 4:
		return int64(int32(binary.BigEndian.Uint32(value))), true
	case oid == pgtype.Int8OID && len(value) == 8:
		return int64(binary.BigEndian.Uint64(value)), true
	case oid == pgtype.Float4OID && len(value) == 4:
		return wholeFloat(float64(math.Float32frombits(binary.BigEndian.Uint32(value))))
	case oid == pgtype.Float8OID && len(value) == 8:
		return wholeFloat(math.Float64frombits(binary.BigEndian.Uint64(value)))
	case oid == pgtype.NumericOID:
		return numericWhole(value)
	}
	return 0, false
}

// Signs of a numeric.
const (
	positive = 0x0000
	negative = 0x4000
)

// numericWhole reads the whole part of a numeric: digits in base 10,000, the first of weight 10,000^weight.
func numericWhole(value []byte) (n int64, ok bool) {
	if len(value) < 8 {
		return 0, false
	}
	count := int(binary.BigEndian.Uint16(value))
	weight := int(int16(binary.BigEndian.Uint16(value[2:])))
	sign := binary.BigEndian.Uint16(value[4:])
	if sign != positive && sign != negative || len(value) != 8+2*count {
		return 0, false
	}
	for i := 0; i <= weight; i++ {
		digit := int64(0)
		if i < count {
			digit = int64(binary.BigEndian.Uint16(value[8+2*i:]))
		}
		if digit > 9999 || n > (pow10(longest)-1-digit)/10000 {
			return 0, false
		}
		n = n*10000 + digit
	}
	if sign == negative {
		n = -n
	}
	return n, true
}

func pow10(n int) int64 {
	p := int64(1)
	for range n {
		p *= 10
	}
	return p
}

// appendNumeric writes a whole number as a numeric.
func appendNumeric(dst []byte, n int64) []byte {
	sign := uint16(positive)
	if n < 0 {
		sign, n = negative, -n // n is a multiple of step below 10^18
	}
	var list [5]uint16
	count := 0
	for ; n > 0; n /= 10000 {
		list[count] = uint16(n % 10000)
		count++
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(count))
	dst = binary.BigEndian.AppendUint16(dst, uint16(max(count-1, 0)))
	dst = binary.BigEndian.AppendUint16(dst, sign)
	dst = binary.BigEndian.AppendUint16(dst, 0)
	for count--; count >= 0; count-- {
		dst = binary.BigEndian.AppendUint16(dst, list[count])
	}
	return dst
}

func textWhole(text []byte, oid uint32) (int64, bool) {
	if oid == pgtype.Float4OID || oid == pgtype.Float8OID {
		f, err := strconv.ParseFloat(string(text), 64)
		if err != nil {
			return 0, false
		}
		return wholeFloat(f)
	}
	if oid != pgtype.NumericOID {
		n, err := strconv.ParseInt(string(text), 10, 64)
		return n, err == nil
	}
	rest, minus := text, len(text) > 0 && text[0] == '-'
	if minus {
		rest = rest[1:]
	}
	end := 0
	for end < len(rest) && rest[end] != '.' {
		end++
	}
	n, ok := digits(rest[:end])
	if !ok || end > longest {
		return 0, false
	}
	if end < len(rest) {
		if _, ok := digits(rest[end+1:]); !ok {
			return 0, false
		}
	}
	if minus {
		n = -n
	}
	return int64(n), true
}
