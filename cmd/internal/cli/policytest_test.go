package cli

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"shiguan/cmd/internal/pgtest"
	"shiguan/policy/sql"
)

const expectations = `
catalogue:
  create: |
    CREATE TABLE civil.citizens (id_number text PRIMARY KEY, name text, phone text, address text, birth_date date);
    CREATE TABLE civil.households (household_id int, id_number text, size int, district text);
people:
  civil_clerk: {department: civil-affairs, position: clerk, role: civil_clerks}
tests:
  - name: phones are masked
    as: civil_clerk
    purpose: case-2026-114
    time: 2026-11-19T10:00:00+08:00
    sql: SELECT name, phone FROM civil.citizens
    expect: {decision: allowed, rule: clerk-reads-citizens, masked: [civil.citizens.phone]}
  - name: no purpose, no rows
    as: civil_clerk
    sql: SELECT name FROM civil.citizens
    expect: {decision: refused, reason: it asks for a purpose}
  - as: civil_clerk
    sql: [SET shiguan.purpose = 'case-1', PREPARE q AS SELECT address FROM civil.citizens, EXECUTE q]
    expect: {decision: allowed, masked: [civil.citizens.address]}
`

func noDatabase(context.Context, *pgx.ConnConfig) (*sql.Catalogue, error) {
	return nil, errors.New("a database was asked for")
}

func TestPolicyTest(t *testing.T) {
	file := writeFile(t, "a_test.yaml", "policy: "+absolute(t, demoPolicy)+expectations)
	if out, code := runCommand(policyTestCommand(noDatabase), file); code != ExitOK || out != file+": 3 of 3 hold\n" {
		t.Errorf("exit %d: %s", code, out)
	}
	// The same, with the policy from the flags and one line in the file changed at a time.
	for _, c := range []struct{ was, is, want string }{
		{"decision: allowed, rule: clerk-reads-citizens, masked: [civil.citizens.phone]", "decision: refused", `:14: test "phones are masked", civil_clerk: expected refused, is allowed by clerk-reads-citizens`},
		{"rule: clerk-reads-citizens", "rule: auditor", "expected rule auditor, is clerk-reads-citizens"},
		{"masked: [civil.citizens.phone]", "masked: []", "expected masked [], is [civil.citizens.phone]"},
		{"masked: [civil.citizens.phone]", "masked: [civil.citizens.phone, civil.citizens.name]", "expected masked [civil.citizens.name, civil.citizens.phone], is [civil.citizens.phone]"},
		{"it asks for a purpose", "it is Sunday", `expected "it is Sunday" in the reason, is: rule clerk-reads-citizens gives`},
		{"purpose: case-2026-114", "purpose: none", `test "phones are masked", civil_clerk: expected allowed, is refused by clerk-reads-citizens: rule clerk-reads-citizens gives select`},
		{"SET shiguan.purpose = 'case-1', ", "", `test "3", civil_clerk: expected allowed, is refused`},
	} {
		changed := writeFile(t, "b_test.yaml", strings.Replace(expectations, c.was, c.is, 1))
		out, code := runCommand(policyTestCommand(noDatabase), "--policy", demoPolicy, changed)
		if code != ExitNot || !strings.Contains(out, c.want) || !strings.Contains(out, "2 of 3 hold\n1 of 3 expectations do not hold") {
			t.Errorf("%s: exit %d: %s\nwant %s", c.is, code, out, c.want)
		}
	}
}

func absolute(t *testing.T, file string) string {
	t.Helper()
	abs, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}

func TestPolicyTestJSON(t *testing.T) {
	file := writeFile(t, "a_test.yaml", strings.Replace(expectations, "masked: [civil.citizens.phone]", "masked: []", 1))
	out, code := runCommand(policyTestCommand(noDatabase), "--policy", demoPolicy, "--json", file)
	first, _, _ := strings.Cut(out, "\n")
	var got struct {
		File, Test, As string
		Line           int
		Holds          bool
		Wrong          []string
		Got            struct {
			Decision, Rule string
			Masked         []string
		}
	}
	if err := json.Unmarshal([]byte(first), &got); err != nil || code != ExitNot {
		t.Fatalf("exit %d, %v: %s", code, err, out)
	}
	if got.File != file || got.Line != 14 || got.Test != "phones are masked" || got.Holds || len(got.Wrong) != 1 || got.Got.Decision != "allowed" || got.Got.Masked[0] != "civil.citizens.phone" {
		t.Errorf("%+v", got)
	}
}

func TestPolicyTestIsStrict(t *testing.T) {
	for _, c := range []struct{ was, is, want string }{
		{"as: civil_clerk\n    purpose", "az: civil_clerk\n    purpose", "line 10: field az not found"},
		{"expect: {decision: allowed, rule", "expect: {decision: allowed, rules", `line 14: expect has no key "rules"`},
		{"decision: refused,", "decision: no,", `_test.yaml:18: test "no purpose, no rows": expect must have decision: allowed`},
		{"decision: refused,", "decision: refused, masked: [],", "what is refused masks nothing"},
		{"{decision: allowed, masked: [civil.citizens.address]}", "{decision: allowed, reason: x}", "what is allowed has no reason"},
		{"as: civil_clerk\n    sql: SELECT", "as: nobody\n    sql: SELECT", `nobody under people is called "nobody"`},
		{"    sql: SELECT name FROM civil.citizens\n", "", "it asks nothing"},
		{"CREATE TABLE civil.households", "CREATE INDEX", "catalogue: create: "},
		{"tests:", "tests: []\nignored:", "field ignored not found"},
	} {
		changed := writeFile(t, "b_test.yaml", strings.Replace(expectations, c.was, c.is, 1))
		if out, code := runCommand(policyTestCommand(noDatabase), "--policy", demoPolicy, changed); code != ExitUsage || !strings.Contains(out, c.want) {
			t.Errorf("%s: exit %d: %s\nwant %s", c.is, code, out, c.want)
		}
	}
	for name, c := range map[string]struct{ text, want string }{
		"empty":        {"", "there are no tests in it"},
		"no policy":    {expectations, "no policy: say --policy"},
		"no catalogue": {"policy: " + absolute(t, demoPolicy) + "\ntests:\n  - {as: a, sql: SELECT 1, expect: {decision: allowed}}\n", "no tables: write catalogue"},
		"no people":    {"policy: " + absolute(t, demoPolicy) + "\ncatalogue: {create: CREATE TABLE t (a text)}\ntests:\n  - {as: a, sql: SELECT 1, expect: {decision: allowed}}\n", `who "a" is does not stand in the file`},
		"two":          {expectations + "---\na: b\n", "a second YAML document follows"},
	} {
		if out, code := runCommand(policyTestCommand(noDatabase), writeFile(t, "c_test.yaml", c.text)); code != ExitUsage || !strings.Contains(out, c.want) {
			t.Errorf("%s: exit %d: %s\nwant %s", name, code, out, c.want)
		}
	}
}

// A catalogue recorded from a real server decides as the server's own.
func TestPolicySnapshot(t *testing.T) {
	server := pgtest.Start(t)
	schema, err := os.ReadFile("../demo/files/schema.sql")
	if err != nil {
		t.Fatal(err)
	}
	if err := server.CreateDatabase(t.Context(), "civil", string(schema)); err != nil {
		t.Fatal(err)
	}
	snapshot := filepath.Join(t.TempDir(), "civil.catalogue")
	if out, code := runCommand(policySnapshotCommand(catalogueOf), "--dsn", server.DSN("civil"), "-o", snapshot); code != ExitOK {
		t.Fatalf("exit %d: %s", code, out)
	}
	start := strings.Index(expectations, "people:")
	file := writeFile(t, "a_test.yaml", "policy: "+absolute(t, demoPolicy)+"\ncatalogue: {snapshot: "+snapshot+"}\n"+expectations[start:])
	for _, args := range [][]string{{file}, {"--dsn", server.DSN("civil"), file}} {
		if out, code := runCommand(policyTestCommand(catalogueOf), args...); code != ExitOK {
			t.Errorf("%s: exit %d: %s", args, code, out)
		}
	}
	if out, code := runCommand(policyCheckCommand(noDatabase), "--snapshot", snapshot, demoPolicy); code != ExitOK || strings.Contains(out, "warning") {
		t.Errorf("exit %d: %s", code, out)
	}
	bad := writeFile(t, "bad.catalogue", `{"unknown": 1}`)
	if out, code := runCommand(policyCheckCommand(noDatabase), "--snapshot", bad, demoPolicy); code != ExitUsage || !strings.Contains(out, "is no recorded catalogue") {
		t.Errorf("exit %d: %s", code, out)
	}
}
