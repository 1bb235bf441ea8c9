package house_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const maxLines = 600

func TestFilesStayShort(t *testing.T) {
	for _, p := range modulePackages(t) {
		for _, file := range p.files() {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(text, []byte("\n")); n > maxLines {
				t.Errorf("%s has %d lines: split it by concept at %d", file, n, maxLines)
			}
		}
	}
}

// A sentence ends in a stop that is followed by a space, a line end or nothing.
var sentence = regexp.MustCompile(`[.!?:](\s|$)`)

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for _, p := range modulePackages(t) {
		doc := packageComment(t, p)
		begins := "Package " + p.Name + " "
		if p.Name == "main" {
			begins = "Command " + filepath.Base(p.Dir) + " "
		}
		if !strings.HasPrefix(doc, begins) {
			t.Errorf("%s: the package comment does not begin with %q", p.ImportPath, begins)
		}
		if n := len(sentence.FindAllString(doc, -1)); n < 2 {
			t.Errorf("%s: the package comment has %d sentences: say what it is, who may use it, what it promises", p.ImportPath, n)
		}
	}
}

// packageComment returns the package's one comment; `go list` would give only its first sentence.
func packageComment(t *testing.T, p *pkg) string {
	t.Helper()
	var doc string
	for _, name := range append(append([]string{}, p.GoFiles...), p.CgoFiles...) {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if f.Doc == nil {
			continue
		}
		if doc != "" {
			t.Errorf("%s has package comments in two files", p.ImportPath)
		}
		doc = f.Doc.Text()
	}
	return doc
}

func TestNamesSayWhatOneGets(t *testing.T) {
	empty := map[string]bool{"util": true, "utils": true, "common": true, "helper": true, "helpers": true, "types": true,
		"manager": true, "misc": true, "base": true, "shared": true, "lib": true}
	for _, p := range modulePackages(t) {
		for _, part := range strings.Split(p.room(), "/") {
			if empty[part] {
				t.Errorf("%s: %q says nothing", p.ImportPath, part)
			}
		}
	}
}

func TestTheGroundFloorIsTidy(t *testing.T) {
	allowed := map[string]bool{"cmd": true, "proxy": true, "policy": true, "auditlog": true, "witness": true, "configs": true, "docs": true}
	entries, err := os.ReadDir(root(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") || allowed[e.Name()] {
			continue
		}
		if e.Name() == "bin" || e.Name() == "demo" { // made by make, ignored by git
			continue
		}
		t.Errorf("the directory %s has no place beside %v", e.Name(), keys(allowed))
	}
}

func keys(m map[string]bool) (names []string) {
	for name := range m {
		names = append(names, name)
	}
	return names
}

func TestFormatsAreDescribedWhereTheyLive(t *testing.T) {
	for _, room := range []string{"auditlog", "auditlog/record", "auditlog/evidence", "policy"} {
		text, err := os.ReadFile(filepath.Join(root(t), room, "FORMAT.md"))
		if err != nil || len(text) < 1000 {
			t.Errorf("%s/FORMAT.md: %d bytes, %v", room, len(text), err)
		}
	}
}

// What Prometheus finds is what the README tells people to look at, and the other way round.
func TestTheReadmeListsEveryMetric(t *testing.T) {
	made, listed := map[string]bool{}, map[string]bool{}
	// A metric's name is followed by its help text, be it in Opts, NewDesc or a call of our own.
	literal := regexp.MustCompile("\"(shiguan_[a-z_]+)\",")
	for _, p := range modulePackages(t) {
		for _, name := range p.GoFiles {
			if !strings.HasPrefix(p.room(), "proxy") && !strings.HasPrefix(p.room(), "auditlog") && !strings.HasPrefix(p.room(), "witness") {
				continue
			}
			for _, m := range literal.FindAllSubmatch(read(t, filepath.Join(p.Dir, name)), -1) {
				made[string(m[1])] = true
			}
		}
	}
	for _, m := range regexp.MustCompile("`(shiguan_[a-z_]+)").FindAllSubmatch(read(t, filepath.Join(root(t), "README.md")), -1) {
		listed[string(m[1])] = true
	}
	for name := range made {
		if !listed[name] {
			t.Errorf("the README does not list the metric %s", name)
		}
	}
	for name := range listed {
		if !made[name] {
			t.Errorf("the README lists %s, which nothing makes", name)
		}
	}
	if len(made) < 10 {
		t.Errorf("only %d metrics found in the source", len(made))
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Things promised for later, and tests that nobody sees being skipped.
func TestNothingIsLeftForLater(t *testing.T) {
	later := regexp.MustCompile(`\b(TODO|FIXME|XXX)\b`)
	for _, p := range modulePackages(t) {
		for _, file := range p.files() {
			if filepath.Dir(file) == filepath.Join(root(t), "cmd", "internal", "house") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if m := later.Find(text); m != nil {
				t.Errorf("%s says %s: finish it, or name it in a // BUG: comment", file, m)
			}
			if strings.HasSuffix(file, "_test.go") && callsSkip(t, file) {
				t.Errorf("%s skips tests: fail, or choose what runs by a build tag or the test-long target", file)
			}
		}
	}
}

func callsSkip(t *testing.T, file string) (found bool) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			switch sel.Sel.Name {
			case "Skip", "Skipf", "SkipNow":
				if x, ok := sel.X.(*ast.Ident); ok && (x.Name == "t" || x.Name == "b" || x.Name == "f" || x.Name == "tb") {
					found = true
				}
			}
		}
		return true
	})
	return found
}
