package auditlog

import (
	"errors"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// syncHook has f called before each sync of a segment.
func (m *memFS) syncHook(f func() error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = func(op, name string) error {
		if op == "sync" && strings.HasSuffix(name, segmentExt) {
			return f()
		}
		return nil
	}
}

// openUntended opens a log in memory that commits nothing that nobody waits for.
func openUntended(t *testing.T) (*Log, *memFS) {
	t.Helper()
	m := newMemFS()
	l := mustOpen(t, newTestKeys(t).crashOptions(t, m, &strictWitness{}))
	l.committer.mu.Lock()
	l.committer.linger = time.Hour
	l.committer.mu.Unlock()
	return l, m
}

func mustBeDurable(t *testing.T, r Receipt, want bool) {
	t.Helper()
	if durable, err := r.State(); durable != want || err != nil {
		t.Errorf("record %d: durable %v, want %v, %v", r.Index(), durable, want, err)
	}
}

// Who waits commits in its own goroutine, everything up to then, with one sync.
func TestWaiterCommitsItself(t *testing.T) {
	l, m := openUntended(t)
	var stacks []string
	m.syncHook(func() error {
		stack := make([]byte, 64<<10)
		stacks = append(stacks, string(stack[:runtime.Stack(stack, false)]))
		return nil
	})
	var all []Receipt
	for i := range uint64(5) {
		all = append(all, mustAppend(t, l, i+1, "p"))
	}
	for _, r := range all {
		mustBeDurable(t, r, false)
	}
	for _, r := range append(all[2:3:3], all...) {
		if err := r.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range all {
		mustBeDurable(t, r, true)
	}
	if len(stacks) != 1 || !strings.Contains(stacks[0], "TestWaiterCommitsItself") {
		t.Errorf("%d syncs by\n%s", len(stacks), strings.Join(stacks, "\n"))
	}
	if l.SyncTime() <= 0 {
		t.Error("a sync takes no time")
	}
	mustClose(t, l)
}

// What gathers while one batch is written is the next one, whoever waits for it:
// one of them writes it.
func TestFollowersShareOneSync(t *testing.T) {
	l, m := openUntended(t)
	held, release := make(chan struct{}), make(chan struct{})
	syncs := 0
	m.syncHook(func() error {
		if syncs++; syncs == 1 {
			close(held)
			<-release
		}
		return nil
	})
	var wg sync.WaitGroup
	wait := func(r Receipt) {
		wg.Go(func() {
			if err := r.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
	wait(mustAppend(t, l, 1, "leads"))
	<-held
	for i := range uint64(8) {
		wait(mustAppend(t, l, i+2, "follows"))
	}
	close(release)
	wg.Wait()
	if syncs != 2 {
		t.Errorf("%d syncs, want 2", syncs)
	}
	mustClose(t, l)
}

// What nobody waits for becomes durable all the same.
func TestNobodyWaits(t *testing.T) {
	k := newTestKeys(t)
	l := mustOpen(t, k.crashOptions(t, newMemFS(), &strictWitness{}))
	for i := range uint64(3) {
		r := mustAppend(t, l, i+1, "p")
		waitFor(t, l, "what nobody waits for", func(s Status) bool { return s.Durable > r.Index() })
		mustBeDurable(t, r, true)
	}
	mustClose(t, l)
}

// Notify brings about what it tells of, also behind a batch that is being written.
func TestNotify(t *testing.T) {
	l, m := openUntended(t)
	held, release := make(chan struct{}), make(chan struct{})
	syncs := 0
	m.syncHook(func() error {
		if syncs++; syncs == 1 {
			close(held)
			<-release
		}
		return nil
	})
	told := make(chan uint64, 4)
	tell := func(r Receipt) {
		r.Notify(func(err error) {
			if durable, known := r.State(); err != nil || !durable || known != nil {
				t.Errorf("told %v, the state is %v, %v", err, durable, known)
			}
			told <- r.Index()
		})
	}
	first := mustAppend(t, l, 1, "a")
	tell(first)
	<-held
	mustAppend(t, l, 2, "b")
	last := mustAppend(t, l, 3, "c")
	tell(last)
	tell(last)
	if len(told) != 0 {
		t.Error("told too early")
	}
	close(release)
	if a, b, c := <-told, <-told, <-told; a != first.Index() || b != last.Index() || c != last.Index() || syncs != 2 {
		t.Errorf("told of %d, %d, %d after %d syncs", a, b, c, syncs)
	}
	if tell(last); len(told) != 1 { // now it is known, so nobody else tells
		t.Error("not told at once")
	}
	mustClose(t, l)
}

func TestNotifyOfFailure(t *testing.T) {
	l, m := openUntended(t)
	m.syncHook(func() error { return syscall.EIO })
	told := make(chan error, 2)
	r := mustAppend(t, l, 1, "a")
	r.Notify(func(err error) { told <- err })
	if err := <-told; !errors.Is(err, ErrBroken) || !errors.Is(err, syscall.EIO) {
		t.Errorf("told %v", err)
	}
	r.Notify(func(err error) { told <- err })
	if err := <-told; !errors.Is(err, syscall.EIO) {
		t.Errorf("told again %v", err)
	}
	wantBroken(t, l, syscall.EIO)
}

// A fault of the program in the goroutine that leads breaks the log, also if that
// goroutine goes on; nobody waits for ever.
func TestLeaderThatPanics(t *testing.T) {
	l, m := openUntended(t)
	held, release := make(chan struct{}), make(chan struct{})
	m.syncHook(func() error {
		close(held)
		<-release
		panic("a fault")
	})
	waited := make(chan error, 2)
	first := mustAppend(t, l, 1, "leads")
	go func() {
		defer func() {
			if p := recover(); p != "a fault" {
				t.Errorf("recovered %v", p)
			}
			waited <- first.Wait()
		}()
		first.Wait()
	}()
	<-held
	second := mustAppend(t, l, 2, "follows")
	go func() { waited <- second.Wait() }()
	close(release)
	for range 2 {
		if err := <-waited; !errors.Is(err, ErrBroken) {
			t.Errorf("Wait: %v", err)
		}
	}
	wantBroken(t, l, errLeaderLost)
}

func TestSyncTimeIsTheUsualOne(t *testing.T) {
	var times syncTimes
	for i, step := range []struct{ took, want time.Duration }{
		{50, 50}, {60, 60}, {9000, 60}, {40, 60}, {50, 50}, {70, 60}, {9000, 60}, {50, 60}, {60, 60}, {50, 60}, // one in nine forgotten
		{1000, 60}, {1000, 60}, {1000, 70}, {1000, 1000},
	} {
		if times.add(step.took); times.typical() != step.want {
			t.Errorf("after %d syncs: %v, want %v", i+1, times.typical(), step.want)
		}
	}
}

// The log may break while a leader waits for others to append.
func TestBreaksWhileGathering(t *testing.T) {
	l, m := openUntended(t)
	m.syncHook(func() error {
		t.Error("a batch was written after the log had broken")
		return nil
	})
	l.committer.mu.Lock()
	l.committer.expected = 2 // so that it yields
	cause := errors.New("something else")
	l.committer.yield = func() { l.fail(cause) }
	l.committer.mu.Unlock()
	if err := mustAppend(t, l, 1, "a").Wait(); !errors.Is(err, cause) {
		t.Errorf("Wait: %v", err)
	}
	wantBroken(t, l, cause)
}

// A leader yields to those who waited of late, and not for ever.
func TestLeaderGathers(t *testing.T) {
	l, _ := openUntended(t)
	yields := 0
	var joined []Receipt
	l.committer.mu.Lock()
	l.committer.expected = 4
	l.committer.yield = func() {
		if yields++; yields <= 3 {
			joined = append(joined, mustAppend(t, l, 2, "joins"))
		}
	}
	for range 9 {
		l.committer.times.add(time.Hour) // yielding is short beside a sync
	}
	l.committer.mu.Unlock()
	if err := mustAppend(t, l, 1, "leads").Wait(); err != nil {
		t.Fatal(err)
	}
	for _, r := range joined {
		mustBeDurable(t, r, true)
	}
	if yields != 3 {
		t.Errorf("%d yields until four records have come, want 3", yields)
	}
	l.committer.mu.Lock()
	l.committer.expected = 4
	l.committer.mu.Unlock()
	if err := mustAppend(t, l, 1, "alone").Wait(); err != nil || yields != 3+maxYields {
		t.Errorf("%d yields for somebody who does not come, want %d; %v", yields-3, maxYields, err)
	}
	if err := mustAppend(t, l, 1, "alone").Wait(); err != nil || yields != 3+maxYields {
		t.Errorf("%d yields where nobody else has waited; %v", yields-3-maxYields, err)
	}
	mustClose(t, l)
}
