package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// workload is one way of using pgbench.
type workload struct {
	name    string
	clients int
	args    []string
}

var workloads = []workload{
	{"-S prepared", 1, []string{"-S", "-M", "prepared"}},
	{"-S prepared", 8, []string{"-S", "-M", "prepared"}},
	{"-S prepared", 32, []string{"-S", "-M", "prepared"}},
	{"-S simple", 8, []string{"-S", "-M", "simple"}},
	{"-S simple", 32, []string{"-S", "-M", "simple"}},
	{"TPC-B prepared", 8, []string{"-M", "prepared"}},
	{"TPC-B prepared", 32, []string{"-M", "prepared"}},
}

// sample is one measurement.
type sample struct {
	tps float64
	cpu float64 // microseconds of the proxy process for each transaction
}

// measure runs every workload on every system, round by round, and prints medians and ratios.
func measure(ctx context.Context, systems []system, rounds int, length time.Duration) error {
	fmt.Println("| workload | clients | direct tps | pgbouncer tps | shiguan tps | shiguan / direct | shiguan / pgbouncer | CPU µs a transaction: pgbouncer | shiguan |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|")
	for _, w := range workloads {
		samples := make([][]sample, len(systems))
		for range rounds {
			for i, s := range systems {
				got, err := once(ctx, w, s, length)
				if err != nil {
					return fmt.Errorf("%s, %d clients, %s: %w", w.name, w.clients, s.name, err)
				}
				samples[i] = append(samples[i], got)
			}
		}
		direct, peer, ours := samples[0], samples[1], samples[2]
		fmt.Printf("| %s | %d | %.0f | %.0f | %.0f | %.2f | %.2f | %.1f | %.1f |\n", w.name, w.clients,
			median(direct, tps), median(peer, tps), median(ours, tps), ratio(ours, direct), ratio(ours, peer),
			median(peer, micros), median(ours, micros))
	}
	return nil
}

func tps(s sample) float64    { return s.tps }
func micros(s sample) float64 { return s.cpu }

func median(samples []sample, value func(sample) float64) float64 {
	var values []float64
	for _, s := range samples {
		values = append(values, value(s))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// ratio is the median of the rounds' ratios: two figures of one round saw the same machine.
func ratio(a, b []sample) float64 {
	var ratios []sample
	for i := range a {
		ratios = append(ratios, sample{tps: a[i].tps / b[i].tps})
	}
	return median(ratios, tps)
}

var tpsLine = regexp.MustCompile(`tps = ([0-9.]+) \(without`)

// once runs pgbench once.
func once(ctx context.Context, w workload, s system, length time.Duration) (sample, error) {
	seconds := max(1, int(length.Seconds()))
	args := append([]string{"-n", "-c", strconv.Itoa(w.clients), "-j", strconv.Itoa(min(w.clients, 2)), "-T", strconv.Itoa(seconds)}, w.args...)
	before, err := cpu(s.pid)
	if err != nil {
		return sample{}, err
	}
	c := exec.CommandContext(ctx, "pgbench", append(args, s.dsn)...)
	c.Env = append(os.Environ(), "PGOPTIONS=")
	output, err := c.CombinedOutput()
	if err != nil {
		return sample{}, fmt.Errorf("%w\n%s", err, output)
	}
	after, err := cpu(s.pid)
	if err != nil {
		return sample{}, err
	}
	m := tpsLine.FindSubmatch(output)
	if m == nil {
		return sample{}, fmt.Errorf("pgbench printed no tps:\n%s", output)
	}
	rate, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		return sample{}, err
	}
	return sample{tps: rate, cpu: float64((after - before).Microseconds()) / (rate * float64(seconds))}, nil
}
