package tiles

import "crypto/sha256"

// Hash is a SHA-256 node of an RFC 6962 Merkle tree.
type Hash = [sha256.Size]byte

// HashSize is the length of a Hash in bytes.
const HashSize = sha256.Size

// MaxSize is the largest tree size that is accepted anywhere in this package (C2SP logs count in 63 bits).
const MaxSize = 1<<63 - 1

// EmptyRoot is the root of a tree with no leaves, SHA-256 of nothing.
func EmptyRoot() Hash { return sha256.Sum256(nil) }

// LeafHash is the RFC 6962 hash of an entry: SHA-256(0x00 ‖ entry). It does not allocate for entries of up to 255 bytes.
func LeafHash(entry []byte) Hash {
	if len(entry) < 256 {
		var buf [256]byte
		n := 1 + copy(buf[1:], entry)
		return sha256.Sum256(buf[:n])
	}
	h := sha256.New()
	h.Write([]byte{0})
	h.Write(entry)
	return Hash(h.Sum(nil))
}

// NodeHash is the RFC 6962 hash of an inner node: SHA-256(0x01 ‖ left ‖ right).
func NodeHash(left, right Hash) Hash {
	var buf [1 + 2*HashSize]byte
	buf[0] = 1
	copy(buf[1:], left[:])
	copy(buf[1+HashSize:], right[:])
	return sha256.Sum256(buf[:])
}

// nodeOf hashes two adjacent hashes, as they lie in a tile.
func nodeOf(pair []byte) Hash {
	var buf [1 + 2*HashSize]byte
	buf[0] = 1
	copy(buf[1:], pair)
	return sha256.Sum256(buf[:])
}

// perfectRoot is the root over the hashes in data, of which there must be a power of two.
func perfectRoot(data []byte) Hash {
	switch len(data) {
	case HashSize:
		return Hash(data)
	case 2 * HashSize:
		return nodeOf(data)
	}
	half := len(data) / 2
	return NodeHash(perfectRoot(data[:half]), perfectRoot(data[half:]))
}
