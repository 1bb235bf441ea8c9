package cli

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shiguan/auditlog/tiles"
	"shiguan/cmd/internal/logtest"
	"shiguan/witness"
)

// A witness mirrors a real log over HTTP; the log is lost; fsck passes on the mirror and on a copy of its files, and finds
// one changed bit in any of them.
func TestFsckOfAMirror(t *testing.T) {
	l := logtest.New(t)
	l.Fill(400)
	l.Witnessed()
	logServer := httptest.NewServer(l.Handler())
	defer logServer.Close()
	skey, _, err := tiles.GenerateWitnessKey("mirror.example.gov.cn")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := tiles.NewCosigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	mirrors := t.TempDir()
	w, err := witness.Open(witness.Options{Signer: signer, StateDir: t.TempDir(), MirrorDir: mirrors, MirrorInterval: time.Millisecond,
		Logs: []witness.LogConfig{{Origin: logtest.Origin, VKey: l.VKey, Mirror: logServer.URL}}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	server := httptest.NewServer(w.Handler())
	defer server.Close()

	size := cosignWith(t, server.URL, l)
	sum := sha256.Sum256([]byte(logtest.Origin))
	id := hex.EncodeToString(sum[:])
	mirror := server.URL + "/mirror/" + id + "/"
	for began := time.Now(); !serves(mirror + "checkpoint"); time.Sleep(time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatal("nothing is mirrored")
		}
	}
	l.Stop()
	logServer.Close()
	// The witnesses of the quorum have signed too: the copy satisfies the investigators' quorum, not only the log's key.
	shiguan(t, "fsck", "--url", mirror, "--key", l.VKey).must(t, ExitOK, "holds", itoa(size)+" witnessed", "only the public part")
	shiguan(t, "fsck", "--url", mirror, "--policy", l.QuorumFile, "--json").must(t, ExitOK, `"verdict":"holds"`, `"public_only":true`)
	shiguan(t, "fsck", "--url", mirror+"nowhere/", "--key", l.VKey).must(t, ExitUsage)

	restored := copyTree(t, filepath.Join(mirrors, id))
	files := httptest.NewServer(http.FileServer(http.Dir(restored)))
	defer files.Close()
	shiguan(t, "fsck", "--url", files.URL, "--key", l.VKey).must(t, ExitOK, "holds")
	for _, name := range []string{"tile/entries/000", "tile/0/000", "tile/1/000.p/1"} {
		path := filepath.Join(restored, name)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		bad := bytes.Clone(good)
		bad[len(bad)/2] ^= 1
		os.WriteFile(path, bad, 0o644)
		shiguan(t, "fsck", "--url", files.URL, "--key", l.VKey).must(t, ExitNot, "contradicts itself")
		os.WriteFile(path, good, 0o644)
	}
	os.Remove(filepath.Join(restored, "tile/entries/000"))
	shiguan(t, "fsck", "--url", files.URL, "--key", l.VKey).must(t, ExitNot, "tile/entries/000")
}

// cosignWith has a witness that knows nothing of the log co-sign what it publishes.
func cosignWith(t *testing.T, url string, l *logtest.Log) uint64 {
	t.Helper()
	ctx, signed := t.Context(), publishedBy(t, l)
	c, n, err := openSigned(signed, l.VKey)
	if err != nil {
		t.Fatal(err)
	}
	var own tiles.Note
	own.Text = n.Text
	for _, s := range n.Signatures {
		if s.Name == logtest.Origin {
			own.Signatures = append(own.Signatures, s)
		}
	}
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, url+"/add-checkpoint", strings.NewReader("old 0\n\n"+string(own.Marshal())))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("the witness answers %s", resp.Status)
	}
	return c.Size
}

func publishedBy(t *testing.T, l *logtest.Log) []byte {
	t.Helper()
	rec := httptest.NewRecorder()
	l.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/checkpoint", nil))
	if rec.Code != http.StatusOK {
		t.Fatalf("the log's checkpoint: %d", rec.Code)
	}
	return rec.Body.Bytes()
}

func openSigned(signed []byte, vkey string) (tiles.Checkpoint, *tiles.Note, error) {
	v, err := tiles.NewLogVerifier(vkey)
	if err != nil {
		return tiles.Checkpoint{}, nil, err
	}
	return tiles.OpenCheckpoint(signed, v)
}

func serves(url string) bool {
	resp, err := http.Get(url)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

func copyTree(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}
