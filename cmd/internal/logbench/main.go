package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	var (
		p       plan
		numbers string
		records uint64
		profile string
		serve   string
		page    string
	)
	flag.IntVar(&p.rounds, "rounds", 5, "interleaved rounds")
	flag.DurationVar(&p.length, "length", time.Second, "length of one measurement")
	flag.StringVar(&numbers, "appenders", "1,8,32,256", "how many append at a time")
	flag.StringVar(&p.dir, "dir", "", "where the logs go, on the disk that matters; a temporary directory if empty")
	flag.BoolVar(&p.peers, "peers", true, "measure Tessera and immudb too")
	flag.BoolVar(&p.exact, "exact", false, "measure Tessera once more, with batches as large as the number of appenders")
	flag.Uint64Var(&records, "growth", 0, "fill a log with so many records instead, and see what grows")
	flag.StringVar(&page, "report", "", "measure everything and write it to this file too; -growth is 10,000,000 then unless set")
	flag.StringVar(&profile, "profile", "", "write a CPU profile of the audit log under 32 appenders, or of -growth, to this file")
	flag.StringVar(&serve, "worker", "", "")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := func() error {
		if serve != "" {
			return makeAnd(serve, runWorker)
		}
		if err := p.setAppenders(numbers); err != nil {
			return err
		}
		parent, err := filepath.Abs(cmp.Or(p.dir, os.TempDir())) // the peers' program runs elsewhere
		if err != nil {
			return err
		}
		dir, err := os.MkdirTemp(parent, "shiguan-logbench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		p.dir = dir
		spread(dir)
		switch {
		case page != "":
			if records == 0 {
				records = 10_000_000
			}
			return report(ctx, page, p, records)
		case records > 0:
			return profiled(profile, func() error { return grow(ctx, os.Stdout, filepath.Join(dir, "log"), records) })
		case profile != "":
			return profiled(profile, func() error { return alone(filepath.Join(dir, "log"), p.length) })
		}
		r, err := p.run(ctx)
		if err != nil {
			return err
		}
		r.print(os.Stdout)
		fmt.Println()
		r.judge(os.Stdout)
		return nil
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "logbench:", err)
		os.Exit(1)
	}
}

func makeAnd(dir string, run func(dir string) error) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return run(dir)
}

func (p *plan) setAppenders(list string) error {
	for _, word := range strings.Split(list, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 {
			return fmt.Errorf("-appenders %s: want numbers from 1 on, with commas between", list)
		}
		p.appenders = append(p.appenders, n)
	}
	return nil
}

// profiled runs f under a CPU profile, if there is a file to write it to.
func profiled(file string, f func() error) (err error) {
	if file == "" {
		return f()
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if err := pprof.StartCPUProfile(out); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	return f()
}

// alone measures the audit log in this process.
func alone(dir string, length time.Duration) error {
	l, err := openAuditLog(dir)
	if err != nil {
		return err
	}
	o := load(l, 32, length)
	if o.Error != "" {
		return errors.New(o.Error)
	}
	fmt.Printf("%.0f entries/s, %.2f µs of CPU an entry\n", o.rate(), o.cpu())
	return l.close()
}
