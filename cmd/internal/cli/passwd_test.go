package cli

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shiguan/proxy/auth"
)

const peopleFile = `# Who may log in.
version: 1

people:
  - user: ann          # the clerk
    verifier: "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    department: civil-affairs
    position: clerk

  # Joined in November.
  - user: bob
    department: civil-affairs
    position: manager
`

func writePeople(t *testing.T, mode os.FileMode) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "people.yaml")
	if err := os.WriteFile(file, []byte(peopleFile), mode); err != nil {
		t.Fatal(err)
	}
	return file
}

// passwd runs the command with what it reads from standard input.
func passwd(stdin string, args ...string) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	cmd := passwdCommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	err = cmd.ExecuteContext(context.Background())
	return out.String(), errs.String(), err
}

// opens reports whether a password opens a verifier.
func opens(t *testing.T, verifier, password string) bool {
	t.Helper()
	p, err := auth.ParsePeople("f", []byte("version: 1\npeople:\n  - {user: ann, department: d, position: p, verifier: \""+verifier+"\"}\n"))
	if err != nil {
		t.Fatal(err)
	}
	return p.Authenticate("ann", password)
}

func TestPasswdPrints(t *testing.T) {
	for stdin, password := range map[string]string{"墨水 ink\n": "墨水 ink", "ink": "ink", "ink\r\n": "ink", " ink \n": " ink "} {
		for _, args := range [][]string{{"ann"}, {"--stdin", "ann"}} {
			out, _, err := passwd(stdin, args...)
			if err != nil {
				t.Fatal(err)
			}
			if !opens(t, strings.TrimSuffix(out, "\n"), password) {
				t.Errorf("%q: %q does not open for %q", stdin, out, password)
			}
			if strings.Contains(out, strings.TrimSpace(password)) {
				t.Errorf("%q: the password is printed", stdin)
			}
		}
	}
	out, _, err := passwd("ink\n", "--iterations", "10000", "ann")
	if err != nil || !strings.HasPrefix(out, "SCRAM-SHA-256$10000:") {
		t.Errorf("--iterations 10000: %q, %v", out, err)
	}
}

func TestPasswdChangesTheFile(t *testing.T) {
	file := writePeople(t, 0o640)
	if _, _, err := passwd("ink\n", "--file", file, "bob"); err != nil {
		t.Fatal(err)
	}
	_, stderr, err := passwd("brush\n", "--file", file, "ann")
	if err != nil || !strings.Contains(stderr, file) {
		t.Fatal(stderr, err)
	}
	p, err := auth.LoadPeople(file)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Authenticate("ann", "brush") || p.Authenticate("ann", "pencil") || !p.Authenticate("bob", "ink") {
		t.Error("the passwords are not the new ones")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(peopleFile) {
		if !strings.Contains(line, "verifier") && !strings.Contains(string(text), line) {
			t.Errorf("the line %q is gone", line)
		}
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the mode is now %v, %v", info.Mode(), err)
	}
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil || len(entries) != 1 {
		t.Errorf("drafts are left behind: %v, %v", entries, err)
	}
}

func TestPasswdKeepsALink(t *testing.T) {
	file := writePeople(t, 0o600)
	link := filepath.Join(t.TempDir(), "link.yaml")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	if _, _, err := passwd("ink\n", "--file", link, "bob"); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link was replaced: %v, %v", info.Mode(), err)
	}
	if p, err := auth.LoadPeople(file); err != nil || !p.Authenticate("bob", "ink") {
		t.Errorf("the file behind the link has not changed: %v", err)
	}
}

func TestPasswdRefuses(t *testing.T) {
	file := writePeople(t, 0o600)
	for name, tc := range map[string]struct {
		stdin string
		args  []string
		want  string
	}{
		"nobody named":   {"ink\n", nil, "say whose password"},
		"two named":      {"ink\n", []string{"ann", "bob"}, "say whose password"},
		"not listed":     {"ink\n", []string{"--file", file, "eve"}, "is not listed"},
		"no such file":   {"ink\n", []string{"--file", file + "x", "ann"}, "no such file"},
		"empty password": {"\n", []string{"--file", file, "ann"}, "empty"},
		"nothing":        {"", []string{"ann"}, "empty"},
		"two lines":      {"ink\nink\n", []string{"ann"}, "one line"},
		"a whole file":   {strings.Repeat("x", 2000), []string{"ann"}, "one line"},
		"iterations":     {"ink\n", []string{"--iterations", "1", "ann"}, "iterations"},
	} {
		out, _, err := passwd(tc.stdin, tc.args...)
		if err == nil || !strings.Contains(err.Error(), tc.want) || out != "" {
			t.Errorf("%s: %q, %v, want %q", name, out, err, tc.want)
		}
		if errors.Is(err, context.Canceled) || err != nil && strings.Contains(err.Error(), "ink\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil || string(text) != peopleFile {
		t.Errorf("a refusal changed the file: %v\n%s", err, text)
	}
}
