package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"shiguan/cmd/internal/demo"
)

func main() {
	rounds := flag.Int("rounds", 5, "interleaved rounds")
	seconds := flag.Int("seconds", 3, "length of one measurement")
	base := flag.Int("port-base", 24000, "first of the ports used on 127.0.0.1")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *base, *rounds, *seconds); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, base, rounds, seconds int) (err error) {
	dir, err := os.MkdirTemp("", "shiguan-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // PostgreSQL's user must get to its files
		return err
	}
	city, stopCity, err := startCity(ctx, dir, base)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopCity()) }()
	systems, stopPeer, err := systemsOf(ctx, dir, base, city)
	if err != nil {
		return err
	}
	defer stopPeer()
	// At scale 1 every transaction of TPC-B waits for the same row; that would measure the lock.
	fill := exec.CommandContext(ctx, "pgbench", "-q", "-i", "-s", "20", systems[len(systems)-1].dsn)
	if output, err := fill.CombinedOutput(); err != nil {
		return fmt.Errorf("pgbench -i: %w\n%s", err, output)
	}
	return measure(ctx, systems, rounds, time.Duration(seconds)*time.Second)
}

// startCity builds the binary and runs the demo city.
func startCity(ctx context.Context, dir string, base int) (*demo.Manifest, func() error, error) {
	binary := filepath.Join(dir, "shiguan")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "shiguan/cmd/shiguan")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return nil, nil, err
	}
	home := filepath.Join(dir, "city")
	var output strings.Builder
	c := exec.Command(binary, "demo", "--dir", home, "--port-base", fmt.Sprint(base))
	c.Stdout, c.Stderr = &output, &output
	if err := c.Start(); err != nil {
		return nil, nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	stop := func() error {
		c.Process.Signal(syscall.SIGTERM)
		return <-ended
	}
	for {
		if city, err := demo.ReadManifest(home); err == nil {
			return city, stop, nil
		}
		select {
		case err := <-ended:
			return nil, nil, fmt.Errorf("the demo city ended: %v\n%s", err, output.String())
		case <-ctx.Done():
			return nil, nil, errors.Join(ctx.Err(), stop())
		case <-time.After(100 * time.Millisecond):
		}
	}
}
