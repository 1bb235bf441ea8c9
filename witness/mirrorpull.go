package witness

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"shiguan/auditlog/tiles"
)

// pull brings the builder to the target's size, from entries that a log of at least that size publishes, and compares roots.
// Whoever sent the entries, they are the log's if the root is the one that the log signed and this witness co-signed.
func (m *mirror) pull(ctx context.Context, target tiles.Checkpoint, published uint64) error {
	if err := m.resume(ctx, target.Size); err != nil {
		return err
	}
	for since := 0; m.builder.Size() < target.Size; since++ {
		if since >= m.noteEvery && m.builder.Size()%tiles.TileWidth == 0 {
			since = 0
			if err := m.note(); err != nil {
				return m.forget(err)
			}
		}
		if err := m.pullBundle(ctx, target.Size, published); err != nil {
			return err
		}
	}
	if root := m.builder.Root(); root != target.Root {
		m.builder = nil
		// Some entry since the mirrored head was not the log's. Which one cannot be told: all are pulled again.
		err := fmt.Errorf("the entries at %s have the root %s, the log had %s co-signed for size %d: they are pulled again from %d on",
			m.source.base, tiles.FormatHash(root), tiles.FormatHash(target.Root), target.Size, m.size())
		if failed := m.store.dropPending(); failed != nil {
			return m.forget(failed)
		}
		return err
	}
	return nil
}

// pullBundle appends what is missing of one bundle.
func (m *mirror) pullBundle(ctx context.Context, size, published uint64) error {
	from := m.builder.Size()
	index := from / tiles.TileWidth
	width := bundleWidth(index, size)
	entries, err := m.source.entries(ctx, index, width, bundleWidth(index, published))
	if err != nil {
		return err
	}
	for _, e := range entries[from%tiles.TileWidth : width] {
		if err := m.builder.Append(e); err != nil {
			return m.forget(err)
		}
	}
	return nil
}

// emit writes a tile. Full tiles go where they belong: they are ours to write until a head covers them. Partial ones are
// written either for a head that has been compared (Publish in finish), or aside (note).
func (m *mirror) emit(t tiles.Tile) error {
	path := t.Path()
	if m.pending {
		path = mirrorPending + "/" + path
	}
	return m.store.write(path, t.Data)
}

// note writes down how far an unfinished pull has come.
func (m *mirror) note() error {
	return m.store.savePending(m.builder, func() error {
		m.pending = true
		defer func() { m.pending = false }()
		return m.builder.Publish()
	})
}

// resume makes a builder that goes on where the store ends: at an unfinished pull, or at the mirrored head.
func (m *mirror) resume(ctx context.Context, limit uint64) error {
	if m.builder != nil && m.builder.Size() <= limit {
		return nil
	}
	m.builder = nil
	if size, root := m.store.pending(); size > m.size() && size <= limit {
		b, err := tiles.ResumeBuilder(ctx, pendingTiles{m.store}, size, nil, m.emit)
		if err == nil && b.Root() == root {
			m.builder = b
			return nil
		}
		m.logger.Warn("what an unfinished pull left is not whole: pulling again", "origin", m.log.origin, "from", m.size(), "error", err)
	}
	if err := m.store.dropPending(); err != nil {
		return m.forget(err)
	}
	h := m.head.Load()
	if h == nil {
		m.builder = tiles.NewBuilder(m.emit)
		return nil
	}
	bundle, err := m.partialBundle(h.head.Size)
	if err != nil {
		return m.forget(damagedMirror(m.store.path, err))
	}
	b, err := tiles.ResumeBuilder(ctx, m.store, h.head.Size, bundle, m.emit)
	if err != nil {
		return m.forget(damagedMirror(m.store.path, err))
	}
	if b.Root() != h.head.Root {
		return m.forget(damagedMirror(m.store.path, errors.New("its tiles do not have the root of its checkpoint")))
	}
	m.builder = b
	return nil
}

// partialBundle reads the unfinished bundle of the mirrored tree; nil if it has none.
func (m *mirror) partialBundle(size uint64) ([]byte, error) {
	width := int(size % tiles.TileWidth)
	if width == 0 {
		return nil, nil
	}
	b, err := m.store.read(tiles.EntriesPath(size/tiles.TileWidth, width))
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%s is missing", tiles.EntriesPath(size/tiles.TileWidth, width))
	}
	return b, err
}
