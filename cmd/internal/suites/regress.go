package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

// regression is PostgreSQL's own regression suite, from the sources of the installed version.
func regression(ctx context.Context, b *bed, s side) (*outcome, error) {
	if err := b.fresh(ctx, "regression"); err != nil {
		return nil, err
	}
	dir, err := b.place("regression", s)
	if err != nil {
		return nil, err
	}
	from := filepath.Join(b.build, "postgresql-source", "src", "test", "regress")
	for _, name := range []string{"sql", "expected", "data", "parallel_schedule", "resultmap"} {
		if out, err := exec.CommandContext(ctx, "cp", "-r", filepath.Join(from, name), dir).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%w: %s; run .ci/setup source", err, out)
		}
	}
	if err := b.compile(ctx, filepath.Join(dir, "regress.so"), "-shared", "-fPIC", "-I", b.headers("server"), filepath.Join(from, "regress.c")); err != nil {
		return nil, err
	}
	libraries, err := exec.CommandContext(ctx, filepath.Join(b.bin, "pg_config"), "--pkglibdir").Output()
	if err != nil {
		return nil, err
	}
	lib := string(libraries[:len(libraries)-1])
	for _, name := range []string{"refint.so", "autoinc.so"} {
		if err := exec.CommandContext(ctx, "cp", filepath.Join(lib, name), dir).Run(); err != nil {
			return nil, err
		}
	}
	if err := b.own(filepath.Join(dir, "out")); err != nil {
		return nil, err
	}
	if out, err := exec.CommandContext(ctx, "chmod", "-R", "a+rX", dir).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	return b.schedule(ctx, s, dir, filepath.Join(lib, "pgxs/src/test/regress/pg_regress"), "--dlpath=.", "--inputdir=.", "--outputdir=out",
		"--max-concurrent-tests=20", "--schedule=parallel_schedule", "--dbname=regression")
}

// isolation is PostgreSQL's suite of concurrent transactions.
func isolation(ctx context.Context, b *bed, s side) (*outcome, error) {
	if err := b.fresh(ctx, "isolation_regression"); err != nil {
		return nil, err
	}
	dir, err := b.place("isolation", s)
	if err != nil {
		return nil, err
	}
	from := filepath.Join(b.build, "postgresql-source", "src", "test", "isolation")
	for _, name := range []string{"specs", "expected", "isolation_schedule"} {
		if out, err := exec.CommandContext(ctx, "cp", "-r", filepath.Join(from, name), dir).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%w: %s; run .ci/setup source", err, out)
		}
	}
	libraries, err := exec.CommandContext(ctx, filepath.Join(b.bin, "pg_config"), "--pkglibdir").Output()
	if err != nil {
		return nil, err
	}
	tools := filepath.Join(string(libraries[:len(libraries)-1]), "pgxs/src/test/isolation")
	if err := b.own(filepath.Join(dir, "out")); err != nil {
		return nil, err
	}
	return b.schedule(ctx, s, dir, filepath.Join(tools, "pg_isolation_regress"), "--inputdir=.", "--outputdir=out",
		"--schedule=isolation_schedule", "--dbname=isolation_regression")
}

// verdicts are pg_regress's lines: of a test alone, or one of a group.
var verdicts = regexp.MustCompile(`(?m)^(?:test|    ) ([\w.-]+) +\.\.\. (ok|FAILED|failed)`)

// schedule runs one of pg_regress's programs over an existing database.
func (b *bed) schedule(ctx context.Context, s side, dir, program string, args ...string) (*outcome, error) {
	if b.owner != nil {
		if err := exec.CommandContext(ctx, "chown", "-R", fmt.Sprintf("%d:%d", b.owner.Uid, b.owner.Gid), dir).Run(); err != nil {
			return nil, err
		}
	}
	args = append(args, "--use-existing", "--bindir="+b.bin, "--host="+s.host, "--port="+strconv.Itoa(s.port), "--user=superuser")
	text, err := output(b.command(ctx, s, dir, program, args...))
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "output.txt"), []byte(text), 0o644); err != nil {
		return nil, err
	}
	o := newOutcome()
	for _, m := range verdicts.FindAllStringSubmatch(text, -1) {
		if o.tests[m[1]] = failed; m[2] == "ok" {
			o.tests[m[1]] = passed
		}
	}
	if len(o.tests) < 50 {
		return nil, errors.New("the suite did not run:\n" + lastLines(text))
	}
	return o, nil
}

// headers is where the server's headers stand that .ci/setup source unpacked.
func (b *bed) headers(below string) string {
	found, _ := filepath.Glob(filepath.Join(b.build, "postgresql-headers/usr/include/postgresql/*", below))
	if len(found) == 0 {
		return "missing-headers-run-setup-source"
	}
	return found[0]
}

// compile makes a program or a library of C.
func (b *bed) compile(ctx context.Context, into string, args ...string) error {
	cmd := exec.CommandContext(ctx, "cc", append([]string{"-O1", "-w", "-o", into}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("compiling %s: %w\n%s", filepath.Base(into), err, lastLines(string(out)))
	}
	return nil
}
