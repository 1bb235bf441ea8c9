package auditlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"filippo.io/age"

	"shiguan/auditlog/record"
	"shiguan/auditlog/record/seal"
)

func (k testKeys) fsck(t *testing.T, m *memFS) (Report, error) {
	t.Helper()
	return Fsck(context.Background(), newDirSource("mem", m), FsckOptions{Policy: k.policy(t), Identities: []age.Identity{k.identity}})
}

// Every bit of every file that says anything: changed, it is found.
func TestFsckFindsEveryChangedByte(t *testing.T) {
	k := newTestKeys(t)
	m := newMemFS()
	o := k.crashOptions(t, m, &strictWitness{})
	for range 2 {
		l := mustOpen(t, o)
		for i := range uint64(4) {
			if err := mustAppend(t, l, i+1, "p").Wait(); err != nil {
				t.Fatal(err)
			}
			if _, err := l.signer.step(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.witnessing.step(context.Background()); err != nil {
			t.Fatal(err)
		}
		started := &record.Record{Kind: record.KindStarted, Time: testTime} // ends the session
		if _, err := l.appendRecord(l.sealer.Load(), started); err != nil {
			t.Fatal(err)
		}
		mustClose(t, l)
	}
	if _, err := k.fsck(t, m); err != nil {
		t.Fatal(err)
	}
	tried := 0
	for name, b := range m.list("") {
		if name == "lock" {
			continue
		}
		written := len(bytes.TrimRight(b, "\x00"))
		if strings.HasPrefix(name, segmentDir) {
			written = len(b) // behind the last record too
		}
		for i := 0; i < written; i += 1 + written/40 {
			tried++
			mustEdit(t, m, name, flip(int64(i)))
			r, err := k.fsck(t, m)
			// The record of a period's key is sealed in it. The next period's record
			// vouches for it too; the last period has no next.
			hidden := name == keyName(2) && r.NotForUs > 0
			if err == nil && !r.TornTail && !hidden {
				t.Fatalf("%s with byte %d changed passes: %+v", name, i, r)
			}
			if err != nil && err.Error() == "" {
				t.Fatalf("%s, byte %d: no words", name, i)
			}
			mustEdit(t, m, name, flip(int64(i)))
		}
	}
	if tried < 400 {
		t.Errorf("only %d bytes were tried", tried)
	}
}

func TestFsckFindsMissingAndCutFiles(t *testing.T) {
	k := newTestKeys(t)
	base, _ := memLog(t, k, 299, 0)
	l, err := reopen(t, k, base)
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, l)
	names := base.list("")
	if len(names) < 15 {
		t.Fatalf("%d files", len(names))
	}
	for name := range names {
		if name == "lock" {
			continue
		}
		for what, change := range map[string]func(m *memFS) error{
			"missing": func(m *memFS) error { return m.remove(name) },
			"cut":     func(m *memFS) error { return m.edit(name, func(b []byte) []byte { return b[:len(b)/3] }) },
		} {
			if what == "missing" && (name == checkpointFile || strings.HasSuffix(name, ".p/44")) {
				continue // a legal log: nothing was published; partial of a size that was not
			}
			m := base.crashed(kept, nil)
			if err := change(m); err != nil {
				t.Fatal(err)
			}
			if what == "cut" && len(bytes.TrimRight(names[name], "\x00")) <= len(m.list(name)[name]) {
				continue // of zeroes only
			}
			if r, err := k.fsck(t, m); err == nil {
				t.Errorf("%s %s passes: %+v", name, what, r)
			}
		}
	}
}

// forge is a log made of records of the test's choice by somebody who has all
// the keys: the proxy itself, gone wrong.
func forge(t *testing.T, k testKeys, records ...*record.Record) *memFS {
	t.Helper()
	m := newMemFS()
	l := mustOpen(t, k.crashOptions(t, m, &strictWitness{}))
	for _, r := range records {
		r.Time = testTime
		if _, err := l.appendRecord(l.sealer.Load(), r); err != nil {
			t.Fatal(err)
		}
	}
	mustClose(t, l)
	return m
}

func statement(session string, seq uint64, decision string) *record.Record {
	return &record.Record{Kind: record.KindStatement, Session: session, Seq: seq, Decision: decision}
}

func closing(session string, statements, refused, failed int64) *record.Record {
	return &record.Record{Kind: record.KindSessionClosed, Session: session,
		Totals: &record.Totals{Statements: statements, Refused: refused, Failed: failed}}
}

func TestFsckFollowsSessions(t *testing.T) {
	k := newTestKeys(t)
	const ok, no, bad = record.DecisionAllowed, record.DecisionRefused, record.DecisionFailed
	open := func(s string) *record.Record { return &record.Record{Kind: record.KindSessionOpened, Session: s} }
	started := &record.Record{Kind: record.KindStarted}
	of := uint64(3)
	for name, c := range map[string]struct {
		records []*record.Record
		want    string // part of the contradiction; empty: none
		closed  uint64
	}{
		"two sessions interleaved": {[]*record.Record{open("a"), open("b"), statement("a", 1, ok), statement("b", 1, no), statement("a", 2, bad),
			closing("b", 1, 1, 0), closing("a", 2, 0, 1)}, "", 2},
		"session without statements":           {[]*record.Record{open("a"), closing("a", 0, 0, 0)}, "", 1},
		"interrupted":                          {[]*record.Record{open("a"), statement("a", 1, ok), started, open("b"), closing("b", 0, 0, 0)}, "", 1},
		"gap":                                  {[]*record.Record{statement("a", 1, ok), statement("a", 3, ok)}, "gap", 0},
		"gap at the beginning":                 {[]*record.Record{open("a"), statement("a", 2, ok)}, "gap", 0},
		"twice":                                {[]*record.Record{statement("a", 1, ok), statement("a", 1, ok)}, "gap", 0},
		"backwards":                            {[]*record.Record{statement("a", 1, ok), statement("a", 2, ok), statement("a", 1, ok)}, "gap", 0},
		"more in totals":                       {[]*record.Record{statement("a", 1, ok), closing("a", 2, 0, 0)}, "add up", 0},
		"fewer in totals":                      {[]*record.Record{statement("a", 1, ok), closing("a", 0, 0, 0)}, "add up", 0},
		"refused not counted":                  {[]*record.Record{statement("a", 1, no), closing("a", 1, 0, 0)}, "add up", 0},
		"failed counted as refused":            {[]*record.Record{statement("a", 1, bad), closing("a", 1, 1, 0)}, "add up", 0},
		"no totals":                            {[]*record.Record{{Kind: record.KindSessionClosed, Session: "a"}}, "totals", 0},
		"statement after the end":              {[]*record.Record{statement("a", 1, ok), closing("a", 1, 0, 0), statement("a", 2, ok)}, "gap", 0},
		"statement of a session of a life ago": {[]*record.Record{statement("a", 1, ok), started, statement("a", 2, ok)}, "gap", 0},
		"speaks of the future":                 {[]*record.Record{{Kind: record.KindOutcome, Session: "a", Of: &of}}, "not before it", 0},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := k.fsck(t, forge(t, k, c.records...))
			var bad *Contradiction
			switch {
			case c.want == "":
				if err != nil || r.Sessions != c.closed {
					t.Errorf("%+v, %v", r, err)
				}
			case !errors.As(err, &bad) || !strings.Contains(err.Error(), c.want):
				t.Errorf("%v, want a contradiction about %q", err, c.want)
			}
		})
	}
}

// A record that is sealed and committed to but is none, or belies its leaf, is
// found when somebody opens it.
func TestFsckLooksIntoPayloads(t *testing.T) {
	k := newTestKeys(t)
	good := payloadOf(t, 1, "p")
	for name, c := range map[string]struct {
		kind    record.Kind
		payload []byte
	}{
		"not a record":  {record.KindStatement, []byte("{}")},
		"not canonical": {record.KindStatement, append(bytes.Clone(good), '\n')},
		"another kind":  {record.KindHeartbeat, good},
	} {
		m := newMemFS()
		l := mustOpen(t, k.crashOptions(t, m, &strictWitness{}))
		if _, err := l.Append(c.kind, testTime, c.payload); err != nil {
			t.Fatal(err)
		}
		mustClose(t, l)
		var bad *Contradiction
		if _, err := k.fsck(t, m); !errors.As(err, &bad) || bad.Where != "record 1" {
			t.Errorf("%s: %v", name, err)
		}
		// Without an identity nobody can tell.
		if _, err := Fsck(context.Background(), newDirSource("mem", m), FsckOptions{Policy: k.policy(t)}); err != nil {
			t.Errorf("%s, not opened: %v", name, err)
		}
	}
}

func TestFsckSignatures(t *testing.T) {
	k, other := newTestKeys(t), newTestKeys(t)
	m := forge(t, k, &record.Record{Kind: record.KindStarted})
	var bad *Contradiction
	_, err := Fsck(context.Background(), newDirSource("mem", m), FsckOptions{Policy: other.policy(t)})
	if !errors.As(err, &bad) {
		t.Errorf("another key's policy: %v", err)
	}
	r, err := Fsck(context.Background(), newDirSource("mem", m), FsckOptions{})
	if err != nil || r.SignaturesChecked || r.Opened != 0 {
		t.Errorf("without policy: %+v, %v", r, err)
	}
}

// An identity that is no recipient opens nothing, and that is no contradiction.
func TestFsckWithAStrangersIdentity(t *testing.T) {
	k, other := newTestKeys(t), newTestKeys(t)
	m := forge(t, k, statement("a", 1, record.DecisionAllowed))
	r, err := Fsck(context.Background(), newDirSource("mem", m), FsckOptions{Policy: k.policy(t), Identities: []age.Identity{other.identity}})
	if err != nil || r.NotForUs != 2 || r.Opened != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestErasure(t *testing.T) {
	k := newTestKeys(t)
	m := newMemFS()
	o := k.crashOptions(t, m, &strictWitness{})
	l := mustOpen(t, o)
	var r Receipt
	for i := range uint64(3) {
		r = mustAppend(t, l, i+1, "to be forgotten")
	}
	if err := r.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.ErasePeriod(1, "judge", "order 7"); err == nil {
		t.Fatal("the period in use was erased")
	}
	mustClose(t, l)
	l = mustOpen(t, o)
	mustAppend(t, l, 4, "goes on in the next period") // the session of the fixture, interrupted by nothing on record
	for name, args := range map[string][2]string{"no person": {"", "order 7"}, "no reason": {"judge", ""}} {
		if _, err := l.ErasePeriod(1, args[0], args[1]); err == nil {
			t.Errorf("erased with %s", name)
		}
	}
	erased, err := l.ErasePeriod(1, "judge", "order 7")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.ErasePeriod(1, "judge", "order 7"); !errors.Is(err, ErrErased) {
		t.Errorf("erased twice: %v", err)
	}
	mustClose(t, l)
	if n := len(m.list(keyName(1))); n != 0 {
		t.Error("the key is still there")
	}
	src := newDirSource("mem", m)
	op := NewOpener(src, []age.Identity{k.identity})
	err = src.Records(context.Background(), 0, func(st Stored) error {
		payload, _, err := op.Open(context.Background(), st)
		if want := st.Leaf.Period == 1; errors.Is(err, ErrErased) != want {
			return fmt.Errorf("record %d of period %d: %w", st.Index, st.Leaf.Period, err)
		}
		if st.Index == erased.Index() {
			rec, err := record.Decode(payload)
			if err != nil || rec.Kind != record.KindPeriodErased || rec.Person != "judge" || rec.Reason != "order 7" || rec.Detail["period"] != "1" {
				t.Errorf("record of the erasure: %+v, %v", rec, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	report, err := k.fsck(t, m)
	if err != nil || report.Erased != 4 {
		t.Errorf("%+v, %v", report, err)
	}
	// The same without the record: somebody just removed a key.
	silent := forge(t, k, statement("a", 1, record.DecisionAllowed))
	if err := eraseKey(silent, erasure{Period: 1, Person: "nobody", Reason: "none", Time: testTime}); err != nil {
		t.Fatal(err)
	}
	var bad *Contradiction
	if _, err := k.fsck(t, silent); !errors.As(err, &bad) || bad.Where != "key period 1" {
		t.Errorf("an erasure that is not on record: %v", err)
	}
	missing := forge(t, k, statement("a", 1, record.DecisionAllowed))
	if err := missing.remove(keyName(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := k.fsck(t, missing); !errors.Is(err, ErrKeyMissing) {
		t.Errorf("a missing key: %v", err)
	}
}

// An erasure that a crash cut short is finished at the next start.
func TestErasureIsFinished(t *testing.T) {
	k := newTestKeys(t)
	m := newMemFS()
	o := k.crashOptions(t, m, &strictWitness{})
	mustClose(t, mustOpen(t, o))
	l := mustOpen(t, o)
	m.mu.Lock()
	m.fail = func(op, name string) error {
		if op == "remove" && name == keyName(1) {
			return errors.New("boom")
		}
		return nil
	}
	m.mu.Unlock()
	if _, err := l.ErasePeriod(1, "judge", "order 7"); err == nil {
		t.Fatal("no error")
	}
	mustClose(t, l)
	m.rebooted()
	mustClose(t, mustOpen(t, o))
	if n := len(m.list(keyName(1))); n != 0 {
		t.Error("the key is still there")
	}
	if _, err := k.fsck(t, m); err != nil {
		t.Error(err)
	}
}

// Periods are never given twice, not even when all keys were taken away.
func TestPeriodsRise(t *testing.T) {
	k := newTestKeys(t)
	m := newMemFS()
	o := k.crashOptions(t, m, &strictWitness{})
	for want := uint32(1); want < 4; want++ {
		l := mustOpen(t, o)
		if got := l.Status().Period; got != want {
			t.Errorf("period %d, want %d", got, want)
		}
		mustClose(t, l)
		for name := range m.list(keyDir) {
			if err := m.remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestOpenerSaysWhatIsWrong(t *testing.T) {
	k, other := newTestKeys(t), newTestKeys(t)
	m := forge(t, k, statement("a", 1, record.DecisionAllowed))
	src := newDirSource("mem", m)
	var st Stored
	if err := src.Records(context.Background(), 1, func(s Stored) error { st = s; return ErrStop }); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if _, _, err := NewOpener(src, []age.Identity{other.identity}).Open(ctx, st); !errors.Is(err, seal.ErrNoIdentity) {
		t.Errorf("stranger: %v", err)
	}
	op := NewOpener(src, []age.Identity{k.identity})
	if _, _, err := op.Open(ctx, st); err != nil {
		t.Error(err)
	}
	changed := st
	changed.Sealed = bytes.Clone(st.Sealed)
	changed.Sealed[20] ^= 1
	if _, _, err := op.Open(ctx, changed); !errors.Is(err, seal.ErrSealedHash) {
		t.Errorf("changed: %v", err)
	}
	op.Forget()
	m.remove(keyName(1))
	if _, _, err := op.Open(ctx, st); !errors.Is(err, ErrKeyMissing) {
		t.Errorf("missing: %v", err)
	}
}
