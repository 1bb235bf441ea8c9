package record

import (
	"crypto/hmac"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// LeafSize is the exact size of a leaf in bytes.
const LeafSize = 78

// leafVersion is the first byte of every leaf. Another version is another
// format: parsers refuse it rather than guess.
const leafVersion = 1

// MaxTime is the largest time a leaf may carry, in Unix milliseconds: the last
// one that RFC 3339 can write (year 9999).
const MaxTime = 253402300799999

// Leaf is what the Merkle tree holds for one record. It discloses the record's
// kind and time, and otherwise only hashes: Commitment is keyed with an opening
// that only the holder of the period's key can derive.
type Leaf struct {
	Kind       Kind
	Time       int64  // Unix milliseconds, 0 to MaxTime
	Period     uint32 // the key period whose key sealed the payload
	Commitment [32]byte
	Sealed     [32]byte // SHA-256 of the sealed payload
}

// Append appends the leaf's 78 bytes to dst. The layout is in FORMAT.md.
func (l Leaf) Append(dst []byte) []byte {
	dst = AppendHeader(dst, l.Kind, l.Time, l.Period)
	dst = append(dst, l.Commitment[:]...)
	return append(dst, l.Sealed[:]...)
}

// AppendHeader appends the leaf's first 14 bytes: version, kind, time, period.
// They are also the associated data under which a payload is sealed.
func AppendHeader(dst []byte, kind Kind, unixMilli int64, period uint32) []byte {
	dst = append(dst, leafVersion, byte(kind))
	dst = binary.BigEndian.AppendUint64(dst, uint64(unixMilli))
	return binary.BigEndian.AppendUint32(dst, period)
}

// ParseLeaf parses exactly one leaf and refuses everything that Append of a
// valid leaf would not have written.
func ParseLeaf(b []byte) (Leaf, error) {
	if len(b) != LeafSize {
		return Leaf{}, fmt.Errorf("leaf has %d bytes, want %d", len(b), LeafSize)
	}
	if b[0] != leafVersion {
		return Leaf{}, fmt.Errorf("leaf has version %d, this software knows version %d", b[0], leafVersion)
	}
	l := Leaf{Kind: Kind(b[1]), Period: binary.BigEndian.Uint32(b[10:14])}
	if !l.Kind.Known() {
		return Leaf{}, fmt.Errorf("leaf has %v", l.Kind)
	}
	ms := binary.BigEndian.Uint64(b[2:10])
	if ms > MaxTime {
		return Leaf{}, fmt.Errorf("leaf has time %d ms, beyond the year 9999", ms)
	}
	l.Time = int64(ms)
	copy(l.Commitment[:], b[14:46])
	copy(l.Sealed[:], b[46:78])
	return l, nil
}

// When returns the leaf's time in UTC.
func (l Leaf) When() time.Time { return time.UnixMilli(l.Time).UTC() }

// Commit returns HMAC-SHA256(opening, payload), the leaf's commitment.
func Commit(opening [32]byte, payload []byte) [32]byte { return HMAC(&opening, payload) }

// ErrCommitment says that a payload and opening are not the ones that a leaf
// commits to.
var ErrCommitment = errors.New("the opening and the record do not give the leaf's commitment")

// CheckOpening checks that payload is the record that l commits to: the
// commitment opens, the payload is a canonical record, and the kind and time it
// states are those of the leaf. An error that is not ErrCommitment means that
// whoever wrote the log put a leaf on something that is no record, or that
// contradicts its leaf.
func CheckOpening(l Leaf, opening [32]byte, payload []byte) error {
	if c := Commit(opening, payload); !hmac.Equal(c[:], l.Commitment[:]) {
		return ErrCommitment
	}
	r, err := Decode(payload)
	if err != nil {
		return err
	}
	if r.Kind != l.Kind {
		return fmt.Errorf("the record says it is a %q, its leaf says %q", r.Kind, l.Kind)
	}
	if ms := r.Time.UnixMilli(); ms != l.Time {
		return fmt.Errorf("the record says time %d ms, its leaf says %d ms", ms, l.Time)
	}
	return nil
}
