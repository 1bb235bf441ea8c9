package console

import (
	"encoding/hex"
	"fmt"
	"testing"

	"shiguan/auditlog/tiles"
)

// naiveRoot is RFC 6962, 2.1, and path 2.1.1, each word for word.
func naiveRoot(leaves []tiles.Hash) tiles.Hash {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := split(len(leaves))
	return tiles.NodeHash(naiveRoot(leaves[:k]), naiveRoot(leaves[k:]))
}

func naivePath(m int, leaves []tiles.Hash) []tiles.Hash {
	if len(leaves) == 1 {
		return nil
	}
	k := split(len(leaves))
	if m < k {
		return append(naivePath(m, leaves[:k]), naiveRoot(leaves[k:]))
	}
	return append(naivePath(m-k, leaves[k:]), naiveRoot(leaves[:k]))
}

func split(n int) int {
	k := 1
	for k*2 < n {
		k *= 2
	}
	return k
}

// What the page draws must be the path that was checked: each step's hashes joined in the order drawn give the next
// step's, and the last one the root.
func TestPathStepsLeadToTheRoot(t *testing.T) {
	var leaves []tiles.Hash
	for size := 1; size <= 40; size++ {
		leaves = append(leaves, tiles.LeafHash(fmt.Append(nil, "leaf ", size)))
		root := naiveRoot(leaves)
		for index := range leaves {
			steps := pathSteps(leaves[index], uint64(index), uint64(size), naivePath(index, leaves))
			got := hex.EncodeToString(leaves[index][:])
			side := ""
			for i, s := range steps {
				if s.Ours != got {
					t.Fatalf("size %d, leaf %d, step %d begins with %s, want %s", size, index, i, s.Ours, got)
				}
				if drawn := map[bool]string{true: "right", false: "left"}[s.GivenLeft]; side != "" && side != drawn {
					t.Fatalf("size %d, leaf %d, step %d: the line leads to the %s, the hash stands on the %s", size, index, i, side, drawn)
				}
				if s.GivenLeft {
					got = join2(t, s.Given, s.Ours)
				} else {
					got = join2(t, s.Ours, s.Given)
				}
				side = s.Next
			}
			if got != hex.EncodeToString(root[:]) {
				t.Fatalf("size %d, leaf %d: the steps lead to %s, the root is %x", size, index, got, root)
			}
			if len(steps) > 0 && side != "root" {
				t.Fatalf("size %d, leaf %d: the last step leads %s", size, index, side)
			}
		}
	}
}

func join2(t *testing.T, left, right string) string {
	t.Helper()
	l, err := hex.DecodeString(left)
	if err != nil {
		t.Fatal(err)
	}
	r, err := hex.DecodeString(right)
	if err != nil {
		t.Fatal(err)
	}
	h := tiles.NodeHash(tiles.Hash(l), tiles.Hash(r))
	return hex.EncodeToString(h[:])
}

func TestGroupedNumbers(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1\u2009000", 1234567: "1\u2009234\u2009567", -1234: "-1\u2009234"} {
		if got := grouped(n); got != want {
			t.Errorf("grouped(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestHeadCutsCharactersNotBytes(t *testing.T) {
	if got := head("查询公民姓名", 4); got != "查询公民…" {
		t.Errorf("head = %q", got)
	}
	if got := head("short", 5); got != "short" {
		t.Errorf("head = %q", got)
	}
}
