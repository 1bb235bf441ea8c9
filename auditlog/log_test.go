package auditlog

import (
	"context"
	"testing"

	"filippo.io/age"
)

func TestAppendAndReadBack(t *testing.T) {
	k := newTestKeys(t)
	dir := t.TempDir()
	o := k.options(t, dir)
	o.Cosigner = agree{}
	next := uint64(0)
	for life := range 3 {
		l := mustOpen(t, o)
		next++ // the key period
		for i := range uint64(700) {
			r := mustAppend(t, l, i+1, "p")
			if r.Index() != next {
				t.Fatalf("index %d, want %d", r.Index(), next)
			}
			next++
			if i%100 == 99 {
				if err := r.Wait(); err != nil {
					t.Fatal(err)
				}
				if durable, err := r.State(); !durable || err != nil {
					t.Fatalf("after Wait: durable %v, %v", durable, err)
				}
			}
		}
		if life == 1 {
			waitFor(t, l, "witnessed", func(s Status) bool { return s.Witnessed == next })
		}
		mustClose(t, l)
		if s := l.Status(); s.Witnessed != next || s.Integrated != next || s.Durable != next {
			t.Fatalf("after Close: %+v, want %d", s, next)
		}
	}
	src, err := OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := src.Status(context.Background())
	if err != nil || s.Durable != next || s.Witnessed != next || s.Period != 3 {
		t.Fatalf("%+v, %v", s, err)
	}
	op := NewOpener(src, []age.Identity{k.identity})
	n := uint64(0)
	err = src.Records(context.Background(), 0, func(st Stored) error {
		if st.Index != n {
			t.Fatalf("index %d, want %d", st.Index, n)
		}
		n++
		_, _, err := op.Open(context.Background(), st)
		return err
	})
	if err != nil || n != next {
		t.Fatalf("%d records, %v", n, err)
	}
}

func TestFsckHoldsWhatWasWritten(t *testing.T) {
	k := newTestKeys(t)
	dir := t.TempDir()
	o := k.options(t, dir)
	o.Cosigner = agree{}
	l := mustOpen(t, o)
	for i := range uint64(1500) {
		mustAppend(t, l, i+1, "p")
	}
	mustClose(t, l)
	r := k.mustFsck(t, mustDir(t, dir))
	if r.Durable != 1501 || r.Integrated != 1501 || r.Witnessed != 1501 || r.Opened != 1501 || r.Open != 1 || r.Tiles < 12 || r.TornTail {
		t.Errorf("%+v", r)
	}
}
