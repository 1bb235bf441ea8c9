package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// suite is one of other people's suites.
type suite struct {
	name string
	run  func(ctx context.Context, b *bed, s side) (*outcome, error)
}

var suites = []suite{
	{"regression", regression},
	{"isolation", isolation},
	{"libpq_pipeline", pipeline},
	{"pgx", pgxTests},
	{"jdbc", jdbc},
	{"dump", dump},
	{"psql", describeCommands},
	{"psycopg", psycopg},
	{"node-postgres", nodePostgres},
}

func main() {
	only := flag.String("only", "", "names of suites, separated by commas; all when empty")
	table := flag.String("table", "", "file to write the table of counts to")
	sources := flag.String("build", ".build", "where .ci/setup keeps what it fetches")
	keep := flag.String("keep", "", "directory for the suites' output, kept afterwards")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *only, *table, *sources, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "suites:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only, table, build, keep string) (err error) {
	build, err = filepath.Abs(build)
	if err != nil {
		return err
	}
	dir, err := workDir(keep)
	if err != nil {
		return err
	}
	if keep == "" {
		defer os.RemoveAll(dir)
	}
	b, err := makeBed(ctx, dir, build)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.city.Stop()) }()
	var results []result
	for _, s := range suites {
		if only != "" && !slices.Contains(strings.Split(only, ","), s.name) {
			continue
		}
		r, err := compare(ctx, b, s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		results = append(results, r)
	}
	c, err := b.complete(ctx)
	if err != nil {
		return fmt.Errorf("completeness: %w", err)
	}
	return report(results, c, table)
}

// workDir makes a directory through which PostgreSQL's user can pass.
func workDir(keep string) (dir string, err error) {
	if keep == "" {
		dir, err = os.MkdirTemp("", "shiguan-suites-")
	} else if dir, err = filepath.Abs(keep); err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

// compare runs a suite on both sides.
func compare(ctx context.Context, b *bed, s suite) (r result, err error) {
	r.suite = s.name
	for i, at := range b.sides {
		began := time.Now()
		if r.sides[i], err = s.run(ctx, b, at); err != nil {
			return r, fmt.Errorf("%s: %w", at.name, err)
		}
		r.took[i] = time.Since(began)
		fmt.Fprintf(os.Stderr, "%-15s %-8s %s in %s\n", s.name, at.name, r.sides[i].counts(), r.took[i].Round(time.Second))
	}
	return r, nil
}
