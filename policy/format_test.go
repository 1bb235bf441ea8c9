package policy_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"shiguan/policy"
)

// FORMAT.md is the reference: its example must load, and must show every key there is.
func TestFormatExample(t *testing.T) {
	text, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "```yaml\n")
	example, _, closed := strings.Cut(rest, "```")
	if !ok || !closed {
		t.Fatal("FORMAT.md has no yaml example")
	}
	p, err := policy.Parse("FORMAT.md", []byte(example))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ = strings.Cut(rest, "\n## Grants\n")
	_, rest, _ = strings.Cut(rest, "```yaml\n")
	grant, _, closed := strings.Cut(rest, "```")
	if g, err := p.Grant("FORMAT.md", []byte(grant)); !closed || err != nil {
		t.Fatal(err)
	} else if g.BreakGlass() || len(g.Officers()) != 2 {
		t.Errorf("the example's grant is %+v", g)
	}
	example += grant
	for _, key := range policy.Keys() {
		if !regexp.MustCompile(`(?m)(^|[\s{,-])` + key + `:`).MatchString(example) {
			t.Errorf("the example does not show the key %q", key)
		}
	}
}
