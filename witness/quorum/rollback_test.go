package quorum_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"shiguan/auditlog"
	"shiguan/auditlog/tiles"
	"shiguan/witness/quorum"
)

// mustBeRolledBack checks the proof that comes with the error, and that nothing is co-signed any more.
func (c *city) mustBeRolledBack(log *testLog, size uint64, theirs tiles.Checkpoint) {
	c.t.Helper()
	_, err := c.cosign(log, size)
	var rolledBack *auditlog.RolledBackError
	if !errors.As(err, &rolledBack) {
		c.t.Fatalf("error %v, want a RolledBackError", err)
	}
	if rolledBack.Ours != size || rolledBack.Theirs != theirs.Size {
		c.t.Errorf("ours %d, theirs %d; want %d, %d", rolledBack.Ours, rolledBack.Theirs, size, theirs.Size)
	}
	head, err := c.policy.CheckLog(rolledBack.Checkpoint)
	if err != nil || head != theirs {
		c.t.Errorf("the proof is for %v (%v), want %v", head, err, theirs)
	}
	n, err := tiles.ParseNote(rolledBack.Checkpoint)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, w := range c.policy.Witnesses {
		if w.Name != rolledBack.Witness {
			continue
		}
		if _, err := n.Verify(w.Verifier); err != nil {
			c.t.Errorf("the proof is not co-signed by %s: %v", w.Name, err)
		}
	}
	if _, err := c.cosign(log, size); !errors.As(err, &rolledBack) {
		c.t.Errorf("afterwards: error %v, want the same again", err)
	}
}

// A log that was set back is found out by a single witness, even if the others have a quorum.
func TestWitnessWithALargerHeadProvesARollback(t *testing.T) {
	c := newCity(t)
	c.cosigned(10, inspection, auditors, bureau)
	c.witness(bureau).submit(c.log, 10, 20)
	c.restart() // the log was set back to 10 and starts again
	c.mustBeRolledBack(c.log, 15, c.log.head(20))
}

func TestSameSizeOtherRootProvesAFork(t *testing.T) {
	c := newCity(t)
	c.cosigned(10, inspection, auditors, bureau)
	altered := c.log.fork(5, "altered leaf")
	for _, w := range c.witnesses {
		w.submit(c.log, 10, 20)
	}
	c.restart()
	c.mustBeRolledBack(altered, 20, c.log.head(20))
}

// The log was set back and has grown beyond the head that it once signed.
func TestSmallerHeadThatIsNotContinuedProvesAFork(t *testing.T) {
	c := newCity(t)
	for _, w := range c.witnesses {
		w.submit(c.log, 0, 20)
	}
	altered := c.log.fork(5, "altered leaf")
	c.mustBeRolledBack(altered, 30, c.log.head(20))
}

// A proof that comes when the head has been published already stops the next one.
func TestLateProofStopsTheNextHead(t *testing.T) {
	c := newCity(t, func(o *quorum.Options) { o.Grace = time.Millisecond })
	c.witness(auditors).submit(c.log, 0, 50)
	entered := make(chan struct{}, 10)
	release := c.witness(auditors).stall()
	stalled := *c.witness(auditors).before.Load()
	c.witness(auditors).put(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		entered <- struct{}{}
		stalled(rw, r, next)
	})
	if _, err := c.cosign(c.log, 10); err != nil {
		t.Fatal(err)
	}
	release()
	<-entered // add-checkpoint
	<-entered // the monitoring endpoint
	for {
		_, err := c.cosign(c.log, 10)
		if rolledBack := (*auditlog.RolledBackError)(nil); errors.As(err, &rolledBack) {
			if rolledBack.Theirs != 50 || rolledBack.Witness != auditors {
				t.Errorf("error %v", err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// One lying witness must not be able to stop the log, whatever it says.
func TestUnprovenClaimsStopNothing(t *testing.T) {
	claim := func(rw http.ResponseWriter) { conflict(rw, "text/x.tlog.size", "99\n") }
	inconsistent := func(rw http.ResponseWriter) { http.Error(rw, "no", http.StatusUnprocessableEntity) }
	for name, lie := range map[string]struct {
		answer func(rw http.ResponseWriter)
		show   func(c *city) []byte
	}{
		"nothing shown":    {claim, nil},
		"422 and nothing":  {inconsistent, nil},
		"422 and the past": {inconsistent, func(c *city) []byte { return c.shownBy(auditors, c.log, 5) }},
		"prose":            {claim, func(*city) []byte { return []byte("trust me\n") }},
		"signed by a log of the same name": {claim, func(c *city) []byte {
			other := newTestLog(t)
			other.grow(99, "leaf")
			return c.shownBy(auditors, other, 99)
		}},
		"unsigned by the log": {claim, func(c *city) []byte {
			head := c.log.head(99)
			n := tiles.Note{Text: head.Marshal()}
			return append(n.Marshal(), cosign(t, c.witness(auditors).opts.Signer, head, time.Now())...)
		}},
		"signature moved from another head": {claim, func(c *city) []byte {
			n, err := tiles.ParseNote(c.shownBy(auditors, c.log, 5))
			if err != nil {
				t.Fatal(err)
			}
			n.Text = c.log.head(99).Marshal()
			return n.Marshal()
		}},
		"not co-signed by itself": {claim, func(c *city) []byte { return c.log.signed(99) }},
		"co-signed by another": {claim, func(c *city) []byte {
			return c.shownBy(bureau, c.log, 99)
		}},
		"another log": {claim, func(c *city) []byte {
			head := tiles.Checkpoint{Origin: "log.example/housing", Size: 99, Root: c.log.head(99).Root}
			skey, _, err := tiles.GenerateLogKey(head.Origin)
			if err != nil {
				t.Fatal(err)
			}
			signer, err := tiles.NewLogSigner(skey)
			if err != nil {
				t.Fatal(err)
			}
			signed, err := tiles.SignCheckpoint(head, signer)
			if err != nil {
				t.Fatal(err)
			}
			// Even a log that the policy knows is not this one.
			c.q.Close()
			c.setPolicy("log " + signer.VKey().String() + "\n" + string(c.policy.Text()))
			c.opts.Policy = c.policy
			c.start()
			return append(signed, cosign(t, c.witness(auditors).opts.Signer, head, time.Now())...)
		}},
		"the very head that is asked for": {claim, func(c *city) []byte { return c.shownBy(auditors, c.log, 10) }},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCity(t)
			var shown []byte
			if lie.show != nil {
				shown = lie.show(c)
			}
			c.witness(auditors).put(func(rw http.ResponseWriter, r *http.Request, _ http.Handler) {
				switch {
				case r.Method == http.MethodPost:
					lie.answer(rw)
				case shown == nil:
					http.NotFound(rw, r)
				default:
					rw.Write(shown)
				}
			})
			c.cosigned(10, inspection, bureau)
			c.cosigned(20, inspection, bureau)
			if got := c.counted(auditors, "unproven"); got != 2 {
				t.Errorf("%v unproven claims are counted, want 2", got)
			}
			if got := c.counted(auditors, "rolled_back"); got != 0 {
				t.Errorf("%v rollbacks are counted, want 0", got)
			}
		})
	}
}

// shownBy is what a witness would show of a log.
func (c *city) shownBy(name string, log *testLog, size uint64) []byte {
	c.t.Helper()
	return append(log.signed(size), cosign(c.t, c.witness(name).opts.Signer, log.head(size), time.Now())...)
}

// counted reads one value of shiguan_witness_requests_total.
func (c *city) counted(witness, result string) float64 {
	c.t.Helper()
	families, err := c.registry.Gather()
	if err != nil {
		c.t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "shiguan_witness_requests_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["witness"] == witness && labels["result"] == result {
				return m.GetCounter().GetValue()
			}
		}
	}
	c.t.Fatalf("no metric for %s %s", witness, result)
	return 0
}

func TestMetrics(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	clock := func() time.Time { return now }
	c := newCity(t, func(o *quorum.Options) { o.Clock = clock })
	problems, err := testutil.GatherAndLint(c.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	age := func(a, b, d string) {
		t.Helper()
		want := `# HELP shiguan_witness_cosignature_age_seconds Age of the witness's last cosignature by the time that it states; +Inf if it gave none since this process started.
# TYPE shiguan_witness_cosignature_age_seconds gauge
shiguan_witness_cosignature_age_seconds{witness="audit-office"} ` + a + `
shiguan_witness_cosignature_age_seconds{witness="data-bureau"} ` + b + `
shiguan_witness_cosignature_age_seconds{witness="discipline-inspection"} ` + d + "\n"
		if err := testutil.GatherAndCompare(c.registry, strings.NewReader(want), "shiguan_witness_cosignature_age_seconds"); err != nil {
			t.Error(err)
		}
	}
	age("+Inf", "+Inf", "+Inf")
	signed := now.Add(-90 * time.Second)
	for _, w := range c.witnesses {
		w.put(func(rw http.ResponseWriter, r *http.Request, _ http.Handler) {
			rw.Write(cosign(t, w.opts.Signer, c.log.head(10), signed))
		})
	}
	c.witness(bureau).srv.Close()
	c.cosigned(10, inspection, auditors)
	age("90", "+Inf", "90")
	now = now.Add(time.Minute) // it grows while nothing happens
	age("150", "+Inf", "150")
	for result, want := range map[string]float64{"cosigned": 1, "conflict": 0, "unreachable": 0} {
		if got := c.counted(auditors, result); got != want {
			t.Errorf("%v %s, want %v", got, result, want)
		}
	}
	if got := c.counted(bureau, "unreachable"); got != 1 {
		t.Errorf("%v unreachable, want 1", got)
	}
}
