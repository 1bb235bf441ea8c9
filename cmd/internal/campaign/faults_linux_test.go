package campaign

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"

	"shiguan/auditlog"
	"shiguan/auditlog/record"
	"shiguan/auditlog/tiles"
)

// engine is the log without a proxy, on a disk of the test's.
type engine struct {
	t        *testing.T
	disk     *faultyDisk
	signer   *tiles.LogSigner
	policy   *tiles.Policy
	identity *age.X25519Identity

	acknowledged map[uint64]string // who is in the record of that index
}

const engineOrigin = "campaign.shiguan.example/engine"

func newEngine(t *testing.T) *engine {
	t.Helper()
	e := &engine{t: t, disk: newFaultyDisk(t), acknowledged: make(map[uint64]string)}
	skey, vkey, err := tiles.GenerateLogKey(engineOrigin)
	if err == nil {
		e.signer, err = tiles.NewLogSigner(skey)
	}
	if err == nil {
		e.policy, err = tiles.ParsePolicy([]byte("log " + vkey + "\nquorum none\n"))
	}
	if err == nil {
		e.identity, err = age.GenerateX25519Identity()
	}
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// nobody co-signs, and nobody has to.
type nobody struct{}

func (nobody) Cosign(_ context.Context, signed []byte, _ uint64, _ func(uint64) ([]tiles.Hash, error)) ([]byte, error) {
	return signed, nil
}

// live opens the log in a directory, appends, waits, and closes it, until an error. Heads are signed all the while, and
// segments are so small that there are many.
func (e *engine) live(dir, name string, records int) error {
	l, err := auditlog.Open(e.t.Context(), auditlog.Options{Dir: dir, Origin: engineOrigin, Signer: e.signer, Quorum: e.policy,
		Recipients: []age.Recipient{e.identity.Recipient()}, Cosigner: nobody{}, Interval: 2 * time.Millisecond, SegmentBytes: 8 << 10,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		return err
	}
	return errors.Join(e.fill(l, name, records), l.Close(context.Background()))
}

func (e *engine) fill(l *auditlog.Log, name string, records int) error {
	now := time.Now()
	var some []auditlog.Receipt
	for i := range records {
		who := fmt.Sprintf("%s-%d", name, i)
		payload, err := (&record.Record{Kind: record.KindHeartbeat, Time: now, Person: who}).Append(nil)
		if err != nil {
			return err
		}
		r, err := l.Append(record.KindHeartbeat, now, payload)
		if err != nil {
			return err
		}
		if some = append(some, r); len(some) < 3 {
			continue
		}
		if err := r.Wait(); err != nil {
			return err
		}
		for j, r := range some {
			e.acknowledged[r.Index()] = fmt.Sprintf("%s-%d", name, i-2+j)
		}
		some = some[:0]
	}
	return nil
}

// survived goes on with what a life left, on the directory itself, and checks that everything acknowledged is in it.
func (e *engine) survived(what string) {
	e.t.Helper()
	if err := e.live(e.disk.under, "after "+what, 6); err != nil {
		e.t.Fatalf("%s: the log does not open again: %v", what, err)
	}
	source, err := auditlog.OpenDir(e.disk.under)
	if err != nil {
		e.t.Fatal(err)
	}
	r, err := auditlog.Fsck(e.t.Context(), source, auditlog.FsckOptions{Policy: e.policy, Identities: []age.Identity{e.identity}})
	if err != nil || r.TornTail {
		e.t.Fatalf("%s: fsck: %+v, %v", what, r, err)
	}
	opener, found := auditlog.NewOpener(source, []age.Identity{e.identity}), 0
	err = source.Records(e.t.Context(), 0, func(s auditlog.Stored) error {
		who, ok := e.acknowledged[s.Index]
		if !ok {
			return nil
		}
		payload, _, err := opener.Open(e.t.Context(), s)
		if err != nil {
			return err
		}
		one, err := record.Decode(payload)
		if err == nil && one.Person != who {
			err = fmt.Errorf("record %d is of %q, acknowledged was %q", s.Index, one.Person, who)
		}
		found++
		return err
	})
	if err != nil || found != len(e.acknowledged) {
		e.t.Fatalf("%s: %d of %d acknowledged records found, %v", what, found, len(e.acknowledged), err)
	}
}

// Whatever operation of a real file system fails, with EIO or because it is full, once or from then on: the log ends in a
// state from which it goes on, and what it acknowledged is there. A failed write is never tried again by the life that saw it.
func TestFileSystemFails(t *testing.T) {
	places := []int{1, 3, 8, 20}
	if ifLong(1, 0) == 1 {
		places = []int{1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 17, 20, 25, 30, 40, 50, 70, 100}
	}
	for _, op := range []string{"write", "fsync", "create", "rename", "open", "mkdir", "unlink"} {
		t.Run(op, func(t *testing.T) {
			e, broke, acknowledged := newEngine(t), 0, 0
			for i, at := range places {
				f := fault{op: op, from: at, every: i % 2, errno: []syscall.Errno{syscall.EIO, syscall.ENOSPC}[i/2%2]}
				what := fmt.Sprintf("%s %d (and each %d later) failed with %v", op, at, f.every, f.errno)
				e.disk.set(f)
				err := e.live(e.disk.mount, what, 60)
				if err != nil && e.disk.struck() == 0 {
					t.Fatalf("%s: nothing failed, and the log says %v", what, err)
				}
				if err != nil {
					broke++
				}
				e.disk.set(fault{})
				acknowledged += len(e.acknowledged)
				e.survived(what)
			}
			// A partial tile that could not be removed harms nobody; everything else ends a life.
			if broke == 0 && op != "unlink" || acknowledged == 0 {
				t.Errorf("%d lives of %d ended with an error, %d records were acknowledged: this shows nothing", broke, len(places), acknowledged)
			}
		})
	}
}

// Interrupted operations and writes that write only a part are no failures: the log goes on, and everything is there.
func TestFileSystemInterrupts(t *testing.T) {
	for name, f := range map[string]fault{
		"EINTR":        {from: 1, every: 2, errno: syscall.EINTR},
		"short writes": {op: "write", from: 1, every: 2},
		"only shorter": {op: "write", from: 1, every: 1},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t)
			e.disk.set(f)
			for life := range 3 {
				if err := e.live(e.disk.mount, fmt.Sprintf("life %d", life), 60); err != nil {
					t.Fatal(err)
				}
			}
			if n := e.disk.struck(); n < 100 {
				t.Errorf("only %d operations were disturbed", n)
			}
			if want := 180; len(e.acknowledged) != want {
				t.Errorf("%d records were acknowledged, want %d", len(e.acknowledged), want)
			}
			e.disk.set(fault{})
			e.survived(name)
		})
	}
}
