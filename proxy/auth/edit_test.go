package auth_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"shiguan/proxy/auth"
)

const rfcVerifier = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

func fresh(t *testing.T, password string) string {
	t.Helper()
	v, err := auth.NewVerifier(password, auth.DefaultIterations)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestSetVerifierEverywhere sets each verifier of the test file: nothing but that verifier may change.
func TestSetVerifierEverywhere(t *testing.T) {
	text, err := os.ReadFile("testdata/people.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for i, user := range []string{"ann", "王小明", "left", "eve"} {
		v := fresh(t, "ink")
		after, err := auth.SetVerifier("people.yaml", text, user, v)
		if err != nil {
			t.Errorf("%s: %v", user, err)
			continue
		}
		parts := strings.Split(string(text), rfcVerifier)
		want := strings.Join(parts[:i+1], rfcVerifier) + v + strings.Join(parts[i+1:], rfcVerifier)
		if string(after) != want {
			t.Errorf("%s: became\n%s", user, after)
		}
	}
}

func TestSetVerifierForms(t *testing.T) {
	v := fresh(t, "ink")
	for name, tc := range map[string]struct{ before, after string }{
		"plain":         {"- user: ann\n    verifier: %o # old\n    department: d\n", "- user: ann\n    verifier: \"%v\" # old\n    department: d\n"},
		"single quotes": {"- user: ann\n    verifier: '%o'\n    department: d\n", "- user: ann\n    verifier: \"%v\"\n    department: d\n"},
		"wrong before":  {"- user: ann\n    verifier: hunter2\n    department: d\n", "- user: ann\n    verifier: \"%v\"\n    department: d\n"},
		"empty string":  {"- user: ann\n    verifier: \"\"\n    department: d\n", "- user: ann\n    verifier: \"%v\"\n    department: d\n"},
		"nothing":       {"- user: ann\n    verifier:\n    department: d\n", "- user: ann\n    verifier: \"%v\"\n    department: d\n"},
		"missing":       {"- user: ann # the clerk\n    department: d\n", "- user: ann # the clerk\n    verifier: \"%v\"\n    department: d\n"},
		"missing, last": {"- department: d\n    user: ann", "- department: d\n    user: ann\n    verifier: \"%v\""},
		"missing, flow": {"- {department: d, user: ann, position: p}\n", "- {department: d, user: ann, verifier: \"%v\", position: p}\n"},
		"flow":          {"- {department: 民政局, verifier: %o, user: ann}\n", "- {department: 民政局, verifier: \"%v\", user: ann}\n"},
		"others bad":    {"- user: bob\n  - user: ann\n    verifier: x\n", "- user: bob\n  - user: ann\n    verifier: \"%v\"\n"},
	} {
		t.Run(name, func(t *testing.T) {
			fill := strings.NewReplacer("%o", rfcVerifier, "%v", v)
			head := "# people\nversion: 1\n\npeople:\n  "
			got, err := auth.SetVerifier("f", []byte(head+fill.Replace(tc.before)), "ann", v)
			if err != nil {
				t.Fatal(err)
			}
			if want := head + fill.Replace(tc.after); string(got) != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestSetVerifierRefuses(t *testing.T) {
	v := fresh(t, "ink")
	for name, tc := range map[string]struct{ text, verifier, want string }{
		"no such user":   {"version: 1\npeople:\n  - user: bob\n", v, `"ann" is not listed`},
		"twice":          {"version: 1\npeople:\n  - user: ann\n  - user: ann\n", v, "f:4: user \"ann\" is there twice"},
		"bad verifier":   {"version: 1\npeople:\n  - user: ann\n", "md5", "SCRAM-SHA-256"},
		"unknown key":    {"version: 1\npeople:\n  - user: ann\n    pass: x\n", v, "unknown key"},
		"version":        {"version: 3\npeople:\n  - user: ann\n", v, "version must be 1"},
		"not YAML":       {"people: {", v, "f:"},
		"folded":         {"version: 1\npeople:\n  - user: ann\n    verifier: >\n      x\n      y\n", v, "cannot be replaced in place"},
		"escaped":        {"version: 1\npeople:\n  - user: ann\n    verifier: \"\\x78\"\n", v, "cannot be replaced in place"},
		"alias":          {"version: 1\npeople:\n  - user: bob\n    verifier: &v x\n  - user: ann\n    verifier: *v\n", v, "f:"},
		"shared through": {"version: 1\npeople:\n  - user: bob\n    verifier: *v\n  - user: ann\n    verifier: &v x\n", v, "f:"},
	} {
		got, err := auth.SetVerifier("f", []byte(tc.text), "ann", tc.verifier)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v and\n%s\nwant %q", name, err, got, tc.want)
		}
		if (name == "no such user") != errors.Is(err, auth.ErrNoSuchUser) {
			t.Errorf("%s: ErrNoSuchUser: %v", name, err)
		}
	}
}

func FuzzSetVerifier(f *testing.F) {
	text, err := os.ReadFile("testdata/people.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("version: 1\npeople:\n- {user: ann}"))
	f.Add([]byte("version: 1\npeople:\n  - user: ann # x\n\n    department: \"d\"\n"))
	const v = "SCRAM-SHA-256$4096:HN/Q8oU0UGE8Jrcjp0Ujvg==$00nSfcHBZIhV/1am3seM9ugYgd02rhhh+VdoVOHNhAk=:jOT4cbGta0i/AOceWC5zB1dNJg1rFr4Lca+xgjThl5M="
	f.Fuzz(func(t *testing.T, text []byte) {
		after, err := auth.SetVerifier("f", text, "ann", v)
		if err != nil {
			return
		}
		if strings.Count(string(after), v) < 1 {
			t.Fatalf("%q became %q", text, after)
		}
		// Setting it again changes nothing: the first time found its place.
		again, err := auth.SetVerifier("f", after, "ann", v)
		if err != nil || string(again) != string(after) {
			t.Fatal(fmt.Errorf("%q, then %q: %w", after, again, err))
		}
	})
}

// Who logs in by certificate alone gets no password by mistake.
func TestSetVerifierLeavesCertificatesAlone(t *testing.T) {
	text := []byte("version: 1\npeople:\n  - {user: ann, login: certificate, department: d, position: p}\n")
	if _, err := auth.SetVerifier("people.yaml", text, "ann", fresh(t, "ink")); err == nil || !strings.Contains(err.Error(), "people.yaml:3: ") {
		t.Errorf("got %v", err)
	}
}
