package tiles_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"shiguan/auditlog/tiles"
)

// testLog is one log beside its reference.
type testLog struct {
	store
	*reference
	*tiles.Builder
}

func newTestLog(t failer, size uint64) *testLog {
	t.Helper()
	l := &testLog{store: store{}, reference: &reference{}}
	l.Builder = tiles.NewBuilder(l.emit)
	for i := range size {
		l.reference.append(t, entry(i))
		if err := l.Builder.Append(entry(i)); err != nil {
			t.Fatal(err)
		}
		// Every partial tile of every size, because the tests below ask for trees of all sizes.
		if err := l.Publish(); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func (l *testLog) leaf(i uint64) tiles.Hash { return tiles.LeafHash(entry(i)) }

func slicesOf(hashes []tiles.Hash) [][]byte {
	out := make([][]byte, len(hashes))
	for i := range hashes {
		out[i] = hashes[i][:]
	}
	return out
}

// equalHashes compares a proof of ours with one of tlog's.
func equalHashes(ours []tiles.Hash, theirs []tlog.Hash) bool {
	return slices.EqualFunc(ours, theirs, func(a tiles.Hash, b tlog.Hash) bool { return a == tiles.Hash(b) })
}

// checkedInclusion asks us and merkle, which must agree.
func checkedInclusion(t failer, leaf tiles.Hash, index, size uint64, p []tiles.Hash, root tiles.Hash) bool {
	t.Helper()
	ours := tiles.CheckInclusion(leaf, index, size, p, root)
	theirs := proof.VerifyInclusion(rfc6962.DefaultHasher, index, size, leaf[:], slicesOf(p), root[:])
	if (ours == nil) != (theirs == nil) {
		t.Fatalf("inclusion of %d in %d: we say %v, merkle says %v", index, size, ours, theirs)
	}
	return ours == nil
}

func checkedConsistency(t failer, old, size uint64, p []tiles.Hash, oldRoot, root tiles.Hash) bool {
	t.Helper()
	ours := tiles.CheckConsistency(old, size, p, oldRoot, root)
	theirs := proof.VerifyConsistency(rfc6962.DefaultHasher, old, size, slicesOf(p), oldRoot[:], root[:])
	if (ours == nil) != (theirs == nil) {
		t.Fatalf("consistency of %d and %d: we say %v, merkle says %v", old, size, ours, theirs)
	}
	return ours == nil
}

// TestSmallTrees makes every proof of every tree up to some size, compares it with tlog's, and offers it for every other index
// and size. Within the same tree it must be refused there. A tree of another size may lend a path the same shape (the root
// would then be another, which the checkpoint's signature settles), so there it is enough that merkle agrees.
func TestSmallTrees(t *testing.T) {
	const most = 20
	l := newTestLog(t, most)
	roots := make([]tiles.Hash, most+1)
	for n := range roots {
		roots[n] = l.root(t, uint64(n))
	}
	for size := uint64(1); size <= most; size++ {
		for index := range size {
			p, err := tiles.ProveInclusion(t.Context(), l, size, index)
			if err != nil {
				t.Fatal(err)
			}
			want, err := tlog.ProveRecord(int64(size), int64(index), l)
			if err != nil || !equalHashes(p, want) {
				t.Fatalf("inclusion of %d in %d: not the proof of tlog (%v)", index, size, err)
			}
			for s := range uint64(most + 2) {
				for i := range uint64(most + 2) {
					accepted := checkedInclusion(t, l.leaf(index), i, s, p, roots[size])
					if s == size && accepted != (i == index) {
						t.Fatalf("proof for %d in %d, offered for %d: accepted %v", index, size, i, accepted)
					}
				}
			}
		}
		for old := range size + 1 {
			p, err := tiles.ProveConsistency(t.Context(), l, old, size)
			if err != nil {
				t.Fatal(err)
			}
			if old > 0 {
				want, err := tlog.ProveTree(int64(size), int64(old), l)
				if err != nil || !equalHashes(p, want) {
					t.Fatalf("consistency of %d and %d: not the proof of tlog (%v)", old, size, err)
				}
			}
			if err := tiles.CheckConsistency(old, size, p, roots[old], roots[size]); err != nil {
				t.Fatal(err)
			}
			for s := range uint64(most + 1) {
				for o := uint64(1); o <= s && old > 0; o++ { // of old trees without leaves merkle does not check the root
					accepted := checkedConsistency(t, o, s, p, roots[old], roots[size])
					if s == size && accepted != (o == old) {
						t.Fatalf("proof for %d and %d, offered for %d: accepted %v", old, size, o, accepted)
					}
				}
			}
		}
	}
}

// TestProofs makes proofs in large trees, where tiles of several levels are read, and damages them in every way there is.
func TestProofs(t *testing.T) {
	const most = 66_000
	l := &testLog{store: store{}, reference: &reference{}}
	l.Builder = tiles.NewBuilder(l.emit)
	sizes := []uint64{1, 2, 255, 256, 257, 511, 512, 513, 1000, 65_535, 65_536, 65_537, 65_793, most}
	for _, n := range sizes {
		for l.Size() < n {
			l.reference.append(t, entry(l.Size()))
			if err := l.Builder.Append(entry(l.Size())); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Publish(); err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.SampledFrom(sizes).Draw(t, "size")
		index := rapid.Uint64Range(0, size-1).Draw(t, "index")
		old := rapid.SampledFrom(sizes).Filter(func(n uint64) bool { return n <= size }).Draw(t, "old")
		root, oldRoot := l.root(t, size), l.root(t, old)
		in, err := tiles.ProveInclusion(context.Background(), l, size, index)
		if err != nil {
			t.Fatal(err)
		}
		grown, err := tiles.ProveConsistency(context.Background(), l, old, size)
		if err != nil {
			t.Fatal(err)
		}
		if !checkedInclusion(t, l.leaf(index), index, size, in, root) || !checkedConsistency(t, old, size, grown, oldRoot, root) {
			t.Fatal("good proof refused")
		}
		flipped := func(h tiles.Hash) tiles.Hash { h[rapid.IntRange(0, 31).Draw(t, "byte")] ^= 0x10; return h }
		otherIndex := rapid.Uint64Range(0, size+1).Draw(t, "other index")
		for what, accepted := range map[string]bool{
			"leaf":     checkedInclusion(t, flipped(l.leaf(index)), index, size, in, root),
			"root":     checkedInclusion(t, l.leaf(index), index, size, in, flipped(root)),
			"index":    otherIndex != index && checkedInclusion(t, l.leaf(index), otherIndex, size, in, root),
			"new root": checkedConsistency(t, old, size, grown, oldRoot, flipped(root)),
			"old root": checkedConsistency(t, old, size, grown, flipped(oldRoot), root),
		} {
			if accepted {
				t.Fatalf("accepted with another %s", what)
			}
		}
		for i, p := range [][]tiles.Hash{in, grown} {
			for what, bad := range damaged(t, p) {
				if i == 0 && checkedInclusion(t, l.leaf(index), index, size, bad, root) ||
					i == 1 && checkedConsistency(t, old, size, bad, oldRoot, root) {
					t.Fatalf("accepted with %s", what)
				}
			}
		}
	})
}

// damaged are proofs that are not p.
func damaged(t *rapid.T, p []tiles.Hash) map[string][]tiles.Hash {
	at := rapid.IntRange(0, len(p)).Draw(t, "at")
	out := map[string][]tiles.Hash{"a hash more": slices.Insert(slices.Clone(p), at, tiles.Hash{1})}
	if at < len(p) {
		out["a hash less"] = slices.Delete(slices.Clone(p), at, at+1)
		flip := slices.Clone(p)
		flip[at][at%32] ^= 4
		out["a hash changed"] = flip
		if at > 0 && p[at] != p[at-1] {
			swap := slices.Clone(p)
			swap[at], swap[at-1] = swap[at-1], swap[at]
			out["hashes swapped"] = swap
		}
	}
	return out
}

func TestProofBounds(t *testing.T) {
	l := newTestLog(t, 3)
	root := l.Root()
	empty := tiles.EmptyRoot()
	for name, err := range map[string]error{
		"prove leaf beyond":         second(tiles.ProveInclusion(t.Context(), l, 3, 3)),
		"prove in empty":            second(tiles.ProveInclusion(t.Context(), l, 0, 0)),
		"prove shrinking":           second(tiles.ProveConsistency(t.Context(), l, 3, 2)),
		"prove beyond 2^63":         second(tiles.ProveInclusion(t.Context(), l, 1<<63, 0)),
		"root beyond 2^63":          second(tiles.RootAt(t.Context(), l, 1<<63)),
		"check leaf beyond":         tiles.CheckInclusion(l.leaf(0), 3, 3, nil, root),
		"check in empty":            tiles.CheckInclusion(l.leaf(0), 0, 0, nil, empty),
		"check shrinking":           tiles.CheckConsistency(3, 2, nil, root, root),
		"empty with a root":         tiles.CheckConsistency(0, 3, nil, root, root),
		"both empty with a root":    tiles.CheckConsistency(0, 0, nil, empty, root),
		"from empty with a proof":   tiles.CheckConsistency(0, 3, []tiles.Hash{{}}, empty, root),
		"same size with a proof":    tiles.CheckConsistency(3, 3, []tiles.Hash{{}}, root, root),
		"same size, other root":     tiles.CheckConsistency(3, 3, nil, root, empty),
		"old not a power, no proof": tiles.CheckConsistency(3, 4, nil, root, root),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for name, err := range map[string]error{
		"nothing to nothing": tiles.CheckConsistency(0, 0, nil, empty, empty),
		"nothing to 3":       tiles.CheckConsistency(0, 3, nil, empty, root),
		"3 to 3":             tiles.CheckConsistency(3, 3, nil, root, root),
		"one leaf":           tiles.CheckInclusion(l.leaf(0), 0, 1, nil, l.leaf(0)),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// badReader answers with tiles that are not what was asked for.
type badReader struct {
	data []byte
	err  error
}

func (r badReader) ReadTile(context.Context, uint64, uint64, int) ([]byte, error) {
	return r.data, r.err
}

func TestBadTiles(t *testing.T) {
	gone := errors.New("gone")
	for name, r := range map[string]badReader{
		"too short":  {data: make([]byte, 5*32)},
		"too long":   {data: make([]byte, 257*32)},
		"not hashes": {data: make([]byte, 6*32+1)},
		"empty":      {},
		"an error":   {err: gone},
	} {
		_, errRoot := tiles.RootAt(t.Context(), r, 6)
		_, errIn := tiles.ProveInclusion(t.Context(), r, 6, 2)
		_, errCon := tiles.ProveConsistency(t.Context(), r, 3, 6)
		_, errRes := tiles.ResumeBuilder(t.Context(), r, 6, nil, nil)
		for i, err := range []error{errRoot, errIn, errCon, errRes} {
			if err == nil || r.err != nil && !errors.Is(err, gone) || !bytes.Contains([]byte(err.Error()), []byte("tile/0/000.p/6")) {
				t.Errorf("%s, %d: error %v, want one that names the tile", name, i, err)
			}
		}
	}
}

// TestFallback reads trees of old sizes when only the full tiles are left, as tlog-tiles allows a log to do.
func TestFallback(t *testing.T) {
	l := newTestLog(t, 600)
	for path := range l.store {
		if id, err := tiles.ParseTilePath(path); err != nil || id.Width < 256 && id.Level == 0 && id.Index < 2 {
			delete(l.store, path)
		}
	}
	for _, size := range []uint64{1, 100, 255, 256, 257, 511} {
		if root, err := tiles.RootAt(t.Context(), l, size); err != nil || root != l.root(t, size) {
			t.Errorf("size %d: %v", size, err)
		}
	}
}

func BenchmarkBuilder(b *testing.B) {
	builder := tiles.NewBuilder(func(tiles.Tile) error { return nil })
	e := entry(1)
	b.ReportAllocs()
	for b.Loop() {
		if err := builder.Append(e); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleBuilder() {
	b := tiles.NewBuilder(func(t tiles.Tile) error {
		fmt.Println(t.Path(), len(t.Data))
		return nil
	})
	for range 258 {
		if err := b.Append([]byte("entry")); err != nil {
			panic(err)
		}
	}
	if err := b.Publish(); err != nil {
		panic(err)
	}
	// Output:
	// tile/entries/000 1792
	// tile/0/000 8192
	// tile/entries/001.p/2 14
	// tile/0/001.p/2 64
	// tile/1/000.p/1 32
}

// meeting is a reader that answers only when as many ask at the same time as it expects.
type meeting struct {
	tiles.Reader
	left atomic.Int64
	all  chan struct{}
}

func (m *meeting) ReadTile(ctx context.Context, level, index uint64, width int) ([]byte, error) {
	if m.left.Add(-1) == 0 {
		close(m.all)
	}
	select {
	case <-m.all:
		return m.Reader.ReadTile(ctx, level, index, width)
	case <-time.After(10 * time.Second):
		return nil, errors.New("the others do not come")
	}
}

// A proof reads its tiles at the same time, each once, and no more than two a level.
func TestProofReadsAtOnce(t *testing.T) {
	const size = 70_000 // levels 0, 1 and 2
	l := newTestLog(t, size)
	for index, reads := range map[uint64]int64{0: 4, 40_000: 4, size - 1: 3} {
		m := &meeting{Reader: l, all: make(chan struct{})}
		m.left.Store(reads)
		proof, err := tiles.ProveInclusion(t.Context(), m, size, index)
		if err != nil || !checkedInclusion(t, l.leaf(index), index, size, proof, l.root(t, size)) {
			t.Errorf("leaf %d: %v", index, err)
		}
		if m.left.Load() != 0 {
			t.Errorf("leaf %d: %d reads, want %d", index, reads-m.left.Load(), reads)
		}
	}
}
