package quorum_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/mod/sumdb/tlog"

	"shiguan/auditlog/tiles"
	"shiguan/witness"
	"shiguan/witness/quorum"
)

const origin = "log.example/civil"

// testLog is a log in memory. Its proofs come from golang.org/x/mod/sumdb/tlog.
type testLog struct {
	t      *testing.T
	signer *tiles.LogSigner
	vkey   string
	hashes []tlog.Hash
	size   uint64
}

func newTestLog(t *testing.T) *testLog {
	t.Helper()
	skey, vkey, err := tiles.GenerateLogKey(origin)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := tiles.NewLogSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	return &testLog{t: t, signer: signer, vkey: vkey}
}

// fork is a log with the same key and the first leaves of this one.
func (l *testLog) fork(size uint64, word string) *testLog {
	other := &testLog{t: l.t, signer: l.signer, vkey: l.vkey}
	other.grow(size, "leaf")
	other.grow(max(size, l.size), word)
	return other
}

func (l *testLog) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, n := range indexes {
		out[i] = l.hashes[n]
	}
	return out, nil
}

func (l *testLog) grow(size uint64, word string) {
	l.t.Helper()
	for ; l.size < size; l.size++ {
		h, err := tlog.StoredHashes(int64(l.size), fmt.Appendf(nil, "%s %d", word, l.size), l)
		if err != nil {
			l.t.Fatal(err)
		}
		l.hashes = append(l.hashes, h...)
	}
}

func (l *testLog) head(size uint64) tiles.Checkpoint {
	l.t.Helper()
	if size == 0 {
		return tiles.Checkpoint{Origin: origin, Root: tiles.EmptyRoot()}
	}
	root, err := tlog.TreeHash(int64(size), l)
	if err != nil {
		l.t.Fatal(err)
	}
	return tiles.Checkpoint{Origin: origin, Size: size, Root: tiles.Hash(root)}
}

func (l *testLog) signed(size uint64) []byte {
	l.t.Helper()
	signed, err := tiles.SignCheckpoint(l.head(size), l.signer)
	if err != nil {
		l.t.Fatal(err)
	}
	return signed
}

// prover polices what Cosign promises about prove: never twice at a time, never after Cosign has returned.
func (l *testLog) prover(size uint64) (prove func(uint64) ([]tiles.Hash, error), done func()) {
	var running, over atomic.Bool
	prove = func(old uint64) ([]tiles.Hash, error) {
		if over.Load() {
			l.t.Errorf("prove was called after Cosign had returned")
		}
		if !running.CompareAndSwap(false, true) {
			l.t.Errorf("prove was called twice at a time")
		}
		defer running.Store(false)
		if old == 0 || old >= size {
			l.t.Errorf("prove was called for %d of %d", old, size)
		}
		proof, err := tlog.ProveTree(int64(size), int64(old), l)
		if err != nil {
			return nil, err
		}
		out := make([]tiles.Hash, len(proof))
		for i, h := range proof {
			out[i] = tiles.Hash(h)
		}
		return out, nil
	}
	return prove, func() { over.Store(true) }
}

// testWitness is a real witness behind a handler that a test may put something before.
type testWitness struct {
	t    *testing.T
	name string
	skey string
	vkey string
	opts witness.Options
	w    *witness.Witness
	srv  *httptest.Server

	before   atomic.Pointer[func(rw http.ResponseWriter, r *http.Request, next http.Handler)]
	requests atomic.Int64 // add-checkpoint calls
}

func newTestWitness(t *testing.T, name string, log *testLog) *testWitness {
	t.Helper()
	skey, vkey, err := tiles.GenerateWitnessKey(name + ".example")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := tiles.NewCosigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	tw := &testWitness{t: t, name: name, skey: skey, vkey: vkey}
	tw.opts = witness.Options{Signer: signer, Logs: []witness.LogConfig{{Origin: origin, VKey: log.vkey}}, StateDir: t.TempDir(),
		Limits: witness.Limits{StrangerRate: 1e9, StrangerBurst: 1e9, KnownRate: 1e9, KnownBurst: 1e9}}
	if tw.w, err = witness.Open(tw.opts); err != nil {
		t.Fatal(err)
	}
	tw.srv = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/add-checkpoint") {
			tw.requests.Add(1)
		}
		next := tw.w.Handler()
		if before := tw.before.Load(); before != nil {
			(*before)(rw, r, next)
			return
		}
		next.ServeHTTP(rw, r)
	}))
	t.Cleanup(func() {
		tw.srv.Close()
		if err := tw.w.Close(); err != nil {
			t.Error(err)
		}
	})
	return tw
}

// put puts something before the witness; nil takes it away.
func (w *testWitness) put(before func(rw http.ResponseWriter, r *http.Request, next http.Handler)) {
	if before == nil {
		w.before.Store(nil)
		return
	}
	w.before.Store(&before)
}

// stall makes the witness accept requests and not answer until released, which happens at the end of the test at the latest.
func (w *testWitness) stall() (release func()) {
	held := make(chan struct{})
	release = sync.OnceFunc(func() { close(held) })
	w.put(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		select {
		case <-held:
			next.ServeHTTP(rw, r)
		case <-r.Context().Done():
		}
	})
	w.t.Cleanup(release)
	return release
}

// submit sends a head to the witness directly, as another copy of the log would.
func (w *testWitness) submit(log *testLog, old, size uint64) {
	w.t.Helper()
	var proof []string
	if old > 0 && old < size {
		hashes, err := tlog.ProveTree(int64(size), int64(old), log)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, h := range hashes {
			proof = append(proof, h.String()+"\n")
		}
	}
	body := fmt.Sprintf("old %d\n%s\n%s", old, strings.Join(proof, ""), log.signed(size))
	resp, err := http.Post(w.srv.URL+"/add-checkpoint", "text/plain", strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		w.t.Fatalf("witness %s answers %s", w.name, resp.Status)
	}
}

// city is a log, three witnesses and the quorum of two of them.
type city struct {
	t         *testing.T
	log       *testLog
	witnesses []*testWitness
	policy    *tiles.Policy
	registry  *prometheus.Registry
	opts      quorum.Options
	q         *quorum.Quorum
}

func newCity(t *testing.T, change ...func(*quorum.Options)) *city {
	t.Helper()
	c := &city{t: t, log: newTestLog(t), registry: prometheus.NewRegistry()}
	c.log.grow(100, "leaf")
	text := "log " + c.log.vkey + "\n"
	for _, name := range []string{"discipline-inspection", "audit-office", "data-bureau"} {
		w := newTestWitness(t, name, c.log)
		c.witnesses = append(c.witnesses, w)
		text += fmt.Sprintf("witness %s %s %s/\n", name, w.vkey, w.srv.URL)
	}
	text += "group city 2 discipline-inspection audit-office data-bureau\nquorum city\n"
	c.setPolicy(text)
	// Nothing in these tests may hang on a grace that is too short, nor wait for one.
	c.opts = quorum.Options{Policy: c.policy, Timeout: time.Minute, Grace: time.Minute, Registerer: c.registry}
	for _, f := range change {
		f(&c.opts)
	}
	c.start()
	t.Cleanup(func() { c.q.Close() })
	return c
}

func (c *city) setPolicy(text string) {
	c.t.Helper()
	policy, err := tiles.ParsePolicy([]byte(text))
	if err != nil {
		c.t.Fatal(err)
	}
	c.policy = policy
}

func (c *city) start() {
	c.t.Helper()
	q, err := quorum.New(c.opts)
	if err != nil {
		c.t.Fatal(err)
	}
	c.q = q
}

func (c *city) restart() {
	c.t.Helper()
	c.q.Close()
	c.start()
}

func (c *city) cosign(log *testLog, size uint64) ([]byte, error) {
	c.t.Helper()
	prove, done := log.prover(size)
	defer done()
	return c.q.Cosign(context.Background(), log.signed(size), size, prove)
}

// cosigned has a head co-signed and checks who signed it.
func (c *city) cosigned(size uint64, by ...string) []byte {
	c.t.Helper()
	signed, err := c.cosign(c.log, size)
	if err != nil {
		c.t.Fatal(err)
	}
	c.checkSigned(signed, size, by...)
	if _, _, err := c.policy.CheckStrict(signed); err != nil {
		c.t.Errorf("not in the policy's order: %v", err)
	}
	return signed
}

func (c *city) checkSigned(signed []byte, size uint64, by ...string) {
	c.t.Helper()
	head, err := c.policy.CheckLog(signed)
	if err != nil {
		c.t.Fatal(err)
	}
	if head != c.log.head(size) {
		c.t.Errorf("head of size %d is co-signed, want %d", head.Size, size)
	}
	n, err := tiles.ParseNote(signed)
	if err != nil {
		c.t.Fatal(err)
	}
	var names []string
	for _, w := range c.policy.Witnesses {
		if _, err := n.Verify(w.Verifier); err == nil {
			names = append(names, w.Name)
		}
	}
	if got, want := strings.Join(names, " "), strings.Join(by, " "); got != want {
		c.t.Errorf("co-signed by %q, want %q", got, want)
	}
	if len(n.Signatures) != 1+len(by) {
		c.t.Errorf("%d signature lines, want the log's and %d", len(n.Signatures), len(by))
	}
}

func (c *city) witness(name string) *testWitness {
	c.t.Helper()
	for _, w := range c.witnesses {
		if w.name == name {
			return w
		}
	}
	c.t.Fatalf("no witness %s", name)
	return nil
}

const (
	inspection = "discipline-inspection"
	auditors   = "audit-office"
	bureau     = "data-bureau"
)
