package auditlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"shiguan/auditlog/tiles"
)

// tileStore keeps tiles and entry bundles as files of the log's directory,
// named as tlog-tiles has it. Writing belongs to the signer goroutine; reading
// is safe from anywhere.
type tileStore struct {
	fs fileSystem

	made   map[string]bool // directories known to exist
	dirty  map[string]bool // directories with names that are not durable yet
	staged []stagedTile    // written, not synced, under temporary names
	full   []tiles.TileID  // full tiles written since the last flush
}

// stagedTile is an open temporary file that will be a tile.
type stagedTile struct {
	id tiles.TileID
	f  file
}

// maxStaged is how many tiles are synced together. Most of what the sync of a
// new file takes is a commit of the file system's journal: the first sync of many
// commits for all, if their data was given to the disk before. It bounds the
// files open.
const maxStaged = 128

func newTileStore(fs fileSystem) *tileStore {
	return &tileStore{fs: fs, made: make(map[string]bool), dirty: make(map[string]bool)}
}

// write writes one tile to a temporary file; it is in its place once flush has
// returned. A crash leaves any part of the temporary file: no head that covers
// the tile has been signed, and the next life writes the same bytes again.
func (t *tileStore) write(tile tiles.Tile) error {
	again := slices.ContainsFunc(t.staged, func(s stagedTile) bool { return s.id == tile.TileID })
	if again || len(t.staged) == maxStaged {
		if err := t.settle(); err != nil {
			return err
		}
	}
	name := tile.Path()
	if err := t.makeDirs(parentOf(name)); err != nil {
		return err
	}
	f, err := t.fs.create(name + tempSuffix)
	if err != nil {
		return err
	}
	t.staged = append(t.staged, stagedTile{tile.TileID, f})
	if _, err = f.WriteAt(tile.Data, 0); err != nil {
		return err
	}
	f.beginSync()
	return nil
}

// settle syncs the staged tiles and gives them their names. A crash leaves each
// of them absent or whole, and perhaps a temporary file.
func (t *tileStore) settle() error {
	for _, s := range t.staged {
		if err := s.f.sync(); err != nil {
			return err
		}
	}
	for _, s := range t.staged {
		name := s.id.Path()
		if err := t.fs.rename(name+tempSuffix, name); err != nil {
			return err
		}
		t.dirty[parentOf(name)] = true
		if s.id.Width == tiles.TileWidth {
			t.full = append(t.full, s.id)
		}
	}
	return t.close()
}

// close closes the staged files. Those that were not settled are lost, and
// written again when the log is opened.
func (t *tileStore) close() (err error) {
	for _, s := range t.staged {
		err = errors.Join(err, s.f.Close())
	}
	t.staged = t.staged[:0]
	return err
}

func (t *tileStore) makeDirs(dir string) error {
	if dir == "." || t.made[dir] {
		return nil
	}
	parent := parentOf(dir)
	if err := t.makeDirs(parent); err != nil {
		return err
	}
	if err := t.fs.mkdir(dir); err != nil {
		return err
	}
	if strings.Count(dir, "/") <= 1 { // tile and tile/<level>, where directories are many
		t.fs.spread(dir)
	}
	// Also if it was there before: who made it may have been killed before its
	// name was durable.
	t.dirty[parent] = true
	t.made[dir] = true
	return nil
}

// flush makes all tiles written durable, data first and then names.
func (t *tileStore) flush() error {
	if err := t.settle(); err != nil {
		return err
	}
	for dir := range t.dirty {
		if err := t.fs.syncDir(dir); err != nil {
			return err
		}
		delete(t.dirty, dir)
	}
	return nil
}

// prune removes the partial tiles whose full tile exists and is covered by a
// stored head. Readers take the beginning of the full one instead. Nothing
// depends on it: a crash leaves superfluous files.
func (t *tileStore) prune() error {
	for _, id := range t.full {
		dir := id.Path() + ".p"
		names, err := t.fs.readDir(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		for _, name := range names {
			err = errors.Join(err, t.fs.remove(dir+"/"+name))
		}
		if err = errors.Join(err, t.fs.remove(dir)); err != nil {
			return err
		}
		delete(t.made, dir)
		delete(t.dirty, dir)
	}
	t.full = t.full[:0]
	return nil
}

// readResource reads a tile or bundle as it stands on disk, or a wider one if
// the partial one is gone. It does not cut.
func (t *tileStore) readResource(_ context.Context, id tiles.TileID) ([]byte, error) {
	data, err := readFile(t.fs, id.Path())
	// What was found may be pruned before it is read, but only because a wider
	// one is there; the full one stays.
	for range 3 {
		if !errors.Is(err, fs.ErrNotExist) || id.Width == tiles.TileWidth {
			break
		}
		wider, ok := t.wider(id)
		if !ok {
			break
		}
		data, err = readFile(t.fs, wider.Path())
	}
	return data, err
}

// wider returns the narrowest resource on disk that begins with the one asked
// for.
func (t *tileStore) wider(id tiles.TileID) (tiles.TileID, bool) {
	full := id
	full.Width = tiles.TileWidth
	best := full
	names, _ := t.fs.readDir(full.Path() + ".p") // none: only the full one is left
	for _, name := range names {
		if width, err := strconv.Atoi(name); err == nil && width > id.Width && width < best.Width {
			best.Width = width
		}
	}
	if best != full {
		return best, true
	}
	f, err := t.fs.open(full.Path(), false)
	if err != nil {
		return id, false
	}
	f.Close()
	return full, true
}

// ReadTile implements tiles.Reader.
func (t *tileStore) ReadTile(ctx context.Context, level, index uint64, width int) ([]byte, error) {
	return readHashTile(ctx, t, level, index, width)
}

// resources is where tiles and bundles come from, cut or not.
type resources interface {
	// readResource returns the resource, or a wider one where the partial one is
	// gone.
	readResource(ctx context.Context, id tiles.TileID) ([]byte, error)
}

// readExact returns exactly the resource that was asked for.
func readExact(ctx context.Context, r resources, id tiles.TileID) ([]byte, error) {
	data, err := r.readResource(ctx, id)
	if err != nil {
		return nil, err
	}
	if id.Level != tiles.LevelEntries {
		if want := id.Width * tiles.HashSize; len(data) >= want && len(data) <= tiles.TileWidth*tiles.HashSize {
			return data[:want:want], nil
		}
		return nil, fmt.Errorf("%s has %d bytes, want %d: %w", id.Path(), len(data), id.Width*tiles.HashSize, io.ErrUnexpectedEOF)
	}
	entries, err := tiles.ParseBundle(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", id.Path(), err)
	}
	if len(entries) < id.Width {
		return nil, fmt.Errorf("%s holds %d entries, want %d: %w", id.Path(), len(entries), id.Width, io.ErrUnexpectedEOF)
	}
	n := 0
	for _, e := range entries[:id.Width] {
		n += 2 + len(e)
	}
	return data[:n:n], nil
}

func readHashTile(ctx context.Context, r resources, level, index uint64, width int) ([]byte, error) {
	if level > 63 || width < 1 || width > tiles.TileWidth {
		return nil, fmt.Errorf("no tile of level %d and width %d", level, width)
	}
	return readExact(ctx, r, tiles.TileID{Level: int(level), Index: index, Width: width})
}

// covered says whether a tree of that size has the whole resource.
func covered(id tiles.TileID, size uint64) bool {
	shift := uint(0)
	if id.Level > 0 {
		shift = 8 * uint(id.Level)
	}
	if shift > 63 {
		return false
	}
	nodes := size >> shift
	return id.Index <= nodes>>8 && id.Index<<8+uint64(id.Width) <= nodes
}

// tmpName says whether a directory entry is a temporary file of ours.
func tmpName(name string) bool { return strings.HasSuffix(name, tempSuffix) }
