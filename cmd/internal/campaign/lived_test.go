package campaign

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"shiguan/auditlog/record"
	"shiguan/cmd/internal/e2e/citytest"
)

var lived struct {
	once sync.Once
	log  string // directory
	h    *history
}

// livedIn is the shared city after a few hundred statements, all witnessed, with nobody at work any more.
func livedIn(t *testing.T) (*citytest.City, *history) {
	t.Helper()
	c := sharedCity(t)
	lived.once.Do(func() {
		w := &crew{ledger: newLedger()}
		w.hireAll(t, c, address(c))
		stop := w.start(t)
		w.wait(t, 500)
		stop()
		awaitWitnessed(t, c.LogURL)
		lived.log = logDir(t, c.ProxyConfig)
		lived.h = readHistory(t, lived.log, c.Config)
		w.ledger.compare(t, lived.h, w.ledger.tokensWritten(t, superuser(t, c)))
	})
	if lived.h == nil {
		t.Fatal("nobody lived in the city: another test failed")
	}
	return c, lived.h
}

// pick returns the index of a statement's record.
func (h *history) pick(t *testing.T, match func(*record.Record) bool) uint64 {
	t.Helper()
	best, found := uint64(0), false
	for _, entries := range h.statements {
		for _, e := range entries {
			if match(e.record) && (!found || e.index < best) {
				best, found = e.index, true
			}
		}
	}
	if !found {
		t.Fatal("no such statement is on record")
	}
	return best
}

// copyLog copies the directory of a log. Beside a running proxy the copy is of one moment if heads are copied first and the
// store last: what refers comes before what it refers to.
func copyLog(t *testing.T, from string) (to string) {
	t.Helper()
	to = filepath.Join(t.TempDir(), "log")
	for _, name := range []string{"checkpoint", "head", "tile", "keys", "."} {
		err := filepath.WalkDir(filepath.Join(from, name), func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(from, path)
			if err != nil {
				return err
			}
			target := filepath.Join(to, rel)
			if entry.IsDir() {
				return os.MkdirAll(target, 0o755)
			}
			if _, err := os.Stat(target); err == nil || strings.HasSuffix(path, ".tmp") {
				return nil
			}
			text, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) {
				return nil // a partial tile whose full one has come
			}
			if err == nil {
				err = os.MkdirAll(filepath.Dir(target), 0o755)
			}
			if err == nil {
				err = os.WriteFile(target, text, 0o644)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}
