package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shiguan/auditlog/record"
	"shiguan/cmd/internal/logtest"
	"shiguan/cmd/internal/policydesk"
)

func recordedCity(t *testing.T) string {
	t.Helper()
	cat, err := policydesk.Created(`
		CREATE TABLE civil.citizens (id_number text, name text, phone text, address text, birth_date date);
		CREATE TABLE civil.households (household_id int, id_number text, size int, district text);
		CREATE TABLE housing.fund_accounts (account_no text, id_number text, employer text, balance numeric);
		CREATE TABLE welfare.payments (payment_id bigint, id_number text, amount numeric, reason text, paid_on date)`)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "civil.catalogue")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := policydesk.WriteSnapshot(f, cat); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestPolicyDiff replays a log of the city under the demo's policy and one in which clerks see phones and managers change
// nothing, and counts by hand what must differ.
func TestPolicyDiff(t *testing.T) {
	l := logtest.New(t)
	l.Fill(400)
	text, err := os.ReadFile(demoPolicy)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), "clear: [civil.citizens.name]\n    match: [civil", "clear: [civil.citizens.name, civil.citizens.phone]\n    match: [civil", 1)
	changed = strings.Replace(changed, "may:   [update]", "may:   [delete]", 1)
	changed = strings.Replace(changed, "    set:   [civil.citizens.phone, civil.citizens.address]\n", "", 1)
	newer := writeFile(t, "new.yaml", changed)
	args := []string{"policy", "diff", demoPolicy, newer, "--config", l.Config, "--snapshot", recordedCity(t)}

	const looked, all, updated = "SELECT name, phone FROM civil.citizens WHERE id_number = ?", "SELECT * FROM civil.citizens", "UPDATE civil.citizens SET phone = ? WHERE id_number = ?"
	want := map[string]int{}
	for _, r := range logRecords(t, l) {
		switch {
		case r.Kind != record.KindStatement:
		case r.Person == "civil_clerk" && strings.HasPrefix(r.Statement, "SELECT name, phone"):
			want[looked]++
		case r.Person == "civil_clerk" && r.Statement == all:
			want[all]++
		case r.Person == "civil_manager" && strings.HasPrefix(r.Statement, "UPDATE"):
			want[updated]++
		}
	}
	if want[looked] == 0 || want[all] == 0 || want[updated] == 0 {
		t.Fatalf("the log has too little to compare: %v", want)
	}
	out := shiguan(t, append(args, "--json")...).must(t, ExitNot, "statements would be decided otherwise")
	found := objects(t, out.out)
	for _, d := range found {
		shape, old, is := d["statement"].(string), d["old"].(map[string]any), d["new"].(map[string]any)
		if int(d["count"].(float64)) != want[shape] {
			t.Errorf("%s: %v times, want %d", shape, d["count"], want[shape])
		}
		delete(want, shape)
		switch shape {
		case looked:
			if is["masked"] != nil || old["masked"].([]any)[0] != "civil.citizens.phone" || d["persons"].([]any)[0] != "civil_clerk" {
				t.Errorf("%v", d)
			}
		case updated:
			if old["decision"] != "allowed" || is["decision"] != "refused" || is["reason"] == nil {
				t.Errorf("%v", d)
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("not found: %v in\n%s", want, out.out)
	}
	plain := shiguan(t, args...).must(t, ExitNot, "× "+looked, "asked by civil_clerk; records", "→  refused by", "in 3 ways.")
	if strings.Contains(plain.out+out.out, "340102") || strings.Contains(plain.out+out.out, "138000") {
		t.Errorf("a constant of a statement was shown:\n%s", plain.out)
	}

	shiguan(t, append(args, "--until", time.Now().Add(-48*time.Hour).UTC().Format(time.RFC3339))...).must(t, ExitOK, "0 of 0 statements")
	same := append([]string{}, args...)
	same[3] = demoPolicy
	shiguan(t, same...).must(t, ExitOK, "0 of ")
	shiguan(t, append(same, "--replay", l.LogDir)...).must(t, ExitOK, "0 of ")
	shiguan(t, append(same, "--replay", filepath.Join(l.Dir, "elsewhere"))...).must(t, ExitUsage)
	shiguan(t, "policy", "diff", demoPolicy, newer, "--config", l.Config).must(t, ExitUsage, "--snapshot FILE")
}

// Statements prepared by name are followed through their session, and what came out otherwise than on record is counted.
func TestReplayFollowsSessions(t *testing.T) {
	p, err := loadPolicy(demoPolicy)
	if err != nil {
		t.Fatal(err)
	}
	cat, err := policydesk.ReadSnapshot(recordedCity(t))
	if err != nil {
		t.Fatal(err)
	}
	r := policydesk.Replay{Old: p, New: p, Catalogue: cat, SearchPath: []string{"public"}}
	statement := func(session, text string) *record.Record {
		return &record.Record{Kind: record.KindStatement, Session: session, Person: "civil_manager", Department: "civil-affairs", Position: "manager",
			Statement: text, Decision: record.DecisionAllowed, Policy: p.Digest(), Time: time.Now()}
	}
	r.Add(1, statement("a", "PREPARE q AS SELECT name FROM civil.citizens WHERE id_number = 'x'"))
	r.Add(2, statement("a", "EXECUTE q"))
	if r.Statements != 2 || r.Unlike != 0 {
		t.Errorf("%d statements, %d unlike", r.Statements, r.Unlike)
	}
	r.Add(3, statement("b", "EXECUTE q"))
	r.Add(4, &record.Record{Kind: record.KindSessionClosed, Session: "a"})
	r.Add(5, statement("a", "EXECUTE q"))
	if r.Unlike != 2 {
		t.Errorf("%d unlike the record, want 2: another session, and one that was closed", r.Unlike)
	}
}

// Only a transparent rule lets pass what cannot be analysed, as in the proxy.
func TestTransparentRulesSeeEverything(t *testing.T) {
	file := writeFile(t, "p.yaml", "version: 1\nrules:\n  - {id: all, who: {user: dba}, may: [all], on: [\"*\"], transparent: true}\n")
	tests := writeFile(t, "p_test.yaml", "policy: "+file+`
catalogue: {create: CREATE TABLE t (a text)}
people: {dba: {}, clerk: {}}
tests:
  - {as: dba, sql: SELECT b FROM nowhere, expect: {decision: allowed, rule: all}}
  - {as: clerk, sql: SELECT b FROM nowhere, expect: {decision: refused, rule: default-deny, reason: nowhere}}
`)
	if out, code := runCommand(policyTestCommand(noDatabase), tests); code != ExitOK {
		t.Errorf("exit %d: %s", code, out)
	}
}
