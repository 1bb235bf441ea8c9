package quorum

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"shiguan/auditlog/tiles"
)

// round is one head on its way to the witnesses. Goroutines that ask slow witnesses may outlive it.
type round struct {
	head tiles.Checkpoint
	log  tiles.Note // the checkpoint with the log's own signatures only, which is what witnesses are sent

	ctx     context.Context // of the requests
	abandon context.CancelFunc
	over    chan struct{} // closed when Cosign returns

	mu     sync.Mutex
	ended  bool
	prove  func(old uint64) ([]tiles.Hash, error)
	proofs map[uint64][]tiles.Hash

	policy *tiles.Policy
	have   map[string]tiles.Signature // by witness; only Cosign's goroutine uses it
}

// answer is what asking a witness came to for one key of the policy.
type answer struct {
	witness   string          // as the policy calls the key
	signature tiles.Signature // verified, if err is nil
	err       error
}

// newRound checks that the head is one that witnesses can be asked about: signed by the log, and not contradicting what they
// were asked about before.
func (q *Quorum) newRound(signed []byte, size uint64, prove func(uint64) ([]tiles.Hash, error)) (*round, error) {
	head, log, err := openHead(q.policy, signed)
	if err != nil {
		return nil, fmt.Errorf("asking the witnesses: %w", err)
	}
	if head.Size != size {
		return nil, fmt.Errorf("asking the witnesses: the checkpoint has size %d, not %d", head.Size, size)
	}
	r := &round{head: head, log: *log, prove: prove, proofs: make(map[uint64][]tiles.Hash), over: make(chan struct{}),
		policy: q.policy, have: make(map[string]tiles.Signature)}
	r.ctx, r.abandon = context.WithCancel(q.base)
	return r, nil
}

// openHead verifies the log's signatures by the keys of the policy, and leaves out all lines but the log's own. One by a key
// that the policy does not name stays: a witness may have been given that one.
func openHead(policy *tiles.Policy, signed []byte) (tiles.Checkpoint, *tiles.Note, error) {
	head, err := policy.CheckLog(signed)
	if err != nil {
		return head, nil, err
	}
	n, err := tiles.ParseNote(signed)
	if err != nil {
		return head, nil, err
	}
	n.Signatures = slices.DeleteFunc(n.Signatures, func(s tiles.Signature) bool { return s.Name != head.Origin })
	return head, n, nil
}

// askAll begins to ask every witness.
func (q *Quorum) askAll(r *round) (<-chan []answer, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	largest := q.largest
	switch {
	case q.rollback != nil:
		r.abandon()
		return nil, q.rollback
	case q.closed:
		r.abandon()
		return nil, errClosed
	case largest.Origin != "" && largest.Origin != r.head.Origin:
		r.abandon()
		return nil, fmt.Errorf("asking the witnesses for %s after %s: each log needs a Quorum of its own", r.head.Origin, largest.Origin)
	case r.head.Size < largest.Size, largest.Size > 0 && r.head.Size == largest.Size && r.head.Root != largest.Root:
		r.abandon()
		return nil, fmt.Errorf("the log wants a head of size %d co-signed after one of size %d that it contradicts: "+
			"it was changed while it was running", r.head.Size, largest.Size)
	}
	q.largest = r.head
	answers := make(chan []answer, len(q.peers)) // nobody need read them
	var asking sync.WaitGroup
	for _, p := range q.peers {
		asking.Add(1)
		q.asking.Go(func() {
			defer asking.Done()
			of, err := q.ask(r, p)
			if err != nil {
				of = p.failed(err)
			}
			answers <- of
		})
	}
	q.asking.Go(func() {
		asking.Wait()
		r.abandon() // frees the context
	})
	return answers, nil
}

// failed is err as the answer for each key of the witness.
func (p *peer) failed(err error) (of []answer) {
	for _, w := range p.keys {
		of = append(of, answer{witness: w.Name, err: err})
	}
	return of
}

// ask waits for the witness's turn and talks to it within the timeout. Without an error there is an answer for each key, and
// at least one of them is good.
func (q *Quorum) ask(r *round, p *peer) ([]answer, error) {
	if p.url == "" {
		return nil, errNoURL
	}
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-r.over:
		return nil, errBusy
	case <-r.ctx.Done():
		return nil, errBusy
	}
	if p.size > r.head.Size {
		return nil, errRoundOver // a concurrent Cosign of a larger head was faster
	}
	ctx, cancel := context.WithTimeoutCause(r.ctx, q.timeout, fmt.Errorf("no answer within %v", q.timeout))
	defer cancel()
	of, err := q.submit(ctx, r, p)
	if err == nil {
		p.size = r.head.Size
		return of, nil
	}
	if cause := context.Cause(ctx); errors.Is(err, context.DeadlineExceeded) && cause != nil {
		err = cause
	}
	return nil, err
}

// keep takes a verified cosignature.
func (r *round) keep(a answer) {
	if a.err == nil {
		r.have[a.witness] = a.signature
	}
}

// cosigned is the checkpoint with the log's signatures and all cosignatures kept, in the order of the policy.
func (r *round) cosigned() []byte {
	n := r.log
	n.Signatures = append([]tiles.Signature(nil), n.Signatures...)
	for _, w := range r.policy.Witnesses {
		if sig, ok := r.have[w.Name]; ok {
			n.Signatures = append(n.Signatures, sig)
		}
	}
	return n.Marshal()
}

// proof returns the consistency proof from old. prove is called once for each old size, by one goroutine at a time, and not
// once Cosign has returned.
func (r *round) proof(old uint64) ([]tiles.Hash, error) {
	if old == 0 || old == r.head.Size {
		return nil, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return nil, errRoundOver
	}
	if proof, ok := r.proofs[old]; ok {
		return proof, nil
	}
	proof, err := r.prove(old)
	if err != nil {
		return nil, fmt.Errorf("proving consistency with size %d: %w", old, err)
	}
	r.proofs[old] = proof
	return proof, nil
}

// end makes the round over. It waits for a proof that is being made.
func (r *round) end() {
	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
	close(r.over)
}

// timeOf is the time that a verified cosignature states.
func timeOf(sig tiles.Signature) time.Time {
	at, err := tiles.CosignatureTime(sig.Blob)
	if err != nil {
		return time.Time{}
	}
	return at
}
