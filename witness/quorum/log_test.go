package quorum_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"shiguan/auditlog"
	"shiguan/auditlog/record"
	"shiguan/witness/quorum"
)

// realLog is the log engine with a city's witnesses.
type realLog struct {
	*auditlog.Log
	c *city
	q *quorum.Quorum
}

func (c *city) openLog(dir string, recipient age.Recipient) *realLog {
	c.t.Helper()
	q, err := quorum.New(quorum.Options{Policy: c.policy, Grace: time.Minute, Timeout: time.Minute})
	if err != nil {
		c.t.Fatal(err)
	}
	l, err := auditlog.Open(context.Background(), auditlog.Options{Dir: dir, Origin: origin, Signer: c.log.signer,
		Recipients: []age.Recipient{recipient}, Cosigner: q, Quorum: c.policy, Interval: time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		c.t.Fatal(err)
	}
	return &realLog{Log: l, c: c, q: q}
}

// append puts n records on the log and waits until witnesses have co-signed them, or the log breaks.
func (l *realLog) append(n int) error {
	l.c.t.Helper()
	var last auditlog.Receipt
	for range n {
		r := &record.Record{Kind: record.KindHeartbeat, Time: time.Now()}
		payload, err := r.Append(nil)
		if err != nil {
			l.c.t.Fatal(err)
		}
		if last, err = l.Append(r.Kind, r.Time, payload); err != nil {
			return err
		}
	}
	for l.Status().Witnessed <= last.Index() {
		select {
		case <-l.Done():
			return l.Err()
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

func (l *realLog) close() error {
	err := l.Close(context.Background())
	l.q.Close()
	return err
}

// The whole line: what is appended to a real log is co-signed by real witnesses, over a restart and with one of them dead; and
// a log that is set back to an older copy of itself is found out by them and breaks.
func TestRealLogIsWitnessedAndItsRollbackFoundOut(t *testing.T) {
	c := newCity(t)
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	dir, old := filepath.Join(t.TempDir(), "log"), filepath.Join(t.TempDir(), "copy")
	for _, step := range []func(){
		func() {},
		func() { c.witness(bureau).srv.Close() },
		func() {
			if err := os.CopyFS(old, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		step()
		l := c.openLog(dir, identity.Recipient())
		if err := errors.Join(l.append(300), l.append(5), l.close()); err != nil {
			t.Fatal(err)
		}
		published, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.policy.CheckStrict(published); err != nil {
			t.Errorf("published: %v\n%s", err, published)
		}
	}
	l := c.openLog(old, identity.Recipient())
	err = l.append(1)
	var rolledBack *auditlog.RolledBackError
	if !errors.As(err, &rolledBack) {
		t.Fatalf("error %v, want a RolledBackError", err)
	}
	if head, err := c.policy.CheckLog(rolledBack.Checkpoint); err != nil || head.Size <= rolledBack.Ours {
		t.Errorf("the proof is a head of size %d (%v), ours has %d", head.Size, err, rolledBack.Ours)
	}
	if err := l.append(1); !errors.Is(err, auditlog.ErrBroken) {
		t.Errorf("the log takes records after it: %v", err)
	}
	if err := l.close(); err != nil && !strings.Contains(err.Error(), "rolled back") {
		t.Error(err)
	}
}
