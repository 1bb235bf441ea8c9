package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// pgxTests are pgx's own, run in a copy of the module. The databases and roles they want are made past the proxy.
func pgxTests(ctx context.Context, b *bed, s side) (*outcome, error) {
	if err := b.fresh(ctx, "pgx_test"); err != nil {
		return nil, err
	}
	from, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/jackc/pgx/v5").Output()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(filepath.Dir(b.dir), "pgx")
	if _, err := os.Stat(dir); err != nil {
		if out, err := exec.CommandContext(ctx, "cp", "-r", "--no-preserve=mode", strings.TrimSpace(string(from)), dir).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%w: %s", err, out)
		}
	}
	for _, role := range []string{"pgx_ssl", "pgx_sslcert", "pgx_md5", "pgx_pw", "pgx_scram", "pgx_oauth", `" tricky, ' } "" \\ test user "`} {
		b.admin(ctx, "pgx_test", "drop role if exists "+strings.ReplaceAll(role, `\\`, `\`)) // what a role owns went with the database
	}
	setup := b.command(ctx, b.sides[0], dir, "psql", "-q", "-d", "pgx_test", "-f", filepath.Join(dir, "testsetup/postgresql_setup.sql"))
	if said, err := output(setup); err != nil || strings.Contains(said, "ERROR") && s.name == "direct" {
		return nil, fmt.Errorf("pgx's setup: %v %s", err, lastLines(said))
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-json", "-count=1", "-timeout=20m", "./...")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "PGX_TEST_DATABASE=host="+s.host+fmt.Sprintf(" port=%d", s.port)+" user=superuser password="+s.password+
		" database=pgx_test sslmode=disable")
	text, err := output(cmd)
	if err != nil {
		return nil, err
	}
	place, err := b.place("pgx", s)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(place, "output.json"), []byte(text), 0o644); err != nil {
		return nil, err
	}
	return goVerdicts(text)
}

// goVerdicts reads what `go test -json` printed.
func goVerdicts(text string) (*outcome, error) {
	o := newOutcome()
	lines := bufio.NewScanner(bytes.NewReader([]byte(text)))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e struct{ Action, Package, Test string }
		if json.Unmarshal(lines.Bytes(), &e) != nil || e.Test == "" {
			continue
		}
		name := strings.TrimPrefix(e.Package, "github.com/jackc/pgx/v5") + "/" + e.Test
		switch e.Action {
		case "pass":
			o.tests[name] = passed
		case "fail":
			o.tests[name] = failed
		case "skip":
			o.tests[name] = skipped
		}
	}
	if len(o.tests) < 500 {
		return nil, errors.New("pgx's tests did not run:\n" + lastLines(text))
	}
	return o, nil
}
