package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"time"
)

type subject struct {
	system    string
	appenders int
}

// results are the outcomes of all rounds, in order.
type results struct {
	systems   []string // the first one is ours
	appenders []int
	of        map[subject][]outcome
	hashes    []float64 // ns, after each round
}

func (r *results) add(system string, appenders int, o outcome) {
	at := subject{system, appenders}
	r.of[at] = append(r.of[at], o)
}

// median is over the rounds.
func (r *results) median(system string, appenders int, value func(outcome) float64) float64 {
	var all []float64
	for _, o := range r.of[subject{system, appenders}] {
		all = append(all, value(o))
	}
	return middle(all)
}

// ratio is the median of ours divided by theirs in the same round.
func (r *results) ratio(system string, appenders int, value func(outcome) float64) float64 {
	ours := r.of[subject{r.systems[0], appenders}]
	var all []float64
	for i, o := range r.of[subject{system, appenders}] {
		all = append(all, value(ours[i])/value(o))
	}
	return middle(all)
}

func middle(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

func (o outcome) p50() float64 { return milliseconds(o.P50) }
func (o outcome) p99() float64 { return milliseconds(o.P99) }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (r *results) print(w io.Writer) {
	fmt.Fprintf(w, "SHA-256 of %d bytes meanwhile: %v\n\n", entrySize, time.Duration(middle(r.hashes)))
	fmt.Fprintln(w, "| appenders | log | entries/s | p50 ms | p99 ms | CPU µs an entry | shiguan's entries/s are | its p50 is |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|")
	for _, n := range r.appenders {
		for _, s := range r.systems {
			fmt.Fprintf(w, "| %d | %s | %.0f | %.3f | %.3f | %.2f | %.2f × | %.2f × |\n", n, s, r.median(s, n, outcome.rate), r.median(s, n, outcome.p50),
				r.median(s, n, outcome.p99), r.median(s, n, outcome.cpu), r.ratio(s, n, outcome.rate), r.ratio(s, n, outcome.p50))
		}
	}
}

// hashTime is how long one SHA-256 of an entry takes now, in CPU time: what to divide the figures of another moment by.
func hashTime() time.Duration {
	const n = 20000
	entry := make([]byte, entrySize)
	cpu := cpuTime()
	for range n {
		sum := sha256.Sum256(entry)
		entry[0] = sum[0]
	}
	return (cpuTime() - cpu) / n
}

// target is a promise about the medians.
type target struct {
	what      string
	appenders int
	got       func(r *results) float64
	bound     float64
	atLeast   bool
}

func targets() []target {
	rate := func(peer string, n int) func(*results) float64 {
		return func(r *results) float64 { return r.ratio(peer, n, outcome.rate) }
	}
	return []target{
		{"entries/s with 32 appenders, × Tessera's", 32, rate("tessera", 32), 20, true},
		{"entries/s with 32 appenders, × immudb's", 32, rate("immudb", 32), 7, true},
		{"CPU µs a record with 32 appenders", 32, func(r *results) float64 { return r.median(systemAuditLog, 32, outcome.cpu) }, 5, false},
		{"CPU µs a record with 256 appenders", 256, func(r *results) float64 { return r.median(systemAuditLog, 256, outcome.cpu) }, 5, false},
		{"time of a single append, × write and fdatasync of the same bytes", 1, func(r *results) float64 { return r.ratio(systemRaw, 1, outcome.p50) }, 1.3, false},
	}
}

// judge prints which targets hold. What was not measured is left out.
func (r *results) judge(w io.Writer) {
	for _, t := range targets() {
		got := t.got(r)
		if got == 0 {
			continue
		}
		verdict, bound := "holds", "at most"
		if t.atLeast {
			bound = "at least"
		}
		if t.atLeast != (got >= t.bound) && got != t.bound {
			verdict = "MISSED"
		}
		fmt.Fprintf(w, "- %s: %.2f (%s %g) %s\n", t.what, got, bound, t.bound, verdict)
	}
}
