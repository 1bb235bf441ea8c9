package quorum_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"shiguan/auditlog/tiles"
	"shiguan/witness/quorum"
)

func TestAllSignInThePolicysOrder(t *testing.T) {
	c := newCity(t)
	for _, size := range []uint64{0, 1, 2, 7, 7, 64, 100} {
		c.cosigned(size, inspection, auditors, bureau)
	}
}

// The size that a witness last co-signed is remembered: one request a head, and two the first time.
func TestOneRequestAHead(t *testing.T) {
	c := newCity(t)
	c.cosigned(10, inspection, auditors, bureau)
	c.restart() // forgets the sizes
	c.cosigned(20, inspection, auditors, bureau)
	c.cosigned(30, inspection, auditors, bureau)
	for _, w := range c.witnesses {
		if got := w.requests.Load(); got != 4 { // 10 from 0; 20 from 0, 20 from 10; 30 from 20
			t.Errorf("%s had %d requests, want 4", w.name, got)
		}
	}
}

// Witnesses are sent the log's own signatures and no others.
func TestOnlyTheLogsSignatureIsSent(t *testing.T) {
	c := newCity(t)
	for _, w := range c.witnesses {
		w.put(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
			body, err := io.ReadAll(r.Body)
			if n := strings.Count(string(body), "— "); err != nil || n != 1 {
				t.Errorf("%s was sent %d signatures, %v", w.name, n, err)
			}
			r.Body = io.NopCloser(strings.NewReader(string(body)))
			next.ServeHTTP(rw, r)
		})
	}
	signed := c.cosigned(10, inspection, auditors, bureau)
	prove, done := c.log.prover(10)
	defer done()
	again, err := c.q.Cosign(context.Background(), signed, 10, prove)
	if err != nil {
		t.Fatal(err)
	}
	c.checkSigned(again, 10, inspection, auditors, bureau)
}

func TestOneDeadWitnessIsNoMatter(t *testing.T) {
	c := newCity(t)
	c.witness(auditors).srv.Close()
	c.cosigned(10, inspection, bureau)
	c.cosigned(20, inspection, bureau)
}

// Each way in which two of three witnesses can fail must be named in the error, with what was signed all the same.
func TestNoQuorumSaysWhoSaidWhat(t *testing.T) {
	c := newCity(t)
	c.witness(auditors).put(func(rw http.ResponseWriter, _ *http.Request, _ http.Handler) {
		http.Error(rw, "the disk is full", http.StatusInternalServerError)
	})
	c.witness(bureau).srv.Close()
	signed, err := c.cosign(c.log, 10)
	var short *quorum.NotReachedError
	if !errors.As(err, &short) {
		t.Fatalf("error %v, want a NotReachedError", err)
	}
	c.checkSigned(signed, 10, inspection)
	if len(short.Said) != 3 || short.Said[0].Err != nil || short.Said[1].Err == nil || short.Said[2].Err == nil {
		t.Errorf("said %v", short.Said)
	}
	for _, want := range []string{"2 of (", inspection + ": co-signed", auditors + ": it answered 500 \"the disk is full\"", bureau + ": ", "refused"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
}

// What a witness answers instead of a cosignature must never be handed on, and never spoil the others'.
func TestWrongAnswersAreNotUsed(t *testing.T) {
	stranger := newTestLog(t)
	other := newTestWitness(t, "stranger", stranger)
	otherSigner, err := tiles.NewCosigner(other.skey)
	if err != nil {
		t.Fatal(err)
	}
	for name, answer := range map[string]func(c *city, rw http.ResponseWriter){
		"nothing":      func(_ *city, rw http.ResponseWriter) { rw.WriteHeader(http.StatusOK) },
		"prose":        func(_ *city, rw http.ResponseWriter) { io.WriteString(rw, "signed, yours truly\n") },
		"endless":      func(_ *city, rw http.ResponseWriter) { io.WriteString(rw, strings.Repeat("— a AAAAAAA=\n", 10000)) },
		"redirection":  func(c *city, rw http.ResponseWriter) { redirect(rw, c.elsewhere(auditors)) },
		"no content":   func(_ *city, rw http.ResponseWriter) { rw.WriteHeader(http.StatusNoContent) },
		"other status": func(_ *city, rw http.ResponseWriter) { rw.WriteHeader(http.StatusTeapot) },
		"key of another": func(c *city, rw http.ResponseWriter) {
			rw.Write(cosign(t, otherSigner, c.log.head(10), time.Now()))
		},
		"another head": func(c *city, rw http.ResponseWriter) {
			rw.Write(cosign(t, c.witness(auditors).opts.Signer, c.log.head(9), time.Now()))
		},
		"one byte off": func(c *city, rw http.ResponseWriter) {
			sigs, err := tiles.ParseSignatureLines(cosign(t, c.witness(auditors).opts.Signer, c.log.head(10), time.Now()))
			if err != nil {
				t.Error(err)
			}
			sigs[0].Blob[20] ^= 1
			rw.Write(sigs[0].AppendLine(nil))
		},
		"no time": func(c *city, rw http.ResponseWriter) {
			sigs, err := tiles.ParseSignatureLines(cosign(t, c.witness(auditors).opts.Signer, c.log.head(10), time.Now()))
			if err != nil {
				t.Error(err)
			}
			clear(sigs[0].Blob[:8])
			rw.Write(sigs[0].AppendLine(nil))
		},
		"409 without a size":      func(_ *city, rw http.ResponseWriter) { conflict(rw, "text/x.tlog.size", "") },
		"409 with a wrong type":   func(_ *city, rw http.ResponseWriter) { conflict(rw, "text/plain", "3\n") },
		"409 with zeros":          func(_ *city, rw http.ResponseWriter) { conflict(rw, "text/x.tlog.size", "003\n") },
		"409 with what we said":   func(_ *city, rw http.ResponseWriter) { conflict(rw, "text/x.tlog.size", "0\n") },
		"409 with prose":          func(_ *city, rw http.ResponseWriter) { conflict(rw, "text/x.tlog.size", "seven\n") },
		"409 again after a retry": func(_ *city, rw http.ResponseWriter) { conflict(rw, "text/x.tlog.size", "3\n") },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCity(t)
			c.witness(auditors).put(func(rw http.ResponseWriter, _ *http.Request, _ http.Handler) { answer(c, rw) })
			c.cosigned(10, inspection, bureau)
			c.witness(auditors).put(nil)
			c.cosigned(20, inspection, auditors, bureau) // and it is asked again
		})
	}
}

// A witness may answer with more lines than the one that the policy knows.
func TestOtherLinesAreLeftOut(t *testing.T) {
	c := newCity(t)
	other := newTestWitness(t, "stranger", c.log)
	for _, w := range c.witnesses {
		w.put(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
			rw.Write(cosign(t, other.opts.Signer, c.log.head(10), time.Now()))
			next.ServeHTTP(rw, r)
		})
	}
	c.cosigned(10, inspection, auditors, bureau)
}

// A witness that does not answer gets its grace once the quorum has signed, and no more.
func TestSlowWitnessDelaysNothing(t *testing.T) {
	c := newCity(t, func(o *quorum.Options) { o.Grace = time.Millisecond })
	release := c.witness(auditors).stall()
	// The timeout is a minute: only the grace can end these rounds.
	for size := uint64(10); size <= 50; size += 10 {
		signed, err := c.cosign(c.log, size)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.policy.Check(signed); err != nil {
			t.Error(err)
		}
		if strings.Contains(string(signed), "audit-office") {
			t.Error("co-signed by the witness that is stalled")
		}
	}
	if got := c.witness(auditors).requests.Load(); got != 1 {
		t.Errorf("%d requests wait at the stalled witness, want 1", got)
	}
	// Once it answers it takes part again, though it answers late for the first head.
	release()
	c.opts.Grace = time.Minute
	c.restart()
	c.cosigned(60, inspection, auditors, bureau)
}

// What a stalled witness makes wait must not pile up, head after head.
func TestSlowWitnessPilesUpNothing(t *testing.T) {
	c := newCity(t, func(o *quorum.Options) { o.Grace = time.Microsecond })
	c.witness(auditors).stall()
	c.log.grow(150, "leaf")
	before := runtime.NumGoroutine()
	for size := uint64(1); size <= 150; size++ {
		if _, err := c.cosign(c.log, size); err != nil {
			t.Fatal(err)
		}
	}
	for runtime.NumGoroutine() > before+40 { // the last ones need a moment to end; if they pile up they never do
		time.Sleep(time.Millisecond)
	}
}

// An answer that comes too late must not make the log prove anything any more; the next head takes what was learnt from it.
func TestLateConflictProvesNothing(t *testing.T) {
	c := newCity(t, func(o *quorum.Options) { o.Grace = time.Millisecond })
	c.witness(auditors).submit(c.log, 0, 5)
	release := c.witness(auditors).stall()
	if _, err := c.cosign(c.log, 10); err != nil { // its prover reports calls after this line
		t.Fatal(err)
	}
	release()
	c.witness(bureau).srv.Close()
	c.cosigned(20, inspection, auditors) // waits for the stalled witness, since it is needed
	if got := c.witness(auditors).requests.Load(); got != 2+1 {
		t.Errorf("%d requests, want the late one, and the next head's with the size that it told, beside ours", got)
	}
}

// Without the slow witness there is no quorum, so it is waited for, until its timeout.
func TestSlowWitnessIsWaitedForWhenNeeded(t *testing.T) {
	c := newCity(t, func(o *quorum.Options) { o.Grace = time.Millisecond })
	c.witness(bureau).srv.Close()
	entered, held := make(chan struct{}), make(chan struct{})
	c.witness(auditors).put(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		close(entered)
		<-held
		next.ServeHTTP(rw, r)
	})
	go func() {
		<-entered
		time.Sleep(20 * time.Millisecond) // far beyond the grace; what decides is that Cosign still waits
		close(held)
	}()
	c.cosigned(10, inspection, auditors)
}

func TestTimeoutEndsTheWait(t *testing.T) {
	c := newCity(t, func(o *quorum.Options) { o.Timeout = 30 * time.Millisecond })
	c.witness(auditors).stall()
	c.witness(bureau).stall()
	_, err := c.cosign(c.log, 10)
	var short *quorum.NotReachedError
	if !errors.As(err, &short) || !strings.Contains(err.Error(), "no answer within 30ms") {
		t.Errorf("error %v", err)
	}
}

// When the quorum is out of reach the silent rest is not waited for longer than the grace.
func TestOutOfReachIsNotWaitedFor(t *testing.T) {
	c := newCity(t, func(o *quorum.Options) { o.Grace = time.Millisecond })
	c.witness(auditors).srv.Close()
	c.witness(bureau).srv.Close()
	c.witness(inspection).stall()
	_, err := c.cosign(c.log, 10)
	if err == nil || !strings.Contains(err.Error(), inspection+": no answer yet") {
		t.Errorf("error %v", err)
	}
}

func TestContextEndsTheWait(t *testing.T) {
	c := newCity(t)
	for _, w := range c.witnesses {
		w.stall()
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		for c.witness(auditors).requests.Load() == 0 {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	_, err := c.q.Cosign(ctx, c.log.signed(10), 10, nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestCloseEndsEverything(t *testing.T) {
	c := newCity(t)
	for _, w := range c.witnesses {
		w.stall()
	}
	done := make(chan error)
	go func() {
		_, err := c.q.Cosign(context.Background(), c.log.signed(10), 10, nil)
		done <- err
	}()
	for c.witness(auditors).requests.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	c.q.Close()
	if err := <-done; err == nil {
		t.Error("co-signed")
	}
	if _, err := c.cosign(c.log, 10); err == nil {
		t.Error("co-signed after Close")
	}
}

// Heads that the log itself cannot have meant are not sent to anybody.
func TestHeadsThatAreNotAsked(t *testing.T) {
	c := newCity(t)
	c.cosigned(50, inspection, auditors, bureau)
	before := c.witness(auditors).requests.Load()
	altered := c.log.fork(0, "altered leaf")
	foreign := newTestLog(t)
	foreign.grow(60, "leaf")
	for name, ask := range map[string]func() error{
		"smaller":     func() error { _, err := c.cosign(c.log, 40); return err },
		"other root":  func() error { _, err := c.cosign(altered, 50); return err },
		"wrong size":  func() error { _, err := c.q.Cosign(context.Background(), c.log.signed(60), 61, nil); return err },
		"other key":   func() error { _, err := c.cosign(foreign, 60); return err },
		"not a note":  func() error { _, err := c.q.Cosign(context.Background(), []byte("hello\n"), 60, nil); return err },
		"no proof":    func() error { return errors.Join(c.failingProof(60)) },
		"after these": func() error { return nil },
	} {
		if err := ask(); (err == nil) != (name == "after these") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if got := c.witness(auditors).requests.Load(); got != before {
		t.Errorf("the witness had %d more requests", got-before)
	}
	c.cosigned(70, inspection, auditors, bureau)
}

func (c *city) failingProof(size uint64) error {
	_, err := c.q.Cosign(context.Background(), c.log.signed(size), size, func(uint64) ([]tiles.Hash, error) {
		return nil, errors.New("the tiles cannot be read")
	})
	if err != nil && !strings.Contains(err.Error(), "the tiles cannot be read") {
		c.t.Errorf("error %q does not say why", err)
	}
	return err
}

func TestWitnessWithoutURL(t *testing.T) {
	c := newCity(t)
	text := strings.Replace(string(c.policy.Text()), " "+c.witness(bureau).srv.URL+"/", "", 1)
	c.setPolicy(text)
	c.opts.Policy = c.policy
	c.restart()
	c.cosigned(10, inspection, auditors)
	c.witness(auditors).srv.Close()
	if _, err := c.cosign(c.log, 20); err == nil || !strings.Contains(err.Error(), "no URL") {
		t.Errorf("error %v", err)
	}
}

func TestQuorumNone(t *testing.T) {
	c := newCity(t)
	c.setPolicy(strings.Replace(string(c.policy.Text()), "quorum city", "quorum none", 1))
	c.opts.Policy, c.opts.Grace = c.policy, time.Millisecond
	c.restart()
	for _, w := range c.witnesses {
		w.stall()
	}
	signed, err := c.cosign(c.log, 10)
	if err != nil {
		t.Fatal(err)
	}
	c.checkSigned(signed, 10)
}

// Concurrent calls must not make the larger head look like proof of a rollback to the smaller one's.
func TestConcurrentHeads(t *testing.T) {
	c := newCity(t)
	c.log.grow(200, "leaf")
	errs := make(chan error)
	sizes := uint64(40)
	for size := uint64(1); size <= sizes; size++ {
		signed := c.log.signed(size)
		prove, _ := c.log.prover(size)
		go func() {
			_, err := c.q.Cosign(context.Background(), signed, size, prove)
			errs <- err
		}()
	}
	for range sizes {
		err := <-errs
		if short := (*quorum.NotReachedError)(nil); err != nil && !errors.As(err, &short) && !strings.Contains(err.Error(), "contradicts") {
			t.Errorf("error %v", err)
		}
	}
	c.cosigned(200, inspection, auditors, bureau)
}

func TestNewNeedsAPolicy(t *testing.T) {
	if _, err := quorum.New(quorum.Options{}); err == nil {
		t.Error("made without a policy")
	}
	c := newCity(t)
	if _, err := quorum.New(c.opts); err == nil {
		t.Error("made twice with one registry")
	}
}

func cosign(t *testing.T, s *tiles.CosignatureSigner, head tiles.Checkpoint, at time.Time) []byte {
	line, err := s.Cosign(head.Marshal(), at)
	if err != nil {
		t.Error(err)
	}
	return line
}

// elsewhere is where the witness would co-sign, if the policy said so.
func (c *city) elsewhere(name string) string {
	srv := httptest.NewServer(c.witness(name).w.Handler())
	c.t.Cleanup(srv.Close)
	return srv.URL + "/add-checkpoint"
}

func redirect(rw http.ResponseWriter, to string) {
	rw.Header().Set("Location", to)
	rw.WriteHeader(http.StatusTemporaryRedirect)
}

func conflict(rw http.ResponseWriter, contentType, body string) {
	rw.Header().Set("Content-Type", contentType)
	rw.WriteHeader(http.StatusConflict)
	fmt.Fprint(rw, body)
}
