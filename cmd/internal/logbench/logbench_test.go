package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The peers are measured by the same loop as ourselves.
func TestPeersAreLoadedAlike(t *testing.T) {
	ours, err := os.ReadFile("load.go")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := os.ReadFile("peers/load.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(ours, theirs) {
		t.Error("load.go and peers/load.go differ: copy the one that was changed")
	}
}

func TestWorkMeasuresWhatWasOrdered(t *testing.T) {
	dir := t.TempDir()
	var orders, answers bytes.Buffer
	for _, o := range []order{
		{System: systemAuditLog, Appenders: 3, Length: 20 * time.Millisecond},
		{System: systemRaw, Appenders: 1, Length: 20 * time.Millisecond},
		{System: systemRaw, Appenders: 5, Length: 20 * time.Millisecond},
		{System: systemAuditLog, Appenders: 3, Length: 20 * time.Millisecond},
		{System: "sealing wax", Appenders: 1, Length: time.Millisecond},
	} {
		if err := json.NewEncoder(&orders).Encode(o); err != nil {
			t.Fatal(err)
		}
	}
	if err := work(&orders, &answers, opener(dir)); err != nil {
		t.Fatal(err)
	}
	answer := json.NewDecoder(&answers)
	for i := range 5 {
		var o outcome
		if err := answer.Decode(&o); err != nil {
			t.Fatal(err)
		}
		if i == 4 {
			if !strings.Contains(o.Error, "no such system") {
				t.Errorf("an unknown system: %+v", o)
			}
			continue
		}
		if o.Error != "" || o.Entries == 0 || o.P50 <= 0 || o.P99 < o.P50 || o.P99 > o.Elapsed || o.Elapsed < 20*time.Millisecond {
			t.Errorf("outcome %d: %+v", i, o)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "log-3", "head")); err != nil {
		t.Errorf("the log was not closed: %v", err)
	}
}

func TestRatiosAreOfTheSameRound(t *testing.T) {
	r := &results{systems: []string{systemAuditLog, "tessera"}, appenders: []int{32}, of: make(map[subject][]outcome)}
	second := func(entries int) outcome {
		return outcome{Entries: entries, Elapsed: time.Second, CPU: time.Duration(entries) * 4 * time.Microsecond, P50: time.Millisecond, P99: time.Second}
	}
	for _, round := range [][2]int{{210, 10}, {2200, 100}, {50, 5}} { // 21, 22, 10
		r.add(systemAuditLog, 32, second(round[0]))
		r.add("tessera", 32, second(round[1]))
	}
	if got := r.ratio("tessera", 32, outcome.rate); got != 21 {
		t.Errorf("ratio %v, want the median of the rounds' ratios", got)
	}
	var said bytes.Buffer
	r.print(&said)
	r.judge(&said)
	for _, want := range []string{
		"| 32 | tessera | 10 | 1.000 | 1000.000 | 4.00 | 21.00 × | 1.00 × |",
		"× Tessera's: 21.00 (at least 20) holds",
		"CPU µs a record with 32 appenders: 4.00 (at most 5) holds",
	} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("%q is missing in\n%s", want, said.String())
		}
	}
	if strings.Contains(said.String(), "immudb") || strings.Contains(said.String(), "single append") {
		t.Errorf("a verdict on what was not measured:\n%s", said.String())
	}
	r.add("tessera", 32, second(1000))
	r.add(systemAuditLog, 32, second(10))
	said.Reset()
	if r.judge(&said); !strings.Contains(said.String(), "15.50 (at least 20) MISSED") {
		t.Errorf("verdict:\n%s", said.String())
	}
}

func TestGrowth(t *testing.T) {
	var said bytes.Buffer
	if err := grow(t.Context(), &said, filepath.Join(t.TempDir(), "log"), 3000); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"in the last third, × in the first: ", "\n| 300 | ", "\n| 3000 | ", "- opening it: ", "- proof of a record from cold tiles: ", "- fsck: "} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("%q is missing in\n%s", want, said.String())
		}
	}
}

// The workers that a test starts are this binary again.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "-worker" {
		main()
		return
	}
	os.Exit(m.Run())
}

// The page holds both halves, their verdicts, and the machine they were measured on; without all of it there is none.
func TestReport(t *testing.T) {
	file := filepath.Join(t.TempDir(), "docs", "log.md")
	p := plan{dir: t.TempDir(), rounds: 1, length: 10 * time.Millisecond, appenders: []int{1, 32}}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := report(gone, file, p, 1000); err == nil {
		t.Error("a report of nothing")
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("half a page was written: %v", err)
	}
	p.dir = t.TempDir()
	if err := report(t.Context(), file, p, 1000); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{" cores, ", " of memory", "go1.", "\n| 32 | shiguan | ", "\n| 1 | write+fdatasync | ", "CPU µs a record with 32 appenders: ",
		"\n| 1000 | ", "× in the first: ", "- fsck: "} {
		if !strings.Contains(string(page), want) {
			t.Errorf("%q is missing in\n%s", want, page)
		}
	}
}
