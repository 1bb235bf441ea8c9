package auditlog

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"shiguan/auditlog/record"
	"shiguan/auditlog/tiles"
)

// wantBroken checks everything that must hold once a log is broken.
func wantBroken(t *testing.T, l *Log, cause error) {
	t.Helper()
	select {
	case <-l.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("Done is not closed")
	}
	var broken *BrokenError
	if err := l.Err(); !errors.Is(err, ErrBroken) || !errors.As(err, &broken) || !errors.Is(err, cause) {
		t.Fatalf("Err: %v, want ErrBroken because of %v", err, cause)
	}
	if _, err := l.Append(record.KindStatement, testTime, payloadOf(t, 1, "late")); !errors.Is(err, ErrBroken) {
		t.Errorf("Append: %v, want ErrBroken", err)
	}
	if l.Status().Broken == "" {
		t.Error("the status does not say it")
	}
	if err := l.Close(context.Background()); !errors.Is(err, cause) {
		t.Errorf("Close: %v, want %v", err, cause)
	}
}

func TestFailedWriteBreaksTheLog(t *testing.T) {
	k := newTestKeys(t)
	for _, op := range []string{"write", "sync"} {
		t.Run(op, func(t *testing.T) {
			m := newMemFS()
			l := mustOpen(t, k.crashOptions(t, m, &strictWitness{}))
			good := mustAppend(t, l, 1, "good")
			if err := good.Wait(); err != nil {
				t.Fatal(err)
			}
			attempts := 0
			m.mu.Lock()
			m.fail = func(o, name string) error {
				if o == op && strings.HasSuffix(name, segmentExt) {
					attempts++
					return syscall.EIO
				}
				return nil
			}
			m.mu.Unlock()
			bad := mustAppend(t, l, 2, "bad")
			if err := bad.Wait(); !errors.Is(err, ErrBroken) || !errors.Is(err, syscall.EIO) {
				t.Fatalf("Wait: %v", err)
			}
			if durable, err := bad.State(); durable || err == nil {
				t.Error("the bad one is said to be good")
			}
			if durable, err := good.State(); !durable || err != nil || good.Wait() != nil {
				t.Error("the receipts are mixed up")
			}
			wantBroken(t, l, syscall.EIO)
			if attempts != 1 {
				t.Errorf("%d attempts at %s, want 1: nothing is retried", attempts, op)
			}
		})
	}
}

// Everything that waits when the log breaks fails, and nothing waits for ever.
func TestBreakingFailsEverybody(t *testing.T) {
	k := newTestKeys(t)
	m := newMemFS()
	l := mustOpen(t, k.crashOptions(t, m, &strictWitness{}))
	release := make(chan struct{})
	var once sync.Once
	held := make(chan struct{})
	m.mu.Lock()
	m.fail = func(op, name string) error {
		if op == "sync" && strings.HasSuffix(name, segmentExt) {
			once.Do(func() { close(held) })
			<-release
			return syscall.EIO
		}
		return nil
	}
	m.mu.Unlock()
	first := mustAppend(t, l, 1, "a")
	<-held // the log's own goroutine is in the sync
	var later []Receipt
	for range 5 {
		later = append(later, mustAppend(t, l, 2, "b"))
	}
	close(release)
	for i, r := range append(later, first) {
		if err := r.Wait(); !errors.Is(err, ErrBroken) {
			t.Errorf("receipt %d: %v", i, err)
		}
		if durable, err := r.State(); durable || !errors.Is(err, ErrBroken) {
			t.Errorf("receipt %d: durable %v, %v", i, durable, err)
		}
	}
	wantBroken(t, l, syscall.EIO)
}

// A disk that fills up ends in a clean break: what was acknowledged is there,
// what was not fails, and after making room the log goes on.
func TestFullDisk(t *testing.T) {
	k := newTestKeys(t)
	for _, space := range []int64{6000, 7000, 8000, 9000, 12000, 20000} {
		m := newMemFS()
		m.space = space
		p := &life{acked: make(map[uint64]string), witness: &strictWitness{}}
		err := k.workload(t, m, p, 0, 100)
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("%d bytes: %v, want ENOSPC", space, err)
		}
		if len(p.acked) > 0 && !errors.Is(err, ErrBroken) {
			t.Fatalf("%d bytes: %v, want a broken log", space, err)
		}
		m.rebooted()
		m.space = 0
		k.verify(t, "after making room", m, p)
	}
}

// The next segment is prepared ahead of need; a disk that is full then is no
// failure yet, and none at all if it has room again when the segment is needed.
func TestFullDiskWhilePreparing(t *testing.T) {
	k := newTestKeys(t)
	m := newMemFS()
	o := k.crashOptions(t, m, &strictWitness{})
	l := mustOpen(t, o)
	full := true
	m.mu.Lock()
	m.fail = func(op, name string) error {
		if op == "write" && name == nextSegment && full {
			return syscall.ENOSPC
		}
		return nil
	}
	m.mu.Unlock()
	fill := func() (err error) {
		for i := range uint64(6) {
			r, appendErr := l.Append(record.KindStatement, testTime, payloadOf(t, i, "fill"))
			if appendErr != nil {
				return appendErr
			}
			err = r.Wait()
		}
		return err
	}
	for l.Status().Durable < 6 { // beyond the middle of the segment, not its end
		if err := mustAppend(t, l, 1, "x").Wait(); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Err(); err != nil {
		t.Fatalf("broken before the space was needed: %v", err)
	}
	m.mu.Lock()
	full = false
	m.mu.Unlock()
	if err := fill(); err != nil {
		t.Fatalf("with room again: %v", err)
	}
	m.mu.Lock()
	full = true
	m.mu.Unlock()
	var err error
	for range 10 {
		if err = fill(); err != nil {
			break
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("%v, want ENOSPC", err)
	}
	wantBroken(t, l, syscall.ENOSPC)
}

// Failures of the signer and of publishing break the log like any other.
func TestFailedSigningBreaksTheLog(t *testing.T) {
	k := newTestKeys(t)
	for _, name := range []string{"tile/", headFile, checkpointFile} {
		t.Run(name, func(t *testing.T) {
			m := newMemFS()
			o := k.crashOptions(t, m, &strictWitness{})
			o.manual, o.Interval = false, time.Millisecond
			l := mustOpen(t, o)
			waitFor(t, l, "a first checkpoint", func(s Status) bool { return s.Witnessed > 0 })
			m.mu.Lock()
			m.fail = func(_, n string) error {
				if strings.HasPrefix(n, name) {
					return syscall.EIO
				}
				return nil
			}
			m.mu.Unlock()
			if r, err := l.Append(record.KindStatement, testTime, payloadOf(t, 1, "a")); err == nil {
				r.Wait() // durable or not, depending on who comes first
			}
			wantBroken(t, l, syscall.EIO)
		})
	}
}

// The head file belongs to the log alone.
func TestHeadChangedBySomebodyElse(t *testing.T) {
	k := newTestKeys(t)
	m := newMemFS()
	l := mustOpen(t, k.crashOptions(t, m, &strictWitness{}))
	if _, err := l.signer.step(context.Background()); err != nil {
		t.Fatal(err)
	}
	mustEdit(t, m, headFile, func(b []byte) []byte { return bytes.ToUpper(b) })
	if err := mustAppend(t, l, 1, "a").Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.signer.step(context.Background()); !errors.Is(err, errHeadChanged) {
		t.Errorf("%v, want errHeadChanged", err)
	}
	killed(l)
}

func TestSecondInstanceIsRefused(t *testing.T) {
	k := newTestKeys(t)
	o := k.options(t, t.TempDir()) // flock on a real disk
	l := mustOpen(t, o)
	if second, err := Open(context.Background(), o); !errors.Is(err, ErrLocked) {
		second.Close(context.Background())
		t.Fatalf("%v, want ErrLocked", err)
	}
	if err := mustAppend(t, l, 1, "a").Wait(); err != nil {
		t.Fatalf("the first one suffers: %v", err)
	}
	mustClose(t, l)
	mustClose(t, mustOpen(t, o))
}

func TestWitnessThatKnowsMoreBreaksTheLog(t *testing.T) {
	k := newTestKeys(t)
	m := newMemFS()
	w := &strictWitness{seen: tiles.Checkpoint{Origin: testOrigin, Size: 1000}}
	o := k.crashOptions(t, m, w)
	o.manual, o.Interval = false, time.Millisecond
	l := mustOpen(t, o)
	<-l.Done()
	var rolled *RolledBackError
	if !errors.As(l.Err(), &rolled) || rolled.Theirs != 1000 {
		t.Fatalf("%v", l.Err())
	}
	if err := l.Close(context.Background()); !errors.As(err, &rolled) {
		t.Errorf("Close: %v", err)
	}
}

// shyWitness reaches no quorum for some attempts, then agrees; before that it
// returns something that is not the head.
type shyWitness struct {
	mu       sync.Mutex
	failures int
	answers  [][]byte
}

func (w *shyWitness) Cosign(_ context.Context, signed []byte, _ uint64, _ func(uint64) ([]tiles.Hash, error)) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failures > 0 {
		w.failures--
		return signed, errors.New("one of two")
	}
	if len(w.answers) > 0 {
		answer := w.answers[0]
		w.answers = w.answers[1:]
		return answer, nil
	}
	return signed, nil
}

// Without a quorum nothing is published and the log goes on; later it catches up.
func TestNoQuorumIsNotFatal(t *testing.T) {
	k := newTestKeys(t)
	other, err := tiles.NewLogSigner(k.skey)
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := tiles.SignCheckpoint(tiles.Checkpoint{Origin: testOrigin, Size: 1, Root: tiles.Hash{1}}, other)
	if err != nil {
		t.Fatal(err)
	}
	m := newMemFS()
	o := k.crashOptions(t, m, nil)
	o.Cosigner = &shyWitness{failures: 3, answers: [][]byte{nil, []byte("nonsense"), wrong}}
	l := mustOpen(t, o)
	if _, err := l.signer.step(context.Background()); err != nil {
		t.Fatal(err)
	}
	for range 6 {
		if err := l.witnessing.step(context.Background()); err == nil || breaks(err) {
			t.Fatalf("%v, want an error that breaks nothing", err)
		}
		if s := l.Status(); s.Witnessed != 0 || s.Integrated != 1 || s.OldestUnwitnessed.IsZero() || len(m.list(checkpointFile)) != 0 {
			t.Fatalf("%+v", s)
		}
	}
	if err := l.witnessing.step(context.Background()); err != nil {
		t.Fatal(err)
	}
	if s := l.Status(); s.Witnessed != 1 || !s.OldestUnwitnessed.IsZero() || s.LastWitnessed.IsZero() {
		t.Fatalf("%+v", s)
	}
	mustClose(t, l)
}

func TestZeroReceipt(t *testing.T) {
	var r Receipt
	durable, err := r.State()
	var told error
	r.Notify(func(err error) { told = err })
	if r.Wait() == nil || durable || err == nil || told == nil {
		t.Error("the zero receipt vouches for something")
	}
}

func TestAppendAfterCloseAndTooLarge(t *testing.T) {
	k := newTestKeys(t)
	l := mustOpen(t, k.crashOptions(t, newMemFS(), &strictWitness{}))
	if _, err := l.Append(record.KindStatement, testTime, make([]byte, maxLength)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("1 GiB: %v, want ErrTooLarge", err)
	}
	if _, err := l.Append(0, testTime, nil); err == nil {
		t.Error("kind 0 was taken")
	}
	if err := l.Err(); err != nil {
		t.Errorf("that broke the log: %v", err)
	}
	mustClose(t, l)
	if _, err := l.Append(record.KindStatement, testTime, payloadOf(t, 1, "a")); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v, want ErrClosed", err)
	}
	mustClose(t, l) // again
}
