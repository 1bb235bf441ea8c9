package witness_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"shiguan/witness"
)

// stateFile returns the only state file.
func (f *fixture) stateFile() string {
	f.t.Helper()
	names, err := filepath.Glob(filepath.Join(f.opts.StateDir, "*.checkpoint"))
	if err != nil || len(names) != 1 {
		f.t.Fatalf("state files %v, %v; want one", names, err)
	}
	return names[0]
}

func (f *fixture) mustNotStart(words ...string) {
	f.t.Helper()
	w, err := witness.Open(f.opts)
	if err == nil {
		w.Close()
		f.t.Fatal("the witness started")
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			f.t.Errorf("error %q does not say %q", err, word)
		}
	}
}

func TestRestartGoesOn(t *testing.T) {
	f := newFixture(t)
	f.cosigned(0, 10)
	shown := f.get(monitorPath(f.log.origin))
	f.restart()
	if got := f.get(monitorPath(f.log.origin)); got != shown {
		t.Errorf("shown %v, before the restart %v", got, shown)
	}
	f.conflict(f.post(f.log.submission(0, 20)), 10)
	f.cosigned(10, 20)
	f.restart()
	f.conflict(f.post(f.log.submission(10, 20)), 20)
}

// Whatever byte of a state file is wrong or missing, the witness must not start from it.
func TestDamagedStateIsRefused(t *testing.T) {
	f := newFixture(t)
	f.cosigned(0, 10)
	f.stop()
	path := f.stateFile()
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	put := func(content []byte) {
		t.Helper()
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		put(bad)
		f.mustNotStart(path, "damaged", "backup")
	}
	for n := range good {
		put(good[:n])
		f.mustNotStart(path, "damaged")
	}
	put(append(bytes.Clone(good), '\n'))
	f.mustNotStart(path, "damaged")
	put(good)
	f.start()
	f.conflict(f.post(f.log.submission(0, 20)), 10)
}

// A whole file in the wrong place is damage too: it would be another origin's memory.
func TestStateOfAnotherOriginIsRefused(t *testing.T) {
	f := newFixture(t)
	f.cosigned(0, 10)
	f.stop()
	moved := filepath.Join(f.opts.StateDir, strings.Repeat("0", 64)+".checkpoint")
	if err := os.Rename(f.stateFile(), moved); err != nil {
		t.Fatal(err)
	}
	f.mustNotStart(moved, "damaged", f.log.origin)
}

// State whose signatures nobody knows is not ours to go on from.
func TestStateOfAnotherWitnessIsRefused(t *testing.T) {
	f := newFixture(t)
	f.cosigned(0, 10)
	f.stop()
	g := newFixture(t)
	g.stop()
	before := f.opts
	f.opts.Signer, f.opts.Logs = g.opts.Signer, g.opts.Logs // as after replacing both keys
	f.mustNotStart("damaged", "signatures")
	f.opts = before
	f.opts.Signer = g.opts.Signer // as after replacing the witness's key only
	f.verifier = g.verifier
	f.start()
	f.conflict(f.post(f.log.submission(0, 20)), 10)
	f.cosigned(10, 20)
}

func TestUnknownFileIsRefused(t *testing.T) {
	f := newFixture(t)
	f.cosigned(0, 10)
	f.stop()
	path := f.stateFile()
	if err := os.Rename(path, path+".bak"); err != nil { // an operator's mistake that would make the witness forget
		t.Fatal(err)
	}
	f.mustNotStart(path+".bak", "move it")
}

// What a crash before the rename leaves was never answered for.
func TestLeftoverTempFileIsRemoved(t *testing.T) {
	f := newFixture(t)
	f.cosigned(0, 10)
	f.stop()
	temp := f.stateFile() + ".new"
	if err := os.WriteFile(temp, []byte("shiguan-witness-state/1 half"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.start()
	if _, err := os.Stat(temp); !os.IsNotExist(err) {
		t.Errorf("the temporary file is still there: %v", err)
	}
	f.cosigned(10, 20)
}

func TestStateDirIsUsedByOneWitness(t *testing.T) {
	f := newFixture(t)
	o := f.opts
	f.opts.Registerer = nil
	f.mustNotStart(f.opts.StateDir, "another witness")
	f.opts = o
	f.restart() // and after Close it is free
}

func TestStateIsPrivate(t *testing.T) {
	f := newFixture(t, func(o *witness.Options) { o.StateDir = filepath.Join(o.StateDir, "new") })
	f.cosigned(0, 10)
	for path, want := range map[string]fs.FileMode{f.opts.StateDir: 0o700, f.stateFile(): 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", path, got, want)
		}
	}
}

// A log that is no longer configured keeps its memory, for the day it comes back.
func TestStateOfUnconfiguredLogIsKept(t *testing.T) {
	f := newFixture(t)
	f.cosigned(0, 10)
	other := newFakeLog(t, "log.example/other")
	before := f.opts.Logs
	f.opts.Logs = []witness.LogConfig{{Origin: other.origin, VKey: other.vkey}}
	f.restart()
	f.refused(f.post(f.log.submission(10, 20)), http.StatusNotFound)
	if got := f.get(monitorPath(f.log.origin)); got.status != http.StatusOK {
		t.Errorf("monitoring answers %d", got.status)
	}
	f.opts.Logs = before
	f.restart()
	f.conflict(f.post(f.log.submission(0, 20)), 10)
}

// Once state could not be made durable nothing may be signed any more, and what was shown stays.
func TestFailureToPersistStopsSigning(t *testing.T) {
	f := newFixture(t)
	f.cosigned(0, 10)
	blocker := f.stateFile() + ".new"
	if err := os.Mkdir(blocker, 0o700); err != nil {
		t.Fatal(err)
	}
	f.refused(f.post(f.log.submission(10, 20)), http.StatusInternalServerError)
	<-f.w.Failed()
	if f.w.Err() == nil {
		t.Error("Failed is closed and Err is nil")
	}
	if err := os.Remove(blocker); err != nil {
		t.Fatal(err)
	}
	f.refused(f.post(f.log.submission(10, 20)), http.StatusInternalServerError)
	if got := f.get(monitorPath(f.log.origin)).body; !strings.HasPrefix(got, f.log.text(10)) {
		t.Errorf("shown after the failure: %q", got)
	}
	f.restart()
	f.cosigned(10, 20)
}

// Of many forks submitted at once exactly one may be co-signed, and it is the one that is durable.
func TestConcurrentForksOneWins(t *testing.T) {
	f := newFixture(t)
	f.cosigned(0, 300)
	const forks = 16
	logs := make([]*fakeLog, forks)
	replies := make([]reply, forks)
	for i := range logs {
		logs[i] = f.log.fork()
		logs[i].grow(301, fmt.Sprintf("fork %d", i))
	}
	var wg sync.WaitGroup
	for i, l := range logs {
		b := l.submission(300, 301)
		wg.Go(func() { replies[i] = f.post(b) })
	}
	wg.Wait()
	winner := -1
	for i, r := range replies {
		switch {
		case r.status == http.StatusOK && winner < 0:
			winner = i
			f.checkCosigned(logs[i].checkpoint(301), r)
		case r.status == http.StatusOK:
			t.Fatalf("forks %d and %d were both co-signed", winner, i)
		default:
			f.conflict(r, 301)
		}
	}
	if winner < 0 {
		t.Fatal("no fork was co-signed")
	}
	f.restart()
	if got := f.get(monitorPath(f.log.origin)).body; !strings.HasPrefix(got, logs[winner].text(301)) {
		t.Errorf("durable is %q, co-signed was fork %d", got, winner)
	}
}
