package campaign

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"shiguan/cmd/internal/e2e/citytest"
)

// stopProxy kills the city's proxy and waits until it is gone.
func stopProxy(t *testing.T, c *citytest.City, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	awaitGone(t, c)
}

// awaitGone waits until no proxy of the city writes to its directory any more.
func awaitGone(t *testing.T, c *citytest.City) {
	t.Helper()
	for until := time.Now().Add(time.Minute); findProxy(c.ProxyConfig) != 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("the proxy that was told to end is still there")
		}
	}
}

// workFor has a crew get n answers, and has them witnessed.
func workFor(t *testing.T, c *citytest.City, n int) {
	t.Helper()
	w := &crew{ledger: newLedger()}
	w.hireAll(t, c, address(c))
	stop := w.start(t)
	w.wait(t, n)
	stop()
	awaitWitnessed(t, c.LogURL)
}

// replace puts a copy in the place of a path in the log's directory.
func replace(t *testing.T, dir, backup string, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(filepath.Join(backup, name))); err != nil {
			t.Fatal(err)
		}
	}
}

// A log that somebody sets back to an earlier state does not go on, whether the whole directory or its records alone.
func TestRolledBack(t *testing.T) {
	c := ownCity(t)
	dir, pid := logDir(t, c.ProxyConfig), c.PIDs["proxy"]
	workFor(t, c, 150)
	stopProxy(t, c, pid)
	backup := filepath.Join(t.TempDir(), "backup")
	if err := os.CopyFS(backup, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	pid, err := c.Restart(t.Context(), "proxy")
	if err != nil {
		t.Fatal(err)
	}
	workFor(t, c, 150)
	stopProxy(t, c, pid)
	newest := filepath.Join(t.TempDir(), "newest")
	if err := os.CopyFS(newest, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}

	t.Run("the records alone", func(t *testing.T) {
		replace(t, dir, backup, "segments")
		stdout, stderr, code, err := c.Command(t.Context(), "proxy", "--config", c.ProxyConfig)
		if err != nil {
			t.Fatal(err)
		}
		if code != 3 || !strings.Contains(stderr, "restore") {
			t.Errorf("ended with %d, want 3 and what to do:\n%s%s", code, stdout, stderr)
		}
		rejects(t, c, dir)
	})
	t.Run("everything", func(t *testing.T) {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(dir, os.DirFS(backup)); err != nil {
			t.Fatal(err)
		}
		words := filepath.Join(c.Dir, "log-proxy.txt")
		from := len(lastBytes(words, 1<<30))
		// Nothing on this machine can tell. The witnesses can, as soon as they see its next head.
		pid, err := c.Restart(t.Context(), "proxy")
		if err != nil && !strings.Contains(err.Error(), "rolled back") {
			t.Fatal(err)
		}
		if err == nil {
			awaitRefusal(t, c)
		}
		said := string(lastBytes(words, 1<<30)[from:])
		if !strings.Contains(said, "rolled back") || !strings.Contains(said, "restore the newest state") {
			t.Errorf("the proxy does not say what happened and what to do:\n%s", said)
		}
		if err == nil {
			syscall.Kill(pid, syscall.SIGTERM)
		}
		awaitGone(t, c)
	})
	t.Run("the newest state again", func(t *testing.T) {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(dir, os.DirFS(newest)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Restart(t.Context(), "proxy"); err != nil {
			t.Fatal(err)
		}
		workFor(t, c, 20)
		command(t, c, 0, "fsck", "--config", c.Config)
	})
}

// awaitRefusal waits until the proxy tells everybody that it does not record any more.
func awaitRefusal(t *testing.T, c *citytest.City) {
	t.Helper()
	dsn, err := c.DSN("bench")
	if err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		conn, err := pgx.Connect(t.Context(), dsn)
		if err == nil {
			conn.Close(t.Context())
		} else if strings.Contains(err.Error(), "58030") {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("a proxy whose log was set back goes on serving: %v", err)
		}
	}
}
