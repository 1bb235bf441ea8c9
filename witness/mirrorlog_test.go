package witness_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"shiguan/auditlog/tiles"
	"shiguan/witness"
)

// tileServer publishes a fakeLog as tlog-tiles.
type tileServer struct {
	t   *testing.T
	log *fakeLog
	srv *httptest.Server

	mu      sync.Mutex
	builder *tiles.Builder
	files   map[string][]byte
	asked   []string
	fail    func(path string) bool // answers 500
}

func newTileServer(t *testing.T, log *fakeLog) *tileServer {
	t.Helper()
	s := &tileServer{t: t, log: log, files: make(map[string][]byte)}
	s.builder = tiles.NewBuilder(func(tile tiles.Tile) error {
		s.files[tile.Path()] = bytes.Clone(tile.Data)
		return nil
	})
	s.srv = httptest.NewServer(s)
	t.Cleanup(s.srv.Close)
	return s
}

func (s *tileServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	s.mu.Lock()
	s.asked = append(s.asked, path)
	content, ok := s.files[path]
	fail := s.fail != nil && s.fail(path)
	s.mu.Unlock()
	switch {
	case fail:
		http.Error(w, "broken", http.StatusInternalServerError)
	case !ok:
		http.NotFound(w, r)
	default:
		w.Write(content)
	}
}

// publish has the log grow to the size and serves it, with more signature lines under the checkpoint if any are given.
func (s *tileServer) publish(size uint64, lines ...string) {
	s.t.Helper()
	s.log.grow(size, "leaf")
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := s.builder.Size(); n < size; n++ {
		if err := s.builder.Append(fmt.Appendf(nil, "leaf %d", n)); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := s.builder.Publish(); err != nil {
		s.t.Fatal(err)
	}
	s.files["checkpoint"] = []byte(s.log.checkpoint(size) + strings.Join(lines, ""))
}

// change changes a file, under the lock.
func (s *tileServer) change(f func(files map[string][]byte)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s.files)
}

func (s *tileServer) failing(f func(path string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = f
}

// forget returns the paths asked for since it was called last.
func (s *tileServer) forget() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

// mirrorFixture is a witness that mirrors its log.
func mirrorFixture(t *testing.T, change ...func(*witness.Options)) (*fixture, *tileServer) {
	t.Helper()
	var s *tileServer
	f := newFixture(t, append([]func(*witness.Options){func(o *witness.Options) {
		log := newFakeLog(t, o.Logs[0].Origin)
		s = newTileServer(t, log)
		o.Logs[0] = witness.LogConfig{Origin: log.origin, VKey: log.vkey, Mirror: s.srv.URL}
		o.MirrorInterval = time.Millisecond
		o.Limits.MirrorRate, o.Limits.MirrorBurst = 1e9, 1e9
	}}, change...)...)
	f.log = s.log
	return f, s
}

func (f *fixture) mirrorPath() string { return "/mirror/" + hashOf(f.log.origin) + "/" }

func (f *fixture) mirrorDir() string {
	return filepath.Join(f.opts.StateDir, "mirror", hashOf(f.log.origin))
}

// mirroredSize is what the served checkpoint says; 0 if there is none.
func (f *fixture) mirroredSize() uint64 {
	f.t.Helper()
	r := f.get(f.mirrorPath() + "checkpoint")
	if r.status == http.StatusNotFound {
		return 0
	}
	if r.status != http.StatusOK {
		f.t.Fatalf("the mirror's checkpoint: %d %q", r.status, r.body)
	}
	c, _, err := tiles.OpenCheckpoint([]byte(r.body), f.verifier, f.logVerifier())
	if err != nil {
		f.t.Fatalf("the mirror's checkpoint: %v", err)
	}
	return c.Size
}

func (f *fixture) logVerifier() *tiles.LogVerifier {
	f.t.Helper()
	v, err := tiles.NewLogVerifier(f.log.vkey)
	if err != nil {
		f.t.Fatal(err)
	}
	return v
}

// awaitMirror waits until the size is mirrored.
func (f *fixture) awaitMirror(size uint64) {
	f.t.Helper()
	for began := time.Now(); f.mirroredSize() != size; time.Sleep(time.Millisecond) {
		if time.Since(began) > time.Minute {
			f.t.Fatalf("%d leaves are mirrored after a minute, want %d", f.mirroredSize(), size)
		}
	}
}

// sameAsLog checks that the mirror serves exactly the resources of a tree of that size, with the log's own bytes.
func (f *fixture) sameAsLog(s *tileServer, size uint64) {
	f.t.Helper()
	want := make(map[string][]byte)
	b := tiles.NewBuilder(func(tile tiles.Tile) error {
		want[tile.Path()] = bytes.Clone(tile.Data)
		return nil
	})
	for n := range size {
		b.Append(fmt.Appendf(nil, "leaf %d", n))
	}
	b.Publish()
	if len(want) == 0 {
		f.t.Fatal("nothing to compare")
	}
	for path, data := range want {
		if r := f.get(f.mirrorPath() + path); r.status != http.StatusOK || r.contentType != "application/octet-stream" || r.body != string(data) {
			f.t.Fatalf("%s: %d %s, %d bytes, want the log's %d", path, r.status, r.contentType, len(r.body), len(data))
		}
	}
	for path := range s.files {
		if want[path] != nil || path == "checkpoint" {
			continue
		}
		id, err := tiles.ParseTilePath(path)
		if err != nil {
			f.t.Fatal(err)
		}
		r := f.get(f.mirrorPath() + path)
		if id.Width == tiles.TileWidth && r.status != http.StatusNotFound {
			f.t.Errorf("%s is served although it is not in the mirrored tree: %d", path, r.status)
		}
	}
}

// filesBelow lists the files of a directory.
func filesBelow(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			names = append(names, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
