package tiles

import (
	"context"
	"fmt"
	"math/bits"
)

// Reader reads hash tiles. ReadTile MUST return at least the first width hashes of the tile, width being 1 to 256; where the
// partial tile is gone because the full one exists, it returns more. It MUST NOT change the bytes later.
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

// tree is the tree of one size as its tiles show it. Tiles are read once each; it serves one proof and is thrown away.
type tree struct {
	ctx   context.Context
	r     Reader
	size  uint64
	tiles map[TileID][]byte
}

func openTree(ctx context.Context, r Reader, size uint64) *tree {
	return &tree{ctx: ctx, r: r, size: size, tiles: make(map[TileID][]byte)}
}

// root is the RFC 6962 hash over the leaves [lo, hi), for ranges that are subtrees of this tree: lo is a multiple of the
// smallest power of two that is not below hi-lo.
func (t *tree) root(lo, hi uint64) (Hash, error) {
	n := hi - lo
	if n&(n-1) == 0 {
		return t.perfect(uint(bits.TrailingZeros64(n)), lo/n)
	}
	k := splitAt(n)
	left, err := t.root(lo, lo+k)
	if err != nil {
		return Hash{}, err
	}
	right, err := t.root(lo+k, hi)
	if err != nil {
		return Hash{}, err
	}
	return NodeHash(left, right), nil
}

// perfect is the index-th node at the given height above the leaves, computed within the one tile that spans it.
func (t *tree) perfect(height uint, index uint64) (Hash, error) {
	level, within := height/tileHeight, height%tileHeight
	first := index << within // in hashes of this level
	id := TileID{Level: int(level), Index: first >> tileHeight, Width: TileWidth}
	if at := t.size >> (level * tileHeight); at>>tileHeight == id.Index {
		id.Width = int(at % TileWidth)
	}
	data, ok := t.tiles[id]
	if !ok {
		var err error
		if data, err = readTile(t.ctx, t.r, id); err != nil {
			return Hash{}, err
		}
		t.tiles[id] = data
	}
	off := first % TileWidth * HashSize
	return perfectRoot(data[off : off+HashSize<<within]), nil
}

// splitAt is the largest power of two below n, n being above 1.
func splitAt(n uint64) uint64 { return 1 << (bits.Len64(n-1) - 1) }
