package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

//go:embed files/Queries.java
var queriesJava string

//go:embed files/smoke.py
var smokePython string

//go:embed files/smoke.js
var smokeNode string

// jdbc asks the same of the JDBC driver in each of its query modes.
func jdbc(ctx context.Context, b *bed, s side) (*outcome, error) {
	if err := b.fresh(ctx, "jdbc"); err != nil {
		return nil, err
	}
	jars, err := filepath.Glob(filepath.Join(b.build, "jdbc", "*.jar"))
	if err != nil || len(jars) == 0 {
		return nil, fmt.Errorf("the JDBC driver is missing: run .ci/setup suites")
	}
	o := newOutcome()
	for _, mode := range []string{"simple", "extended", "extendedForPrepared", "extendedCacheEverything"} {
		url := fmt.Sprintf("jdbc:postgresql://%s:%d/jdbc?preferQueryMode=%s&sslmode=disable&gssEncMode=disable", s.host, s.port, mode)
		if err := b.script(ctx, s, o, mode+" ", "Queries.java", queriesJava, "java", "-cp", strings.Join(jars, ":"), "Queries.java", url, "superuser", s.password); err != nil {
			return nil, err
		}
	}
	return o, nil
}

func psycopg(ctx context.Context, b *bed, s side) (*outcome, error) {
	if err := b.fresh(ctx, "smoke"); err != nil {
		return nil, err
	}
	o := newOutcome()
	return o, b.script(ctx, s, o, "", "smoke.py", smokePython, "/usr/bin/python3", "smoke.py")
}

func nodePostgres(ctx context.Context, b *bed, s side) (*outcome, error) {
	if err := b.fresh(ctx, "smoke"); err != nil {
		return nil, err
	}
	o := newOutcome()
	return o, b.script(ctx, s, o, "", "smoke.js", smokeNode, "env", "NODE_PATH="+filepath.Join(b.build, "clients/node_modules"), "node", "smoke.js")
}

// script runs a program that prints `name: what came of it` lines. What came of it is compared as it stands.
func (b *bed) script(ctx context.Context, s side, o *outcome, prefix, file, content string, program string, args ...string) error {
	dir, err := b.place(strings.TrimSpace(prefix+file), s)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o644); err != nil {
		return err
	}
	cmd := b.command(ctx, s, dir, program, args...)
	cmd.Env = append(cmd.Env, "PGDATABASE=smoke")
	said, err := output(cmd)
	if err != nil {
		return err
	}
	os.WriteFile(filepath.Join(dir, "output.txt"), []byte(said), 0o644)
	if !cmd.ProcessState.Success() || !strings.HasSuffix(strings.TrimSpace(said), "end: reached") {
		return fmt.Errorf("%s%s did not reach its end:\n%s", prefix, file, lastLines(said))
	}
	for line := range strings.Lines(said) {
		name, what, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if _, twice := o.tests[prefix+name]; !ok || twice {
			return fmt.Errorf("%s printed %q", file, line)
		}
		o.tests[prefix+name] = what
	}
	return nil
}
