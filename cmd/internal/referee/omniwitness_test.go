package referee_test

import (
	"context"
	"log/slog"
	"os/exec"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/mod/sumdb/note"

	"shiguan/auditlog"
	"shiguan/auditlog/record"
	"shiguan/auditlog/tiles"
	"shiguan/witness/quorum"
)

const origin = "audit.example.gov.cn/civil-affairs"

// An independent witness co-signs our log as it grows, with an Ed25519 and an ML-DSA-44 key, and a second log that
// begins anew under the same key is not.
func TestOmniwitnessCosignsOurLog(t *testing.T) {
	program := build(t, exec.Command("go", "build", "-C", "omniwitness", "-o", bin, omniwitness), "omniwitness")
	logKey, logVKey, err := tiles.GenerateLogKey(origin)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := tiles.NewLogSigner(logKey)
	if err != nil {
		t.Fatal(err)
	}
	skey, vkey, err := tiles.GenerateWitnessKey("omniwitness.example")
	if err != nil {
		t.Fatal(err)
	}
	skeyMLDSA, vkeyMLDSA, err := tiles.GenerateMLDSAKey("omniwitness.example")
	if err != nil {
		t.Fatal(err)
	}
	logs := writeFile(t, "logs.yaml", "Logs:\n  - Origin: "+origin+"\n    URL: http://localhost/\n    PublicKey: "+logVKey+"\n")
	url, written := serve(t, program, func(address string) []string {
		return []string{"--listen=" + address, "--metrics_listen=", "--additional_logs=" + logs, "--logtostderr",
			"--private_key_path=" + writeFile(t, "ed25519", skey), "--private_key_path=" + writeFile(t, "mldsa", skeyMLDSA)}
	})
	policy, err := tiles.ParsePolicy([]byte("log " + logVKey + "\nwitness classic " + vkey + " " + url + "\nwitness quantum " + vkeyMLDSA + " " + url +
		"\ngroup both all classic quantum\nquorum both\n"))
	if err != nil {
		t.Fatal(err)
	}

	dir := t.TempDir()
	log := openLog(t, dir, signer, policy, prometheus.NewRegistry())
	for _, records := range []int{1, 3, 300, 1000} {
		appendTo(t, log, records)
		size := log.Status().Durable
		await(t, "witnessed by omniwitness:\n"+written.String(), func() bool { return log.Status().Witnessed >= size })
	}
	closeLog(t, log)
	log = openLog(t, dir, signer, policy, prometheus.NewRegistry()) // and after a restart of the log
	appendTo(t, log, 10)
	size := log.Status().Durable
	await(t, "witnessed after a restart", func() bool { return log.Status().Witnessed >= size })
	closeLog(t, log)

	// It answers with the size that it knows and has no endpoint to prove it by, so the second log is not told off for good:
	// a witness's bare word does not stop a log. It just never gets a cosignature.
	registry := prometheus.NewRegistry()
	fork := openLog(t, t.TempDir(), signer, policy, registry)
	defer fork.Close(context.Background())
	appendTo(t, fork, 5)
	await(t, "refused", func() bool { return asked(t, registry, "unproven") >= 2 })
	if s := fork.Status(); s.Witnessed != 0 || asked(t, registry, "cosigned") != 0 {
		t.Errorf("the second log with the same key is co-signed: %+v", s)
	}
	if strings.Contains(written.String(), "panic") {
		t.Errorf("omniwitness: %s", written)
	}
}

// asked counts the answers of a kind that a log had from its witnesses.
func asked(t *testing.T, registry *prometheus.Registry, result string) (n float64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "shiguan_witness_requests_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			for _, label := range m.GetLabel() {
				if label.GetValue() == result {
					n += m.GetCounter().GetValue()
				}
			}
		}
	}
	return n
}

func openLog(t *testing.T, dir string, signer note.Signer, policy *tiles.Policy, registry *prometheus.Registry) *auditlog.Log {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	cosigner, err := quorum.New(quorum.Options{Policy: policy, Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	log, err := auditlog.Open(t.Context(), auditlog.Options{Dir: dir, Origin: origin, Signer: signer, Recipients: []age.Recipient{identity.Recipient()},
		Cosigner: cosigner, Quorum: policy, Interval: 20 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func closeLog(t *testing.T, log *auditlog.Log) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := log.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

// appendTo returns once the records are durable.
func appendTo(t *testing.T, log *auditlog.Log, records int) {
	t.Helper()
	var last auditlog.Receipt
	for range records {
		r := &record.Record{Kind: record.KindHeartbeat, Time: time.Now()}
		payload, err := r.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		if last, err = log.Append(r.Kind, r.Time, payload); err != nil {
			t.Fatal(err)
		}
	}
	if err := last.Wait(); err != nil {
		t.Fatal(err)
	}
}
