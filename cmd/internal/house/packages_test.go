package house_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const module = "shiguan"

// pkg is what the rules want to know of a package, as `go list -json` tells it.
type pkg struct {
	ImportPath   string
	Dir          string
	Name         string
	Doc          string
	GoFiles      []string
	CgoFiles     []string
	TestGoFiles  []string
	XTestGoFiles []string
	Imports      []string
	Deps         []string
}

// room is the package's path within the module.
func (p *pkg) room() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
}

// own lists the packages of this module that it imports, outside its tests.
func (p *pkg) own() (paths []string) {
	for _, path := range p.Imports {
		if rest, ok := strings.CutPrefix(path, module+"/"); ok {
			paths = append(paths, rest)
		}
	}
	return paths
}

func (p *pkg) files() (files []string) {
	for _, list := range [][]string{p.GoFiles, p.CgoFiles, p.TestGoFiles, p.XTestGoFiles} {
		for _, name := range list {
			files = append(files, filepath.Join(p.Dir, name))
		}
	}
	return files
}

// root is the module's directory.
func root(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

var listed struct {
	once     sync.Once
	packages []*pkg
	err      error
}

// modulePackages lists every package of the module.
func modulePackages(t *testing.T) []*pkg {
	t.Helper()
	listed.once.Do(func() { listed.packages, listed.err = list(root(t)) })
	if listed.err != nil {
		t.Fatal(listed.err)
	}
	if len(listed.packages) < 20 {
		t.Fatalf("only %d packages found: the rules would hold of nothing", len(listed.packages))
	}
	return listed.packages
}

func list(dir string) (all []*pkg, err error) {
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Dir,Name,Doc,GoFiles,CgoFiles,TestGoFiles,XTestGoFiles,Imports,Deps", "./...")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		p := new(pkg)
		if err := d.Decode(p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
}
