package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// outcome is what came of a suite on one side: of each of its tests a verdict, or what it printed where that is compared.
type outcome struct{ tests map[string]string }

const (
	passed  = "passed"
	failed  = "failed"
	skipped = "skipped"
)

func newOutcome() *outcome { return &outcome{tests: map[string]string{}} }

func (o *outcome) counts() string {
	n := map[string]int{}
	for _, v := range o.tests {
		n[v]++
	}
	others := len(o.tests) - n[passed] - n[failed] - n[skipped]
	text := fmt.Sprintf("%d passed", n[passed]+others)
	if n[failed] > 0 {
		text += fmt.Sprintf(", %d failed", n[failed])
	}
	if n[skipped] > 0 {
		text += fmt.Sprintf(", %d skipped", n[skipped])
	}
	return text
}

// result is a suite on both sides.
type result struct {
	suite string
	sides [2]*outcome
	took  [2]time.Duration
}

// worse lists the tests that come out otherwise through the proxy than directly.
func (r *result) worse() (names []string) {
	for _, name := range slices.Sorted(maps.Keys(r.sides[0].tests)) {
		if direct := r.sides[0].tests[name]; direct != failed && r.sides[1].tests[name] != direct {
			names = append(names, name)
		}
	}
	return names
}

// notRun lists the suites that the run was told to leave out.
func notRun(results []result) (names []string) {
	for _, s := range suites {
		if !slices.ContainsFunc(results, func(r result) bool { return r.suite == s.name }) {
			names = append(names, s.name)
		}
	}
	return names
}

// report writes the table and is an error when something is worse through the proxy, or not on record.
func report(results []result, c *completeness, file string) error {
	var b strings.Builder
	b.WriteString("# Other people's suites, directly and through the proxy\n\nWritten by `go run ./cmd/internal/suites -table docs/suites.md`, which `make test-long` runs too: both columns in one run, on one\nmachine, the proxy under a transparent rule (policy/FORMAT.md). What passes directly must pass through the proxy.\n\n")
	b.WriteString("| suite | directly | through the proxy | otherwise through the proxy | seconds |\n|---|---|---|---|---|\n")
	var bad []string
	for i := range results {
		r := &results[i]
		worse := r.worse()
		for _, name := range worse {
			bad = append(bad, r.suite+"/"+name)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %d | %.0f, %.0f |\n", r.suite, r.sides[0].counts(), r.sides[1].counts(), len(worse), r.took[0].Seconds(), r.took[1].Seconds())
	}
	b.WriteString(c.text())
	if left := notRun(results); len(left) > 0 {
		b.WriteString("\nNot in this run: " + strings.Join(left, ", ") + ".\n")
	}
	if len(bad) > 0 {
		b.WriteString("\nOtherwise through the proxy: " + strings.Join(bad, ", ") + ".\n")
	}
	fmt.Print(b.String())
	if file != "" {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			return err
		}
	}
	if len(bad) > 0 || !c.holds() {
		return fmt.Errorf("%d tests come out otherwise through the proxy; on record: %s", len(bad), c.verdict())
	}
	return nil
}
