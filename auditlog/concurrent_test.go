package auditlog

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"

	"shiguan/auditlog/record"
)

// Appenders, readers of all sorts and fsck at once, on a real disk, over many
// segments.
func TestConcurrentUse(t *testing.T) {
	k := newTestKeys(t)
	dir := t.TempDir()
	o := k.options(t, dir)
	o.Cosigner, o.Interval = &strictWitness{}, 3*time.Millisecond
	l := mustOpen(t, o)
	srv := httptest.NewServer(l.Handler())
	defer srv.Close()

	const appenders, each = 8, 400
	var want sync.Map // index to person
	var appending, reading sync.WaitGroup
	var done atomic.Bool
	for a := range appenders {
		appending.Go(func() {
			session := fmt.Sprintf("%016x", a)
			for i := range uint64(each) {
				person := fmt.Sprintf("%d-%d", a, i)
				payload, err := (&record.Record{Kind: record.KindStatement, Time: testTime, Session: session, Seq: i + 1, Person: person}).Append(nil)
				if err != nil {
					t.Error(err)
					return
				}
				r, err := l.Append(record.KindStatement, testTime, payload)
				switch {
				case err != nil:
				case i%3 == 0:
					err = r.Wait()
				case i%3 == 1:
					told := make(chan error, 1)
					r.Notify(func(err error) { told <- err })
					err = <-told
				}
				if err != nil {
					t.Error(err)
					return
				}
				if _, twice := want.LoadOrStore(r.Index(), person); twice {
					t.Errorf("index %d was given twice", r.Index())
				}
			}
		})
	}
	for _, src := range []Source{mustDir(t, dir), mustURL(t, srv)} {
		reading.Go(func() {
			for !done.Load() {
				last, err := src.Status(context.Background())
				if err == nil {
					n := uint64(0)
					err = src.Records(context.Background(), 0, func(st Stored) error {
						if st.Index != n {
							return fmt.Errorf("record %d, want %d", st.Index, n)
						}
						n++
						return nil
					})
					if err == nil && n < last.Durable {
						err = fmt.Errorf("%d records, %d were durable before", n, last.Durable)
					}
				}
				if err == nil && (last.Witnessed > last.Integrated || last.Integrated > last.Durable) {
					err = fmt.Errorf("states out of order: %+v", last)
				}
				if err == nil {
					_, err = Fsck(context.Background(), src, FsckOptions{Policy: k.policy(t)})
				}
				if err != nil {
					t.Errorf("%T: %v", src, err)
					return
				}
			}
		})
	}
	appending.Wait()
	total := uint64(appenders*each + 1)
	waitFor(t, l, "everything witnessed", func(s Status) bool { return s.Witnessed == total })
	done.Store(true)
	reading.Wait()
	mustClose(t, l)

	op := NewOpener(mustDir(t, dir), []age.Identity{k.identity})
	n := 0
	err := mustDir(t, dir).Records(context.Background(), 1, func(st Stored) error {
		payload, _, err := op.Open(context.Background(), st)
		if err != nil {
			return err
		}
		rec, err := record.Decode(payload)
		if person, ok := want.Load(st.Index); err == nil && (!ok || person != rec.Person) {
			err = fmt.Errorf("record %d is of %q, want %q", st.Index, rec.Person, person)
		}
		n++
		return err
	})
	if err != nil || n != appenders*each {
		t.Fatalf("%d records, %v", n, err)
	}
	if r := k.mustFsck(t, mustDir(t, dir)); r.Durable != total || r.Witnessed != total {
		t.Errorf("%+v", r)
	}
}

// Append blocks when very much waits for the disk, and goes on afterwards.
func TestAppendBlocksWhenTooMuchWaits(t *testing.T) {
	k := newTestKeys(t)
	m := newMemFS()
	l := mustOpen(t, k.crashOptions(t, m, &strictWitness{}))
	release, held := make(chan struct{}), make(chan struct{})
	var once sync.Once
	m.mu.Lock()
	m.fail = func(op, _ string) error {
		if op == "sync" {
			once.Do(func() { close(held) })
			<-release
		}
		return nil
	}
	m.mu.Unlock()
	mustAppend(t, l, 1, "held")
	<-held
	payload := make([]byte, 6<<20)
	var appended atomic.Int64
	var wg sync.WaitGroup
	const n = 14
	for range n {
		wg.Go(func() {
			r, err := l.Append(record.KindStatement, testTime, payload)
			appended.Add(1)
			if err == nil {
				err = r.Wait()
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	for { // until all that will block do
		l.committer.mu.Lock()
		waiters := l.committer.waiters
		queued := l.committer.queued
		l.committer.mu.Unlock()
		if int64(waiters)+appended.Load() == n {
			if waiters == 0 || queued > maxPending+int64(len(payload))+frameSize {
				t.Errorf("%d wait, %d bytes are queued", waiters, queued)
			}
			break
		}
		time.Sleep(time.Millisecond)
	}
	close(release)
	wg.Wait()
	if appended.Load() != n {
		t.Errorf("%d appended, want %d", appended.Load(), n)
	}
	mustClose(t, l)
}

// Those who block when the log breaks are let go with its error.
func TestBlockedAppendersFail(t *testing.T) {
	k := newTestKeys(t)
	l := mustOpen(t, k.crashOptions(t, newMemFS(), &strictWitness{}))
	l.committer.mu.Lock()
	l.committer.queued += maxPending // as if a slow disk had it
	l.committer.mu.Unlock()
	result := make(chan error, 1)
	go func() {
		_, err := l.Append(record.KindStatement, testTime, payloadOf(t, 1, "a"))
		result <- err
	}()
	for {
		l.committer.mu.Lock()
		waiting := l.committer.waiters
		l.committer.mu.Unlock()
		if waiting == 1 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	killed(l)
	if err := <-result; !errors.Is(err, ErrBroken) {
		t.Errorf("%v, want ErrBroken", err)
	}
}
