package quorum_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"
	"golang.org/x/mod/sumdb/note"

	"shiguan/auditlog"
	"shiguan/auditlog/evidence"
	"shiguan/auditlog/record"
	"shiguan/auditlog/tiles"
	"shiguan/witness"
	"shiguan/witness/quorum"
)

// secondKey gives a witness an ML-DSA-44 key too, or takes it away, and restarts it. It returns the verifier key.
func (w *testWitness) secondKey(on bool) (vkey string) {
	w.t.Helper()
	w.opts.MoreSigners = nil
	if on {
		skey, public, err := tiles.GenerateMLDSAKey(w.opts.Signer.Name())
		if err != nil {
			w.t.Fatal(err)
		}
		signer, err := tiles.NewMLDSACosigner(skey)
		if err != nil {
			w.t.Fatal(err)
		}
		w.opts.MoreSigners, vkey = []*tiles.CosignatureSigner{signer}, public
	}
	if err := w.w.Close(); err != nil {
		w.t.Fatal(err)
	}
	var err error
	if w.w, err = witness.Open(w.opts); err != nil {
		w.t.Fatal(err)
	}
	return vkey
}

// addKeys has the policy name the second keys under the name of the first with -pq behind, at the same URL.
func (c *city) addKeys(quorum string) {
	c.t.Helper()
	text := "log " + c.log.vkey + "\n"
	for _, w := range c.witnesses {
		text += "witness " + w.name + " " + w.vkey + " " + w.srv.URL + "/\n"
		text += "witness " + w.name + "-pq " + w.secondKey(true) + " " + w.srv.URL + "\n"
	}
	c.setPolicy(text + quorum)
	c.opts.Policy = c.policy
	c.restart()
}

const hybridQuorum = "group i all discipline-inspection discipline-inspection-pq\ngroup a all audit-office audit-office-pq\n" +
	"group b all data-bureau data-bureau-pq\ngroup city 2 i a b\nquorum city\n"

// A witness with two keys is asked once for both of its cosignatures.
func TestWitnessesWithTwoKeys(t *testing.T) {
	c := newCity(t)
	c.addKeys(hybridQuorum)
	all := []string{inspection, inspection + "-pq", auditors, auditors + "-pq", bureau, bureau + "-pq"}
	c.cosigned(10, all...)
	c.cosigned(20, all...)
	for _, w := range c.witnesses {
		if n := w.requests.Load(); n != 2 {
			t.Errorf("%s was asked %d times for two heads", w.name, n)
		}
	}
	// One that has lost its second key counts with the first, where that is enough.
	c.witness(auditors).secondKey(false)
	c.cosigned(30, inspection, inspection+"-pq", auditors, bureau, bureau+"-pq")
	c.witness(bureau).srv.Close()
	signed, err := c.cosign(c.log, 40)
	var short *quorum.NotReachedError
	if !errors.As(err, &short) || len(short.Said) != 6 {
		t.Fatalf("error %v, want a NotReachedError for six keys", err)
	}
	for _, s := range short.Said {
		if good := s.Witness == inspection || s.Witness == inspection+"-pq" || s.Witness == auditors; good != (s.Err == nil) {
			t.Errorf("%s said %v", s.Witness, s.Err)
		}
	}
	c.checkSigned(signed, 40, inspection, inspection+"-pq", auditors)
}

// A line that does not verify costs its own key, not the other.
func TestSpoiltSecondCosignature(t *testing.T) {
	c := newCity(t)
	c.addKeys(hybridQuorum)
	c.witness(inspection).put(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		lines, err := tiles.ParseSignatureLines(rec.Body.Bytes())
		if err != nil {
			t.Errorf("the answer: %v", err)
			return
		}
		lines[1].Blob = bytes.Clone(lines[1].Blob)
		lines[1].Blob[1000] ^= 1
		rw.Write(lines[1].AppendLine(lines[0].AppendLine(nil)))
	})
	c.cosigned(10, inspection, auditors, auditors+"-pq", bureau, bureau+"-pq")
}

// The whole line under a policy that takes nothing but ML-DSA-44: log, witnesses, quorum, evidence.
func TestEvidenceUnderMLDSAAlone(t *testing.T) {
	c := newCity(t)
	skey, logVKey, err := tiles.GenerateMLDSAKey(origin)
	if err != nil {
		t.Fatal(err)
	}
	second, err := tiles.NewMLDSALogSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	text := "log " + logVKey + "\n"
	for _, w := range c.witnesses {
		text += "witness " + w.name + " " + w.secondKey(true) + " " + w.srv.URL + "/\n"
	}
	c.setPolicy(text + "group city 2 discipline-inspection audit-office data-bureau\nquorum city\n")
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	q, err := quorum.New(quorum.Options{Policy: c.policy, Grace: time.Minute, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "log")
	log, err := auditlog.Open(context.Background(), auditlog.Options{Dir: dir, Origin: origin, Signer: c.log.signer,
		MoreSigners: []note.Signer{second}, Recipients: []age.Recipient{identity.Recipient()}, Cosigner: q, Quorum: c.policy,
		Interval: time.Millisecond, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	l := &realLog{Log: log, c: c, q: q}
	if err := errors.Join(l.append(300), l.close()); err != nil {
		t.Fatal(err)
	}
	file := prove(t, dir, identity, c.policy, 137)
	report, err := evidence.VerifyWith(file, c.policy)
	if err != nil || report.Index != 137 || len(report.Witnesses) != 3 {
		t.Fatalf("evidence: %+v, %v", report, err)
	}
	// The published checkpoint carries the Ed25519 signature of the log as well, which stays obligatory.
	published, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	classic, err := tiles.ParsePolicy([]byte("log " + c.log.vkey + "\nquorum none\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := classic.CheckLog(published); err != nil {
		t.Error(err)
	}
	// What evidence carries of it is what the policy demands, and no line more.
	strict, err := c.policy.Canonical(published)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := tiles.ParseNote(strict); err != nil || len(n.Signatures) != 1+3 || n.Signatures[0].KeyID != second.KeyHash() {
		t.Errorf("signatures in evidence: %v\n%s", err, strict)
	}
	if _, err := classic.CheckLog(strict); !errors.Is(err, tiles.ErrUnsigned) {
		t.Errorf("the log's Ed25519 key in evidence for the other: %v", err)
	}
}

// prove makes the evidence file of a record from a log's directory.
func prove(t *testing.T, dir string, identity age.Identity, policy *tiles.Policy, index uint64) []byte {
	t.Helper()
	ctx := context.Background()
	src, err := auditlog.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := src.Checkpoint(ctx)
	if err != nil {
		t.Fatal(err)
	}
	head, _, err := policy.Check(signed)
	if err != nil {
		t.Fatal(err)
	}
	parts := evidence.Parts{Policy: policy, Checkpoint: signed, Index: index}
	if parts.Hashes, err = tiles.ProveInclusion(ctx, src, head.Size, index); err != nil {
		t.Fatal(err)
	}
	found := errors.New("found")
	opener := auditlog.NewOpener(src, []age.Identity{identity})
	err = src.Records(ctx, index, func(st auditlog.Stored) error {
		parts.Leaf = bytes.Clone(st.LeafBytes)
		var err error
		if parts.Payload, parts.Opening, err = opener.Open(ctx, st); err != nil {
			return err
		}
		return found
	})
	if !errors.Is(err, found) {
		t.Fatal(err)
	}
	if _, err := record.Decode(parts.Payload); err != nil {
		t.Fatal(err)
	}
	e, _, err := evidence.New(parts)
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := e.Write(&file); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}
