package witness_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"shiguan/auditlog/tiles"
	"shiguan/witness"
)

func hashOf(origin string) string {
	sum := sha256.Sum256([]byte(origin))
	return hex.EncodeToString(sum[:])
}

// The copy has every byte of the log's public part, at each size, and over restarts.
func TestMirrorHoldsTheWholeLog(t *testing.T) {
	f, s := mirrorFixture(t)
	if got := f.get(f.mirrorPath() + "checkpoint").status; got != http.StatusNotFound {
		t.Fatalf("an empty mirror answers %d", got)
	}
	old := uint64(0)
	for _, size := range []uint64{1, 255, 256, 300, 700, 66_000, 66_001} {
		s.publish(size)
		f.cosigned(old, size)
		f.awaitMirror(size)
		f.sameAsLog(s, size)
		old = size
		if size == 300 {
			f.restart()
			f.awaitMirror(300)
		}
	}
	// Partial files beside full ones are gone, temporary ones too.
	for _, name := range filesBelow(t, f.mirrorDir()) {
		full, _, partial := strings.Cut(name, ".p/")
		if partial && slices.Contains(filesBelow(t, f.mirrorDir()), full) || strings.HasSuffix(name, ".new") || strings.HasPrefix(name, "pending") {
			t.Errorf("%s was left", name)
		}
	}
	problems, err := testutil.GatherAndLint(f.registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("metrics: %v %v", problems, err)
	}
	want := "# HELP shiguan_witness_mirror_size Tree size of the log's mirrored copy, in leaves.\n# TYPE shiguan_witness_mirror_size gauge\n" +
		"shiguan_witness_mirror_size{origin=\"" + f.log.origin + "\"} 66001\n"
	if err := testutil.GatherAndCompare(f.registry, strings.NewReader(want), "shiguan_witness_mirror_size"); err != nil {
		t.Error(err)
	}
}

// The log publishes more than was co-signed, never the size that was, and the bundle is wider by then.
func TestMirrorStopsAtWhatWasCosigned(t *testing.T) {
	f, s := mirrorFixture(t)
	s.publish(1000)
	f.cosigned(0, 600)
	f.awaitMirror(600)
	f.sameAsLog(s, 600)
	for _, path := range []string{"tile/entries/002", "tile/0/002", "tile/entries/003.p/232", "tile/0/03", "tile/0/000.p/0", "tile/9/000"} {
		if r := f.get(f.mirrorPath() + path); r.status != http.StatusNotFound {
			t.Errorf("%s: %d, want 404", path, r.status)
		}
	}
}

// Cosignatures of other witnesses come along when the log publishes the head that was co-signed, so that the copy satisfies a quorum.
func TestMirrorKeepsTheQuorumsCosignatures(t *testing.T) {
	f, s := mirrorFixture(t)
	skey, vkey, err := tiles.GenerateWitnessKey("data-bureau.example")
	if err != nil {
		t.Fatal(err)
	}
	other, _ := tiles.NewCosigner(skey)
	s.log.grow(400, "leaf")
	line, err := other.Cosign([]byte(s.log.text(400)), time.Unix(1_790_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	s.publish(400, string(line))
	f.cosigned(0, 400)
	f.awaitMirror(400)
	policy, err := tiles.ParsePolicy([]byte("log " + f.log.vkey + "\nwitness a " + f.verifier.VKey().String() + "\nwitness b " + vkey +
		"\ngroup both all a b\nquorum both\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := policy.Check([]byte(f.get(f.mirrorPath() + "checkpoint").body)); err != nil {
		t.Error(err)
	}
}

// Entries that do not give the co-signed root are not mirrored, whoever changed them, and nothing of them is served.
func TestMirrorRefusesWrongEntries(t *testing.T) {
	f, s := mirrorFixture(t)
	s.publish(300)
	f.cosigned(0, 300)
	f.awaitMirror(300)
	s.publish(1000)
	var good []byte
	const path = "tile/entries/002"
	s.change(func(files map[string][]byte) {
		good = files[path]
		bad := bytes.Clone(good)
		bad[100] ^= 1
		files[path] = bad
	})
	f.cosigned(300, 1000)
	f.awaitFailures(2)
	f.awaitMirror(300)
	f.sameAsLog(s, 300)
	s.change(func(files map[string][]byte) { files[path] = good })
	f.awaitMirror(1000)
	f.sameAsLog(s, 1000)
}

func (f *fixture) awaitFailures(n float64) {
	f.t.Helper()
	for began := time.Now(); f.metric("shiguan_witness_mirror_failures_total") < n; time.Sleep(time.Millisecond) {
		if time.Since(began) > time.Minute {
			f.t.Fatal("the mirror has not failed")
		}
	}
}

func (f *fixture) metric(name string) float64 {
	f.t.Helper()
	families, err := f.registry.Gather()
	if err != nil {
		f.t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			m := family.GetMetric()[0]
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	f.t.Fatalf("no metric %s", name)
	return 0
}

// A log that publishes another tree than it had co-signed, or somebody else's, is not mirrored.
func TestMirrorRefusesAnotherTree(t *testing.T) {
	f, s := mirrorFixture(t)
	s.publish(300)
	fork := s.log.fork()
	fork.size, fork.hashes = 0, nil
	fork.grow(300, "other")
	s.change(func(files map[string][]byte) { files["checkpoint"] = []byte(fork.checkpoint(300)) })
	f.cosigned(0, 300)
	f.awaitFailures(2)
	if n := f.mirroredSize(); n != 0 {
		t.Errorf("%d leaves are mirrored", n)
	}
	for _, path := range s.forget() {
		if path != "checkpoint" {
			t.Errorf("%s was asked for", path)
		}
	}
}

// An unfinished pull goes on where it was, not at the beginning, and a lag is seen meanwhile.
func TestMirrorResumes(t *testing.T) {
	f, s := mirrorFixture(t, func(o *witness.Options) { o.SetMirror((*os.File).Sync, 4) })
	s.publish(30 * 256)
	s.failing(func(path string) bool { return path == "tile/entries/021" })
	f.cosigned(0, 30*256)
	f.awaitFailures(1)
	f.clock.advance(90 * time.Second)
	if lag := f.metric("shiguan_witness_mirror_lag_seconds"); lag != 90 {
		t.Errorf("the lag is %v s, want 90", lag)
	}
	f.stop()
	s.forget()
	s.failing(nil)
	f.start()
	f.awaitMirror(30 * 256)
	f.sameAsLog(s, 30*256)
	if asked := s.forget(); slices.Contains(asked, "tile/entries/019") || !slices.Contains(asked, "tile/entries/020") {
		t.Errorf("after the restart it asked for %v", asked)
	}
	if lag := f.metric("shiguan_witness_mirror_lag_seconds"); lag != 0 {
		t.Errorf("the lag is %v s, want 0", lag)
	}
}

var errDisk = errors.New("input/output error")

// The disk fails at each sync in turn: what is served before and after is the log's, and the next life catches up.
func TestMirrorSurvivesAFailureAtEverySync(t *testing.T) {
	for at := int64(1); ; at++ {
		var syncs atomic.Int64
		f, s := mirrorFixture(t, func(o *witness.Options) {
			o.SetMirror(func(file *os.File) error {
				if syncs.Add(1) == at {
					return errDisk
				}
				return file.Sync()
			}, 2)
		})
		s.publish(300)
		f.cosigned(0, 300)
		f.settle(300)
		s.publish(1100)
		f.cosigned(300, 1100)
		f.settle(1100)
		if n := f.mirroredSize(); n > 0 {
			f.sameAsLog(s, n)
		}
		failed := f.metric("shiguan_witness_mirror_stopped") == 1
		f.restart()
		f.awaitMirror(1100)
		f.sameAsLog(s, 1100)
		f.stop()
		if !failed {
			if at < 20 {
				t.Errorf("only %d syncs", at-1)
			}
			return
		}
	}
}

// settle waits until the size is mirrored or the mirror has stopped.
func (f *fixture) settle(size uint64) {
	f.t.Helper()
	for began := time.Now(); f.mirroredSize() != size && f.metric("shiguan_witness_mirror_stopped") == 0; time.Sleep(time.Millisecond) {
		if time.Since(began) > time.Minute {
			f.t.Fatalf("neither %d leaves nor an end", size)
		}
	}
}

// kill -9 at any moment of a pull.
func TestMirrorSurvivesKill(t *testing.T) {
	log := newFakeLog(t, "log.example/civil")
	s := newTileServer(t, log)
	skey, vkey, err := tiles.GenerateWitnessKey("audit-office.example")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(childEnv+"_MIRROR", s.srv.URL)
	dir := t.TempDir()
	verifier, _ := tiles.NewCosignatureVerifier(vkey)
	f := &fixture{t: t, log: log, verifier: verifier}
	size := uint64(0)
	for round := range 8 {
		c := startChild(t, dir, skey, log.vkey)
		seen := make(chan struct{})
		asked := 0
		s.failing(func(path string) bool {
			if asked++; asked == 2+3*round {
				close(seen)
			}
			return false
		})
		s.publish(size + 20*256 + 17)
		if status, text, err := c.post(log.submission(size, size+20*256+17)); err != nil || status != http.StatusOK {
			t.Fatalf("%d %q %v", status, text, err)
		}
		size += 20*256 + 17
		<-seen
		c.kill()
	}
	s.failing(nil)
	signer, _ := tiles.NewCosigner(skey)
	f.opts = witness.Options{Signer: signer, StateDir: dir, MirrorInterval: time.Millisecond, Limits: unlimited,
		Logs: []witness.LogConfig{{Origin: log.origin, VKey: log.vkey, Mirror: s.srv.URL}}}
	f.opts.Limits.MirrorRate, f.opts.Limits.MirrorBurst = 1e9, 1e9
	f.start()
	t.Cleanup(f.stop)
	f.awaitMirror(size)
	f.sameAsLog(s, size)
}

// A damaged copy is neither served nor continued, and the witness goes on co-signing.
func TestDamagedMirrorIsNotServed(t *testing.T) {
	f, s := mirrorFixture(t)
	s.publish(300)
	f.cosigned(0, 300)
	f.awaitMirror(300)
	f.stop()
	for _, name := range filesBelow(t, f.mirrorDir()) {
		path := filepath.Join(f.mirrorDir(), name)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(name, "entries") { // fsck's to find; read only when the pull goes on
			continue
		}
		bad := bytes.Clone(good)
		bad[len(bad)/2] ^= 1
		os.WriteFile(path, bad, 0o644)
		f.start()
		if name == "tile/0/000" { // not of the right edge that a start reads: only hashed in
			f.stop()
		} else {
			if got := f.get(f.mirrorPath() + "checkpoint").status; got != http.StatusInternalServerError {
				t.Errorf("%s is damaged and the mirror answers %d", name, got)
			}
			if f.metric("shiguan_witness_mirror_stopped") != 1 {
				t.Error("the metric does not tell")
			}
			f.cosigned(300, 300)
			f.stop()
		}
		os.WriteFile(path, good, 0o644)
	}
	f.start()
	f.awaitMirror(300)
}

// Two witnesses cannot mirror into one directory.
func TestMirrorDirectoryIsLocked(t *testing.T) {
	f, _ := mirrorFixture(t)
	o := f.opts
	o.StateDir, o.MirrorDir, o.Registerer = t.TempDir(), filepath.Join(f.opts.StateDir, "mirror"), nil
	if w, err := witness.Open(o); err == nil {
		w.Close()
		t.Error("a second witness has opened the directory")
	}
}
