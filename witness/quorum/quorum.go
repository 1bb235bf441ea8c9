package quorum

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"shiguan/auditlog"
	"shiguan/auditlog/tiles"
)

const (
	defaultTimeout = 5 * time.Second
	defaultGrace   = 250 * time.Millisecond
)

// Options configure a Quorum. Policy is required.
type Options struct {
	Policy     *tiles.Policy // which witnesses to ask, where, with which keys, and how many must sign
	Client     *http.Client  // one with sensible limits if nil; its Timeout and CheckRedirect are not used
	Timeout    time.Duration // for all that is asked of one witness for one head, default 5 s
	Grace      time.Duration // for the other witnesses once the quorum has signed, default 250 ms
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Clock      func() time.Time // for the age of cosignatures; time.Now if nil
}

// Quorum asks the witnesses of a policy to co-sign the heads of one log. It is safe for concurrent use.
type Quorum struct {
	policy  *tiles.Policy
	client  *http.Client
	timeout time.Duration
	grace   time.Duration
	logger  *slog.Logger
	metrics *metrics
	peers   []*peer

	base   context.Context // ends with Close; requests outlive the Cosign that began them
	cancel context.CancelFunc

	mu       sync.Mutex
	asking   sync.WaitGroup   // Add only under mu and before closed
	closed   bool             // guarded by mu
	largest  tiles.Checkpoint // guarded by mu: the largest head that Cosign was ever given
	rollback error            // guarded by mu: set once, by whoever proves it
}

// peer is one witness: an address, and the keys that the policy has of whoever is there. A witness with an Ed25519 and an
// ML-DSA-44 key stands in the policy twice, with one URL; it is asked once and answers with a line for each.
type peer struct {
	url  string
	keys []tiles.PolicyWitness // at least one
	// turn is held by the one goroutine that talks to the witness, and guards the fields below.
	turn  chan struct{}
	size  uint64 // the size that the witness last co-signed, as far as we know
	claim string // the last unproven claim that was logged
}

var _ auditlog.Cosigner = (*Quorum)(nil)

// New returns a Quorum. It talks to nobody yet.
func New(o Options) (*Quorum, error) {
	if o.Policy == nil {
		return nil, errors.New("no quorum policy: without one nothing says which witnesses count")
	}
	q := &Quorum{policy: o.Policy, timeout: o.Timeout, grace: o.Grace, logger: o.Logger, client: newClient(o.Client)}
	if q.timeout == 0 {
		q.timeout = defaultTimeout
	}
	if q.grace == 0 {
		q.grace = defaultGrace
	}
	if q.logger == nil {
		q.logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	q.peers = peersOf(o.Policy)
	var err error
	if q.metrics, err = newMetrics(o.Policy, o.Clock, o.Registerer); err != nil {
		return nil, err
	}
	q.base, q.cancel = context.WithCancel(context.Background())
	return q, nil
}

func peersOf(policy *tiles.Policy) []*peer {
	var peers []*peer
	at := make(map[string]*peer)
	for _, w := range policy.Witnesses {
		url := strings.TrimSuffix(w.URL, "/")
		p := at[url]
		if p == nil || url == "" {
			p = &peer{url: url, turn: make(chan struct{}, 1)}
			at[url] = p
			peers = append(peers, p)
		}
		p.keys = append(p.keys, w)
	}
	return peers
}

// name is what messages about the witness call it.
func (p *peer) name() string { return p.keys[0].Name }

// newClient copies the client, so that redirections can be refused: a cosignature comes from where the policy says.
func newClient(given *http.Client) *http.Client {
	c := http.Client{}
	if given != nil {
		c = *given
	} else {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxIdleConnsPerHost = 1
		transport.MaxConnsPerHost = 2
		transport.MaxResponseHeaderBytes = 16 << 10
		c.Transport = transport
	}
	c.Timeout = 0
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// Close gives up on requests that are still under way and waits until they have ended. Cosign fails from then on.
func (q *Quorum) Close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.cancel()
	q.asking.Wait()
	q.client.CloseIdleConnections()
	q.metrics.unregister()
}

// Cosign asks all witnesses for cosignatures of a checkpoint that the log has signed. It returns the checkpoint with the
// log's signature and all valid cosignatures, in the order of the policy, once the quorum has signed and the others have
// had their grace. If the quorum is not reached it returns what there is and a *NotReachedError. prove must give the
// consistency proof from a smaller size to this one; it is not called after Cosign has returned, nor concurrently.
func (q *Quorum) Cosign(ctx context.Context, signed []byte, size uint64, prove func(old uint64) ([]tiles.Hash, error)) ([]byte, error) {
	r, err := q.newRound(signed, size, prove)
	if err != nil {
		return nil, err
	}
	answers, err := q.askAll(r)
	if err != nil {
		return nil, err
	}
	defer r.end()
	said := make(map[string]error, len(q.policy.Witnesses)) // nil: co-signed
	enough := make(<-chan time.Time)                        // never ready; replaced once the rest has only its grace
	waiting := false
	for len(said) < len(q.policy.Witnesses) {
		if !waiting && q.settled(said) {
			waiting = true
			grace := time.NewTimer(q.grace)
			defer grace.Stop()
			enough = grace.C
		}
		select {
		case of := <-answers:
			for _, a := range of {
				said[a.witness] = a.err
				r.keep(a)
			}
			if err := q.proven(); err != nil {
				return r.cosigned(), err
			}
			continue
		case <-enough:
		case <-ctx.Done():
			r.abandon()
			return r.cosigned(), fmt.Errorf("asking the witnesses: %w", ctx.Err())
		}
		break
	}
	if err := q.proven(); err != nil {
		return r.cosigned(), err
	}
	return q.result(r, said)
}

// settled reports that it no longer matters for the quorum what the silent witnesses say: it is reached without them, or out
// of reach with them.
func (q *Quorum) settled(said map[string]error) bool {
	signed := func(w string) bool { err, ok := said[w]; return ok && err == nil }
	possible := func(w string) bool { err, ok := said[w]; return !ok || err == nil }
	return q.policy.Satisfied(signed) || !q.policy.Satisfied(possible)
}

// result has the policy judge the checkpoint itself and not what we believe to have put into it.
func (q *Quorum) result(r *round, said map[string]error) ([]byte, error) {
	cosigned := r.cosigned()
	_, _, err := q.policy.Check(cosigned)
	if short := (*tiles.QuorumError)(nil); errors.As(err, &short) {
		e := &NotReachedError{Need: q.policy.Rule(), Size: r.head.Size}
		for _, w := range q.policy.Witnesses {
			answer, ok := said[w.Name]
			if !ok {
				answer = errSilent
			}
			e.Said = append(e.Said, Said{Witness: w.Name, Err: answer})
		}
		return cosigned, e
	}
	return cosigned, err
}

// proven returns the rollback that a witness has proved, now or earlier.
func (q *Quorum) proven() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.rollback
}
