package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	good   = "../../auditlog/evidence/testdata/v1.evidence"
	policy = "../../auditlog/evidence/testdata/v1.policy"
)

// write puts a file into the test's directory.
func write(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestExitCodes(t *testing.T) {
	damaged := read(t, good)
	damaged[len(damaged)/3] ^= 1
	bad := write(t, "bad.evidence", damaged)
	junk := write(t, "junk.evidence", []byte("\x1b[31mnot a ZIP"))
	stricter := strings.Replace(string(read(t, policy)), "group city 2", "group city 3", 1)
	other := write(t, "other.policy", []byte(stricter))
	noPolicy := write(t, "broken.policy", []byte("log x\nquorum none\n"))

	for name, tc := range map[string]struct {
		args   []string
		code   int
		stdout string // what stdout begins with
		stderr string // what stderr holds; nothing else may be there when empty
	}{
		"holds":                {[]string{"--policy", policy, good}, 0, good + ": holds\n  log         civil.example/audit\n", ""},
		"options last":         {[]string{good, "--policy", policy}, 0, good + ": holds\n", ""},
		"one dash":             {[]string{"-policy=" + policy, "--", good}, 0, good + ": holds\n", ""},
		"changed":              {[]string{"--policy", policy, bad}, 1, bad + ": does not hold: step container: ", ""},
		"another policy":       {[]string{"--policy", other, good}, 1, good + ": does not hold: step policy: ", ""},
		"not evidence":         {[]string{"--policy", policy, junk}, 2, junk + ": unreadable: cannot be read as evidence: not a ZIP file\n", ""},
		"no such file":         {[]string{"--policy", policy, "gone.evidence"}, 2, "gone.evidence: unreadable: open gone.evidence: no such file", ""},
		"good, then bad":       {[]string{"--policy", policy, good, bad}, 1, good + ": holds\n", ""},
		"bad, then unreadable": {[]string{"--policy", policy, bad, junk}, 2, bad + ": does not hold", ""},
		"unreadable, then bad": {[]string{"--policy", policy, junk, bad}, 2, junk + ": unreadable", ""},
		"no policy":            {[]string{good}, 2, "", "--policy is missing"},
		"no such policy":       {[]string{"--policy", "gone.policy", good}, 2, "", "read the quorum policy: open gone.policy"},
		"broken policy":        {[]string{"--policy", noPolicy, good}, 2, "", "line 1: verifier key"},
		"no file":              {[]string{"--policy", policy}, 2, "", "no evidence file given"},
		"unknown option":       {[]string{"--trust-me", "--policy", policy, good}, 2, "", "not defined: -trust-me"},
		"help":                 {[]string{"--help"}, 0, "usage: shiguan-verify", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr strings.Builder
			if code := run(tc.args, &stdout, &stderr); code != tc.code {
				t.Errorf("exit %d, want %d", code, tc.code)
			}
			if !strings.HasPrefix(stdout.String(), tc.stdout) || tc.stdout == "" && stdout.Len() > 0 {
				t.Errorf("stdout %q, want %q", stdout.String(), tc.stdout)
			}
			if !strings.Contains(stderr.String(), tc.stderr) || tc.stderr == "" && stderr.Len() > 0 {
				t.Errorf("stderr %q, want %q", stderr.String(), tc.stderr)
			}
		})
	}
}

func TestJSON(t *testing.T) {
	damaged := read(t, good)
	damaged[len(damaged)/3] ^= 1
	bad := write(t, "bad.evidence", damaged)
	var stdout, stderr strings.Builder
	if code := run([]string{"--json", "--policy", policy, good, bad, "gone"}, &stdout, &stderr); code != 2 || stderr.Len() > 0 {
		t.Errorf("exit %d, stderr %q", code, stderr.String())
	}
	lines := strings.Split(strings.TrimSuffix(stdout.String(), "\n"), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines", len(lines))
	}
	var got [3]struct {
		File, Verdict, Step, Error string
		Report                     struct {
			Origin string
			Index  uint64
			Record struct{ Person string }
		}
	}
	for i, line := range lines {
		if err := json.Unmarshal([]byte(line), &got[i]); err != nil {
			t.Fatal(err)
		}
	}
	if g := got[0]; g.File != good || g.Verdict != "holds" || g.Report.Index != 137 || g.Report.Record.Person != "civil_clerk" || g.Step+g.Error != "" {
		t.Errorf("good: %+v", g)
	}
	if g := got[1]; g.File != bad || g.Verdict != "does not hold" || g.Step != "container" || g.Error == "" || g.Report.Origin != "" {
		t.Errorf("bad: %+v", g)
	}
	if g := got[2]; g.File != "gone" || g.Verdict != "unreadable" || g.Step != "" || g.Error == "" {
		t.Errorf("gone: %+v", g)
	}
}

// broken is a pipe that nobody reads any more.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

// TestLostVerdict: exit code 0 means that somebody was told.
func TestLostVerdict(t *testing.T) {
	var stderr strings.Builder
	if code := run([]string{"--policy", policy, good}, broken{}, &stderr); code != 2 || !strings.Contains(stderr.String(), "broken pipe") {
		t.Errorf("exit %d, stderr %q", code, stderr.String())
	}
}
