package policy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"shiguan/policy"
)

var problemLine = regexp.MustCompile(`^f\.yaml(?::(\d+))?: .+`)

// Whatever the text: every line of the error names the file and a line that exists, and a text that is accepted is no
// longer when an unknown key is added.
func FuzzParse(f *testing.F) {
	f.Add(smallest)
	files, _ := filepath.Glob("testdata/refused/*.yaml")
	for _, file := range append(files, "../cmd/internal/demo/files/policy.yaml") {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, err := policy.Parse("f.yaml", []byte(text))
		if err == nil {
			if _, err := policy.Parse("f.yaml", []byte(text+"\nunknown_key: 1\n")); err == nil {
				t.Error("an unknown key was accepted")
			}
			return
		}
		lines := strings.Count(text, "\n") + strings.Count(text, "\r") + 2
		for _, line := range strings.Split(err.Error(), "\n") {
			m := problemLine.FindStringSubmatch(line)
			if m == nil {
				t.Fatalf("a problem without file: %q", line)
			}
			if n, _ := strconv.Atoi(m[1]); n > lines {
				t.Errorf("line %d of %d: %s", n, lines, line)
			}
		}
	})
}
