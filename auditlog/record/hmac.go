package record

import (
	"crypto/sha256"
	"hash"
	"sync"
)

// HMAC returns HMAC-SHA256 (RFC 2104) for a key of 32 bytes, as crypto/hmac
// does, without allocating: every record needs three under keys of its own.
func HMAC(key *[32]byte, message []byte) [32]byte {
	inner := hmacInner(key, message)
	var outer [sha256.BlockSize + sha256.Size]byte
	padKey((*[sha256.BlockSize]byte)(outer[:]), key, 0x5c)
	copy(outer[sha256.BlockSize:], inner[:])
	return sha256.Sum256(outer[:])
}

func hmacInner(key *[32]byte, message []byte) (sum [32]byte) {
	const short = 192
	if len(message) <= short {
		var block [sha256.BlockSize + short]byte
		padKey((*[sha256.BlockSize]byte)(block[:]), key, 0x36)
		n := sha256.BlockSize + copy(block[sha256.BlockSize:], message)
		return sha256.Sum256(block[:n])
	}
	h := hashers.Get().(*hasher)
	defer hashers.Put(h)
	padKey(&h.pad, key, 0x36)
	h.Reset()
	h.Write(h.pad[:])
	h.Write(message)
	h.Sum(h.sum[:0])
	sum = h.sum
	h.pad, h.sum = [sha256.BlockSize]byte{}, [32]byte{}
	return sum
}

// padKey fills a block with the key, zeroes behind it, all of it XOR pad.
func padKey(block *[sha256.BlockSize]byte, key *[32]byte, pad byte) {
	for i := range block {
		block[i] = pad
	}
	for i, b := range key {
		block[i] ^= b
	}
}

type hasher struct {
	hash.Hash
	pad [sha256.BlockSize]byte
	sum [32]byte
}

var hashers = sync.Pool{New: func() any { return &hasher{Hash: sha256.New()} }}
