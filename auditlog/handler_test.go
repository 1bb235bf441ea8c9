package auditlog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"filippo.io/age"

	"shiguan/auditlog/record"
	"shiguan/auditlog/tiles"
)

// served is a log with 600 records under a published head, 5 signed ones above
// and 3 that are only durable, and a server for it.
func served(t *testing.T, k testKeys) (*Log, *memFS, *httptest.Server) {
	t.Helper()
	m := newMemFS()
	o := k.crashOptions(t, m, &strictWitness{})
	o.SegmentBytes = 64 << 10
	l := mustOpen(t, o)
	grow := func(to uint64) {
		var r Receipt
		for i := l.Status().Durable; i < to; i++ {
			r = mustAppend(t, l, i, "p")
		}
		if err := r.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	step := func(step func(context.Context) error) {
		if err := step(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	sign := func(ctx context.Context) error { _, err := l.signer.step(ctx); return err }
	grow(100)
	step(sign)
	step(l.witnessing.step)
	grow(600)
	step(sign)
	step(l.witnessing.step)
	grow(605)
	step(sign)
	grow(608)
	srv := httptest.NewServer(l.Handler())
	t.Cleanup(func() {
		srv.Close()
		killed(l)
	})
	return l, m, srv
}

func TestHandlerAnswers(t *testing.T) {
	k := newTestKeys(t)
	_, _, srv := served(t, k)
	const (
		text   = "text/plain; charset=utf-8"
		binary = "application/octet-stream"
		always = "public, max-age=31536000, immutable"
	)
	for _, c := range []struct {
		path        string
		code        int
		contentType string
		cache       string
	}{
		{"/checkpoint", 200, text, "public, max-age=2"},
		{"/tile/0/000", 200, binary, always},
		{"/tile/0/001", 200, binary, always},
		{"/tile/0/002.p/88", 200, binary, always},
		{"/tile/0/002.p/80", 200, binary, always}, // begins the one above; a smaller size may have been published
		{"/tile/0/000.p/100", 200, binary, always},
		{"/tile/1/000.p/2", 200, binary, always},
		{"/tile/entries/000", 200, binary, always},
		{"/tile/entries/002.p/88", 200, binary, always},
		{"/tile/0/002.p/93", 404, "", ""}, // signed, not published
		{"/tile/0/002", 404, "", ""},
		{"/tile/1/000", 404, "", ""},
		{"/tile/1/000.p/3", 404, "", ""},
		{"/tile/2/000.p/1", 404, "", ""},
		{"/tile/63/000.p/1", 404, "", ""},
		{"/tile/entries/002.p/93", 404, "", ""},
		{"/tile/0/0", 404, "", ""},
		{"/tile/0/000.p/0", 404, "", ""},
		{"/tile/0/000.p/256", 404, "", ""},
		{"/tile/0/x000/000", 404, "", ""},
		{"/tile/00/000", 404, "", ""},
		{"/tile/0/000/", 404, "", ""},
		{"/tile/0/../0/000", 404, "", ""},
		{"/tile/0/%30%30%30", 404, "", ""},
		{"/status", 200, "application/json", "no-store"},
		{"/payload/0", 200, binary, "no-store"},
		{"/payload/607", 200, binary, "no-store"},
		{"/payload/607?count=5", 200, binary, "no-store"},
		{"/payload/608", 404, "", ""},
		{"/payload/00", 404, "", ""},
		{"/payload/-1", 404, "", ""},
		{"/payload/", 404, "", ""},
		{"/payload/18446744073709551615", 404, "", ""},
		{"/payload/0?count=0", 400, "", ""},
		{"/payload/0?count=x", 400, "", ""},
		{"/payload/0?n=1", 400, "", ""},
		{"/key/1", 200, binary, "no-store"},
		{"/key/2", 404, "", ""},
		{"/key/01", 404, "", ""},
		{"/key/4294967297", 404, "", ""},
		{"/head", 404, "", ""},
		{"/segments/00000000000000000000.seg", 404, "", ""},
		{"/keys/0000000001.age", 404, "", ""},
		{"/lock", 404, "", ""},
		{"/", 404, "", ""},
		{"//checkpoint", 404, "", ""},
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE"} {
			req, err := http.NewRequest(method, srv.URL+c.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			code := c.code
			if method != "GET" && method != "HEAD" {
				code = 405
			}
			if resp.StatusCode != code {
				t.Errorf("%s %s: %d, want %d", method, c.path, resp.StatusCode, code)
				continue
			}
			if code != 200 {
				continue
			}
			if got := resp.Header.Get("Content-Type"); got != c.contentType {
				t.Errorf("%s %s: type %q, want %q", method, c.path, got, c.contentType)
			}
			if got := resp.Header.Get("Cache-Control"); got != c.cache {
				t.Errorf("%s %s: cache %q, want %q", method, c.path, got, c.cache)
			}
			if (method == "GET") != (len(body) > 0) {
				t.Errorf("%s %s: %d bytes", method, c.path, len(body))
			}
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// What is served is what a verifier needs: the entries hash into the tiles, the
// tiles into the checkpoint.
func TestServedTreeHolds(t *testing.T) {
	k := newTestKeys(t)
	_, _, srv := served(t, k)
	ctx := context.Background()
	src := mustURL(t, srv)
	signed, err := src.Checkpoint(ctx)
	if err != nil {
		t.Fatal(err)
	}
	c, err := k.policy(t).CheckLog(signed)
	if err != nil || c.Size != 600 {
		t.Fatalf("%+v, %v", c, err)
	}
	root, err := tiles.RootAt(ctx, src, c.Size)
	if err != nil || root != c.Root {
		t.Fatalf("%x, %v", root, err)
	}
	for _, at := range []uint64{0, 99, 255, 256, 511, 512, 599} {
		bundle, err := readExact(ctx, src.(*urlSource), tiles.TileID{Level: tiles.LevelEntries, Index: at / 256, Width: min(256, int(600-at/256*256))})
		if err != nil {
			t.Fatal(err)
		}
		entries, err := tiles.ParseBundle(bundle)
		if err != nil {
			t.Fatal(err)
		}
		proof, err := tiles.ProveInclusion(ctx, src, c.Size, at)
		if err == nil {
			err = tiles.CheckInclusion(tiles.LeafHash(entries[at%256]), at, c.Size, proof, c.Root)
		}
		if err != nil {
			t.Errorf("record %d: %v", at, err)
		}
	}
}

func mustURL(t *testing.T, srv *httptest.Server) Source {
	t.Helper()
	src, err := OpenURL(srv.URL+"/", srv.Client())
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// Both sources of one log say the same.
func TestSourcesAgree(t *testing.T) {
	k := newTestKeys(t)
	_, m, srv := served(t, k)
	ctx := context.Background()
	dir, url := Source(newDirSource("mem", m)), mustURL(t, srv)
	collect := func(src Source, from uint64) (all []Stored) {
		if err := src.Records(ctx, from, func(st Stored) error { all = append(all, st); return nil }); err != nil {
			t.Fatal(err)
		}
		return all
	}
	for _, from := range []uint64{0, 1, 255, 256, 300, 607, 608, 10000} {
		a, b := collect(dir, from), collect(url, from)
		if want := max(0, 608-int(from)); len(a) != want || len(b) != want {
			t.Fatalf("from %d: %d and %d records, want %d", from, len(a), len(b), want)
		}
		for i := range a {
			if a[i].Index != b[i].Index || a[i].Leaf != b[i].Leaf || !bytes.Equal(a[i].LeafBytes, b[i].LeafBytes) || !bytes.Equal(a[i].Sealed, b[i].Sealed) {
				t.Fatalf("record %d differs", from+uint64(i))
			}
		}
	}
	for _, src := range []Source{dir, url} {
		s, err := src.Status(ctx)
		if err != nil || s.Durable != 608 || s.Integrated != 605 || s.Witnessed != 600 || s.Origin != testOrigin || s.Period != 1 ||
			s.OldestNotIntegrated.IsZero() || s.OldestUnwitnessed.IsZero() {
			t.Errorf("%T: %+v, %v", src, s, err)
		}
		if s.State(599) != "witnessed" || s.State(600) != "integrated" || s.State(605) != "durable" || s.State(608) != "absent" {
			t.Errorf("%T: states", src)
		}
		n := 0
		if err := src.Records(ctx, 3, func(Stored) error { n++; return ErrStop }); err != nil || n != 1 {
			t.Errorf("%T: ErrStop: %d records, %v", src, n, err)
		}
		boom := errors.New("boom")
		if err := src.Records(ctx, 3, func(Stored) error { return boom }); !errors.Is(err, boom) {
			t.Errorf("%T: %v", src, err)
		}
		if _, err := src.WrappedKey(ctx, 9); !errors.Is(err, ErrKeyMissing) {
			t.Errorf("%T: key 9: %v", src, err)
		}
		head, err := src.Head(ctx)
		if c, headErr := k.policy(t).CheckLog(head); err != nil || headErr != nil || c.Size != 605 {
			t.Errorf("%T: head %+v, %v, %v", src, c, err, headErr)
		}
		r := k.mustFsck(t, src)
		if r.Durable != 608 || r.Opened != 608 {
			t.Errorf("%T: %+v", src, r)
		}
	}
}

func TestNothingPublishedYet(t *testing.T) {
	k := newTestKeys(t)
	m := newMemFS()
	l := mustOpen(t, k.crashOptions(t, m, &strictWitness{}))
	defer killed(l)
	srv := httptest.NewServer(l.Handler())
	defer srv.Close()
	for _, src := range []Source{newDirSource("mem", m), mustURL(t, srv)} {
		if _, err := src.Checkpoint(context.Background()); !errors.Is(err, ErrNotPublished) {
			t.Errorf("%T: checkpoint: %v", src, err)
		}
		if _, err := src.Head(context.Background()); !errors.Is(err, ErrNotPublished) {
			t.Errorf("%T: head: %v", src, err)
		}
		if r := k.mustFsck(t, src); r.Durable != 1 || r.Integrated != 0 {
			t.Errorf("%T: %+v", src, r)
		}
	}
}

// A large record is served whole; many small ones in several answers.
func TestPayloadIsBounded(t *testing.T) {
	k := newTestKeys(t)
	l := mustOpen(t, k.crashOptions(t, newMemFS(), &strictWitness{}))
	defer killed(l)
	large, err := (&record.Record{Kind: record.KindStatement, Time: testTime, Statement: strings.Repeat("x", 20<<20)}).Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, payload := range [][]byte{payloadOf(t, 1, "a"), large, payloadOf(t, 1, "b")} {
		r, err := l.Append(record.KindStatement, testTime, payload)
		if err == nil {
			err = r.Wait()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	srv := httptest.NewServer(l.Handler())
	defer srv.Close()
	src := mustURL(t, srv)
	op := NewOpener(src, []age.Identity{k.identity})
	var sizes []int
	err = src.Records(context.Background(), 0, func(st Stored) error {
		payload, _, err := op.Open(context.Background(), st)
		sizes = append(sizes, len(payload))
		return err
	})
	if err != nil || len(sizes) != 4 || sizes[2] != len(large) {
		t.Fatalf("%v, %v", sizes, err)
	}
	resp, err := srv.Client().Get(srv.URL + "/payload/0?count=4")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || len(b) > 4096 {
		t.Errorf("%d bytes in one answer, %v: the large record must wait for its own", len(b), err)
	}
}

// A server that lies about records is caught by the frame's own checks.
func TestURLSourceDistrusts(t *testing.T) {
	k := newTestKeys(t)
	_, _, good := served(t, k)
	for name, change := range map[string]func([]byte) []byte{
		"a bit":       func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"cut":         func(b []byte) []byte { return b[:len(b)-1] },
		"empty":       func([]byte) []byte { return nil },
		"wrong index": func(b []byte) []byte { b[15]++; return b },
		"huge":        func(b []byte) []byte { copy(b[4:], "\x3f\xff\xff\xff"); return b },
	} {
		bad := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			resp, err := good.Client().Get(good.URL + r.URL.RequestURI())
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Error(err)
			}
			if strings.HasPrefix(r.URL.Path, "/payload/") {
				b = change(b)
			}
			w.WriteHeader(resp.StatusCode)
			w.Write(b)
		}))
		if err := mustURL(t, bad).Records(context.Background(), 500, func(Stored) error { return nil }); err == nil {
			t.Errorf("%s: accepted", name)
		}
		bad.Close()
	}
}

func TestOpenURLRefuses(t *testing.T) {
	for _, address := range []string{"", "127.0.0.1:80", "ftp://example.org/", "http://", "http://example.org/?a=b", "http://example.org/#a", ":"} {
		if _, err := OpenURL(address, nil); err == nil {
			t.Errorf("%q accepted", address)
		}
	}
}

func TestOpenDirRefuses(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{dir, dir + "/absent"} {
		if _, err := OpenDir(d); err == nil {
			t.Errorf("%s accepted", d)
		}
	}
}

// A broken log still shows what it has, and why it takes no more.
func TestBrokenLogIsServed(t *testing.T) {
	k := newTestKeys(t)
	l, _, srv := served(t, k)
	l.fail(errors.New("boom"))
	resp, err := srv.Client().Get(srv.URL + "/status")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var s Status
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil || !strings.Contains(s.Broken, "boom") || s.Durable != 608 {
		t.Errorf("%+v, %v", s, err)
	}
	k.mustFsck(t, mustURL(t, srv))
}
