package referee_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"shiguan/auditlog/tiles"
	"shiguan/witness"
)

// Our witness co-signs the log of Tessera's conformance server as it grows, mirrors it, and Tessera's own fsck finds nothing
// wrong with the mirror.
func TestOurWitnessCosignsTesserasLog(t *testing.T) {
	const origin = "tessera.example/conformance"
	program, fsck := install(t, tesseraLog, "posix"), install(t, tesseraFsck, "fsck")
	skey, vkey, err := note.GenerateKey(nil, origin)
	if err != nil {
		t.Fatal(err)
	}
	url, _ := serve(t, program, func(address string) []string {
		return []string{"--storage_dir=" + t.TempDir(), "--listen=" + address, "--private_key=" + writeFile(t, "key", skey)}
	})

	witnessKey, witnessVKey, err := tiles.GenerateWitnessKey("audit-office.example")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := tiles.NewCosigner(witnessKey)
	if err != nil {
		t.Fatal(err)
	}
	w, err := witness.Open(witness.Options{Signer: signer, StateDir: t.TempDir(), MirrorInterval: 10 * time.Millisecond,
		Logs: []witness.LogConfig{{Origin: origin, VKey: vkey, Mirror: url}}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	server := httptest.NewServer(w.Handler())
	defer server.Close()
	policy, err := tiles.ParsePolicy([]byte("log " + vkey + "\nwitness office " + witnessVKey + "\nquorum office\n"))
	if err != nil {
		t.Fatal(err)
	}

	old := uint64(0)
	for _, entries := range []int{1, 4, 600} {
		add(t, url, entries)
		size := old + uint64(entries)
		var signed []byte
		await(t, "published", func() bool {
			signed = fetch(t, url+"/checkpoint")
			c, err := policy.CheckLog(signed)
			return err == nil && c.Size == size
		})
		proof, err := tiles.ProveConsistency(t.Context(), tileReader{t, url}, old, size)
		if err != nil {
			t.Fatal(err)
		}
		body := fmt.Sprintf("old %d\n", old)
		for _, h := range proof {
			body += tiles.FormatHash(h) + "\n"
		}
		resp, err := http.Post(server.URL+"/add-checkpoint", "text/plain", strings.NewReader(body+"\n"+string(signed)))
		if err != nil {
			t.Fatal(err)
		}
		lines, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("from %d to %d: %s %q %v", old, size, resp.Status, lines, err)
		}
		if _, _, err := policy.Check(append(signed, lines...)); err != nil {
			t.Fatal(err)
		}
		old = size
	}

	id := sha256.Sum256([]byte(origin))
	mirror := server.URL + "/mirror/" + hex.EncodeToString(id[:]) + "/"
	await(t, "mirrored", func() bool {
		c, _, err := policy.Check(fetch(t, mirror+"checkpoint"))
		return err == nil && c.Size == old
	})
	out := run(t, time.Minute, fsck, "--storage_url="+mirror, "--public_key="+writeFile(t, "vkey", vkey+"\n"), "--ui=false", "--N=4")
	if !strings.Contains(out, verdict) {
		t.Errorf("the referee rejects our mirror of its own log:\n%s", out)
	}
}

// add appends entries, many at a time: the server answers when an entry has its place.
func add(t *testing.T, url string, entries int) {
	t.Helper()
	var wg sync.WaitGroup
	for n := range entries {
		wg.Go(func() {
			resp, err := http.Post(url+"/add", "text/plain", strings.NewReader(fmt.Sprintf("%d of %d", n, entries)))
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("add: %s", resp.Status)
			}
		})
	}
	wg.Wait()
}

// fetch returns what an address serves; nil if it is not there.
func fetch(t *testing.T, url string) []byte {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return nil
	}
	return b
}

// tileReader reads hash tiles over HTTP.
type tileReader struct {
	t   *testing.T
	url string
}

func (r tileReader) ReadTile(_ context.Context, level, index uint64, width int) ([]byte, error) {
	if b := fetch(r.t, r.url+"/"+tiles.TilePath(level, index, width)); b != nil {
		return b, nil
	}
	return nil, fmt.Errorf("no tile %s", tiles.TilePath(level, index, width))
}
