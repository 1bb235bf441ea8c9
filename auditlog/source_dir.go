package auditlog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"shiguan/auditlog/tiles"
)

// dirSource reads a log's directory. It takes no lock and changes nothing, so
// it works beside a running log, after its death, and on a copy.
type dirSource struct {
	dir    string
	fs     fileSystem
	reader *reader
	tiles  *tileStore

	mu      sync.Mutex
	durable uint64 // valid records seen; only grows
}

// OpenDir returns the log in a directory as a Source. As durable counts what is
// valid in the store when it is read: beside a running log that may for moments
// include records whose sync has not returned yet. If the store is damaged the
// error says where.
func OpenDir(dir string) (Source, error) {
	if info, err := os.Stat(dir); err != nil {
		return nil, err
	} else if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a directory: name the directory of an audit log", dir)
	}
	if _, err := os.Stat(dir + "/" + segmentDir); err != nil {
		return nil, fmt.Errorf("%s does not look like an audit log, it has no %s/: %w", dir, segmentDir, err)
	}
	return newDirSource(dir, osFS{dir}), nil
}

func newDirSource(dir string, s fileSystem) *dirSource {
	return &dirSource{dir: dir, fs: s, reader: newReader(s), tiles: newTileStore(s)}
}

// Status implements Source.
func (d *dirSource) Status(ctx context.Context) (Status, error) {
	var s Status
	// From the outermost state in, so that each is at least the one before.
	for _, f := range []struct {
		name string
		size *uint64
	}{{checkpointFile, &s.Witnessed}, {headFile, &s.Integrated}} {
		signed, err := d.signed(f.name)
		if errors.Is(err, ErrNotPublished) {
			continue
		}
		if err != nil {
			return s, err
		}
		c, err := parseHead(signed, nil)
		if err != nil {
			return s, fmt.Errorf("%s/%s: %w", d.dir, f.name, err)
		}
		*f.size, s.Origin, s.Head = c.Size, c.Origin, string(signed)
	}
	var err error
	if s.Durable, err = d.extent(ctx, s.Integrated); err != nil {
		return s, err
	}
	if s.Period, err = newestPeriod(d.fs); err != nil {
		return s, err
	}
	if s.OldestNotIntegrated, err = d.timeOf(ctx, s.Integrated, s.Durable); err != nil {
		return s, err
	}
	s.OldestUnwitnessed, err = d.timeOf(ctx, s.Witnessed, s.Durable)
	return s, err
}

// extent returns how many valid records there are, reading on from where the
// last call came to, or from the signed head.
func (d *dirSource) extent(ctx context.Context, signed uint64) (uint64, error) {
	d.mu.Lock()
	from := max(d.durable, signed)
	d.mu.Unlock()
	next, err := d.reader.pass(ctx, from, noLimit, new([]byte), func(Stored) error { return nil })
	var bad *CorruptError
	if errors.As(err, &bad) && bad.Index >= signed && bad.Index == next {
		// A write that is going on, or was torn: not the source's to judge, it just
		// is not there (yet). Fsck judges.
		err = nil
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", d.dir, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.durable = max(d.durable, next)
	return d.durable, nil
}

func (d *dirSource) timeOf(ctx context.Context, index, durable uint64) (t time.Time, err error) {
	if index >= durable {
		return t, nil
	}
	_, err = d.reader.records(ctx, index, index+1, func(st Stored) error {
		t = st.Leaf.When()
		return nil
	})
	return t, err
}

func (d *dirSource) signed(name string) ([]byte, error) {
	b, err := readFile(d.fs, name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrNotPublished
	}
	return b, err
}

// Checkpoint implements Source.
func (d *dirSource) Checkpoint(context.Context) ([]byte, error) { return d.signed(checkpointFile) }

// Head implements Source.
func (d *dirSource) Head(context.Context) ([]byte, error) { return d.signed(headFile) }

// Records implements Source.
func (d *dirSource) Records(ctx context.Context, from uint64, fn func(Stored) error) error {
	signed := uint64(0)
	if head, err := d.signed(headFile); err == nil {
		c, err := parseHead(head, nil)
		if err != nil {
			return fmt.Errorf("%s/%s: %w", d.dir, headFile, err)
		}
		signed = c.Size
	} else if !errors.Is(err, ErrNotPublished) {
		return err
	}
	next, err := d.reader.records(ctx, from, noLimit, fn)
	var bad *CorruptError
	if errors.As(err, &bad) && bad.Index >= signed && bad.Index == next {
		return nil // see extent
	}
	if err != nil {
		return fmt.Errorf("%s: %w", d.dir, err)
	}
	return nil
}

// ReadTile implements tiles.Reader.
func (d *dirSource) ReadTile(ctx context.Context, level, index uint64, width int) ([]byte, error) {
	return d.tiles.ReadTile(ctx, level, index, width)
}

func (d *dirSource) readResource(ctx context.Context, id tiles.TileID) ([]byte, error) {
	return d.tiles.readResource(ctx, id)
}

// WrappedKey implements Source.
func (d *dirSource) WrappedKey(_ context.Context, period uint32) ([]byte, error) {
	return readWrappedKey(d.fs, period)
}
