package session_test

import (
	"math/rand/v2"
	"testing"

	"shiguan/proxy/session"
)

// naive keeps every definition of one name and looks at all of them each time.
type naive struct {
	values  []string
	fates   []*session.Fate
	batches []uint64
}

// inForce drops what never came into force and what was replaced by something that did.
func (n *naive) inForce() {
	for i := len(n.fates) - 1; i >= 0; i-- {
		switch n.fates[i].Get() {
		case session.Done:
			n.values, n.fates, n.batches = n.values[i:], n.fates[i:], n.batches[i:]
			return
		case session.Failed, session.Skipped:
			if i == len(n.fates)-1 {
				n.values, n.fates, n.batches = n.values[:i], n.fates[:i], n.batches[:i]
			}
		}
	}
}

func (n *naive) unsettled(batch uint64) *session.Fate {
	n.inForce()
	for i := len(n.fates) - 1; i >= 0; i-- {
		if n.batches[i] != batch && n.fates[i].Get() == session.Pending {
			return n.fates[i]
		}
	}
	return nil
}

// However often a pipeline defines a name, what must be settled first is found as by looking at every definition.
func TestUnsettledAgreesWithTheNaiveWay(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(5, seed))
		n, ref := session.NewNames[string](), &naive{}
		batch, answered := uint64(1), 0
		var sent []*session.Fate
		for range 300 {
			switch r.IntN(6) {
			case 0, 1, 2:
				f := new(session.Fate)
				n.Define("s", "x", f, batch)
				ref.inForce()
				ref.values, ref.fates, ref.batches = append(ref.values, "x"), append(ref.fates, f), append(ref.batches, batch)
				sent = append(sent, f)
			case 3:
				batch++
			default: // the server answers in order
				if answered < len(sent) {
					sent[answered].Set([]uint32{session.Done, session.Failed, session.Skipped}[r.IntN(3)])
					answered++
				}
			}
			if got, want := n.Unsettled("s", batch), ref.unsettled(batch); got != want {
				t.Fatalf("seed %d: %p must be settled, want %p", seed, got, want)
			}
		}
	}
}

// A pipeline of n executions costs n, not n times n: each step looks at a bounded number of definitions.
func BenchmarkLongPipeline(b *testing.B) {
	n := session.NewNames[int]()
	for i := range b.N {
		n.Define("", i, new(session.Fate), 1)
		if n.Unsettled("", 1) != nil {
			b.Fatal("waits for its own batch")
		}
	}
}
