package campaign

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// disk is a small file system.
type disk struct {
	t       *testing.T
	dir     string
	size    int
	mounted bool
}

// smallDisk mounts a file system of so many bytes. Who may not mount gets a directory, and has to launch what fills it under
// a limit on the size of files.
func smallDisk(t *testing.T, size int) *disk {
	t.Helper()
	d := &disk{t: t, dir: filepath.Join(t.TempDir(), "disk"), size: size}
	if err := os.Mkdir(d.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	err := syscall.Mount("none", d.dir, "tmpfs", 0, fmt.Sprintf("size=%d", size))
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		t.Logf("this user may not mount (%v): the disk is a limit on the size of files", err)
		return d
	}
	if err != nil {
		t.Fatal(err)
	}
	d.mounted = true
	t.Cleanup(func() {
		if err := syscall.Unmount(d.dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return d
}

// grow gives a mounted disk more room.
func (d *disk) grow() {
	d.t.Helper()
	if err := syscall.Mount("none", d.dir, "tmpfs", syscall.MS_REMOUNT, fmt.Sprintf("size=%d", 20*d.size)); err != nil {
		d.t.Fatal(err)
	}
}

// fill takes the last byte of a mounted disk.
func (d *disk) fill() (free func()) {
	d.t.Helper()
	file := filepath.Join(d.dir, "filler")
	if err := os.WriteFile(file, make([]byte, d.size), 0o600); !errors.Is(err, syscall.ENOSPC) {
		d.t.Fatalf("filling the disk: %v", err)
	}
	return func() {
		if err := os.Remove(file); err != nil {
			d.t.Fatal(err)
		}
	}
}

// workUntilRefused sets a crew to work that goes on until everybody has been told that nothing can be recorded.
func workUntilRefused(t *testing.T, p *lone, more ...work) *crew {
	t.Helper()
	w := &crew{ledger: newLedger()}
	w.hireAll(t, p.city, p.address)
	if len(more) > 0 {
		w.clients[0].works = append(w.clients[0].works, more...)
	}
	var told sync.WaitGroup
	for _, c := range w.clients {
		c.retry, c.pause = false, 0
		told.Go(func() { c.run(t.Context()) })
	}
	done := make(chan struct{})
	go func() { told.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(3 * time.Minute):
		t.Fatal("the log still takes records, or somebody was not told 58030")
	}
	if !slices.ContainsFunc(w.clients, func(c *client) bool { return c.told }) {
		t.Error("nobody was told 58030 in the session that he was in")
	}
	return w
}

// refusesAndSays holds a proxy whose log is broken to what it must do then.
func (p *lone) refusesAndSays(cause string) {
	p.t.Helper()
	for _, person := range []string{"bench", "civil_clerk"} {
		dsn, err := p.city.DSNAt(p.address, person)
		if err != nil {
			p.t.Fatal(err)
		}
		_, err = pgx.Connect(p.t.Context(), dsn)
		var refusal *pgconn.PgError
		if !errors.As(err, &refusal) || refusal.Code != "58030" {
			p.t.Errorf("a login of %s at a proxy that cannot record: %v, want 58030", person, err)
		}
	}
	if n := p.metric("shiguan_refusals_unrecorded_total"); n < 1 {
		p.t.Errorf("shiguan_refusals_unrecorded_total is %v", n)
	}
	if n := p.metric("shiguan_log_broken"); n != 1 {
		p.t.Errorf("shiguan_log_broken is %v", n)
	}
	if text := p.said(); !strings.Contains(text, "the audit log is broken") || !strings.Contains(text, cause) {
		p.t.Errorf("standard error does not say that the log is broken because of %q", cause)
	}
}

// recovers starts the proxy again on a disk that works, and checks what the log kept.
func (p *lone) recovers(w *crew) {
	p.t.Helper()
	p.start()
	after := &crew{ledger: newLedger()}
	after.hireAll(p.t, p.city, p.address)
	stop := after.start(p.t)
	after.wait(p.t, 100)
	stop()
	if code := p.stop(); code != 0 {
		p.t.Errorf("the recovered proxy ended with %d", code)
	}
	command(p.t, p.city, 0, "fsck", "--config", p.investigator)
	h, admin := readHistory(p.t, p.log, p.investigator), superuser(p.t, p.city)
	after.ledger.compare(p.t, h, after.ledger.tokensWritten(p.t, admin))
	f := w.ledger.compare(p.t, h, w.ledger.tokensWritten(p.t, admin))
	p.t.Logf("%+v", f)
	if f.answered == 0 || f.written == 0 {
		p.t.Error("nothing had been answered before the log broke: this shows nothing")
	}
}

// A full disk stops everything that would go unrecorded, and nothing is lost by it.
func TestDiskFull(t *testing.T) {
	const segment = 512 << 10
	d := smallDisk(t, 8<<20)
	p := newLone(t, filepath.Join(d.dir, "log"), segment)
	var w *crew
	if d.mounted {
		p.start()
		w = workUntilRefused(t, p)
		p.refusesAndSays("no space left on device")
	} else { // segments just fit; a record that needs a larger one does not
		p.start("prlimit", fmt.Sprintf("--fsize=%d", segment+1))
		w = workUntilRefused(t, p, longStatement(segment+1))
		p.refusesAndSays("file too large")
	}
	if ifLong(1, 0) == 1 {
		if code := p.exit(2 * time.Minute); code != 3 { // by itself, after its last words
			t.Errorf("the proxy ended with %d, want 3", code)
		}
	} else if code := p.stop(); code != 3 {
		t.Errorf("the proxy ended with %d, want 3", code)
	}
	if d.mounted {
		free := d.fill()
		p.launch()
		if code := p.exit(time.Minute); code != 3 {
			t.Errorf("a proxy that cannot write a byte ended with %d, want 3", code)
		}
		free()
		d.grow()
	}
	p.recovers(w)
}

// longStatement reads under a comment of n bytes.
func longStatement(n int) work {
	return func(ctx context.Context, c *client) error {
		one := c.ledger.begin(c.person)
		return c.query(ctx, simple, one, ignoreRow, "select 1 /* "+one.token+strings.Repeat(" ", n)+"*/")
	}
}

// A disk that fails is never trusted again by the process that saw it, whichever operation failed.
func TestDiskFails(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Fatal("strace is needed to make system calls fail: install it, or run `make test`, which does")
	}
	for _, fault := range []struct {
		call, errno string
		when        string // which calls of each thread fail; a start takes fewer
		says        string
	}{
		{"fdatasync", "EIO", "25", "input/output error"}, // one failure only: the next sync would succeed, and must not be asked
		{"fdatasync", "EIO", "30+", "input/output error"},
		{"pwrite64", "EIO", "25", "input/output error"},
		{"pwrite64", "ENOSPC", "30+", "no space left on device"},
		{"fsync", "EIO", "15", "input/output error"},
		{"renameat", "EIO", "10", "input/output error"},
	} {
		t.Run(fault.call+"/"+fault.errno+"/"+fault.when, func(t *testing.T) {
			p := newLone(t, filepath.Join(t.TempDir(), "log"), 512<<10)
			p.start("strace", "-D", "-f", "-qq", "--seccomp-bpf", "-o", filepath.Join(t.TempDir(), "trace"),
				"-e", "trace="+fault.call, "-e", fmt.Sprintf("inject=%s:error=%s:when=%s", fault.call, fault.errno, fault.when))
			w := workUntilRefused(t, p)
			p.refusesAndSays(fault.says)
			if code := p.stop(); code != 3 {
				t.Errorf("the proxy ended with %d, want 3", code)
			}
			p.recovers(w)
		})
	}
}
