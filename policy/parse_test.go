package policy_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shiguan/policy"
)

const smallest = `version: 1
rules:
  - id: everyone-reads
    who: {user: "*"}
    may: select
    on: public.t
`

func TestParseSmallest(t *testing.T) {
	p, err := policy.Parse("/etc/shiguan/policy.yaml", []byte(smallest))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(smallest))
	if want := "sha256:" + hex.EncodeToString(sum[:]); p.Digest() != want {
		t.Errorf("digest %s, want %s", p.Digest(), want)
	}
	q, err := policy.Parse("policy.yaml", []byte(smallest+"# a comment\n"))
	if err != nil {
		t.Fatal(err)
	}
	if q.Digest() == p.Digest() {
		t.Error("a changed byte did not change the digest")
	}
}

// Each file in testdata/refused is a policy that must not load. Its first line says what the errors are, "# want: " and
// then "LINE: part of the message", several separated by " | ".
func TestParseRefused(t *testing.T) {
	files, err := filepath.Glob("testdata/refused/*.yaml")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			first, _, _ := strings.Cut(string(text), "\n")
			list, ok := strings.CutPrefix(first, "# want: ")
			if !ok {
				t.Fatal("the file does not begin with # want:")
			}
			_, err = policy.Parse(file, text)
			if err == nil {
				t.Fatal("the policy was accepted")
			}
			got := strings.Split(err.Error(), "\n")
			want := strings.Split(list, " | ")
			if len(got) != len(want) {
				t.Fatalf("%d problems, want %d:\n%v", len(got), len(want), err)
			}
			for i := range want {
				line, message, _ := strings.Cut(want[i], ": ")
				prefix := file + ":" + line + ": "
				if line == "0" {
					prefix = file + ": "
				}
				if !strings.HasPrefix(got[i], prefix) || !strings.Contains(got[i], message) {
					t.Errorf("got  %s\nwant %s…%s", got[i], prefix, message)
				}
			}
		})
	}
}

func TestParseEmpty(t *testing.T) {
	for _, text := range []string{"", "\n\n", "# only a comment\n", "---\n"} {
		if _, err := policy.Parse("p.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), "version: 1") && !strings.Contains(err.Error(), "no value") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
