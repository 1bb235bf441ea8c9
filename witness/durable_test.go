package witness_test

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
)

// What the two calls of fsync find: first the new state whole in a file of its own while the old one still stands, then the
// new one in its place. Only after both may a cosignature leave.
func TestCosignatureLeavesAfterBothSyncs(t *testing.T) {
	f := newFixture(t)
	f.cosigned(0, 10)
	var steps []string
	f.w.SetSync(func(file *os.File) error {
		current, err := os.ReadFile(f.stateFile())
		if err != nil {
			t.Error(err)
		}
		inPlace := bytes.Contains(current, []byte(f.log.text(20)))
		if info, err := file.Stat(); err != nil || info.IsDir() {
			if !inPlace {
				t.Error("the directory was synced before the new state stood in it")
			}
			steps = append(steps, "directory")
			return file.Sync()
		}
		written, err := os.ReadFile(file.Name())
		if err != nil || !bytes.Contains(written, []byte(f.log.text(20))) || inPlace {
			t.Errorf("the file was synced before it was whole, or after it was put in place: %v", err)
		}
		steps = append(steps, "file")
		return file.Sync()
	})
	f.checkCosigned(f.log.checkpoint(20), f.post(f.log.submission(10, 20)))
	if got := strings.Join(steps, " "); got != "file directory" {
		t.Errorf("synced %q before the answer, want file and directory", got)
	}
}

// Whichever sync fails: no cosignature leaves, none is made afterwards, and what is on disk is whole, the old or the new.
func TestFailingSyncStopsSigning(t *testing.T) {
	for name, failing := range map[string]struct {
		call int
		size uint64 // on disk afterwards
	}{"of the file": {1, 10}, "of the directory": {2, 20}} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.cosigned(0, 10)
			calls := 0
			f.w.SetSync(func(file *os.File) error {
				if calls++; calls == failing.call {
					return errors.New("the disk is gone")
				}
				return file.Sync()
			})
			f.refused(f.post(f.log.submission(10, 20)), http.StatusInternalServerError)
			<-f.w.Failed()
			for _, size := range []uint64{20, 30} {
				f.refused(f.post(f.log.submission(10, size)), http.StatusInternalServerError)
			}
			if calls != failing.call {
				t.Errorf("%d syncs, want none after the failure", calls)
			}
			f.restart()
			f.conflict(f.post(f.log.submission(5, 40)), failing.size)
			f.cosigned(failing.size, 40)
		})
	}
}

// The state directory may be new, and so may be those above it.
func TestStateDirIsMadeWithItsParents(t *testing.T) {
	f := newFixture(t)
	f.cosigned(0, 10)
	f.stop()
	f.opts.StateDir += "/a/b/c"
	f.start()
	f.cosigned(0, 10)
	f.restart()
	f.conflict(f.post(f.log.submission(0, 10)), 10)
}
