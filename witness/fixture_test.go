package witness_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"shiguan/auditlog/tiles"
	"shiguan/witness"
)

// fakeLog is a log whose trees and proofs come from golang.org/x/mod/sumdb/tlog and whose notes come from sumdb/note, so
// that the witness is tested against an implementation that is not ours.
type fakeLog struct {
	t      *testing.T
	origin string
	vkey   string
	signer note.Signer
	hashes []tlog.Hash // x/mod's stored hashes
	size   uint64
}

func newFakeLog(t *testing.T, origin string) *fakeLog {
	t.Helper()
	skey, vkey, err := note.GenerateKey(nil, origin)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	return &fakeLog{t: t, origin: origin, vkey: vkey, signer: signer}
}

// fork returns a log with the same key and the same leaves so far.
func (l *fakeLog) fork() *fakeLog {
	other := *l
	other.hashes = append([]tlog.Hash(nil), l.hashes...)
	return &other
}

func (l *fakeLog) reader() tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, n := range indexes {
			out[i] = l.hashes[n]
		}
		return out, nil
	})
}

// grow appends leaves until the log has the size. The word makes forks differ.
func (l *fakeLog) grow(size uint64, word string) {
	l.t.Helper()
	for ; l.size < size; l.size++ {
		h, err := tlog.StoredHashes(int64(l.size), fmt.Appendf(nil, "%s %d", word, l.size), l.reader())
		if err != nil {
			l.t.Fatal(err)
		}
		l.hashes = append(l.hashes, h...)
	}
}

func (l *fakeLog) root(size uint64) tlog.Hash {
	l.t.Helper()
	if size == 0 {
		return tlog.Hash(tiles.EmptyRoot())
	}
	h, err := tlog.TreeHash(int64(size), l.reader())
	if err != nil {
		l.t.Fatal(err)
	}
	return h
}

func (l *fakeLog) prove(old, size uint64) []string {
	l.t.Helper()
	if old == 0 || old == size {
		return nil
	}
	proof, err := tlog.ProveTree(int64(size), int64(old), l.reader())
	if err != nil {
		l.t.Fatal(err)
	}
	lines := make([]string, len(proof))
	for i, h := range proof {
		lines[i] = h.String()
	}
	return lines
}

func (l *fakeLog) sign(text string, signers ...note.Signer) string {
	l.t.Helper()
	if len(signers) == 0 {
		signers = []note.Signer{l.signer}
	}
	signed, err := note.Sign(&note.Note{Text: text}, signers...)
	if err != nil {
		l.t.Fatal(err)
	}
	return string(signed)
}

func (l *fakeLog) text(size uint64) string {
	return fmt.Sprintf("%s\n%d\n%s\n", l.origin, size, l.root(size))
}

func (l *fakeLog) checkpoint(size uint64) string { return l.sign(l.text(size)) }

// submission is the right body to go from old to size.
func (l *fakeLog) submission(old, size uint64) string {
	return body(fmt.Sprint(old), l.prove(old, size), l.checkpoint(size))
}

func body(old string, proof []string, checkpoint string) string {
	lines := append([]string{"old " + old}, proof...)
	return strings.Join(lines, "\n") + "\n\n" + checkpoint
}

// fixture is a running witness.
type fixture struct {
	t        *testing.T
	log      *fakeLog
	opts     witness.Options
	verifier *tiles.CosignatureVerifier
	registry *prometheus.Registry
	clock    *fakeClock
	w        *witness.Witness
	srv      *httptest.Server
}

type fakeClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *fakeClock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

var unlimited = witness.Limits{StrangerRate: 1e9, StrangerBurst: 1e9, KnownRate: 1e9, KnownBurst: 1e9}

func newFixture(t *testing.T, change ...func(*witness.Options)) *fixture {
	t.Helper()
	skey, vkey, err := tiles.GenerateWitnessKey("audit-office.example")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := tiles.NewCosigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := tiles.NewCosignatureVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{
		t: t, log: newFakeLog(t, "log.example/civil"), verifier: verifier, registry: prometheus.NewRegistry(),
		clock: &fakeClock{now: time.Unix(1_790_000_000, 0)},
	}
	f.log.grow(300, "leaf")
	f.opts = witness.Options{
		Name: "audit-office.example", Signer: signer, Logs: []witness.LogConfig{{Origin: f.log.origin, VKey: f.log.vkey}},
		StateDir: t.TempDir(), Registerer: f.registry, Clock: f.clock.time, Limits: unlimited,
	}
	for _, c := range change {
		c(&f.opts)
	}
	f.start()
	t.Cleanup(f.stop)
	return f
}

func (f *fixture) start() {
	f.t.Helper()
	w, err := witness.Open(f.opts)
	if err != nil {
		f.t.Fatal(err)
	}
	f.w, f.srv = w, httptest.NewServer(w.Handler())
}

func (f *fixture) stop() {
	if f.srv == nil {
		return
	}
	f.srv.Close()
	f.srv = nil
	if err := f.w.Close(); err != nil {
		f.t.Error(err)
	}
}

func (f *fixture) restart() {
	f.t.Helper()
	f.stop()
	f.start()
}

type reply struct {
	status      int
	contentType string
	body        string
}

func (f *fixture) post(body string) reply {
	f.t.Helper()
	resp, err := http.Post(f.srv.URL+"/add-checkpoint", "text/plain", strings.NewReader(body))
	return f.read(resp, err)
}

func (f *fixture) get(path string) reply {
	f.t.Helper()
	resp, err := http.Get(f.srv.URL + path)
	return f.read(resp, err)
}

func (f *fixture) read(resp *http.Response, err error) reply {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header.Get("Content-Type"), string(b)}
}

// cosigned submits a good checkpoint and checks the answer to the letter, with sumdb/note's parser and our verifier's key.
func (f *fixture) cosigned(old, size uint64) time.Time {
	f.t.Helper()
	return f.checkCosigned(f.log.checkpoint(size), f.post(f.log.submission(old, size)))
}

func (f *fixture) checkCosigned(checkpoint string, r reply) time.Time {
	f.t.Helper()
	if r.status != http.StatusOK {
		f.t.Fatalf("answer %d %q, want 200", r.status, r.body)
	}
	for line := range strings.Lines(r.body) {
		if !strings.HasPrefix(line, "— ") || !strings.HasSuffix(line, "\n") {
			f.t.Fatalf("answer has the line %q, want signature lines only", line)
		}
	}
	n, err := note.Open([]byte(checkpoint+r.body), note.VerifierList(f.verifier))
	if err != nil {
		f.t.Fatalf("the answer is no cosignature of the checkpoint: %v", err)
	}
	if len(n.Sigs) != 1 {
		f.t.Fatalf("%d cosignatures verify, want 1", len(n.Sigs))
	}
	raw, err := base64.StdEncoding.DecodeString(n.Sigs[0].Base64)
	if err != nil {
		f.t.Fatal(err)
	}
	at, err := tiles.CosignatureTime(raw[4:])
	if err != nil {
		f.t.Fatal(err)
	}
	if at.Unix() == 0 {
		f.t.Fatal("the cosignature has timestamp 0")
	}
	return at
}

// refused checks the status and that nothing was signed.
func (f *fixture) refused(r reply, status int) {
	f.t.Helper()
	if r.status != status {
		f.t.Errorf("answer %d %q, want %d", r.status, r.body, status)
	}
	if bytes.Contains([]byte(r.body), []byte("—")) {
		f.t.Errorf("a refusal carries a signature: %q", r.body)
	}
}

func (f *fixture) conflict(r reply, size uint64) {
	f.t.Helper()
	if r.status != http.StatusConflict || r.contentType != "text/x.tlog.size" || r.body != fmt.Sprintf("%d\n", size) {
		f.t.Errorf("answer %d %s %q, want 409 text/x.tlog.size %q", r.status, r.contentType, r.body, fmt.Sprintf("%d\n", size))
	}
}
