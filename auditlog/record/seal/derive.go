package seal

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
)

// nonceSize is the length of a record's number within its period, which stands
// in clear at the start of the sealed payload.
const nonceSize = 8

// Overhead is how many bytes a sealed payload is longer than the payload.
const Overhead = nonceSize + 16

// The two things that are derived for each record, told apart by the first
// byte of the HMAC's message.
const (
	deriveKey     = 0x01
	deriveOpening = 0x02
)

// deriver derives the keys of a period's records. It is safe for concurrent
// use. The states that it keeps are as secret as the period's key.
type deriver struct{ macs sync.Pool }

// mac is HMAC-SHA256 under the period's key, in a state to begin a message:
// hashing the key again for each record would double the cost.
type mac struct {
	hash.Hash
	msg [1 + nonceSize]byte
	sum [sha256.Size]byte
}

func newDeriver(period [32]byte) *deriver {
	return &deriver{sync.Pool{New: func() any { return &mac{Hash: hmac.New(sha256.New, period[:])} }}}
}

// derive returns the AES key and the opening of the record with this nonce:
// HMAC-SHA256(period key, what ‖ nonce).
func (d *deriver) derive(nonce uint64) (key, opening [32]byte) {
	m := d.macs.Get().(*mac)
	defer d.macs.Put(m)
	binary.BigEndian.PutUint64(m.msg[1:], nonce)
	m.of(deriveKey, &key)
	m.of(deriveOpening, &opening)
	m.sum = [sha256.Size]byte{} // of the last record, which is told nobody
	return key, opening
}

func (m *mac) of(what byte, out *[32]byte) {
	m.msg[0] = what
	m.Reset()
	m.Write(m.msg[:])
	m.Sum(m.sum[:0])
	*out = m.sum
}
