package auditlog

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// fileSystem is all that the log asks of a disk, so that tests can put one
// below it that crashes, tears and fills up. Names are relative to the log's
// directory and use slashes.
type fileSystem interface {
	// open opens an existing file, for writing too if asked.
	open(name string, write bool) (file, error)
	// create makes an empty file, in the place of an old one of that name. The
	// name is durable only after syncDir.
	create(name string) (file, error)
	// mkdir makes one directory; it is no error if it exists.
	mkdir(name string) error
	// spread asks to have the directories in this one placed far apart. It
	// promises nothing.
	spread(name string)
	// rename replaces. It is durable only after syncDir.
	rename(from, to string) error
	// remove removes a file or an empty directory.
	remove(name string) error
	// readDir lists names in order.
	readDir(name string) ([]string, error)
	// syncDir makes names in the directory durable.
	syncDir(name string) error
	// lock takes the exclusive lock on a file or fails with ErrLocked.
	lock(name string) (io.Closer, error)
}

// file is an open file. WriteAt returns a nil error only when everything was
// written, sync only when data and size are on stable storage.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	size() (int64, error)
	sync() error
	// beginSync begins to write the data out, so that a sync later takes less
	// time. It promises nothing.
	beginSync()
}

// osFS is the real file system below a directory.
type osFS struct{ root string }

func (s osFS) path(name string) string { return filepath.Join(s.root, filepath.FromSlash(name)) }

func (s osFS) open(name string, write bool) (file, error) {
	flags := os.O_RDONLY
	if write {
		flags = os.O_RDWR
	}
	f, err := os.OpenFile(s.path(name), flags, 0)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (s osFS) create(name string) (file, error) {
	f, err := os.OpenFile(s.path(name), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (s osFS) mkdir(name string) error {
	err := os.Mkdir(s.path(name), 0o755)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

func (s osFS) spread(name string) { spreadDir(s.path(name)) }

func (s osFS) rename(from, to string) error { return os.Rename(s.path(from), s.path(to)) }

func (s osFS) remove(name string) error { return os.Remove(s.path(name)) }

func (s osFS) readDir(name string) ([]string, error) {
	f, err := os.Open(s.path(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

func (s osFS) syncDir(name string) error {
	f, err := os.Open(s.path(name))
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// lock uses flock, which the kernel lets go when the process dies, however it
// dies, and which also keeps two logs of one process apart.
func (s osFS) lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(s.path(name), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = ErrLocked
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

type osFile struct{ *os.File }

func (f osFile) size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f osFile) sync() error { return datasync(f.File) }

func (f osFile) beginSync() { beginDatasync(f.File) }

// tempSuffix ends the names of files that are not yet what they will be. Open
// removes those of a life that has ended.
const tempSuffix = ".tmp"

// readFile reads a whole small file.
func readFile(s fileSystem, name string) ([]byte, error) {
	f, err := s.open(name, false)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	n, err := f.size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, n)
	if _, err := f.ReadAt(b, 0); err != nil && !(err == io.EOF && n == 0) {
		return nil, err
	}
	return b, nil
}

// writeFile writes a whole file and syncs it; its name is not durable yet.
func writeFile(s fileSystem, name string, data []byte) error {
	f, err := s.create(name)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	if err == nil {
		err = f.sync()
	}
	return errors.Join(err, f.Close())
}

// replaceFile puts data in the place of a file of the log's directory so that
// a crash at any moment leaves the old content or the new, whole; when it
// returns nil the new content is durable.
func replaceFile(s fileSystem, name string, data []byte) error {
	temp := name + tempSuffix
	// A crash here leaves the old file, perhaps with part of a temp file beside it.
	if err := writeFile(s, temp, data); err != nil {
		return err
	}
	// A crash from here on leaves the old file or the new one.
	if err := s.rename(temp, name); err != nil {
		return err
	}
	return s.syncDir(parentOf(name))
}

func parentOf(name string) string { return filepath.ToSlash(filepath.Dir(filepath.FromSlash(name))) }

// outOfSpace tells a full disk from a broken one.
func outOfSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
