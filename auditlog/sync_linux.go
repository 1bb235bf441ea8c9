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
