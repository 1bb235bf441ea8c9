package auditlog

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"filippo.io/age"

	"shiguan/auditlog/record"
	"shiguan/auditlog/tiles"
)

const testOrigin = "example.org/log"

// testKeys are made once: they do not matter to what is tested.
type testKeys struct {
	skey, vkey string
	identity   *age.X25519Identity
}

func newTestKeys(t testing.TB) testKeys {
	t.Helper()
	skey, vkey, err := tiles.GenerateLogKey(testOrigin)
	if err != nil {
		t.Fatal(err)
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return testKeys{skey, vkey, id}
}

func (k testKeys) options(t testing.TB, dir string) Options {
	t.Helper()
	signer, err := tiles.NewLogSigner(k.skey)
	if err != nil {
		t.Fatal(err)
	}
	return Options{Dir: dir, Origin: testOrigin, Signer: signer, Recipients: []age.Recipient{k.identity.Recipient()},
		Quorum: k.policy(t), Interval: 5 * time.Millisecond, SegmentBytes: 64 << 10,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
}

// policy trusts the log and wants no witness.
func (k testKeys) policy(t testing.TB) *tiles.Policy {
	t.Helper()
	p, err := tiles.ParsePolicy([]byte("log " + k.vkey + "\nquorum none\n"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// agree is a Cosigner that signs nothing: enough where the policy wants no
// witness.
type agree struct{}

func (agree) Cosign(_ context.Context, signed []byte, _ uint64, _ func(uint64) ([]tiles.Hash, error)) ([]byte, error) {
	return signed, nil
}

func mustOpen(t testing.TB, o Options) *Log {
	t.Helper()
	l, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func mustClose(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

var testTime = time.UnixMilli(1795000000123)

func payloadOf(t testing.TB, seq uint64, person string) []byte {
	t.Helper()
	b, err := (&record.Record{Kind: record.KindStatement, Time: testTime, Session: "0011223344556677", Seq: seq, Person: person,
		Statement: fmt.Sprintf("SELECT %d", seq), Decision: record.DecisionAllowed}).Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustAppend(t testing.TB, l *Log, seq uint64, person string) Receipt {
	t.Helper()
	r, err := l.Append(record.KindStatement, testTime, payloadOf(t, seq, person))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// waitFor polls until the log is in a state; it fails when the log breaks.
func waitFor(t testing.TB, l *Log, what string, ok func(Status) bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !ok(l.Status()) {
		select {
		case <-l.Done():
			t.Fatalf("waiting for %s: %v", what, l.Err())
		case <-deadline:
			t.Fatalf("waiting for %s: %+v", what, l.Status())
		case <-time.After(time.Millisecond):
		}
	}
}

// mustFsck checks the log in a directory as deeply as can be.
func (k testKeys) mustFsck(t testing.TB, src Source) Report {
	t.Helper()
	r, err := Fsck(context.Background(), src, FsckOptions{Policy: k.policy(t), Identities: []age.Identity{k.identity}})
	if err != nil {
		t.Fatalf("fsck: %v", err)
	}
	return r
}

func mustDir(t testing.TB, dir string) Source {
	t.Helper()
	src, err := OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return src
}
