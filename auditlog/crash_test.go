package auditlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"

	"filippo.io/age"

	"shiguan/auditlog/record"
	"shiguan/auditlog/tiles"
)

// strictWitness is a Cosigner that does what witnesses do: it remembers the
// last head and insists that the next extends it. It survives the log's
// machine.
type strictWitness struct {
	seen tiles.Checkpoint
}

func (w *strictWitness) Cosign(_ context.Context, signed []byte, size uint64, prove func(uint64) ([]tiles.Hash, error)) ([]byte, error) {
	c, err := parseHead(signed, nil)
	if err != nil {
		return nil, err
	}
	if c.Size != size {
		return nil, fmt.Errorf("checkpoint of size %d, said to be %d", c.Size, size)
	}
	if c.Size < w.seen.Size {
		return nil, &RolledBackError{Witness: "strict", Ours: c.Size, Theirs: w.seen.Size}
	}
	proof, err := prove(w.seen.Size)
	if err != nil {
		return nil, err
	}
	if w.seen.Size > 0 {
		if err := tiles.CheckConsistency(w.seen.Size, c.Size, proof, w.seen.Root, c.Root); err != nil {
			return nil, &RolledBackError{Witness: "strict: " + err.Error(), Ours: c.Size, Theirs: w.seen.Size}
		}
	}
	w.seen = c
	return signed, nil
}

// life is what one run of the log promised to those outside.
type life struct {
	acked   map[uint64]string // index to the person in the record
	witness *strictWitness
}

// crashOptions make the log's every step happen when the test says so.
func (k testKeys) crashOptions(t testing.TB, m *memFS, w *strictWitness) Options {
	o := k.options(t, "mem")
	o.fs, o.manual, o.SegmentBytes, o.Cosigner = m, true, 2176, w
	return o
}

// workload appends, signs and publishes until the end or the crash.
func (k testKeys) workload(t testing.TB, m *memFS, p *life, from, rounds int) error {
	l, err := Open(context.Background(), k.crashOptions(t, m, p.witness))
	if err != nil {
		return err
	}
	defer l.Close(context.Background())
	for round := range rounds {
		var receipts []Receipt
		var names []string
		for i := range 3 {
			name := fmt.Sprintf("p%d-%d", from+round, i)
			r, err := l.Append(record.KindStatement, testTime, payloadOf(t, 1, name))
			if err != nil {
				return err
			}
			receipts, names = append(receipts, r), append(names, name)
		}
		for i, r := range receipts {
			if err := r.Wait(); err != nil {
				return err
			}
			p.acked[r.Index()] = names[i]
		}
		if round%2 == 1 {
			if _, err := l.signer.step(context.Background()); err != nil {
				return l.fail(err)
			}
			if err := l.witnessing.step(context.Background()); err != nil {
				return l.fail(err)
			}
		}
	}
	return l.Close(context.Background())
}

// verify opens what a crash left, checks every promise, and goes on with it.
func (k testKeys) verify(t *testing.T, what string, m *memFS, p *life) {
	t.Helper()
	o := k.crashOptions(t, m, p.witness)
	var said bytes.Buffer
	o.Logger = slog.New(slog.NewTextHandler(&said, nil))
	l, err := Open(context.Background(), o)
	if err != nil {
		t.Fatalf("%s: %v\n%v", what, err, m)
	}
	if strings.Contains(said.String(), "making them again") {
		t.Fatalf("%s: the tiles of the signed head were not all durable: %s", what, said.String())
	}
	for range 2 {
		r, err := l.Append(record.KindStatement, testTime, payloadOf(t, 1, "after"))
		if err == nil {
			err = r.Wait()
		}
		if err != nil {
			t.Fatalf("%s: appending after the crash: %v", what, err)
		}
		p.acked[r.Index()] = "after"
	}
	// Signs, and shows the head to the witness, which remembers what it saw
	// before the crash.
	if err := l.Close(context.Background()); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if s := l.Status(); s.Witnessed != s.Durable {
		t.Fatalf("%s: the witness does not go on with this log: %+v", what, s)
	}
	src := newDirSource("mem", m)
	r, err := Fsck(context.Background(), src, FsckOptions{Policy: k.policy(t)})
	if err != nil || r.TornTail {
		t.Fatalf("%s: %+v, %v\n%v", what, r, err, m)
	}
	k.checkAcked(t, what, src, p)
}

func (k testKeys) checkAcked(t *testing.T, what string, src Source, p *life) {
	t.Helper()
	found := 0
	op := NewOpener(src, []age.Identity{k.identity})
	err := src.Records(context.Background(), 0, func(st Stored) error {
		want, ok := p.acked[st.Index]
		if !ok {
			return nil
		}
		found++
		payload, opening, err := op.Open(context.Background(), st)
		if err == nil {
			err = record.CheckOpening(st.Leaf, opening, payload)
		}
		if err != nil {
			return err
		}
		rec, err := record.Decode(payload)
		if err == nil && rec.Person != want {
			err = fmt.Errorf("record %d is of %q, acknowledged was %q", st.Index, rec.Person, want)
		}
		return err
	})
	if err != nil || found != len(p.acked) {
		t.Fatalf("%s: %d of %d acknowledged records found, %v", what, found, len(p.acked), err)
	}
}

const crashRounds = 8

// TestCrashAtEveryOperation stops the machine at each operation of a life, just
// before and just after it, with what was not synced lost, kept or torn.
func TestCrashAtEveryOperation(t *testing.T) {
	k := newTestKeys(t)
	for _, after := range []bool{false, true} {
		for _, f := range []fate{lost, kept, torn} {
			t.Run(fmt.Sprintf("after=%v,%v", after, f), func(t *testing.T) {
				t.Parallel()
				points := 0
				for at := 1; ; at++ {
					what := fmt.Sprintf("crash at operation %d", at)
					rng := rand.New(rand.NewPCG(uint64(at), 7))
					m, p := newMemFS(), &life{acked: make(map[uint64]string), witness: &strictWitness{}}
					m.crashAt, m.after = at, after
					err := k.workload(t, m, p, 0, crashRounds)
					if !m.dead {
						if err != nil {
							t.Fatal(err)
						}
						break
					}
					points++
					m = m.crashed(f, rng)
					if at%3 == 0 {
						// And once more while recovering.
						m.crashAt, m.after = 1+rng.IntN(20), after
						k.workload(t, m, p, 100, 1)
						what += fmt.Sprintf(" and again at %d", m.crashAt)
						m = m.crashed(f, rng)
					}
					k.verify(t, what, m, p)
				}
				if points < 100 {
					t.Errorf("only %d points were tried", points)
				}
			})
		}
	}
}

// TestKilledProcess ends the process, not the machine, at each operation: what
// was written and not synced is still there for the next one, which must not
// take it for durable without syncing it.
func TestKilledProcess(t *testing.T) {
	k := newTestKeys(t)
	for at := 1; ; at++ {
		m, p := newMemFS(), &life{acked: make(map[uint64]string), witness: &strictWitness{}}
		m.crashAt, m.after = at, true
		err := k.workload(t, m, p, 0, 4)
		if !m.dead {
			if err != nil {
				t.Fatal(err)
			}
			return
		}
		m.rebooted()
		if err := k.workload(t, m, p, 100, 2); err != nil {
			t.Fatalf("killed at operation %d: %v", at, err)
		}
		k.verify(t, fmt.Sprintf("killed at operation %d", at), m.crashed(lost, nil), p)
	}
}

// TestFailedSyncIsNeverTrusted fails one sync. Linux then calls the pages clean:
// the next process reads records that are not on the disk, and its own sync
// says nothing about them.
func TestFailedSyncIsNeverTrusted(t *testing.T) {
	k := newTestKeys(t)
	boom := errors.New("input/output error")
	tried := 0
	for n := 1; ; n++ {
		m, p := newMemFS(), &life{acked: make(map[uint64]string), witness: &strictWitness{}}
		syncs, failed := 0, ""
		m.fail = func(op, name string) error {
			if op != "sync" && op != "syncdir" {
				return nil
			}
			if syncs++; syncs == n {
				failed = name
				return boom
			}
			return nil
		}
		err := k.workload(t, m, p, 0, 4)
		if syncs < n {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		tried++
		if failed != nextSegment && !errors.Is(err, boom) {
			t.Fatalf("sync %d, of %s, failed and the log said %v", n, failed, err)
		}
		m.rebooted()
		if err := k.workload(t, m, p, 100, 2); err != nil {
			t.Fatalf("after the failed sync %d, of %s: %v", n, failed, err)
		}
		k.verify(t, fmt.Sprintf("sync %d, of %s, failed", n, failed), m.crashed(lost, nil), p)
	}
	if tried < 30 {
		t.Errorf("only %d syncs failed", tried)
	}
}
