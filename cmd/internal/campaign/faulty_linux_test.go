package campaign

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// fault is what a file system does instead of what it was asked.
type fault struct {
	op    string        // write, fsync, open, create, rename, mkdir, unlink; "" for all of these
	from  int           // the first such operation that it hits, counted from 1
	every int           // and each so many later; 0: no other
	errno syscall.Errno // what the operation fails with; 0: a write writes half of what it should
}

// faultyDisk shows a directory through FUSE, with faults.
type faultyDisk struct {
	mount string
	under string // the directory itself

	mu    sync.Mutex
	fault fault
	seen  int // operations that the fault could have hit
	hits  int
}

// newFaultyDisk mounts a disk without faults.
func newFaultyDisk(t *testing.T) *faultyDisk {
	t.Helper()
	d := &faultyDisk{mount: t.TempDir(), under: t.TempDir()}
	root := &fs.LoopbackRoot{Path: d.under}
	root.RootNode = &faultyNode{&fs.LoopbackNode{RootData: root}, d}
	server, err := fs.Mount(d.mount, root.RootNode, &fs.Options{MountOptions: fuse.MountOptions{DirectMount: true, FsName: "faulty"}})
	if err != nil {
		t.Fatalf("mounting a file system with faults takes FUSE: be root, or install fuse3, or run `make test`, which does: %v", err)
	}
	t.Cleanup(func() {
		if err := server.Unmount(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func (d *faultyDisk) set(f fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault, d.seen, d.hits = f, 0, 0
}

func (d *faultyDisk) struck() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.hits
}

// strikes says whether an operation is to go wrong, and how.
func (d *faultyDisk) strikes(op string) (fault, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.fault
	if f.from == 0 || f.op != "" && f.op != op {
		return f, false
	}
	d.seen++
	if late := d.seen - f.from; late < 0 || late > 0 && (f.every == 0 || late%f.every != 0) {
		return f, false
	}
	d.hits++
	return f, true
}

// fails is strikes for operations that fail or do not.
func (d *faultyDisk) fails(op string) syscall.Errno {
	if f, hit := d.strikes(op); hit {
		return f.errno
	}
	return 0
}

// faultyNode is a file or directory of a faultyDisk.
type faultyNode struct {
	*fs.LoopbackNode
	disk *faultyDisk
}

// WrapChild makes all nodes below one faulty like it.
func (n *faultyNode) WrapChild(_ context.Context, ops fs.InodeEmbedder) fs.InodeEmbedder {
	return &faultyNode{ops.(*fs.LoopbackNode), n.disk}
}

func (n *faultyNode) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if errno := n.disk.fails("open"); errno != 0 {
		return nil, 0, errno
	}
	h, fuseFlags, errno := n.LoopbackNode.Open(ctx, flags)
	return n.handle(h), fuseFlags, errno
}

func (n *faultyNode) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	if errno := n.disk.fails("create"); errno != 0 {
		return nil, nil, 0, errno
	}
	inode, h, fuseFlags, errno := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	return inode, n.handle(h), fuseFlags, errno
}

func (n *faultyNode) handle(h fs.FileHandle) fs.FileHandle {
	if file, ok := h.(*fs.LoopbackFile); ok {
		return &faultyFile{file, n.disk}
	}
	return h
}

// Fsync is for directories, whose names the directory below keeps; files have their own.
func (n *faultyNode) Fsync(ctx context.Context, h fs.FileHandle, flags uint32) syscall.Errno {
	if file, ok := h.(*faultyFile); ok {
		return file.Fsync(ctx, flags)
	}
	if errno := n.disk.fails("fsync"); errno != 0 {
		return errno
	}
	dir, err := os.Open(filepath.Join(n.disk.under, n.Path(n.Root())))
	if err == nil {
		defer dir.Close()
		err = dir.Sync()
	}
	return fs.ToErrno(err)
}

func (n *faultyNode) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if errno := n.disk.fails("mkdir"); errno != 0 {
		return nil, errno
	}
	return n.LoopbackNode.Mkdir(ctx, name, mode, out)
}

func (n *faultyNode) Rename(ctx context.Context, name string, parent fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	if errno := n.disk.fails("rename"); errno != 0 {
		return errno
	}
	return n.LoopbackNode.Rename(ctx, name, parent, newName, flags)
}

func (n *faultyNode) Unlink(ctx context.Context, name string) syscall.Errno {
	if errno := n.disk.fails("unlink"); errno != 0 {
		return errno
	}
	return n.LoopbackNode.Unlink(ctx, name)
}

// faultyFile is an open file of a faultyDisk.
type faultyFile struct {
	*fs.LoopbackFile
	disk *faultyDisk
}

// PassthroughFd keeps the kernel from writing past us.
func (f *faultyFile) PassthroughFd() (int, bool) { return 0, false }

func (f *faultyFile) Write(ctx context.Context, data []byte, at int64) (uint32, syscall.Errno) {
	if with, hit := f.disk.strikes("write"); hit {
		if with.errno != 0 {
			return 0, with.errno
		}
		data = data[:(len(data)+1)/2]
	}
	return f.LoopbackFile.Write(ctx, data, at)
}

func (f *faultyFile) Fsync(ctx context.Context, flags uint32) syscall.Errno {
	if errno := f.disk.fails("fsync"); errno != 0 {
		return errno
	}
	return f.LoopbackFile.Fsync(ctx, flags)
}
