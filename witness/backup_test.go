package witness_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// statePath is the state file of the fixture's log.
func (f *fixture) statePath() string {
	return filepath.Join(f.opts.StateDir, hashOf(f.log.origin)+".checkpoint")
}

// restoreOlder has the witness sign two heads and then puts the state of the first back, as a restored backup does.
func (f *fixture) restoreOlder(first, second uint64) {
	f.t.Helper()
	f.cosigned(0, first)
	backup, err := os.ReadFile(f.statePath())
	if err != nil {
		f.t.Fatal(err)
	}
	f.cosigned(first, second)
	f.stop()
	if err := os.WriteFile(f.statePath(), backup, 0o600); err != nil {
		f.t.Fatal(err)
	}
	f.start()
}

// After a backup of its state was restored, the witness tells the log the size it knows, the log proves from there, and nothing
// but what extends that head is co-signed: a fork from before it never, and after the honest log came first no other either.
func TestRestoredStateGoesOnFromTheOlderHead(t *testing.T) {
	f := newFixture(t)
	f.restoreOlder(100, 200)
	fork := f.log.fork()
	fork.size, fork.hashes = 0, nil
	fork.grow(300, "other")

	// The log is at 200 for all it knows. It is told 100, and sends from there.
	f.conflict(f.post(f.log.submission(200, 300)), 100)
	// A fork from before the restored head is refused as ever.
	f.refused(f.post(fork.submission(100, 300)), http.StatusUnprocessableEntity)
	f.cosigned(100, 300)

	// What forks from behind the restored head is refused from then on.
	late := f.log.fork()
	late.size, late.hashes = 0, nil
	late.grow(150, "leaf")
	late.grow(400, "other")
	f.log.grow(400, "leaf")
	f.conflict(f.post(late.submission(100, 400)), 300)
	f.refused(f.post(late.submission(300, 400)), http.StatusUnprocessableEntity)
	f.cosigned(300, 400)
}

// What a restored backup does not protect from, stated as a test so that nobody believes otherwise: between the backup and the
// first head after it, a log that cheats can have another history co-signed. Both cosignatures then exist, and are the proof.
func TestRestoredStateForgetsWhatWasSignedSince(t *testing.T) {
	f := newFixture(t)
	f.restoreOlder(100, 200)
	late := f.log.fork()
	late.size, late.hashes = 0, nil
	late.grow(100, "leaf")
	late.grow(200, "other")
	f.checkCosigned(late.checkpoint(200), f.post(late.submission(100, 200)))
}

// A witness that mirrors knows better than its restored state: the mirrored head bears its own cosignature.
func TestMirrorKnowsBetterThanRestoredState(t *testing.T) {
	f, s := mirrorFixture(t)
	s.publish(100)
	f.cosigned(0, 100)
	f.awaitMirror(100)
	backup, err := os.ReadFile(f.statePath())
	if err != nil {
		t.Fatal(err)
	}
	s.publish(200)
	f.cosigned(100, 200)
	f.awaitMirror(200)
	f.stop()
	if err := os.WriteFile(f.statePath(), backup, 0o600); err != nil {
		t.Fatal(err)
	}
	f.start()
	late := f.log.fork()
	late.size, late.hashes = 0, nil
	late.grow(100, "leaf")
	late.grow(200, "other")
	f.conflict(f.post(late.submission(100, 200)), 200)
	s.publish(300)
	f.cosigned(200, 300)

	// And with the state lost altogether, too.
	f.awaitMirror(300)
	f.stop()
	if err := os.Remove(f.statePath()); err != nil {
		t.Fatal(err)
	}
	f.start()
	f.conflict(f.post(late.submission(0, 200)), 300)
}
