package auditlog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// memFS is a disk in memory that knows what is on stable storage and what is
// not, and that can crash, tear, fill up and fail. Writes and changes of names
// are pending until the file or the directory is synced.
type memFS struct {
	mu     sync.Mutex
	dirs   map[string]*memDir
	ops    int // changing operations so far
	locked bool
	used   int64 // bytes in files
	space  int64 // 0: endless

	crashAt int  // the operation at which the machine dies; 0: never
	after   bool // that operation has still taken effect
	dead    bool

	fail func(op, name string) error // injected before an operation; nil: none
}

// memDir is a directory: what everybody sees, what survives, and the changes
// in between, in order.
type memDir struct {
	now, durable map[string]*inode
	pending      []func(map[string]*inode)
}

// inode is a file, or a directory where dir is set.
type inode struct {
	dir          bool
	now, durable []byte
	pending      []memWrite
}

type memWrite struct {
	offset int64
	data   []byte // nil: a change of size to offset
}

var errCrashed = errors.New("the machine has crashed")

func newMemFS() *memFS {
	return &memFS{dirs: map[string]*memDir{".": newMemDir()}}
}

func newMemDir() *memDir {
	return &memDir{now: make(map[string]*inode), durable: make(map[string]*inode)}
}

// change is one changing operation: apply makes it visible.
func (m *memFS) change(op, name string, apply func() error) error {
	if m.dead {
		return errCrashed
	}
	m.ops++
	if m.ops == m.crashAt {
		m.dead = true
		if m.after {
			apply()
		}
		return errCrashed
	}
	if m.fail != nil {
		if err := m.fail(op, name); err != nil {
			return &fs.PathError{Op: op, Path: name, Err: err}
		}
	}
	return apply()
}

func split(name string) (dir, base string) {
	return parentOf(name), name[strings.LastIndex(name, "/")+1:]
}

func (m *memFS) lookup(name string) (*memDir, *inode, error) {
	dir, base := split(name)
	d := m.dirs[dir]
	if d == nil || d.now[base] == nil {
		return d, nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return d, d.now[base], nil
}

func (d *memDir) alter(change func(map[string]*inode)) {
	change(d.now)
	d.pending = append(d.pending, change)
}

func (m *memFS) open(name string, write bool) (file, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return nil, errCrashed
	}
	_, n, err := m.lookup(name)
	if err != nil {
		return nil, err
	}
	return &memFile{m, n, name, write}, nil
}

func (m *memFS) create(name string) (f file, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	err = m.change("create", name, func() error {
		d, n, err := m.lookup(name)
		if d == nil {
			return err
		}
		if n == nil {
			n = &inode{}
			_, base := split(name)
			d.alter(func(names map[string]*inode) { names[base] = n })
		} else {
			m.used -= int64(len(n.now))
			n.now = nil
			n.pending = append(n.pending, memWrite{0, nil})
		}
		f = &memFile{m, n, name, true}
		return nil
	})
	return f, err
}

func (m *memFS) mkdir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dirs[name] != nil && !m.dead {
		return nil
	}
	return m.change("mkdir", name, func() error {
		parent, base := split(name)
		d := m.dirs[parent]
		if d == nil {
			return fs.ErrNotExist
		}
		n := &inode{dir: true}
		d.alter(func(names map[string]*inode) { names[base] = n })
		m.dirs[name] = newMemDir()
		return nil
	})
}

func (m *memFS) spread(string) {}

func (m *memFS) rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.change("rename", to, func() error {
		d, n, err := m.lookup(from)
		if err != nil {
			return err
		}
		_, old := split(from)
		dir, base := split(to)
		if m.dirs[dir] != d {
			return errors.New("memFS renames only within a directory")
		}
		d.alter(func(names map[string]*inode) {
			delete(names, old)
			names[base] = n
		})
		return nil
	})
}

func (m *memFS) remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.change("remove", name, func() error {
		d, n, err := m.lookup(name)
		if err != nil {
			return err
		}
		if n.dir {
			if len(m.dirs[name].now) > 0 {
				return errors.New("directory not empty")
			}
			delete(m.dirs, name)
		}
		m.used -= int64(len(n.now))
		_, base := split(name)
		d.alter(func(names map[string]*inode) { delete(names, base) })
		return nil
	})
}

func (m *memFS) readDir(name string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return nil, errCrashed
	}
	d := m.dirs[name]
	if d == nil {
		return nil, fs.ErrNotExist
	}
	return slices.Sorted(maps.Keys(d.now)), nil
}

func (m *memFS) syncDir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.change("syncdir", name, func() error {
		d := m.dirs[name]
		if d == nil {
			return fs.ErrNotExist
		}
		d.durable, d.pending = maps.Clone(d.now), nil
		return nil
	})
}

func (m *memFS) lock(string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return nil, errCrashed
	}
	if m.locked {
		return nil, ErrLocked
	}
	m.locked = true
	return memLock{m}, nil
}

type memLock struct{ m *memFS }

func (l memLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	l.m.locked = false
	return nil
}

type memFile struct {
	m     *memFS
	n     *inode
	name  string // when it was opened
	write bool
}

// current is the name the file has now.
func (f *memFile) current() string {
	dir, _ := split(f.name)
	if d := f.m.dirs[dir]; d != nil {
		for base, n := range d.now {
			if n == f.n {
				return dir + "/" + base
			}
		}
	}
	return f.name
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.m.dead {
		return 0, errCrashed
	}
	if off >= int64(len(f.n.now)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.now[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if !f.write {
		return 0, fs.ErrPermission
	}
	err := f.m.change("write", f.current(), func() error {
		grow := max(0, off+int64(len(p))-int64(len(f.n.now)))
		if f.m.space > 0 && f.m.used+grow > f.m.space {
			return &fs.PathError{Op: "write", Path: f.name, Err: syscall.ENOSPC}
		}
		f.m.used += grow
		w := memWrite{off, slices.Clone(p)}
		f.n.now = w.apply(f.n.now)
		f.n.pending = append(f.n.pending, w)
		return nil
	})
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

func (w memWrite) apply(data []byte) []byte {
	if w.data == nil {
		return data[:min(int(w.offset), len(data))]
	}
	if need := int(w.offset) + len(w.data); need > len(data) {
		data = append(data, make([]byte, need-len(data))...)
	}
	copy(data[w.offset:], w.data)
	return data
}

func (f *memFile) size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return int64(len(f.n.now)), nil
}

// sync makes the data durable. An injected failure behaves like the kernel: the
// pages are called clean, and a later sync succeeds without writing them.
func (f *memFile) sync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	err := f.m.change("sync", f.current(), func() error {
		for _, w := range f.n.pending {
			f.n.durable = w.apply(f.n.durable)
		}
		f.n.pending = nil
		return nil
	})
	if err != nil && !f.m.dead {
		f.n.pending = nil
	}
	return err
}

func (f *memFile) beginSync() {}

func (f *memFile) Close() error { return nil }

// fates of what was pending when the machine crashed.
type fate int

const (
	lost fate = iota
	kept
	torn // some sectors of some writes, some changes of names
)

func (f fate) String() string { return [...]string{"lost", "kept", "torn"}[f] }

const sector = 64 // small, so that small records tear

// crashed returns the disk as the next boot finds it.
func (m *memFS) crashed(f fate, rng *rand.Rand) *memFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
	next := &memFS{dirs: make(map[string]*memDir), space: m.space}
	var copyDir func(name string)
	files := make(map[*inode]*inode)
	copyDir = func(name string) {
		d := m.dirs[name]
		if d == nil {
			// Removed, but its removal did not last: what was in it was removed first.
			next.dirs[name] = newMemDir()
			return
		}
		names := maps.Clone(d.durable)
		for _, change := range d.pending {
			if f == kept || f == torn && rng.IntN(2) == 0 {
				change(names)
			}
		}
		out := newMemDir()
		next.dirs[name] = out
		for base, n := range names {
			copied := files[n]
			if copied == nil {
				copied = n.crashed(f, rng)
				files[n] = copied
				next.used += int64(len(copied.now))
			}
			out.now[base], out.durable[base] = copied, copied
			if n.dir {
				child := base
				if name != "." {
					child = name + "/" + base
				}
				copyDir(child)
			}
		}
	}
	copyDir(".")
	return next
}

func (n *inode) crashed(f fate, rng *rand.Rand) *inode {
	data := slices.Clone(n.durable)
	for _, w := range n.pending {
		switch {
		case f == kept:
			data = w.apply(data)
		case f == torn && w.data == nil:
			if rng.IntN(2) == 0 {
				data = w.apply(data)
			}
		case f == torn:
			for at := 0; at < len(w.data); at += sector {
				if rng.IntN(2) == 0 {
					data = memWrite{w.offset + int64(at), w.data[at:min(at+sector, len(w.data))]}.apply(data)
				}
			}
		}
	}
	return &inode{dir: n.dir, now: data, durable: slices.Clone(data)}
}

// rebooted is the same disk for the next process, without a crash: the page
// cache is still there.
func (m *memFS) rebooted() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead, m.locked, m.fail, m.crashAt = false, false, nil, 0
}

// edit changes a file for good, as somebody with a disk editor would.
func (m *memFS) edit(name string, change func([]byte) []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, n, err := m.lookup(name)
	if err != nil {
		return err
	}
	n.now = change(slices.Clone(n.now))
	n.durable, n.pending = slices.Clone(n.now), nil
	return nil
}

// list returns all files with their contents.
func (m *memFS) list(under string) map[string][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	files := make(map[string][]byte)
	for dir, d := range m.dirs {
		for base, n := range d.now {
			name := base
			if dir != "." {
				name = dir + "/" + base
			}
			if !n.dir && strings.HasPrefix(name, under) {
				files[name] = slices.Clone(n.now)
			}
		}
	}
	return files
}

func (m *memFS) String() string {
	var b strings.Builder
	files := m.list("")
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(&b, "%s %d\n", name, len(files[name]))
	}
	return b.String()
}
