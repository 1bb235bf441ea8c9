package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"

	"filippo.io/age"

	"shiguan/auditlog/record"
)

// zeroNonce is GCM's nonce. It may be constant because every AES key is used
// for exactly one record.
var zeroNonce [12]byte

// Sealer seals the records of one key period. It is safe for concurrent use.
type Sealer struct {
	period  uint32
	keys    *deriver
	counter atomic.Uint64 // the next record's nonce
}

// NewSealer makes a period's random key and returns it ready for use and, as
// an age file, wrapped to the recipients. The caller must have the wrapped key
// on stable storage before the first record sealed with it is: a record whose
// key died with the process could never be read.
func NewSealer(period uint32, recipients []age.Recipient) (s *Sealer, wrapped []byte, err error) {
	var key [32]byte
	rand.Read(key[:]) // never fails, see crypto/rand
	wrapped, err = wrap(period, key, recipients)
	if err != nil {
		return nil, nil, err
	}
	return &Sealer{period: period, keys: newDeriver(key)}, wrapped, nil
}

// Period returns the number of the key period.
func (s *Sealer) Period() uint32 { return s.period }

// Seal appends the sealed payload to dst and returns the extended slice and the
// record's leaf. The payload must be the record's canonical JSON with the same
// kind and the same time to the millisecond; Seal does not look into it.
func (s *Sealer) Seal(dst []byte, kind record.Kind, t time.Time, payload []byte) (record.Leaf, []byte, error) {
	ms := t.UnixMilli()
	if !kind.Known() {
		return record.Leaf{}, dst, fmt.Errorf("cannot seal a record of %v", kind)
	}
	if ms < 0 || ms > record.MaxTime {
		return record.Leaf{}, dst, fmt.Errorf("cannot seal a record of time %d ms: not between 1970 and 9999", ms)
	}
	nonce := s.counter.Add(1) - 1
	key, opening := s.keys.derive(nonce)
	aead, err := newAEAD(key)
	if err != nil {
		return record.Leaf{}, dst, err
	}
	from := len(dst)
	dst = binary.BigEndian.AppendUint64(dst, nonce)
	var aad [14]byte
	dst = aead.Seal(dst, zeroNonce[:], payload, record.AppendHeader(aad[:0], kind, ms, s.period))
	return record.Leaf{
		Kind: kind, Time: ms, Period: s.period,
		Commitment: record.Commit(opening, payload),
		Sealed:     sha256.Sum256(dst[from:]),
	}, dst, nil
}

func newAEAD(key [32]byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
