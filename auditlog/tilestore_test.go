package auditlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"shiguan/auditlog/tiles"
)

// buildTree writes the tiles of a tree of n entries to a store and returns its root.
func buildTree(t *testing.T, ts *tileStore, n int) tiles.Hash {
	t.Helper()
	b := tiles.NewBuilder(ts.write)
	for i := range n {
		if err := b.Append(fmt.Appendf(nil, "entry %d", i)); err != nil {
			t.Fatal(err)
		}
		if len(ts.staged) > maxStaged {
			t.Fatalf("%d files are open", len(ts.staged))
		}
	}
	if err := errors.Join(b.Publish(), ts.flush()); err != nil {
		t.Fatal(err)
	}
	if len(ts.staged) > 0 {
		t.Fatalf("%d files are open after flush", len(ts.staged))
	}
	return b.Root()
}

// More tiles than are synced together are written at once, to the disk and to one
// in memory that then loses what was not synced.
func TestManyTilesAtOnce(t *testing.T) {
	const n = (maxStaged+40)*tiles.TileWidth/2 + 77
	mem := newMemFS()
	disk, memory := newTileStore(osFS{t.TempDir()}), newTileStore(mem)
	root := buildTree(t, disk, n)
	if buildTree(t, memory, n) != root {
		t.Fatal("two roots of one tree")
	}
	memory = newTileStore(mem.crashed(lost, nil))
	for index := range uint64(n/tiles.TileWidth + 1) {
		width := min(tiles.TileWidth, n-int(index)*tiles.TileWidth)
		for _, level := range []int{tiles.LevelEntries, 0} {
			id := tiles.TileID{Level: level, Index: index, Width: width}
			a, err1 := disk.readResource(context.Background(), id)
			b, err2 := memory.readResource(context.Background(), id)
			if err := errors.Join(err1, err2); err != nil || !bytes.Equal(a, b) {
				t.Fatalf("%s: %d and %d bytes, %v", id.Path(), len(a), len(b), err)
			}
		}
	}
	for name, ts := range map[string]*tileStore{"disk": disk, "memory": memory} {
		if got, err := tiles.RootAt(context.Background(), ts, n); err != nil || got != root {
			t.Errorf("%s: another root: %v", name, err)
		}
		if names, err := ts.fs.readDir("tile/0"); err != nil || len(names) != n/tiles.TileWidth+1 {
			t.Errorf("%s: %d names in tile/0, %v: %v", name, len(names), err, names)
		}
	}
}

// The offsets that a reader remembers are of a bounded number of segments, and any
// of them may be forgotten.
func TestReaderForgets(t *testing.T) {
	k := newTestKeys(t)
	m := newMemFS()
	l := mustOpen(t, k.crashOptions(t, m, &strictWitness{}))
	for i := range uint64(10) {
		mustAppend(t, l, i+1, "p")
	}
	mustClose(t, l)
	r := newReader(m)
	for i := range uint64(maxMarked + 500) {
		r.note(1000+i, &scanner{index: 1000 + i})
	}
	for range 3 {
		next, err := r.records(context.Background(), 0, noLimit, func(Stored) error { return nil })
		if err != nil || next != 11 {
			t.Fatalf("%d records, %v", next, err)
		}
	}
	if len(r.marks) != maxMarked {
		t.Errorf("offsets of %d segments, want %d", len(r.marks), maxMarked)
	}
}
