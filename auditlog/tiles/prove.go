package tiles

import (
	"context"
	"fmt"
)

// RootAt computes the root of the tree of the given size from its tiles.
func RootAt(ctx context.Context, r Reader, size uint64) (Hash, error) {
	if size > MaxSize {
		return Hash{}, fmt.Errorf("tree size %d is out of range", size)
	}
	if size == 0 {
		return EmptyRoot(), nil
	}
	return compute(ctx, r, size, func(t *tree) Hash { return t.root(0, size) })
}

// ProveInclusion makes the RFC 6962 audit path of a leaf in the tree of the given size, the leaf's sibling first. The proof is
// as good as the tiles: CheckInclusion tells.
func ProveInclusion(ctx context.Context, r Reader, size, index uint64) ([]Hash, error) {
	if size > MaxSize || index >= size {
		return nil, fmt.Errorf("no leaf %d in a tree of size %d", index, size)
	}
	return compute(ctx, r, size, func(t *tree) []Hash { return t.inclusion(index) })
}

func (t *tree) inclusion(index uint64) []Hash {
	// Walk down to the leaf; what is left at each fork is proof, to be read from the leaf up.
	var proof []Hash
	for lo, hi := uint64(0), t.size; hi-lo > 1; {
		mid := lo + splitAt(hi-lo)
		sibling := [2]uint64{mid, hi}
		if index < mid {
			hi = mid
		} else {
			sibling = [2]uint64{lo, mid}
			lo = mid
		}
		proof = append(proof, t.root(sibling[0], sibling[1]))
	}
	reverse(proof)
	return proof
}

// ProveConsistency makes the RFC 6962 proof that the tree of the given size begins with the tree of size old. It is empty when
// old is 0 or equal to size, where nothing has to be shown.
func ProveConsistency(ctx context.Context, r Reader, old, size uint64) ([]Hash, error) {
	if size > MaxSize || old > size {
		return nil, fmt.Errorf("no consistency proof from size %d to size %d", old, size)
	}
	if old == 0 || old == size {
		return nil, nil
	}
	return compute(ctx, r, size, func(t *tree) []Hash { return t.consistency(old) })
}

func (t *tree) consistency(old uint64) []Hash {
	// RFC 6962, 2.1.2: walk down to the last leaf of the old tree; complete says that [lo, hi) begins where the old tree
	// does, so that the verifier knows the root of it if it ends there too.
	var proof []Hash
	complete := true
	lo, hi := uint64(0), t.size
	for hi != old {
		mid := lo + splitAt(hi-lo)
		sibling := [2]uint64{mid, hi}
		if old <= mid {
			hi = mid
		} else {
			sibling = [2]uint64{lo, mid}
			lo, complete = mid, false
		}
		proof = append(proof, t.root(sibling[0], sibling[1]))
	}
	if !complete {
		proof = append(proof, t.root(lo, hi))
	}
	reverse(proof)
	return proof
}

func reverse(h []Hash) {
	for i, j := 0, len(h)-1; i < j; i, j = i+1, j-1 {
		h[i], h[j] = h[j], h[i]
	}
}
