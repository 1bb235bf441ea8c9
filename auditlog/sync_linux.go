package auditlog

import (
	"os"

	"golang.org/x/sys/unix"
)

// datasync makes a file's data and size durable. It goes on after EINTR, which
// says that the wait was disturbed and not that a write was lost.
func datasync(f *os.File) error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
		return nil
	}
}

// beginDatasync gives a file's pages to the disk and does not wait. An error of
// theirs is reported by the file's datasync.
func beginDatasync(f *os.File) {
	unix.SyncFileRange(int(f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE)
}

// topDir is FS_TOPDIR_FL, chattr +T.
const topDir = 0x00020000

// spreadDir has ext4 put directories that are made in this one each into a block
// group of its own, as it does at its root. To create a file in a group ext4
// passes over every inode there that was free for less than some minutes, and a
// log frees some each second: a quarter of what a record cost was measured to go
// there. Other file systems do not know the flag.
func spreadDir(path string) {
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	if flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS); err == nil && flags&topDir == 0 {
		unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags|topDir) // a wish
	}
}
