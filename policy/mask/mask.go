package mask

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgtype"
)

// Kind is a way to hide a value.
type Kind string

const (
	Keep     Kind = "keep"     // the first and last characters, a fixed number of stars between them
	Null     Kind = "null"     // NULL, whatever the type
	Constant Kind = "constant" // one value for all, where the type can hold it
	Hash     Kind = "hash"     // a pseudonym of a text or UUID, the same for the same value
	Date     Kind = "date"     // the beginning of the period that a date or timestamp is in
	Number   Kind = "number"   // the multiple of a step that is next towards zero
)

// Kinds lists them for errors.
const Kinds = "keep, null, constant, hash, date or number"

// Limits of a Spec.
const (
	DefaultFill = 4
	MaxKept     = 64
	MaxFill     = 64
)

// Spec is a mask as a policy writes it. Fields that the Kind has no use for must be zero.
type Spec struct {
	Kind  Kind
	First int    // keep: characters shown at the beginning
	Last  int    // keep: characters shown at the end
	Fill  int    // keep: number of stars that stand for the rest, however long it is; 0 = DefaultFill
	Value string // constant: the value
	Least int    // keep: values of so many characters and fewer are hidden whole; 0 = First + Last
	To    Period // date: to what it is generalised
	Step  int64  // number: the step
}

// Mask hides values of one class. It is immutable and safe for concurrent use.
type Mask struct {
	spec     Spec
	fill     []byte
	constant constants
	hash     *pseudonyms // hash: nil until Keyed
}

var (
	errUnset  = errors.New("no mask was set up for this column: the result must stop")
	errKey    = errors.New("the key of pseudonyms is not set: the result must stop")
	errFormat = errors.New("the value's format code is neither text (0) nor binary (1): the result must stop")
)

// New checks a Spec and prepares its Mask.
func New(spec Spec) (*Mask, error) {
	if err := spec.check(); err != nil {
		return nil, err
	}
	m := &Mask{spec: spec}
	switch spec.Kind {
	case Keep:
		if spec.Fill == 0 {
			m.spec.Fill = DefaultFill
		}
		for range m.spec.Fill {
			m.fill = append(m.fill, '*')
		}
	case Constant:
		m.constant = encodeConstant(spec.Value)
	}
	return m, nil
}

func (s Spec) check() error {
	switch s.Kind {
	case Keep:
		return s.checkKeep()
	case Null:
		if s != (Spec{Kind: Null}) {
			return errors.New("mask null takes nothing else: remove everything but mask: null")
		}
	case Hash:
		if s != (Spec{Kind: Hash}) {
			return errors.New("mask hash takes nothing else: remove everything but mask: hash")
		}
	case Date:
		return s.checkDate()
	case Number:
		switch {
		case s != Spec{Kind: Number, Step: s.Step}:
			return errors.New("mask number takes only step: remove everything else")
		case s.Step < 2:
			return errors.New("mask number needs a step of at least 2: write step: 1000, for example")
		}
	case Constant:
		if s != (Spec{Kind: Constant, Value: s.Value}) {
			return errors.New("mask constant takes only value: remove everything else")
		}
		if !utf8.ValidString(s.Value) {
			return errors.New("the constant's value is not valid UTF-8")
		}
	case "":
		return errors.New("no mask is named: write mask: " + Kinds)
	default:
		return fmt.Errorf("unknown mask %q: write %s", s.Kind, Kinds)
	}
	return nil
}

func (s Spec) checkDate() error {
	if s != (Spec{Kind: Date, To: s.To}) {
		return errors.New("mask date takes only to: remove everything else")
	}
	switch s.To {
	case Month, Quarter, Year, Decade:
		return nil
	}
	return errors.New("mask date needs a period: write to: month, quarter, year or decade")
}

func (s Spec) checkKeep() error {
	switch {
	case s.To != "" || s.Step != 0:
		return errors.New("mask keep takes first, last and fill: remove everything else")
	case s.Value != "":
		return errors.New("mask keep takes no value: remove it, or write mask: constant")
	case s.First < 0 || s.Last < 0 || s.First > MaxKept || s.Last > MaxKept:
		return fmt.Errorf("first and last must lie between 0 and %d", MaxKept)
	case s.First == 0 && s.Last == 0:
		return errors.New("mask keep shows nothing: write first or last, or use mask: constant")
	case s.Least < 0 || s.Least > 2*MaxKept:
		return fmt.Errorf("least must lie between 0 and %d", 2*MaxKept)
	case s.Fill < 0 || s.Fill > MaxFill:
		return fmt.Errorf("fill must lie between 1 and %d", MaxFill)
	}
	return nil
}

// Spec returns what the mask was made from, defaults filled in.
func (m *Mask) Spec() Spec { return m.spec }

// Supports reports whether the mask shows something of its own in this type and format. Where it does not, Append
// answers NULL, which every client can decode.
func (m *Mask) Supports(typeOID uint32, format int16) bool {
	if m == nil || !validFormat(format) {
		return false
	}
	switch m.spec.Kind {
	case Keep:
		return isText(typeOID)
	case Null:
		return true
	case Constant:
		return isText(typeOID) || m.constant.find(typeOID) != nil
	case Hash:
		return isText(typeOID) || typeOID == pgtype.UUIDOID
	case Date:
		return isDate(typeOID)
	case Number:
		return isNumber(typeOID)
	}
	return false
}

// Keyed returns the mask with the key of its class, which mask hash needs: the same secret and class give the same
// pseudonyms everywhere.
func (m *Mask) Keyed(secret []byte, class string) *Mask {
	if m == nil || m.spec.Kind != Hash {
		return m
	}
	keyed := *m
	keyed.hash = newPseudonyms(secret, class)
	return &keyed
}

// Append appends the masked form of value, a field of a DataRow without its length, to dst. typeOID and format are those
// that RowDescription and Bind fixed for the column. null says that the field must be sent as NULL; dst is then
// returned as it came. A nil value is NULL and stays NULL. After an error nothing of the row may be sent.
//
// value must not overlap the free capacity of dst. Append does not allocate while dst has room.
func (m *Mask) Append(dst, value []byte, format int16, typeOID uint32) (out []byte, null bool, err error) {
	if m == nil {
		return dst, false, errUnset
	}
	if !validFormat(format) {
		return dst, false, errFormat
	}
	if value == nil {
		return dst, true, nil
	}
	switch m.spec.Kind {
	case Keep:
		if !isText(typeOID) {
			return dst, true, nil
		}
		if typeOID == bpcharOID {
			value = trimPadding(value)
		}
		return m.appendKept(dst, value), false, nil
	case Null:
		return dst, true, nil
	case Constant:
		if isText(typeOID) {
			return append(dst, m.spec.Value...), false, nil
		}
		if c := m.constant.find(typeOID); c != nil {
			return append(dst, c.in[format]...), false, nil
		}
		return dst, true, nil
	case Hash:
		return m.appendHash(dst, value, format, typeOID)
	case Date:
		if isDate(typeOID) {
			out, ok := m.spec.To.appendPeriod(dst, value, format, typeOID)
			return out, !ok, nil
		}
		return dst, true, nil
	case Number:
		if isNumber(typeOID) {
			out, ok := appendStep(dst, value, format, typeOID, m.spec.Step)
			return out, !ok, nil
		}
		return dst, true, nil
	}
	return dst, false, errUnset
}

func (m *Mask) appendHash(dst, value []byte, format int16, typeOID uint32) (out []byte, null bool, err error) {
	switch {
	case m.hash == nil:
		return dst, false, errKey
	case typeOID == bpcharOID:
		return m.hash.appendText(dst, trimPadding(value)), false, nil
	case isText(typeOID):
		return m.hash.appendText(dst, value), false, nil
	case typeOID == pgtype.UUIDOID:
		out, ok := m.hash.appendUUID(dst, value, format)
		return out, !ok, nil
	}
	return dst, true, nil
}

// appendKept writes first characters, stars, last characters. A value with nothing left to hide between them is hidden
// whole, so all of those look alike. The number of stars never depends on the value.
func (m *Mask) appendKept(dst, value []byte) []byte {
	head := 0
	for range m.spec.First {
		_, n := utf8.DecodeRune(value[head:])
		head += n
	}
	tail := len(value)
	for range m.spec.Last {
		_, n := utf8.DecodeLastRune(value[:tail])
		tail -= n
	}
	if head >= tail || m.spec.Least > 0 && utf8.RuneCount(value) <= m.spec.Least {
		return append(dst, m.fill...)
	}
	dst = append(dst, value[:head]...)
	dst = append(dst, m.fill...)
	return append(dst, value[tail:]...)
}

// trimPadding removes the blanks that character(n) is padded with: they are no part of the value, and would otherwise be
// what is kept at the end.
func trimPadding(value []byte) []byte {
	for len(value) > 0 && value[len(value)-1] == ' ' {
		value = value[:len(value)-1]
	}
	return value
}

func validFormat(format int16) bool { return format == 0 || format == 1 }
