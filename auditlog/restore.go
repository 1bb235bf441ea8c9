package auditlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"shiguan/auditlog/tiles"
)

// restoreTree returns a builder that stands at the signed head, having made
// sure that the tiles give the head's root and that the records of the segment
// in which the head ends are those in the tiles. Tiles that do not fit are no
// loss: they are a function of the records, and made again from all of them.
// Only if those give another root either the log is not the one that was
// signed, and it refuses.
func restoreTree(ctx context.Context, r *reader, ts *tileStore, head, published tiles.Checkpoint, logger *slog.Logger) (*tiles.Builder, error) {
	if published.Size > head.Size {
		return nil, &HeadError{File: checkpointFile, SignedSize: published.Size, SignedRoot: published.Root, Size: head.Size}
	}
	if head.Size == 0 {
		return tiles.NewBuilder(ts.write), nil
	}
	b, err := resumeTree(ctx, ts, head)
	if err == nil {
		err = checkLastSegment(ctx, r, ts, head.Size)
	}
	if err == nil {
		err = checkPublished(ctx, ts, published)
	}
	if err == nil || ctx.Err() != nil {
		return b, ctx.Err()
	}
	logger.Warn("audit log: the tiles do not fit the signed head, making them again from the records", "size", head.Size, "reason", err)
	return rebuildTree(ctx, r, ts, head, published)
}

// resumeTree reads the right edge of the tree.
func resumeTree(ctx context.Context, ts *tileStore, head tiles.Checkpoint) (*tiles.Builder, error) {
	var bundle []byte
	if width := int(head.Size % tiles.TileWidth); width > 0 {
		var err error
		bundle, err = readExact(ctx, ts, tiles.TileID{Level: tiles.LevelEntries, Index: head.Size / tiles.TileWidth, Width: width})
		if err != nil {
			return nil, err
		}
	}
	b, err := tiles.ResumeBuilder(ctx, ts, head.Size, bundle, ts.write)
	if err != nil {
		return nil, err
	}
	if b.Root() != head.Root {
		return nil, errors.New("they give another root")
	}
	return b, nil
}

// errOtherLeaf says that a record's leaf is not the one in its tile.
var errOtherLeaf = errors.New("a record is not the one in the tree")

// checkLastSegment compares the signed records of the segment in which the head
// ends with the lowest level of the tree. Those of older segments are left to
// fsck: reading them all would make opening slower with every day.
func checkLastSegment(ctx context.Context, r *reader, ts *tileStore, size uint64) error {
	firsts, err := listSegments(r.fs)
	if err != nil {
		return err
	}
	var tile []byte
	_, err = r.pass(ctx, segmentBefore(firsts, size), size, new([]byte), func(st Stored) error {
		at := st.Index % tiles.TileWidth
		if tile == nil || at == 0 {
			var err error
			width := min(tiles.TileWidth, int(size-(st.Index-at)))
			if tile, err = ts.ReadTile(ctx, 0, st.Index/tiles.TileWidth, width); err != nil {
				return err
			}
		}
		if tiles.LeafHash(st.LeafBytes) != tiles.Hash(tile[at*tiles.HashSize:][:tiles.HashSize]) {
			return fmt.Errorf("%w: record %d", errOtherLeaf, st.Index)
		}
		return nil
	})
	return err
}

// rebuildTree makes all tiles again and checks both roots.
func rebuildTree(ctx context.Context, r *reader, ts *tileStore, head, published tiles.Checkpoint) (*tiles.Builder, error) {
	b := tiles.NewBuilder(ts.write)
	if err := rebuildTo(ctx, r, b, checkpointFile, published); err != nil {
		return nil, err
	}
	if err := rebuildTo(ctx, r, b, headFile, head); err != nil {
		return nil, err
	}
	return b, ts.flush()
}

func rebuildTo(ctx context.Context, r *reader, b *tiles.Builder, file string, to tiles.Checkpoint) error {
	if to.Size == 0 {
		return nil
	}
	next, err := r.pass(ctx, b.Size(), to.Size, new([]byte), func(st Stored) error { return b.Append(st.LeafBytes) })
	if err != nil {
		return err
	}
	if next < to.Size {
		return &HeadError{File: file, SignedSize: to.Size, SignedRoot: to.Root, Size: next}
	}
	if root := b.Root(); root != to.Root {
		return &HeadError{File: file, SignedSize: to.Size, SignedRoot: to.Root, Size: next, Root: root}
	}
	return b.Publish()
}

// checkPublished makes sure that what was published is the beginning of the
// tree.
func checkPublished(ctx context.Context, ts *tileStore, published tiles.Checkpoint) error {
	if published.Size == 0 {
		return nil
	}
	root, err := tiles.RootAt(ctx, ts, published.Size)
	if err == nil && root != published.Root {
		err = errors.New("they give another root for the published checkpoint")
	}
	return err
}
