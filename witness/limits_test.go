package witness_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"shiguan/witness"
)

func TestStrangersAreLimitedAndLogsAreNot(t *testing.T) {
	f := newFixture(t, func(o *witness.Options) {
		o.Limits = witness.Limits{StrangerRate: 1, StrangerBurst: 3, KnownRate: 1, KnownBurst: 100}
	})
	for range 3 {
		f.refused(f.post("nonsense"), http.StatusBadRequest)
	}
	f.refused(f.post("nonsense"), http.StatusTooManyRequests)
	f.refused(f.get(monitorPath(f.log.origin)), http.StatusTooManyRequests)
	f.clock.advance(time.Second)
	f.cosigned(0, 1) // one token came back, and with it the address becomes known
	for size := uint64(1); size < 50; size++ {
		f.cosigned(size, size+1)
	}
}

// A valid signature makes an address known, an invalid one or an unknown log does not.
func TestOnlyASignatureMakesKnown(t *testing.T) {
	f := newFixture(t, func(o *witness.Options) {
		o.Limits = witness.Limits{StrangerRate: 1, StrangerBurst: 2, KnownRate: 1, KnownBurst: 100}
	})
	other := newFakeLog(t, f.log.origin)
	other.grow(5, "leaf")
	f.refused(f.post(other.submission(0, 5)), http.StatusForbidden)
	f.refused(f.post(other.submission(0, 5)), http.StatusForbidden)
	f.refused(f.post(f.log.submission(0, 5)), http.StatusTooManyRequests)
}

// serve runs Serve on its own listener.
func (f *fixture) serve() (addr string, stop func() error) {
	f.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- f.w.Serve(ctx, l, nil) }()
	return l.Addr().String(), func() error { cancel(); return <-served }
}

func TestConnectionsFromOneAddressAreBounded(t *testing.T) {
	f := newFixture(t, func(o *witness.Options) { o.Limits.PerAddress = 4; o.Limits.Connections = 8 })
	addr, stop := f.serve()
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	// ask sends a request on the connection; it is in the server's hands once it has answered.
	ask := func(conn net.Conn) error {
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: witness\r\n\r\n"); err != nil {
			return err
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}
	var open []net.Conn
	for range 4 {
		conn := dial()
		if err := ask(conn); err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
	}
	if err := ask(dial()); err == nil {
		t.Fatal("a fifth connection was served")
	}
	open[0].Close()
	// The server notices the close in its own time; a connection is served when it has.
	for ask(dial()) != nil {
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestOversizedHeaderIsRefused(t *testing.T) {
	f := newFixture(t)
	addr, stop := f.serve()
	req, err := http.NewRequest("GET", "http://"+addr+monitorPath(f.log.origin), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Padding", strings.Repeat("x", 64<<10))
	resp, err := http.DefaultClient.Do(req)
	if err == nil { // else the connection was reset while the header was still being sent
		resp.Body.Close()
		if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("answer %d, want 431", resp.StatusCode)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// A caller that stalls in its body must not take the place of one that does not.
func TestStalledBodiesDoNotBlock(t *testing.T) {
	f := newFixture(t, func(o *witness.Options) { o.Limits.Concurrent = 1 })
	addr := strings.TrimPrefix(f.srv.URL, "http://")
	for range 10 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "POST /add-checkpoint HTTP/1.1\r\nHost: witness\r\nContent-Length: 100\r\n\r\nold"); err != nil {
			t.Fatal(err)
		}
	}
	f.cosigned(0, 10)
}

func TestServeEndsWithItsContext(t *testing.T) {
	f := newFixture(t)
	addr, stop := f.serve()
	resp, err := http.Post("http://"+addr+"/add-checkpoint", "text/plain", strings.NewReader(f.log.submission(0, 10)))
	f.checkCosigned(f.log.checkpoint(10), f.read(resp, err))
	http.DefaultClient.CloseIdleConnections()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("still listening")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := f.w.Serve(context.Background(), l, nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("serving on a closed listener: %v", err)
	}
}

func TestMetrics(t *testing.T) {
	f := newFixture(t)
	f.cosigned(0, 10)
	f.cosigned(10, 20)
	f.conflict(f.post(f.log.submission(0, 10)), 20)
	f.refused(f.post("nonsense"), http.StatusBadRequest)
	problems, err := testutil.GatherAndLint(f.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	want := func(size, at, cosigned string) string {
		return `
# HELP shiguan_witness_last_cosignature_timestamp_seconds Unix time of the latest cosignature for the log, 0 if there never was one.
# TYPE shiguan_witness_last_cosignature_timestamp_seconds gauge
shiguan_witness_last_cosignature_timestamp_seconds{origin="log.example/civil"} ` + at + `
# HELP shiguan_witness_latest_size Tree size of the latest checkpoint co-signed for the log, in leaves.
# TYPE shiguan_witness_latest_size gauge
shiguan_witness_latest_size{origin="log.example/civil"} ` + size + `
# HELP shiguan_witness_submissions_total Checkpoints submitted to this witness, by what became of them.
# TYPE shiguan_witness_submissions_total counter
shiguan_witness_submissions_total{result="busy"} 0
shiguan_witness_submissions_total{result="conflict"} ` + map[bool]string{true: "1", false: "0"}[cosigned != "0"] + `
shiguan_witness_submissions_total{result="cosigned"} ` + cosigned + `
shiguan_witness_submissions_total{result="failed"} 0
shiguan_witness_submissions_total{result="inconsistent"} 0
shiguan_witness_submissions_total{result="malformed"} ` + map[bool]string{true: "1", false: "0"}[cosigned != "0"] + `
shiguan_witness_submissions_total{result="unknown_origin"} 0
shiguan_witness_submissions_total{result="unsigned"} 0
`
	}
	names := []string{"shiguan_witness_last_cosignature_timestamp_seconds", "shiguan_witness_latest_size", "shiguan_witness_submissions_total"}
	if err := testutil.GatherAndCompare(f.registry, strings.NewReader(want("20", "1.79e+09", "2")), names...); err != nil {
		t.Error(err)
	}
	f.restart() // sizes and times come back from the state
	if err := testutil.GatherAndCompare(f.registry, strings.NewReader(want("20", "1.79e+09", "0")), names...); err != nil {
		t.Error(err)
	}
}
