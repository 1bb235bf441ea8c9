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

// deriver computes HMAC-SHA256(period key, what ‖ nonce) for many goroutines
// without hashing the key again each time.
type deriver struct {
	pool sync.Pool // of *keyed
}

type keyed struct {
	mac hash.Hash
	msg [1 + nonceSize]byte
}

func newDeriver(key [32]byte) *deriver {
	return &deriver{pool: sync.Pool{New: func() any {
		return &keyed{mac: hmac.New(sha256.New, key[:])}
	}}}
}

// derive returns the AES key and the opening of the record with this nonce.
func (d *deriver) derive(nonce uint64) (key, opening [32]byte) {
	k := d.pool.Get().(*keyed)
	defer d.pool.Put(k)
	binary.BigEndian.PutUint64(k.msg[1:], nonce)
	k.sum(deriveKey, &key)
	k.sum(deriveOpening, &opening)
	return key, opening
}

func (k *keyed) sum(what byte, out *[32]byte) {
	k.msg[0] = what
	k.mac.Reset()
	k.mac.Write(k.msg[:])
	k.mac.Sum(out[:0])
}
