package campaign

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"shiguan/cmd/internal/e2e/citytest"
)

// killer kills the proxy of a city in different ways and has it started again.
type killer struct {
	t     *testing.T
	city  *citytest.City
	log   string // directory
	pid   int    // of the proxy that serves
	kills int
	ways  map[string]int
}

func (k *killer) kill(pid int, way string) {
	k.t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		k.t.Fatalf("the proxy (process %d) died by itself: %v", pid, err)
	}
	k.kills++
	k.ways[way]++
}

// restart starts the proxy until it serves.
func (k *killer) restart() {
	k.t.Helper()
	var err error
	if k.pid, err = k.city.Restart(k.t.Context(), "proxy"); err != nil {
		k.t.Fatalf("after %d kills the proxy does not come back: %v", k.kills, err)
	}
}

// duringRecovery has the proxy started and kills it before it serves, if it is quick enough.
func (k *killer) duringRecovery() {
	k.t.Helper()
	old := k.pid
	type result struct {
		pid int
		err error
	}
	started := make(chan result, 1)
	go func() {
		pid, err := k.city.Restart(k.t.Context(), "proxy")
		started <- result{pid, err}
	}()
	pid := 0
	for until := time.Now().Add(time.Minute); pid == 0 || pid == old; pid = findProxy(k.city.ProxyConfig) {
		if time.Now().After(until) {
			k.t.Fatal("no new proxy process after a minute")
		}
		time.Sleep(200 * time.Microsecond)
	}
	time.Sleep(rand.N(120 * time.Millisecond))
	// The process is the supervisor's child, which cannot have reaped it: it has not ended by itself, or that is the failure.
	k.kill(pid, "while it recovered")
	if r := <-started; r.err != nil && !strings.Contains(r.err.Error(), "killed") {
		k.t.Fatalf("a proxy killed while it started: %v", r.err)
	}
}

// findProxy finds the process that runs with this configuration.
func findProxy(config string) int {
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range all {
		args, err := os.ReadFile(file)
		if err == nil && bytes.HasSuffix(args, []byte("\x00proxy\x00--config\x00"+config+"\x00")) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			return pid
		}
	}
	return 0
}

// publishing waits until the proxy is about to store a head or a published checkpoint, or has just done so. It gives up
// after a while, since without a quorum nothing is published.
func (k *killer) publishing() string {
	k.t.Helper()
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC | syscall.IN_NONBLOCK)
	if err != nil {
		k.t.Fatal(err)
	}
	events := os.NewFile(uintptr(fd), "inotify")
	defer events.Close()
	if _, err := syscall.InotifyAddWatch(fd, k.log, syscall.IN_CREATE|syscall.IN_CLOSE_WRITE|syscall.IN_MOVED_TO); err != nil {
		k.t.Fatal(err)
	}
	names := []string{"head.tmp", "head", "checkpoint.tmp", "checkpoint"}
	want := names[rand.IntN(len(names))]
	buf := make([]byte, 4096)
	events.SetReadDeadline(time.Now().Add(1500 * time.Millisecond))
	for {
		n, err := events.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return "nothing in particular"
		}
		if err != nil {
			k.t.Fatal(err)
		}
		for at := 0; at < n; {
			event := (*syscall.InotifyEvent)(unsafe.Pointer(&buf[at]))
			at += syscall.SizeofInotifyEvent
			name := strings.TrimRight(string(buf[at:at+int(event.Len)]), "\x00")
			if name == want {
				return "around " + want
			}
			at += int(event.Len)
		}
	}
}

// one kills once or more and leaves a proxy that serves.
func (k *killer) one() {
	k.t.Helper()
	switch way := rand.IntN(10); {
	case way < 5:
		time.Sleep(rand.N(200 * time.Millisecond))
		k.kill(k.pid, "under load")
	case way < 8:
		moment := k.publishing()
		if rand.IntN(2) == 0 {
			time.Sleep(rand.N(3 * time.Millisecond))
		}
		k.kill(k.pid, moment)
	default:
		k.kill(k.pid, "under load")
		for range 1 + rand.IntN(2) {
			k.duringRecovery()
		}
	}
	k.restart()
}

// bystanders kills witnesses and the console, and starts those again that were killed the last time.
type bystanders struct {
	t    *testing.T
	city *citytest.City
	dead []string
	all  int
}

func (b *bystanders) turn() {
	b.t.Helper()
	b.revive()
	if err := b.city.Reload(); err != nil {
		b.t.Fatal(err)
	}
	names := []string{"console"}
	for _, w := range b.city.Witnesses {
		names = append(names, "witness-"+w.Department)
	}
	rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for _, name := range names[:1+rand.IntN(3)] { // mostly the quorum holds all the same
		if err := syscall.Kill(b.city.PIDs[name], syscall.SIGKILL); err != nil {
			b.t.Fatalf("%s (process %d) died by itself: %v", name, b.city.PIDs[name], err)
		}
		b.dead = append(b.dead, name)
		b.all++
	}
}

func (b *bystanders) revive() {
	b.t.Helper()
	for _, name := range b.dead {
		if _, err := b.city.Restart(b.t.Context(), name); err != nil {
			b.t.Fatalf("%s does not come back: %v", name, err)
		}
	}
	b.dead = nil
}

// Whatever moment the proxy dies at: what a client received is on record, and the log goes on.
func TestKilledAtAnyMoment(t *testing.T) {
	c := ownCity(t)
	crew := &crew{ledger: newLedger()}
	crew.hireAll(t, c, address(c))
	stop := crew.start(t)
	defer stop()
	began := time.Now()
	k := &killer{t: t, city: c, log: logDir(t, c.ProxyConfig), pid: c.PIDs["proxy"], ways: map[string]int{}}
	others := &bystanders{t: t, city: c}
	for turn := 0; k.kills < *kills; turn++ {
		crew.wait(t, 50)
		if turn%5 == 4 {
			others.turn()
		}
		k.one()
		if turn%20 == 19 {
			command(t, c, 0, "fsck", "--config", c.Config) // beside clients and kills
		}
	}
	others.revive()
	crew.wait(t, 200)
	stop()
	took := time.Since(began)
	s := awaitWitnessed(t, c.LogURL)
	verified := time.Now()
	report, _ := command(t, c, 0, "fsck", "--config", c.Config)
	fsck := time.Since(verified)
	if ok, output := holds(t, installReferee(t), c.LogURL, c.LogVKey); !ok {
		t.Errorf("the referee rejects the log:\n%s", output)
	}
	h := readHistory(t, k.log, c.Config)
	for _, index := range []uint64{0, h.records / 2, h.records - 1} {
		command(t, c, 0, "verify", "--policy", c.QuorumPolicy, prove(t, c, index))
	}
	f := crew.ledger.compare(t, h, crew.ledger.tokensWritten(t, superuser(t, c)))
	t.Logf("%d kills in %v: %v; %d kills of witnesses and console", k.kills, took.Round(time.Second), k.ways, others.all)
	t.Logf("%d statements sent, %d answered, %d of them refused, %d acknowledged writes, %d rows about persons, %d writes in the database; missing or wrong: %d",
		f.sent, f.answered, f.refused, f.applied, f.rows, f.written, f.missing)
	t.Logf("%d records, %d witnessed, %d starts; fsck took %v:\n%s", h.records, s.Witnessed, h.restarts, fsck.Round(time.Millisecond), report)
	for what, n := range map[string]int{"answered": f.answered, "refused": f.refused, "applied": f.applied, "rows": f.rows, "written": f.written} {
		if n < *kills {
			t.Errorf("only %d %s: the campaign shows nothing", n, what)
		}
	}
	if h.restarts < *kills/3 {
		t.Errorf("only %d starts are on record", h.restarts)
	}
}
