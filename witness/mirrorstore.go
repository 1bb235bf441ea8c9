package witness

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"shiguan/auditlog/tiles"
)

// A mirrored log is a directory named for its origin, with the files of tlog-tiles in it under their own names:
//
//	checkpoint       the mirrored head, co-signed by this witness; what it covers counts as mirrored, nothing else does
//	tile/…           tiles and bundles; beyond the checkpoint's size they have not been checked against anything
//	pending/         how far an unfinished pull has come: "size" and the unfinished tiles of that size
//
// It can be copied while the witness runs if the checkpoint is copied first.
const (
	mirrorCheckpoint = "checkpoint"
	mirrorPending    = "pending"
	mirrorMagic      = "shiguan-mirror-pending/1 "
	mirrorTemp       = ".new"
)

// mirrorStore is the directory of one mirrored log. It belongs to one goroutine, but resources may be read by all.
type mirrorStore struct {
	path  string
	sync  func(*os.File) error // (*os.File).Sync but in tests
	dirty map[string]bool      // directories with names that are not durable yet
	known map[string]bool      // directories that this process has seen, so that their own names are dirty or durable
}

func openMirrorStore(path string) (*mirrorStore, error) {
	if err := makeDir(path); err != nil {
		return nil, err
	}
	return &mirrorStore{path: path, sync: (*os.File).Sync, dirty: make(map[string]bool), known: make(map[string]bool)}, nil
}

func (s *mirrorStore) file(name string) string {
	return filepath.Join(s.path, filepath.FromSlash(name))
}

func (s *mirrorStore) read(name string) ([]byte, error) { return os.ReadFile(s.file(name)) }

// ReadTile implements tiles.Reader for the mirrored tree.
func (s *mirrorStore) ReadTile(_ context.Context, level, index uint64, width int) ([]byte, error) {
	b, err := s.read(tiles.TilePath(level, index, width))
	if errors.Is(err, fs.ErrNotExist) && width < tiles.TileWidth {
		return s.read(tiles.TilePath(level, index, tiles.TileWidth))
	}
	return b, err
}

// pendingTiles reads what an unfinished pull has left.
type pendingTiles struct{ *mirrorStore }

func (s pendingTiles) ReadTile(_ context.Context, level, index uint64, width int) ([]byte, error) {
	return s.read(mirrorPending + "/" + tiles.TilePath(level, index, width))
}

// write writes a file whole: a crash leaves the old one or the new one. Its name is durable only after flush.
func (s *mirrorStore) write(name string, content []byte) error {
	path := s.file(name)
	if err := s.makeParents(filepath.Dir(path)); err != nil {
		return err
	}
	f, err := os.OpenFile(path+mirrorTemp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = s.sync(f)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	s.dirty[filepath.Dir(path)] = true
	return os.Rename(path+mirrorTemp, path)
}

// knownDirs bounds the memory for directories seen; who is forgotten is synced once more.
const knownDirs = 10_000

// makeParents makes a directory, and its name dirty even if it was there: a process that was killed may have made it and not
// have come to syncing it.
func (s *mirrorStore) makeParents(dir string) error {
	if s.known[dir] || dir == s.path {
		return nil
	}
	parent := filepath.Dir(dir)
	if err := s.makeParents(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if len(s.known) >= knownDirs {
		clear(s.known)
	}
	s.known[dir], s.dirty[parent] = true, true
	return nil
}

// flush makes all names written so far durable.
func (s *mirrorStore) flush() error {
	for dir := range s.dirty {
		f, err := os.Open(dir)
		if err != nil {
			return err
		}
		if err := errors.Join(s.sync(f), f.Close()); err != nil {
			return err
		}
	}
	clear(s.dirty)
	return nil
}

// publish makes a checkpoint the mirrored head. Everything that it covers MUST have been written and compared with its root.
func (s *mirrorStore) publish(checkpoint []byte) error {
	// A crash before the second flush leaves the old head, under which all files still stand: full tiles are never
	// replaced by other bytes, and partial ones of another size have other names.
	if err := s.flush(); err != nil {
		return err
	}
	if err := s.write(mirrorCheckpoint, checkpoint); err != nil {
		return err
	}
	return s.flush()
}

// savePending notes how far an unfinished pull has come, so that a crash does not begin it again. writeTiles writes the
// unfinished tiles of that size below pending.
func (s *mirrorStore) savePending(b *tiles.Builder, writeTiles func() error) error {
	// Tiles of another size have other names, so until the note is replaced the old one holds.
	if err := writeTiles(); err != nil {
		return err
	}
	if err := s.flush(); err != nil {
		return err
	}
	root := b.Root()
	body := strconv.FormatUint(b.Size(), 10) + " " + tiles.FormatHash(root) + "\n"
	sum := sha256.Sum256([]byte(body))
	if err := s.write(mirrorPending+"/size", []byte(mirrorMagic+hex.EncodeToString(sum[:])+"\n"+body)); err != nil {
		return err
	}
	return s.flush()
}

// pending returns the size and root that savePending noted; size 0 if there is no usable note.
func (s *mirrorStore) pending() (size uint64, root tiles.Hash) {
	content, err := s.read(mirrorPending + "/size")
	if err != nil {
		return 0, root
	}
	line, body, _ := strings.Cut(string(content), "\n")
	sum := sha256.Sum256([]byte(body))
	if line != mirrorMagic+hex.EncodeToString(sum[:]) {
		return 0, root
	}
	number, hash, _ := strings.Cut(strings.TrimSuffix(body, "\n"), " ")
	if size, err = tiles.ParseSize(number); err != nil {
		return 0, root
	}
	if root, err = tiles.ParseHash(hash); err != nil {
		return 0, root
	}
	return size, root
}

// dropPending forgets an unfinished pull, durably: the note first.
func (s *mirrorStore) dropPending() error {
	dir := s.file(mirrorPending)
	clear(s.known)
	err := os.Remove(filepath.Join(dir, "size"))
	if errors.Is(err, fs.ErrNotExist) {
		return os.RemoveAll(dir)
	}
	if err != nil {
		return err
	}
	s.dirty[dir] = true
	if err := s.flush(); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// prune removes the partial tiles and bundles beside full ones that the mirrored head covers. Failing costs room, nothing else.
func (s *mirrorStore) prune(old, size uint64) {
	for level := tiles.LevelEntries; ; level++ {
		shift := 8 * uint(max(level, 0))
		if size>>shift < tiles.TileWidth || shift > 56 {
			return
		}
		// Partial files stand only where a published tree ended.
		if index := old >> shift / tiles.TileWidth; index < size>>shift/tiles.TileWidth {
			full := tiles.TileID{Level: level, Index: index, Width: tiles.TileWidth}
			os.RemoveAll(s.file(full.Path()) + ".p")
		}
	}
}

// inTree says whether a tree of the given size has the resource.
func inTree(id tiles.TileID, size uint64) bool {
	shift := 8 * uint(max(id.Level, 0))
	if shift > 63 {
		return false
	}
	nodes := size >> shift
	return id.Index <= nodes/tiles.TileWidth && id.Index*tiles.TileWidth+uint64(id.Width) <= nodes
}

// bundleWidth is how many entries bundle number index has in a tree of the given size.
func bundleWidth(index, size uint64) int {
	return int(min(size-index*tiles.TileWidth, tiles.TileWidth))
}

func damagedMirror(path string, err error) error {
	return fmt.Errorf("the mirror %s is damaged (%w): it is neither served nor continued; keep it if the log may be lost, "+
		"else move it away and it is pulled again", path, err)
}
