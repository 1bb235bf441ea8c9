package tiles

import (
	"errors"
	"fmt"
	"math/bits"
)

var (
	errProofLength = errors.New("proof has the wrong number of hashes")
	errEmptyRoot   = errors.New("an empty tree must have the root of an empty tree")
)

// CheckInclusion checks that leafHash is leaf number index of the tree with the given size and root. nil means it is.
func CheckInclusion(leafHash Hash, index, size uint64, proof []Hash, root Hash) error {
	if size > MaxSize || index >= size {
		return fmt.Errorf("no leaf %d in a tree of size %d", index, size)
	}
	// Below inner levels the path to the leaf and the path to the last leaf differ: each has a sibling. Above it the leaf is on
	// the right edge, where only the ones in the index have a sibling, always to the left.
	inner := bits.Len64(index ^ (size - 1))
	border := bits.OnesCount64(index >> inner)
	if len(proof) != inner+border {
		return fmt.Errorf("inclusion %w: %d, want %d", errProofLength, len(proof), inner+border)
	}
	h := leafHash
	for i, sibling := range proof[:inner] {
		if index>>i&1 == 0 {
			h = NodeHash(h, sibling)
		} else {
			h = NodeHash(sibling, h)
		}
	}
	for _, sibling := range proof[inner:] {
		h = NodeHash(sibling, h)
	}
	if h != root {
		return fmt.Errorf("inclusion proof for leaf %d leads to root %s, the checkpoint says %s", index, encodeHash(h), encodeHash(root))
	}
	return nil
}

// CheckConsistency checks that the tree (size, root) begins with the tree (old, oldRoot). nil means it does.
func CheckConsistency(old, size uint64, proof []Hash, oldRoot, root Hash) error {
	switch {
	case size > MaxSize || old > size:
		return fmt.Errorf("a tree of size %d cannot begin with one of size %d", size, old)
	case old == 0 && oldRoot != EmptyRoot(), size == 0 && root != EmptyRoot():
		return errEmptyRoot
	case old == 0 || old == size:
		if len(proof) != 0 {
			return fmt.Errorf("consistency %w: %d, want none", errProofLength, len(proof))
		}
		if old == size && oldRoot != root {
			return fmt.Errorf("two trees of size %d with roots %s and %s", size, encodeHash(oldRoot), encodeHash(root))
		}
		return nil
	}
	return checkGrowth(old, size, proof, oldRoot, root)
}

// checkGrowth is CheckConsistency for 0 < old < size. It follows RFC 9162, 2.1.4.2: the proof holds the last perfect subtree
// of the old tree (unless the old tree is just that) and what is needed to reach both roots from it.
func checkGrowth(old, size uint64, proof []Hash, oldRoot, root Hash) error {
	fn, sn := old-1, size-1
	for fn&1 == 1 {
		fn, sn = fn>>1, sn>>1
	}
	var seed Hash
	if old&(old-1) == 0 {
		seed = oldRoot
	} else if len(proof) > 0 {
		seed, proof = proof[0], proof[1:]
	} else {
		return fmt.Errorf("consistency %w: none", errProofLength)
	}
	fr, sr := seed, seed
	for _, c := range proof {
		if sn == 0 {
			return fmt.Errorf("consistency %w: too many", errProofLength)
		}
		if fn&1 == 1 || fn == sn {
			fr, sr = NodeHash(c, fr), NodeHash(c, sr)
			for fn&1 == 0 && fn != 0 {
				fn, sn = fn>>1, sn>>1
			}
		} else {
			sr = NodeHash(sr, c)
		}
		fn, sn = fn>>1, sn>>1
	}
	switch {
	case sn != 0:
		return fmt.Errorf("consistency %w: too few", errProofLength)
	case fr != oldRoot:
		return fmt.Errorf("consistency proof leads to old root %s, not %s", encodeHash(fr), encodeHash(oldRoot))
	case sr != root:
		return fmt.Errorf("consistency proof leads to new root %s, not %s", encodeHash(sr), encodeHash(root))
	}
	return nil
}
