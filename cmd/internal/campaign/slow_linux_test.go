package campaign

import (
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// On a slow disk the moments between taking a record, writing it and syncing it are long, and most kills come between them.
func TestKilledOnASlowDisk(t *testing.T) {
	p := newLone(t, filepath.Join(t.TempDir(), "log"), 4<<20)
	w := &crew{ledger: newLedger()}
	w.hireAll(t, p.city, p.address)
	stop := w.start(t)
	defer stop()
	n := ifLong(60, 12)
	for range n {
		p.start("strace", "-D", "-f", "-qq", "--seccomp-bpf", "-o", filepath.Join(t.TempDir(), "trace"),
			"-e", "trace=pwrite64,fdatasync", "-e", "inject=pwrite64,fdatasync:delay_enter=8000")
		w.wait(t, 60)
		time.Sleep(rand.N(50 * time.Millisecond))
		if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatalf("the proxy died by itself: %v", err)
		}
		p.exit(time.Minute)
	}
	p.start()
	w.wait(t, 50)
	stop()
	if code := p.stop(); code != 0 {
		t.Errorf("the proxy ended with %d", code)
	}
	command(t, p.city, 0, "fsck", "--config", p.investigator)
	f := w.ledger.compare(t, readHistory(t, p.log, p.investigator), w.ledger.tokensWritten(t, superuser(t, p.city)))
	t.Logf("%d kills: %+v", n, f)
	if f.answered < 60*n || f.written < n {
		t.Error("this shows too little")
	}
}
