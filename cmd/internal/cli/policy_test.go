package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"shiguan/policy/sql"
	"shiguan/proxy/auth"
)

const demoPolicy = "../demo/files/policy.yaml"

// deskCatalogue stands in for a database: the tables that the tests ask about.
func deskCatalogue(t *testing.T, citizens ...string) loadCatalogue {
	return func(_ context.Context, to *pgx.ConnConfig) (*sql.Catalogue, error) {
		if to.Host != "nowhere" {
			t.Errorf("the catalogue of %q was asked for", to.Host)
		}
		s, err := sql.Builtin()
		if err != nil {
			return nil, err
		}
		if err := s.Table("civil", "citizens", citizens...); err != nil {
			return nil, err
		}
		return sql.NewCatalogue(s)
	}
}

func runCommand(cmd *cobra.Command, args ...string) (out string, code int) {
	var b bytes.Buffer
	cmd.SetArgs(args)
	cmd.SetOut(&b)
	cmd.SetErr(&b)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	err := cmd.ExecuteContext(context.Background())
	if err != nil {
		b.WriteString(err.Error())
	}
	return b.String(), exitCode(err)
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestPolicyCheck(t *testing.T) {
	load := deskCatalogue(t, "id_number text", "name text", "phone text", "address text")
	if out, code := runCommand(policyCheckCommand(load), demoPolicy); code != ExitOK || !strings.Contains(out, "policy.yaml: valid, sha256:") {
		t.Errorf("exit %d: %s", code, out)
	}
	bad := writeFile(t, "bad.yaml", "version: 1\nrules:\n  - id: r\n    who: {user: a}\n    may: [read]\n    on: [s.t]\n")
	out, code := runCommand(policyCheckCommand(load), demoPolicy, bad)
	for _, want := range []string{"policy.yaml: valid", `bad.yaml:5: rule r: may: "read" is no word`, "1 of 2 policies must be corrected"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	if code != ExitNot {
		t.Errorf("exit %d, want %d", code, ExitNot)
	}
}

func TestPolicyCheckAgainstDatabase(t *testing.T) {
	whole := deskCatalogue(t, "id_number text", "name text", "phone text", "address text")
	out, code := runCommand(policyCheckCommand(whole), "--dsn", "host=nowhere", demoPolicy)
	if code != ExitOK || !strings.Contains(out, "warning: data names housing.fund_accounts.balance, and this database has no table") {
		t.Errorf("exit %d: %s", code, out)
	}
	renamed := deskCatalogue(t, "id_number text", "name text", "tel text", "address text")
	out, code = runCommand(policyCheckCommand(renamed), "--dsn", "host=nowhere", demoPolicy)
	if code != ExitNot || !strings.Contains(out, "policy.yaml:10: error: data names civil.citizens.phone, and the table has no such column") {
		t.Errorf("exit %d: %s", code, out)
	}
}

func twoClerks(t *testing.T) string {
	t.Helper()
	verifier, err := auth.NewVerifier("secret", 4096)
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, "people.yaml", "version: 1\npeople:\n"+
		"  - {user: civil_clerk, department: civil-affairs, position: clerk, role: clerk, verifier: '"+verifier+"'}\n"+
		"  - {user: fund_clerk, department: housing-fund, position: clerk, role: fund, verifier: '"+verifier+"'}\n")
}

func TestPolicyExplain(t *testing.T) {
	load := deskCatalogue(t, "id_number text", "name text", "phone text", "address text", "birth_date date")
	base := []string{"--policy", demoPolicy, "--people", twoClerks(t), "--dsn", "host=nowhere", "--as", "civil_clerk"}
	tests := []struct {
		args []string
		code int
		want []string
	}{
		{[]string{"--purpose", "case-1", "SELECT name, phone FROM civil.citizens"}, ExitOK, []string{
			"allowed by rule clerk-reads-citizens", "civil-affairs / clerk", "civil.citizens.phone (phone)  output: masked",
			"civil.citizens.name (person_name)  output: clear", "returns  phone = civil.citizens.phone, masked (keep)",
			"names the person by resident_id, added by the proxy", `is sent as  SELECT name, phone, "citizens"."id_number" FROM civil.citizens`,
			"at most 5000 rows",
		}},
		{[]string{"--purpose", "case-1", "SELECT name FROM civil.citizens WHERE phone = '1'"}, ExitNot, []string{
			"refused by rule clerk-reads-citizens", "civil.citizens.phone (phone)  match: refused", "would need  match: [civil.citizens.phone] (or clear)",
		}},
		{[]string{"SELECT name FROM civil.citizens"}, ExitNot, []string{
			`does not hold: when purpose.startsWith("case-")`, "it asks for a purpose",
		}},
		{[]string{"--purpose", "case-1", "DELETE FROM civil.citizens"}, ExitNot, []string{
			"would need  a rule for this person with may: [delete] and on: [civil.citizens]",
		}},
		{[]string{"--as", "fund_clerk", "SELECT name FROM civil.citizens"}, ExitNot, []string{
			"refused by rule fund-clerk-names-citizens", "rows by  civil.citizens.id_number", "would need  a rule without by",
		}},
		{[]string{"SELECT * FROM civil.nothing"}, ExitNot, []string{"refused by rule default-deny", "civil.nothing"}},
		{[]string{"SELECT pg_sleep(1)"}, ExitNot, []string{"would need  functions: [pg_catalog.pg_sleep]"}},
	}
	for _, tt := range tests {
		out, code := runCommand(policyExplainCommand(load), append(base[:len(base):len(base)], tt.args...)...)
		if code != tt.code {
			t.Errorf("%s: exit %d, want %d", tt.args, code, tt.code)
		}
		for _, want := range tt.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in:\n%s", tt.args, want, out)
			}
		}
	}
}

func TestPolicyExplainJSON(t *testing.T) {
	load := deskCatalogue(t, "id_number text", "name text", "phone text", "address text")
	out, code := runCommand(policyExplainCommand(load), "--policy", demoPolicy, "--people", twoClerks(t), "--dsn", "host=nowhere",
		"--as", "civil_clerk", "--purpose", "case-1", "--json", "SELECT phone FROM civil.citizens WHERE id_number = '1'")
	var e struct {
		Decision, Rule, Policy string
		Statements             []struct {
			Outputs []struct{ Column, Mask string }
			Pinned  []string
			About   bool `json:"about_persons"`
		}
	}
	if err := json.Unmarshal([]byte(out), &e); err != nil || code != ExitOK || strings.Count(out, "\n") != 1 {
		t.Fatalf("exit %d, %v: %s", code, err, out)
	}
	s := e.Statements[0]
	if e.Decision != "allowed" || s.Outputs[0].Mask != "keep" || s.Pinned[0] != "resident_id" || !s.About || !strings.HasPrefix(e.Policy, "sha256:") {
		t.Errorf("%+v", e)
	}
}

func TestPolicyExplainNeeds(t *testing.T) {
	load := deskCatalogue(t, "id_number text")
	tests := []struct {
		want string
		args []string
	}{
		{"say --policy FILE or --config", []string{"--as", "a", "SELECT 1"}},
		{"say --people FILE or --config", []string{"--policy", demoPolicy, "--as", "a", "SELECT 1"}},
		{"nobody is called \"a\"", []string{"--policy", demoPolicy, "--people", twoClerks(t), "--as", "a", "SELECT 1"}},
		{"say --config PROXY_CONFIG or --dsn", []string{"--policy", demoPolicy, "--people", twoClerks(t), "--as", "civil_clerk", "SELECT 1"}},
	}
	for _, tt := range tests {
		if out, code := runCommand(policyExplainCommand(load), tt.args...); code != ExitUsage || !strings.Contains(out, tt.want) {
			t.Errorf("%s: exit %d: %s, want %q", tt.args, code, out, tt.want)
		}
	}
}
