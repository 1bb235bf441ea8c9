package search_test

import (
	"context"
	"io"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"filippo.io/age"

	"shiguan/auditlog"
	"shiguan/auditlog/record"
	"shiguan/auditlog/search"
	"shiguan/auditlog/tiles"
)

// The real log, from its directory while it runs and over HTTP, gives the same hits as the scan.
func TestRealLog(t *testing.T) {
	skey, _, err := tiles.GenerateLogKey(origin)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := tiles.NewLogSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	log, err := auditlog.Open(context.Background(), auditlog.Options{Dir: dir, Origin: origin, Signer: signer,
		Recipients: []age.Recipient{identity.Recipient()}, Interval: 2 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(log.Handler())
	defer srv.Close()
	fromURL, err := auditlog.OpenURL(srv.URL, srv.Client())
	if err != nil {
		t.Fatal(err)
	}
	fromDir, err := auditlog.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, src := range map[string]auditlog.Source{"directory": fromDir, "url": fromURL} {
		x := openIndex(t, filepath.Join(t.TempDir(), name))
		defer x.Close()
		op := auditlog.NewOpener(src, []age.Identity{identity})
		for round := range 8 {
			var last auditlog.Receipt
			for i := range 37 {
				r := &record.Record{Kind: record.KindStatement, Time: start.Add(time.Duration(round) * time.Second),
					Session: "0000000000000001", Seq: uint64(i + 1), Person: name, Statement: "SELECT 1", Decision: record.DecisionAllowed}
				if last, err = log.Append(r.Kind, r.Time, mustAppend(t, r)); err != nil {
					t.Fatal(err)
				}
			}
			if err := last.Wait(); err != nil {
				t.Fatal(err)
			}
			if err := x.Update(context.Background(), src, op, nil); err != nil {
				t.Fatalf("%s, round %d: %v", name, round, err)
			}
			hits, err := x.Search(context.Background(), search.Query{Person: name})
			if err != nil {
				t.Fatal(err)
			}
			if want := 37 * (round + 1); len(hits) != want || hits[0].Index != last.Index() {
				t.Fatalf("%s, round %d: %d hits, the first is record %d; want %d, %d", name, round, len(hits), hits[0].Index, want, last.Index())
			}
		}
		noAnomalies(t, x)
	}
	if err := log.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	// Both ways to read the log make the same index, also once it has stopped.
	var indexes [][]search.Hit
	for _, name := range []string{"one", "two"} {
		src, err := auditlog.OpenDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		x := openIndex(t, filepath.Join(t.TempDir(), name))
		defer x.Close()
		if err := x.Update(context.Background(), src, auditlog.NewOpener(src, []age.Identity{identity}), nil); err != nil {
			t.Fatal(err)
		}
		hits, err := x.Search(context.Background(), search.Query{})
		if err != nil {
			t.Fatal(err)
		}
		indexes = append(indexes, hits)
	}
	if len(indexes[0]) != 2*8*37 || !reflect.DeepEqual(indexes[0], indexes[1]) {
		t.Errorf("%d and %d hits", len(indexes[0]), len(indexes[1]))
	}
}
