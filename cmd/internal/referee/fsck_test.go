package referee_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"shiguan/auditlog/record"
	"shiguan/cmd/internal/logtest"
)

const verdict = "Successfully fsck'd"

// Tessera's fsck, which shares nothing with us but the specification, reads 200,000 records of a running log.
func TestTesserasFsckReadsALargeLog(t *testing.T) {
	const records = 200_000
	fsck := install(t, tesseraFsck, "fsck")
	l := logtest.New(t)
	began := time.Now()
	for n := range records {
		l.Append(&record.Record{Kind: record.KindStatement, Time: time.Now(), Session: "0000000000000001", Seq: uint64(n + 1),
			Person: "civil_clerk", Statement: "SELECT name FROM civil.citizens WHERE id_number = $1", Decision: "allowed", Rule: "clerk"})
	}
	l.Witnessed()
	t.Logf("%d records written, signed and witnessed in %v", records, time.Since(began).Round(time.Millisecond))
	vkey := writeFile(t, "log.vkey", l.VKey+"\n")
	check := func(url string, within time.Duration) string {
		return run(t, within, fsck, "--storage_url="+url+"/", "--public_key="+vkey, "--ui=false", "--N=16")
	}

	server := httptest.NewServer(l.Handler())
	defer server.Close()
	began = time.Now()
	if out := check(server.URL, 5*time.Minute); !strings.Contains(out, verdict) {
		t.Fatalf("the referee rejects the log:\n%s", out)
	}
	t.Logf("checked in %v", time.Since(began).Round(time.Millisecond))

	// It does look: one bit of one entry.
	liar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		l.Handler().ServeHTTP(rec, r)
		body := rec.Body.Bytes()
		if r.URL.Path == "/tile/entries/500" {
			body = bytes.Clone(body)
			body[len(body)/2] ^= 1
		}
		w.WriteHeader(rec.Code)
		w.Write(body)
	}))
	defer liar.Close()
	if out := check(liar.URL, time.Minute); strings.Contains(out, verdict) {
		t.Errorf("the referee does not see a changed entry:\n%s", out)
	}
}
