package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestDependencies compares what the verifier is made of with depaware.txt. Whoever trusts the verifier has to read all of it, so
// every package more is a cost; whoever adds one adds it to the list, where a reviewer sees it.
func TestDependencies(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadFile("depaware.txt")
	if err != nil {
		t.Fatal(err)
	}
	got, want := strings.Fields(string(out)), strings.Fields(string(list))
	slices.Sort(got)
	if !slices.IsSorted(want) {
		t.Error("depaware.txt is not sorted")
	}
	var diff strings.Builder
	for _, p := range got {
		if !slices.Contains(want, p) {
			diff.WriteString("\n  + " + p)
		}
	}
	for _, p := range want {
		if !slices.Contains(got, p) {
			diff.WriteString("\n  - " + p)
		}
	}
	if diff.Len() > 0 {
		t.Errorf("the verifier's dependencies are not those of depaware.txt (+ imported now, - imported no more):%s", diff.String())
	}
}
