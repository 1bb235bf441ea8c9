package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// pipeline is libpq's own test of pipelining, whose golden traces are compared byte by byte where there is one.
func pipeline(ctx context.Context, b *bed, s side) (*outcome, error) {
	if err := b.fresh(ctx, "pipeline"); err != nil {
		return nil, err
	}
	dir, err := b.place("pipeline", s)
	if err != nil {
		return nil, err
	}
	source := filepath.Join(b.build, "postgresql-source/src")
	module := filepath.Join(source, "test/modules/libpq_pipeline")
	program := filepath.Join(dir, "libpq_pipeline")
	libraries, _ := filepath.Glob(filepath.Join(b.build, "postgresql-headers/usr/lib/postgresql/*/lib"))
	if len(libraries) == 0 {
		return nil, fmt.Errorf("the server's libraries are missing: run .ci/setup source")
	}
	err = b.compile(ctx, program, "-I", filepath.Join(source, "interfaces/libpq"), "-I", b.headers("server"), filepath.Join(module, "libpq_pipeline.c"),
		"-L", libraries[0], "-lpgcommon", "-lpgport", "-l:libpq.so.5")
	if err != nil {
		return nil, err
	}
	names, err := output(b.command(ctx, s, dir, program, "tests"))
	if err != nil {
		return nil, err
	}
	o := newOutcome()
	for _, name := range strings.Fields(names) {
		trace := filepath.Join(dir, name+".trace")
		cmd := b.command(ctx, s, dir, program, "-r", "700", "-t", trace, name, "dbname=pipeline")
		said, err := output(cmd)
		if err != nil {
			return nil, err
		}
		if o.tests[name] = passed; !cmd.ProcessState.Success() {
			o.tests[name] = failed
			os.WriteFile(filepath.Join(dir, name+".txt"), []byte(said), 0o644)
		}
		golden, err := os.ReadFile(filepath.Join(module, "traces", name+".trace"))
		if os.IsNotExist(err) {
			continue
		}
		got, err := os.ReadFile(trace)
		if err != nil {
			return nil, err
		}
		if o.tests[name+" trace"] = passed; string(got) != string(golden) {
			o.tests[name+" trace"] = failed
		}
	}
	return o, nil
}
