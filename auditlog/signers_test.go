package auditlog

import (
	"context"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"shiguan/auditlog/tiles"
)

// TestTwoKeysSignEveryHead: a log may get an ML-DSA-44 key beside its Ed25519 key at any time. From then on each head carries
// both signatures, and whoever demands the new key finds it.
func TestTwoKeysSignEveryHead(t *testing.T) {
	k := newTestKeys(t)
	skey, vkey, err := tiles.GenerateMLDSAKey(testOrigin)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := tiles.NewMLDSALogSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	pq, err := tiles.ParsePolicy([]byte("log " + vkey + "\nquorum none\n"))
	if err != nil {
		t.Fatal(err)
	}
	o := k.options(t, t.TempDir())
	l := mustOpen(t, o)
	mustAppend(t, l, 1, "clerk")
	mustClose(t, l)

	demanding := o
	demanding.Quorum, demanding.MoreSigners = pq, []note.Signer{signer}
	if _, err := Open(context.Background(), demanding); err == nil || !strings.Contains(err.Error(), "not signed by a known key") {
		t.Fatalf("a head without the signature that the policy demands: %v", err)
	}
	o.MoreSigners = []note.Signer{signer}
	l = mustOpen(t, o)
	mustAppend(t, l, 2, "clerk")
	mustClose(t, l)
	l = mustOpen(t, demanding)
	defer mustClose(t, l)
	head := []byte(l.Status().Head)
	for name, p := range map[string]*tiles.Policy{"Ed25519": k.policy(t), "ML-DSA-44": pq} {
		if _, err := p.CheckLog(head); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := Fsck(context.Background(), mustDir(t, o.Dir), FsckOptions{Policy: p}); err != nil {
			t.Errorf("fsck that demands %s: %v", name, err)
		}
	}
	if n, err := tiles.ParseNote(head); err != nil || len(n.Signatures) != 2 || n.Signatures[0].KeyID != o.Signer.KeyHash() {
		t.Errorf("signatures of the head: %v\n%s", err, head)
	}
	stranger, _, err := tiles.GenerateMLDSAKey("another.example/log")
	if err != nil {
		t.Fatal(err)
	}
	o.Dir = t.TempDir()
	if signer, err = tiles.NewMLDSALogSigner(stranger); err != nil {
		t.Fatal(err)
	}
	o.MoreSigners = []note.Signer{signer}
	if _, err := Open(context.Background(), o); err == nil || !strings.Contains(err.Error(), "they must be equal") {
		t.Errorf("a second key of another name: %v", err)
	}
}
