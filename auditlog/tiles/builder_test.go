package tiles_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"shiguan/auditlog/tiles"
)

// failer is a *testing.T or a *rapid.T.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// store is a log's directory: what a Builder emitted, by path.
type store map[string][]byte

func (s store) emit(t tiles.Tile) error {
	if len(t.Data) == 0 {
		return fmt.Errorf("empty tile %s", t.Path())
	}
	s[t.Path()] = bytes.Clone(t.Data)
	return nil
}

// ReadTile falls back to the full tile, as a log may have deleted the partial one.
func (s store) ReadTile(_ context.Context, level, index uint64, width int) ([]byte, error) {
	if data, ok := s[tiles.TilePath(level, index, width)]; ok {
		return data, nil
	}
	if data, ok := s[tiles.TilePath(level, index, tiles.TileWidth)]; ok {
		return data, nil
	}
	return nil, fmt.Errorf("no tile %s", tiles.TilePath(level, index, width))
}

// entry is the i-th entry of the test log, 78 bytes like a leaf of ours.
func entry(i uint64) []byte {
	e := make([]byte, 78)
	binary.BigEndian.PutUint64(e, i*0x9e3779b97f4a7c15)
	return e
}

// reference is the same log as golang.org/x/mod/sumdb/tlog sees it: every node hash, in storage order.
type reference struct {
	hashes []tlog.Hash
	size   int64
}

func (r *reference) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = r.hashes[x]
	}
	return out, nil
}

func (r *reference) append(t failer, entry []byte) {
	h, err := tlog.StoredHashes(r.size, entry, r)
	if err != nil {
		t.Fatal(err)
	}
	r.hashes = append(r.hashes, h...)
	r.size++
}

func (r *reference) root(t failer, size uint64) tiles.Hash {
	h, err := tlog.TreeHash(int64(size), r)
	if err != nil {
		t.Fatal(err)
	}
	return tiles.Hash(h)
}

// wanted is what tlog-tiles wants at size n after size old, made by tlog; by hand the bundles, and the partial tiles that are
// the same as at size old.
func (r *reference) wanted(t failer, old, n uint64) store {
	want := store{}
	published := tlog.NewTiles(8, int64(old), int64(n))
	for level, at := 0, int64(n); at > 0; level, at = level+1, at/256 {
		if at%256 > 0 {
			published = append(published, tlog.Tile{H: 8, L: level, N: at / 256, W: int(at % 256)})
		}
	}
	for _, tile := range published {
		data, err := tlog.ReadTileData(tile, r)
		if err != nil {
			t.Fatal(err)
		}
		want[tiles.TilePath(uint64(tile.L), uint64(tile.N), tile.W)] = data
	}
	for first := old / 256 * 256; first < n; first += 256 {
		last := min(first+256, n)
		var b []byte
		for i := first; i < last; i++ {
			b = tiles.AppendBundle(b, entry(i))
		}
		want[tiles.EntriesPath(first/256, int(last-first))] = b
	}
	return want
}

func equalStores(t failer, what string, got, want store) {
	t.Helper()
	if g, w := slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)); !slices.Equal(g, w) {
		t.Fatalf("%s: tiles %v, want %v", what, g, w)
	}
	for path, data := range want {
		if !bytes.Equal(got[path], data) {
			t.Fatalf("%s: %s differs", what, path)
		}
	}
}

// edges are the sizes at which the shape of the tree changes.
var edges = []uint64{0, 1, 2, 255, 256, 257, 511, 512, 513, 65535, 65536, 65537, 70000}

func TestBuilderAtEdges(t *testing.T) {
	ref := &reference{}
	all, got := store{}, store{}
	b := tiles.NewBuilder(func(tile tiles.Tile) error {
		return errors.Join(got.emit(tile), all.emit(tile))
	})
	old := uint64(0)
	for _, n := range edges {
		for b.Size() < n {
			ref.append(t, entry(b.Size()))
			if err := b.Append(entry(b.Size())); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Publish(); err != nil {
			t.Fatal(err)
		}
		what := fmt.Sprintf("size %d after %d", n, old)
		equalStores(t, what, got, ref.wanted(t, old, n))
		if b.Root() != ref.root(t, n) {
			t.Fatalf("%s: root differs", what)
		}
		if root, err := tiles.RootAt(t.Context(), all, n); err != nil || root != b.Root() {
			t.Fatalf("%s: RootAt %x, %v", what, root, err)
		}
		clear(got)
		old = n
	}
	// The specification's own example: 273 full tiles, one of 112, one full level 1, one of 17, one of 1.
	for path, width := range map[string]int{"tile/0/272": 256, "tile/0/273.p/112": 112, "tile/1/000": 256, "tile/1/001.p/17": 17, "tile/2/000.p/1": 1} {
		if len(all[path]) != width*32 {
			t.Errorf("size 70000: %s has %d bytes, want %d hashes", path, len(all[path]), width)
		}
	}
}

// TestBuilderAnyWay publishes at random sizes, restarting now and then, and wants the same files as tlog every time.
func TestBuilderAnyWay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ref := &reference{}
		all, got := store{}, store{}
		emit := func(tile tiles.Tile) error { return errors.Join(got.emit(tile), all.emit(tile)) }
		b := tiles.NewBuilder(emit)
		for _, step := range rapid.SliceOfN(rapid.IntRange(0, 600), 1, 6).Draw(t, "steps") {
			old := b.Size()
			for range step {
				ref.append(t, entry(b.Size()))
				if err := b.Append(entry(b.Size())); err != nil {
					t.Fatal(err)
				}
			}
			if err := b.Publish(); err != nil {
				t.Fatal(err)
			}
			equalStores(t, fmt.Sprintf("size %d after %d", b.Size(), old), got, ref.wanted(t, old, b.Size()))
			clear(got)
			if b.Root() != ref.root(t, b.Size()) {
				t.Fatalf("size %d: root differs", b.Size())
			}
			if rapid.Bool().Draw(t, "restart") {
				bundle := all[tiles.EntriesPath(b.Size()/256, int(b.Size()%256))]
				if b.Size()%256 == 0 {
					bundle = nil
				}
				r, err := tiles.ResumeBuilder(context.Background(), all, b.Size(), bundle, emit)
				if err != nil {
					t.Fatal(err)
				}
				if r.Root() != b.Root() {
					t.Fatalf("size %d: root differs after restart", b.Size())
				}
				b = r
			}
		}
	})
}

func TestBuilderAllocates(t *testing.T) {
	b := tiles.NewBuilder(func(tiles.Tile) error { return nil })
	e := entry(1)
	for range 70_000 { // past the first tile of level 2 and the growth of the bundle
		if err := b.Append(e); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(1000, func() {
		if err := b.Append(e); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations an entry", n)
	}
}

// TestBuilderBreaks fails each write in turn: the Builder must say so, and say so again whatever is asked of it next.
func TestBuilderBreaks(t *testing.T) {
	full := errors.New("disk full")
	const entries, writes = 600, 10 // 2 full bundles and tiles; partials of bundle, level 0 and level 1, published at 300 and 600
	for failAt := range writes {
		n := 0
		b := tiles.NewBuilder(func(tiles.Tile) error {
			if n++; n > failAt {
				return full
			}
			return nil
		})
		err := func() error {
			for i := range uint64(entries) {
				if err := b.Append(entry(i)); err != nil {
					return err
				}
				if i+1 == entries/2 || i+1 == entries {
					if err := b.Publish(); err != nil {
						return err
					}
				}
			}
			return nil
		}()
		if !errors.Is(err, full) {
			t.Fatalf("write %d failed, Builder says %v", failAt, err)
		}
		at := n
		if again := errors.Join(b.Append(entry(0)), b.Publish()); !errors.Is(again, full) || n != at {
			t.Errorf("write %d failed: afterwards %v, %d more writes", failAt, again, n-at)
		}
	}
}

func TestResumeRefuses(t *testing.T) {
	all := store{}
	b := tiles.NewBuilder(all.emit)
	for b.Size() < 260 {
		if err := b.Append(entry(b.Size())); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Publish(); err != nil {
		t.Fatal(err)
	}
	good := all[tiles.EntriesPath(1, 4)]
	first, _ := tiles.ParseBundle(good)
	for name, tc := range map[string]struct {
		size   uint64
		bundle []byte
	}{
		"no bundle":            {260, nil},
		"cut bundle":           {260, good[:len(good)-1]},
		"an entry less":        {260, good[:3*80]},
		"an entry more":        {260, tiles.AppendBundle(bytes.Clone(good), entry(260))},
		"entries changed":      {260, bytes.Replace(good, first[2][:8], []byte("tampered"), 1)},
		"a bundle for nothing": {256, good},
		"size beyond 2^63":     {1 << 63, nil},
	} {
		if _, err := tiles.ResumeBuilder(t.Context(), all, tc.size, tc.bundle, all.emit); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := tiles.ResumeBuilder(t.Context(), all, 260, good, all.emit); err != nil {
		t.Error(err)
	}
	if err := b.Append(make([]byte, tiles.MaxEntry+1)); err == nil || b.Size() != 260 {
		t.Errorf("entry of 64 KiB: %v, size %d", err, b.Size())
	}
	if err := b.Append(make([]byte, tiles.MaxEntry)); err != nil {
		t.Errorf("after an entry that was refused: %v", err)
	}
}
