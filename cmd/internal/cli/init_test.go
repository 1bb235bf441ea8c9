package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func (r ran) parts() (stdout, stderr string, code int) { return r.out, r.errors, r.code }

func TestInitWritesWhatCheckAccepts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	if _, said, code := shiguan(t, "init", "--dir", dir, "--origin", "city.example/log").parts(); code != ExitOK {
		t.Fatal(said)
	}
	// What init leaves to people: verifiers, witnesses, roles. Everything else must be in order.
	out, _, code := shiguan(t, "check", "--offline", "--config", filepath.Join(dir, "proxy.yaml")).parts()
	if code != ExitNot || strings.Count(out, "✗") != 2 || !strings.Contains(out, "✗ people") || !strings.Contains(out, "✗ witnesses.policy") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	for _, name := range []string{"people.yaml", "investigators.yaml"} {
		file := filepath.Join(dir, name)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		verifier := "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
		if err := os.WriteFile(file, bytes.Replace(text, []byte(`verifier: ""`), []byte("verifier: "+verifier), 1), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	witness := strings.TrimSpace(witnessKeyOf(t, filepath.Join(dir, "witness.yaml")))
	quorum := filepath.Join(dir, "quorum.policy")
	text, err := os.ReadFile(quorum)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte("quorum none"), []byte("witness audit-office "+witness+"\nquorum audit-office"), 1)
	if err := os.WriteFile(quorum, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"proxy.yaml", "investigator.yaml", "witness.yaml"} {
		if out, said, code := shiguan(t, "check", "--offline", "--config", filepath.Join(dir, name)).parts(); code != ExitOK {
			t.Errorf("%s: exit code %d: %s\n%s", name, code, said, out)
		}
	}
}

// witnessKeyOf reads the witness's verifier key where check shows it.
func witnessKeyOf(t *testing.T, config string) string {
	t.Helper()
	out, said, code := shiguan(t, "check", "--offline", "--config", config).parts()
	if code != ExitOK {
		t.Fatal(said + out)
	}
	for line := range strings.Lines(out) {
		if key, ok := strings.CutPrefix(line, "✓ key: "); ok {
			return key
		}
	}
	t.Fatal("check shows no key: " + out)
	return ""
}

func TestInitOverwritesNothing(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "log.key"), []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, said, code := shiguan(t, "init", "--dir", dir).parts()
	if code != ExitUsage || !strings.Contains(said, "log.key already exists") {
		t.Errorf("exit code %d: %s", code, said)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("files: %v, %v", entries, err)
	}
}

func TestCheckFindsWhatIsWrong(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	if _, said, code := shiguan(t, "init", "--dir", dir).parts(); code != ExitOK {
		t.Fatal(said)
	}
	config := filepath.Join(dir, "proxy.yaml")
	for _, tt := range []struct {
		name string
		harm func() error
		want string
	}{
		{"key open to others", func() error { return os.Chmod(filepath.Join(dir, "log.key"), 0o644) }, "log.key is open to others"},
		{"no subject key", func() error { return os.Remove(filepath.Join(dir, "subject.key")) }, "✗ log.subject_key"},
		{"an empty password", func() error { return os.WriteFile(filepath.Join(dir, "catalogue.password"), nil, 0o600) }, "the file is empty"},
		{"a broken policy", func() error { return os.WriteFile(filepath.Join(dir, "policy.yaml"), []byte("version: 2\n"), 0o600) }, "✗ policy"},
		{"another log's key", func() error {
			if err := os.Remove(filepath.Join(dir, "log.key")); err != nil {
				return err
			}
			_, said, code := shiguan(t, "key", "new-log", "--origin", "other.example/log", "-o", filepath.Join(dir, "log.key")).parts()
			if code != ExitOK {
				t.Error(said)
			}
			return nil
		}, "is the key of other.example/log"},
	} {
		if err := tt.harm(); err != nil {
			t.Fatal(err)
		}
		out, _, code := shiguan(t, "check", "--offline", "--config", config).parts()
		if code != ExitNot || !strings.Contains(out, tt.want) {
			t.Errorf("%s: exit code %d:\n%s", tt.name, code, out)
		}
	}
	if err := os.WriteFile(config, []byte("listen: 127.0.0.1:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, said, code := shiguan(t, "check", "--config", config).parts(); code != ExitUsage || !strings.Contains(said, "is no configuration of") {
		t.Errorf("exit code %d: %s", code, said)
	}
}

func TestExitCodes(t *testing.T) {
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"version"}, ExitOK, ""},
		{[]string{"no-such-command"}, ExitUsage, "unknown command"},
		{[]string{"version", "--no-such-flag"}, ExitUsage, "unknown flag"},
		{[]string{"key", "new-log", "-o", "x"}, ExitUsage, "origin"},
		{[]string{"check", "--config", filepath.Join(t.TempDir(), "none.yaml")}, ExitUsage, "no such file"},
		{[]string{"demo", "restart", "--dir", t.TempDir(), "proxy"}, ExitUsage, "no demo answers"},
	} {
		_, said, code := shiguan(t, tt.args...).parts()
		if code != tt.code || !strings.Contains(said, tt.want) {
			t.Errorf("%v: exit code %d: %s", tt.args, code, said)
		}
	}
}

func TestTheReadmeNamesEveryCommand(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range Root().Commands() {
		if name := c.Name(); name != "help" && !bytes.Contains(readme, []byte("`"+name)) && !bytes.Contains(readme, []byte("shiguan "+name)) {
			t.Errorf("the README does not name %s", c.CommandPath())
		}
		if c.Short == "" || c.Long == "" && c.Name() != "version" && c.Name() != "help" {
			t.Errorf("%s does not say what it is for", c.CommandPath())
		}
	}
}
