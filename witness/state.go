package witness

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// A state file is named for its origin and holds one line,
//
//	shiguan-witness-state/1 <hex SHA-256 of all that follows>
//
// and after it the last checkpoint that was co-signed for the origin, with the
// log's signature and the witness's cosignature: exactly what the monitoring
// endpoint serves.
const (
	stateMagic  = "shiguan-witness-state/1 "
	stateSuffix = ".checkpoint"
	tempSuffix  = ".checkpoint.new"
	lockName    = "lock"
)

// originHash is the origin's name in URLs and in the state directory.
func originHash(origin string) string {
	sum := sha256.Sum256([]byte(origin))
	return hex.EncodeToString(sum[:])
}

// stateDir is the directory that one running witness owns. Its methods may be
// called from several goroutines, but only for different origins.
type stateDir struct {
	sync func(*os.File) error // (*os.File).Sync but in tests of what happens when it fails
	path string
	dir  *os.File // for fsync
	lock *os.File // flocked while the witness runs; the kernel releases it when the process dies
}

// openStateDir creates the directory if need be, and takes its lock.
func openStateDir(path string) (*stateDir, error) {
	if err := makeDir(path); err != nil {
		return nil, fmt.Errorf("creating the state directory: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(path, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the state directory's lock: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("another witness is running on %s: stop it, or give this one a state directory of its own", path)
		}
		return nil, fmt.Errorf("locking %s: %w", lock.Name(), err)
	}
	dir, err := os.Open(path)
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("opening the state directory: %w", err)
	}
	return &stateDir{sync: (*os.File).Sync, path: path, dir: dir, lock: lock}, nil
}

// makeDir creates a directory with its parents, each durable: one that vanished in a crash would take with it what was said to
// be kept there.
func makeDir(path string) error {
	err := os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	parent := filepath.Dir(filepath.Clean(path))
	if errors.Is(err, fs.ErrNotExist) && parent != path {
		if err = makeDir(parent); err == nil {
			err = os.Mkdir(path, 0o700)
		}
	}
	if err != nil {
		return err
	}
	dir, err := os.Open(parent)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func (s *stateDir) close() error { return errors.Join(s.dir.Close(), s.lock.Close()) }

// save makes checkpoint the durable state of an origin.
func (s *stateDir) save(origin string, checkpoint []byte) error {
	name := filepath.Join(s.path, originHash(origin))
	// A crash here or up to the rename leaves a file that is removed at the next
	// start; the old state holds, and nobody has been answered.
	if err := s.writeSynced(name+tempSuffix, encodeState(checkpoint)); err != nil {
		return fmt.Errorf("writing the state of %s: %w", origin, err)
	}
	if err := os.Rename(name+tempSuffix, name+stateSuffix); err != nil {
		return fmt.Errorf("replacing the state of %s: %w", origin, err)
	}
	// A crash here leaves the old state or the new one, each whole. Both are
	// right: the new one has not been answered for, and the log that sends it
	// again is told its size.
	if err := s.sync(s.dir); err != nil {
		return fmt.Errorf("making the state of %s durable: %w", origin, err)
	}
	return nil
}

func (s *stateDir) writeSynced(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		f.Close()
		return err
	}
	if err := s.sync(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// load reads all state files, by origin hash. It fails for the first one that
// is damaged and for a file that it does not know, because a witness that
// forgets what it signed would sign the opposite.
func (s *stateDir) load() (map[string][]byte, error) {
	entries, err := os.ReadDir(s.path)
	if err != nil {
		return nil, fmt.Errorf("reading the state directory: %w", err)
	}
	states := make(map[string][]byte)
	for _, e := range entries {
		name := e.Name()
		path := filepath.Join(s.path, name)
		switch {
		case name == lockName, e.IsDir(), strings.HasPrefix(name, "."):
		case strings.HasSuffix(name, tempSuffix):
			// Never renamed, so never answered for.
			if err := os.Remove(path); err != nil {
				return nil, fmt.Errorf("removing what a crash left: %w", err)
			}
		case strings.HasSuffix(name, stateSuffix):
			content, err := os.ReadFile(path)
			if err != nil {
				return nil, fmt.Errorf("reading the witness's state: %w", err)
			}
			checkpoint, err := decodeState(content)
			if err != nil {
				return nil, damaged(path, err)
			}
			states[strings.TrimSuffix(name, stateSuffix)] = checkpoint
		default:
			return nil, fmt.Errorf("%s is no state file of a witness: move it out of the state directory, "+
				"or put it back under its own name if it is one", path)
		}
	}
	return states, nil
}

// damaged says what an operator must do with a state file that is not whole.
func damaged(path string, err error) error {
	return fmt.Errorf("state file %s is damaged (%w): the witness does not start, because it would sign without "+
		"knowing what it signed before; restore the file from a backup only if the witness has signed nothing since; "+
		"otherwise retire this witness's key and set up a new witness with an empty state directory", path, err)
}

func encodeState(checkpoint []byte) []byte {
	sum := sha256.Sum256(checkpoint)
	return append([]byte(stateMagic+hex.EncodeToString(sum[:])+"\n"), checkpoint...)
}

func decodeState(content []byte) ([]byte, error) {
	line, checkpoint, ok := bytes.Cut(content, []byte("\n"))
	if !ok || !bytes.HasPrefix(line, []byte(stateMagic)) {
		return nil, errors.New("it does not begin with the line of a state file")
	}
	if !bytes.Equal(encodeState(checkpoint), content) {
		return nil, errors.New("its checksum does not match")
	}
	return checkpoint, nil
}
