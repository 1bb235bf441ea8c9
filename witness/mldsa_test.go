package witness_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"shiguan/auditlog/tiles"
	"shiguan/witness"
)

func mldsaCosigner(t *testing.T, name string) (*tiles.CosignatureSigner, *tiles.CosignatureVerifier) {
	t.Helper()
	skey, vkey, err := tiles.GenerateMLDSAKey(name)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := tiles.NewMLDSACosigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := tiles.NewCosignatureVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	return signer, verifier
}

// checkBoth checks an answer of a witness with two keys: a line for each, at the same time.
func (f *fixture) checkBoth(checkpoint string, r reply, pq note.Verifier) {
	f.t.Helper()
	if r.status != http.StatusOK || strings.Count(r.body, "\n") != 2 {
		f.t.Fatalf("answer %d %q", r.status, r.body)
	}
	sigs, err := tiles.ParseSignatureLines([]byte(r.body))
	if err != nil {
		f.t.Fatal(err)
	}
	n, err := tiles.ParseNote([]byte(checkpoint + r.body))
	if err != nil {
		f.t.Fatal(err)
	}
	if good, err := n.Verify(f.verifier, pq); err != nil || len(good) != 2 {
		f.t.Fatalf("%d cosignatures verify: %v", len(good), err)
	}
	a, err1 := tiles.CosignatureTime(sigs[0].Blob)
	b, err2 := tiles.CosignatureTime(sigs[1].Blob)
	if err1 != nil || err2 != nil || !a.Equal(b) || a.Unix() != f.clock.time().Unix() {
		f.t.Errorf("times %v (%v) and %v (%v)", a, err1, b, err2)
	}
}

func TestWitnessWithTwoKeys(t *testing.T) {
	signer, pq := mldsaCosigner(t, "audit-office.example")
	f := newFixture(t, func(o *witness.Options) { o.MoreSigners = []*tiles.CosignatureSigner{signer} })
	f.checkBoth(f.log.checkpoint(5), f.post(f.log.submission(0, 5)), pq)
	f.clock.advance(time.Minute)
	f.restart()
	f.checkBoth(f.log.checkpoint(9), f.post(f.log.submission(5, 9)), pq)
	sum := sha256.Sum256([]byte(f.log.origin))
	shown := f.get("/" + hex.EncodeToString(sum[:]) + "/checkpoint").body
	n, err := tiles.ParseNote([]byte(shown))
	if err != nil {
		t.Fatal(err)
	}
	if good, err := n.Verify(f.verifier, pq); err != nil || len(good) != 2 {
		t.Errorf("the monitoring endpoint shows %d cosignatures: %v", len(good), err)
	}
	// What either key has signed is known by the other: a witness may lose or gain the second one.
	f.opts.MoreSigners = nil
	f.restart()
	f.conflict(f.post(f.log.submission(5, 12)), 9)
	f.cosigned(9, 12)
	f.opts.MoreSigners = []*tiles.CosignatureSigner{signer}
	f.restart()
	f.checkBoth(f.log.checkpoint(15), f.post(f.log.submission(12, 15)), pq)
}

func TestKeysOfOneWitness(t *testing.T) {
	f := newFixture(t)
	f.stop()
	other, _ := mldsaCosigner(t, "data-bureau.example")
	for what, more := range map[string]*tiles.CosignatureSigner{"use one name": other, "same key twice": f.opts.Signer} {
		o := f.opts
		o.Registerer, o.MoreSigners = nil, []*tiles.CosignatureSigner{more}
		if w, err := witness.Open(o); err == nil {
			w.Close()
			t.Errorf("%s: opened", what)
		} else if !strings.Contains(err.Error(), what) {
			t.Errorf("error %v, want %q", err, what)
		}
	}
}

// TestLogWithTwoKeys: whichever of a log's keys the witness was given, that signature must be there and hold.
func TestLogWithTwoKeys(t *testing.T) {
	skey, vkey, err := tiles.GenerateMLDSAKey("log.example/civil")
	if err != nil {
		t.Fatal(err)
	}
	pq, err := tiles.NewMLDSALogSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	type key = witness.LogConfig
	for name, keys := range map[string]struct {
		classic, pq           bool
		ok, okClassic, okOnly bool // both signatures, Ed25519 only, ML-DSA-44 only
	}{
		"given Ed25519":   {classic: true, ok: true, okClassic: true},
		"given ML-DSA-44": {pq: true, ok: true, okOnly: true},
		"given both":      {classic: true, pq: true, ok: true, okClassic: true, okOnly: true},
	} {
		f := newFixture(t)
		f.opts.Logs = nil
		if keys.classic {
			f.opts.Logs = append(f.opts.Logs, key{Origin: f.log.origin, VKey: f.log.vkey})
		}
		if keys.pq {
			f.opts.Logs = append(f.opts.Logs, key{Origin: f.log.origin, VKey: vkey})
		}
		f.restart()
		old := uint64(0)
		try := func(what string, want bool, signers ...note.Signer) {
			t.Helper()
			size := old + 3
			r := f.post(body(fmt.Sprint(old), f.log.prove(old, size), f.log.sign(f.log.text(size), signers...)))
			if !want {
				f.refused(r, http.StatusForbidden)
				return
			}
			if r.status != http.StatusOK {
				t.Errorf("%s, %s: answer %d %q", name, what, r.status, r.body)
				return
			}
			old = size
		}
		try("both signatures", keys.ok, f.log.signer, pq)
		try("Ed25519 only", keys.okClassic, f.log.signer)
		try("ML-DSA-44 only", keys.okOnly, pq)
		try("a wrong ML-DSA-44 one", keys.okClassic && !keys.pq, f.log.signer, elsewhere{pq, f.log})
	}
}

// elsewhere signs the head of size 1 whatever it is asked to sign.
type elsewhere struct {
	note.Signer
	log *fakeLog
}

func (e elsewhere) Sign([]byte) ([]byte, error) { return e.Signer.Sign([]byte(e.log.text(1))) }
