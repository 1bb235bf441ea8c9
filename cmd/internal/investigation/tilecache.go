package investigation

import (
	"context"

	lru "github.com/hashicorp/golang-lru/v2"

	"shiguan/auditlog/tiles"
)

// tilesKept bounds the cache to 2 MiB: enough for the path of every record on a page.
const tilesKept = 256

// tileCache keeps tiles that were read, because proofs of neighbouring records need the same ones. Nothing is trusted for
// being in it: each proof made from it is checked against a signed head.
type tileCache struct {
	from tiles.Reader
	kept *lru.Cache[tiles.TileID, []byte]
}

func newTileCache(from tiles.Reader) *tileCache {
	kept, err := lru.New[tiles.TileID, []byte](tilesKept)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return &tileCache{from: from, kept: kept}
}

// ReadTile implements tiles.Reader.
func (c *tileCache) ReadTile(ctx context.Context, level, index uint64, width int) ([]byte, error) {
	id := tiles.TileID{Level: int(level), Index: index, Width: width}
	if data, ok := c.kept.Get(id); ok {
		return data, nil
	}
	data, err := c.from.ReadTile(ctx, level, index, width)
	if err != nil {
		return nil, err
	}
	c.kept.Add(id, data)
	return data, nil
}

// forget drops everything, after a proof failed: what was wrong may have been read while it was being repaired.
func (c *tileCache) forget() { c.kept.Purge() }
