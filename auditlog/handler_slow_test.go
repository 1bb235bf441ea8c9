package auditlog

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Callers who ask for much and read nothing must not keep investigators from the log for ever.
func TestCallersWhoDoNotReadMakeRoom(t *testing.T) {
	k := newTestKeys(t)
	o := k.options(t, t.TempDir())
	o.SegmentBytes = 32 << 20
	l := mustOpen(t, o)
	defer mustClose(t, l)
	var last Receipt
	for i := range uint64(2 * maxPayloadBytes >> 20) {
		last = mustAppend(t, l, i, strings.Repeat("x", 1<<20))
	}
	if err := last.Wait(); err != nil {
		t.Fatal(err)
	}
	h := l.Handler().(*handler)
	h.time = 2 * time.Second
	var ended atomic.Int32 // answers that were given up
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r)
		ended.Add(1)
	}))
	defer srv.Close()
	for range payloadReaders {
		nc, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		nc.(*net.TCPConn).SetReadBuffer(4096)
		if _, err := io.WriteString(nc, "GET /payload/1?count=4096 HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	for len(h.readers) < payloadReaders && ended.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	client := &http.Client{Timeout: time.Minute}
	resp, err := client.Get(srv.URL + "/payload/0")
	if err != nil {
		t.Fatalf("an honest caller gets nothing: %v", err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("an honest caller gets %s", resp.Status)
	}
}
