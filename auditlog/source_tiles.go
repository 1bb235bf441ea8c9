package auditlog

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"shiguan/auditlog/record"
	"shiguan/auditlog/tiles"
)

// tilesSource reads the public part of a log over plain tlog-tiles, as a mirror or a web server with a copy serves it. It is
// the log as of one checkpoint. There are no sealed payloads and no keys.
type tilesSource struct {
	*urlSource
	checkpoint []byte
	head       tiles.Checkpoint
}

// publicOnly returns the source that there is if the address serves a checkpoint and no status; nil if it serves a whole log.
func (u *urlSource) publicOnly(ctx context.Context) (*tilesSource, error) {
	_, err := u.Status(ctx)
	if !isStatus(err, http.StatusNotFound) {
		return nil, err
	}
	signed, err := u.Checkpoint(ctx)
	if errors.Is(err, ErrNotPublished) {
		return nil, fmt.Errorf("%s serves neither a log's status nor a checkpoint: it is no log, or nothing is mirrored there yet", u.base)
	}
	if err != nil {
		return nil, err
	}
	head, err := parseHead(signed, nil)
	if err != nil {
		return nil, &Contradiction{Where: checkpointFile, What: "it is not one", Err: err}
	}
	return &tilesSource{u, signed, head}, nil
}

// Status implements Source.
func (t *tilesSource) Status(context.Context) (Status, error) {
	return Status{Origin: t.head.Origin, Durable: t.head.Size, Integrated: t.head.Size, Witnessed: t.head.Size, Head: string(t.checkpoint)}, nil
}

// Checkpoint implements Source.
func (t *tilesSource) Checkpoint(context.Context) ([]byte, error) { return t.checkpoint, nil }

// Head implements Source.
func (t *tilesSource) Head(context.Context) ([]byte, error) { return t.checkpoint, nil }

// Records implements Source. The records have no sealed payload.
func (t *tilesSource) Records(ctx context.Context, from uint64, fn func(Stored) error) error {
	for from < t.head.Size {
		id := tiles.TileID{Level: tiles.LevelEntries, Index: from / tiles.TileWidth, Width: tiles.TileWidth}
		first := id.Index * tiles.TileWidth
		id.Width = int(min(t.head.Size-first, tiles.TileWidth))
		entries, err := t.bundle(ctx, id)
		if err != nil {
			return err
		}
		for _, e := range entries[from-first:] {
			leaf, err := record.ParseLeaf(e)
			if err != nil {
				return &Contradiction{Where: fmt.Sprintf("record %d", from), What: "its entry is not a leaf of this software", Err: err}
			}
			if err := fn(Stored{Index: from, Leaf: leaf, LeafBytes: e}); errors.Is(err, ErrStop) {
				return nil
			} else if err != nil {
				return err
			}
			from++
		}
	}
	return nil
}

// bundle returns the entries that a bundle of that width has.
func (t *tilesSource) bundle(ctx context.Context, id tiles.TileID) ([][]byte, error) {
	b, err := t.readResource(ctx, id)
	if isStatus(err, http.StatusNotFound) {
		return nil, &Contradiction{Where: id.Path(), What: "the log has no such bundle",
			Want: fmt.Sprintf("the checkpoint says %d records", t.head.Size), Have: "nothing there"}
	}
	if err != nil {
		return nil, err
	}
	entries, err := tiles.ParseBundle(b)
	if err != nil {
		return nil, &Contradiction{Where: id.Path(), What: "it is not a bundle", Err: err}
	}
	if len(entries) < id.Width {
		return nil, &Contradiction{Where: id.Path(), What: "entries are missing",
			Want: fmt.Sprintf("the checkpoint says %d", id.Width), Have: fmt.Sprintf("%d are there", len(entries))}
	}
	return entries[:id.Width], nil
}

// WrappedKey implements Source.
func (t *tilesSource) WrappedKey(context.Context, uint32) ([]byte, error) { return nil, ErrKeyMissing }
