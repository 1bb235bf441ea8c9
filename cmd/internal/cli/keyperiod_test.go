package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"shiguan/auditlog"
	"shiguan/auditlog/record"
	"shiguan/auditlog/tiles"
	"shiguan/configs"
	"shiguan/witness"
)

// proxyLog is the log of a proxy's configuration, made with the commands that operators use, and a witness of it.
type proxyLog struct {
	t            *testing.T
	dir          string
	proxy, asker string // configurations
	vkey         string
}

func newProxyLog(t *testing.T) *proxyLog {
	t.Helper()
	l := &proxyLog{t: t, dir: t.TempDir()}
	at := func(name string) string { return filepath.Join(l.dir, name) }
	const origin = "audit.example.gov.cn/archive"
	made := func(args ...string) string {
		t.Helper()
		return strings.TrimSpace(shiguan(t, append([]string{"key"}, args...)...).must(t, ExitOK).out)
	}
	l.vkey = made("new-log", "--origin", origin, "-o", at("log.key"))
	cosigner := made("new-witness", "--name", "audit-office.example.gov.cn", "-o", at("witness.key"))
	recipient := made("new-identity", "-o", at("investigator.identity"))
	made("new-subject", "-o", at("subject.key"))
	skey, err := os.ReadFile(at("witness.key"))
	if err != nil {
		t.Fatal(err)
	}
	signer, err := tiles.NewCosigner(strings.TrimSpace(string(skey)))
	if err != nil {
		t.Fatal(err)
	}
	w, err := witness.Open(witness.Options{Signer: signer, StateDir: t.TempDir(), Logs: []witness.LogConfig{{Origin: origin, VKey: l.vkey}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	server := httptest.NewServer(w.Handler())
	t.Cleanup(server.Close)
	for name, text := range map[string]string{
		"quorum.policy":           "log " + l.vkey + "\nwitness office " + cosigner + " " + server.URL + "\nquorum office\n",
		"investigator.recipients": recipient + "\n",
		"password":                "secret\n",
		"proxy.yaml": "people: people.yaml\npolicy: policy.yaml\nlog: {dir: log, origin: " + origin + ", key: log.key, " +
			"recipients: investigator.recipients, subject_key: subject.key, checkpoint_interval: 10ms}\nwitnesses: {policy: quorum.policy}\n" +
			"databases: [{name: a, host: localhost, catalogue: {user: u, password_file: password}, roles: [{name: r, password_file: password}]}]\n",
		"investigator.yaml": "log: {dir: log}\norigin: " + origin + "\nidentity: investigator.identity\nsubject_key: subject.key\n" +
			"quorum: quorum.policy\nindex: index.sqlite\nconsole: {listen: \"127.0.0.1:0\", people: people.yaml}\n",
	} {
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l.proxy, l.asker = at("proxy.yaml"), at("investigator.yaml")
	return l
}

// open opens the log as the proxy does, with a record in the new period.
func (l *proxyLog) open() *auditlog.Log {
	l.t.Helper()
	cfg, err := configs.LoadProxy(l.proxy)
	if err != nil {
		l.t.Fatal(err)
	}
	log, err := openLog(context.Background(), cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		l.t.Fatal(err)
	}
	r := &record.Record{Kind: record.KindStatement, Time: time.Now(), Session: "0000000000000001", Seq: 1, Person: "civil_clerk",
		Statement: "SELECT 1", Decision: "allowed", Rule: "any"}
	payload, err := r.Append(nil)
	if err != nil {
		l.t.Fatal(err)
	}
	receipt, err := log.Append(r.Kind, r.Time, payload)
	if err == nil {
		err = receipt.Wait()
	}
	if err != nil {
		l.t.Fatal(err)
	}
	return log
}

func (l *proxyLog) close(log *auditlog.Log) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := log.Close(ctx); err != nil {
		l.t.Fatal(err)
	}
}

func TestErasingAPeriod(t *testing.T) {
	l := newProxyLog(t)
	l.close(l.open()) // period 1: records 0 and 1
	evidence := filepath.Join(t.TempDir(), "before.evidence")
	shiguan(t, "prove", "--config", l.asker, "1", "-o", evidence).must(t, ExitOK)
	erase := func(period string) ran {
		return shiguan(t, "key", "erase-period", "--config", l.proxy, period, "--person", "archivist Wang", "--reason", "retention is over")
	}

	running := l.open() // period 2
	if got := erase("1").must(t, ExitNot); !strings.Contains(got.errors, "the proxy is running") {
		t.Errorf("beside a running proxy it says %q", got.errors)
	}
	l.close(running)
	shiguan(t, "show", "--config", l.asker, "1").must(t, ExitOK, "SELECT 1") // a refusal erases nothing

	erase("1").must(t, ExitOK, "Key period 1 is erased", "is witnessed", "backup") // itself period 3
	if got := erase("1").must(t, ExitNot); !strings.Contains(got.errors, "erased already") {
		t.Errorf("the second time it says %q", got.errors)
	}
	for _, period := range []string{"99", "0", "x"} {
		if got := erase(period); got.code == ExitOK {
			t.Errorf("period %s was erased", period)
		}
	}
	shiguan(t, "key", "list-periods", "--config", l.proxy).must(t, ExitOK, "erased ", "archivist Wang: retention is over (record ")
	first := objects(t, shiguan(t, "key", "list-periods", "--config", l.proxy, "--json").must(t, ExitOK).out)
	if len(first) < 3 || first[0]["erased"] == nil || first[1]["erased"] != nil || fmt.Sprint(first[1]["first"]) != "2" || first[1]["opened"] == nil {
		t.Errorf("periods: %v", first)
	}
	shiguan(t, "show", "--config", l.asker, "1").must(t, ExitOK, lawfullyErased, "witnessed")
	shiguan(t, "search", "--config", l.asker).must(t, ExitOK, lawfullyErased)
	shiguan(t, "fsck", "--config", l.asker).must(t, ExitOK, "2 lawfully erased", "holds")
	shiguan(t, "verify", "--policy", filepath.Join(l.dir, "quorum.policy"), evidence).must(t, ExitOK) // what was handed out holds
}
