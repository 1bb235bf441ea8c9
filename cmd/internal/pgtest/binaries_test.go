package pgtest

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestNewestCompleteInstallationFirst(t *testing.T) {
	root := t.TempDir()
	for _, program := range []string{"9.6/bin/postgres", "9.6/bin/initdb", "14/bin/postgres", "14/bin/initdb", "17/bin/psql", "16/bin/postgres", "16/bin/initdb"} {
		file := filepath.Join(root, program)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{filepath.Join(root, "16", "bin"), filepath.Join(root, "14", "bin"), filepath.Join(root, "9.6", "bin")}
	if got := debianDirs(root); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	// What cannot be run is no installation.
	if err := os.Chmod(filepath.Join(root, "16", "bin", "initdb"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := debianDirs(root); !slices.Equal(got, want[1:]) {
		t.Errorf("got %v, want %v", got, want[1:])
	}
}

func TestPATHMayHoldALinkToTheServerAlone(t *testing.T) {
	root := t.TempDir()
	bin, path := filepath.Join(root, "pg", "bin"), filepath.Join(root, "path")
	for _, dir := range []string{bin, path} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, program := range []string{"postgres", "initdb"} {
		if err := os.WriteFile(filepath.Join(bin, program), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(bin, "postgres"), filepath.Join(path, "postgres")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", path)
	if dir, ok := onPath(); !ok || dir != bin {
		t.Errorf("got %s, %v; want %s", dir, ok, bin)
	}
	if err := os.Remove(filepath.Join(bin, "initdb")); err != nil {
		t.Fatal(err)
	}
	if dir, ok := onPath(); ok {
		t.Errorf("found a server without initdb in %s", dir)
	}
	if _, err := (Binaries{Dir: bin}).Path("psql"); err == nil || errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing client: %v, want words that say what to install", err)
	}
}
