package tiles

import (
	"context"
	"fmt"
	"math/bits"
	"sync"
)

// Reader reads hash tiles. ReadTile MUST return at least the first width hashes of the tile, width being 1 to 256; where the
// partial tile is gone because the full one exists, it returns more. It MUST NOT change the bytes later. It MUST be safe for
// concurrent use: a proof reads its tiles at the same time.
type Reader interface {
	ReadTile(ctx context.Context, level, index uint64, width int) ([]byte, error)
}

func readTile(ctx context.Context, r Reader, id TileID) ([]byte, error) {
	data, err := r.ReadTile(ctx, uint64(id.Level), id.Index, id.Width)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", id.Path(), err)
	}
	if len(data) < id.Width*HashSize || len(data) > TileWidth*HashSize || len(data)%HashSize != 0 {
		return nil, fmt.Errorf("%s has %d bytes, want %d", id.Path(), len(data), id.Width*HashSize)
	}
	return data[:id.Width*HashSize], nil
}

// tree is the tree of one size as its tiles show it. It serves one proof and is thrown away.
type tree struct {
	ctx  context.Context
	r    Reader
	size uint64

	planning bool // hashes are not wanted yet, only which tiles they come from
	needed   []TileID
	tiles    map[TileID][]byte
}

// compute runs a computation over the tree of a size, twice: first for the tiles that it needs, which are then read at the same
// time, because each is a wait for a disk or a server; then for its result. They are few: at most two a level.
func compute[T any](ctx context.Context, r Reader, size uint64, f func(*tree) T) (result T, err error) {
	t := &tree{ctx: ctx, r: r, size: size, planning: true, tiles: make(map[TileID][]byte)}
	f(t)
	if err := t.readNeeded(); err != nil {
		return result, err
	}
	t.planning = false
	return f(t), nil
}

func (t *tree) readNeeded() error {
	data, errs := make([][]byte, len(t.needed)), make([]error, len(t.needed))
	var reading sync.WaitGroup
	for i, id := range t.needed {
		reading.Go(func() { data[i], errs[i] = readTile(t.ctx, t.r, id) })
	}
	reading.Wait()
	for i, id := range t.needed {
		if errs[i] != nil {
			return errs[i]
		}
		t.tiles[id] = data[i]
	}
	return nil
}

// root is the RFC 6962 hash over the leaves [lo, hi), for ranges that are subtrees of this tree: lo is a multiple of the
// smallest power of two that is not below hi-lo.
func (t *tree) root(lo, hi uint64) Hash {
	n := hi - lo
	if n&(n-1) == 0 {
		return t.perfect(uint(bits.TrailingZeros64(n)), lo/n)
	}
	k := splitAt(n)
	return NodeHash(t.root(lo, lo+k), t.root(lo+k, hi))
}

// perfect is the index-th node at the given height above the leaves, computed within the one tile that spans it.
func (t *tree) perfect(height uint, index uint64) Hash {
	level, within := height/tileHeight, height%tileHeight
	first := index << within // in hashes of this level
	id := TileID{Level: int(level), Index: first >> tileHeight, Width: TileWidth}
	if at := t.size >> (level * tileHeight); at>>tileHeight == id.Index {
		id.Width = int(at % TileWidth)
	}
	data, known := t.tiles[id]
	if t.planning {
		if !known {
			t.tiles[id] = nil
			t.needed = append(t.needed, id)
		}
		return Hash{}
	}
	off := first % TileWidth * HashSize
	return perfectRoot(data[off : off+HashSize<<within])
}

// splitAt is the largest power of two below n, n being above 1.
func splitAt(n uint64) uint64 { return 1 << (bits.Len64(n-1) - 1) }
