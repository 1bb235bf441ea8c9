package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// tool finds a program that .ci/setup installs.
func tool(t *testing.T, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is missing: run .ci/setup, or install Debian's %s: %v", name, debian, err)
	}
	return path
}

// run runs a program and returns what it printed, both streams together.
func run(t *testing.T, env []string, program string, args ...string) (output string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, program, args...)
	c.Env = append(os.Environ(), env...)
	out, err := c.CombinedOutput()
	return string(out), err
}

// sameOutput runs a client directly and through the proxy and compares what it prints, line by line.
func sameOutput(t *testing.T, person string, client func(dsn string) string) {
	t.Helper()
	direct := strings.Split(client(directDSN(t, person)), "\n")
	proxied := strings.Split(client(dsn(t, person)), "\n")
	for i := range max(len(direct), len(proxied)) {
		switch {
		case i >= len(direct):
			t.Fatalf("line %d comes only through the proxy: %s", i+1, proxied[i])
		case i >= len(proxied):
			t.Fatalf("line %d does not come through the proxy: %s", i+1, direct[i])
		case direct[i] != proxied[i]:
			t.Fatalf("line %d\ndirect:  %s\nproxied: %s", i+1, direct[i], proxied[i])
		}
	}
	if len(direct) < 10 {
		t.Errorf("the client printed %d lines only: %s", len(direct), direct)
	}
}

// place is where in PostgreSQL's source an error was made, which errors of the proxy's own do not say.
var place = regexp.MustCompile(`(?m)^(psql:[^ ]* )?LOCATION:.*\n`)

func TestPsql(t *testing.T) {
	furnish(t)
	psql := tool(t, "psql", "postgresql-client")
	for _, person := range []string{"bench", "civil_manager"} {
		t.Run(person, func(t *testing.T) {
			sameOutput(t, person, func(dsn string) string {
				out, err := run(t, nil, psql, "-X", "-f", filepath.Join("testdata", "clients", person+".psql"), dsn)
				if err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				// \conninfo names user and port.
				return place.ReplaceAllString(regexp.MustCompile(`You are connected.*`).ReplaceAllString(out, ""), "")
			})
		})
	}
}

func TestNodePostgres(t *testing.T) {
	furnish(t)
	node := tool(t, "node", "nodejs")
	modules := os.Getenv("NODE_PATH")
	if modules == "" {
		root, err := filepath.Abs("../../..")
		if err != nil {
			t.Fatal(err)
		}
		modules = filepath.Join(root, ".build", "clients", "node_modules")
	}
	if _, err := os.Stat(filepath.Join(modules, "pg")); err != nil {
		t.Fatalf("node-postgres is missing, run .ci/setup clients: %v", err)
	}
	sameOutput(t, "bench", func(dsn string) string {
		out, err := run(t, []string{"NODE_PATH=" + modules}, node, "testdata/clients/queries.js", dsn)
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return out
	})
}

func TestPsycopg(t *testing.T) {
	furnish(t)
	python := tool(t, "/usr/bin/python3", "python3-psycopg2")
	if out, err := run(t, nil, python, "-c", "import psycopg2"); err != nil {
		t.Fatalf("psycopg2 is missing: run .ci/setup clients, or install Debian's python3-psycopg2: %s", out)
	}
	sameOutput(t, "bench", func(dsn string) string {
		out, err := run(t, nil, python, "testdata/clients/queries.py", dsn)
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return out
	})
}

// pgx prepares, caches and pipelines by itself; results must be what they are without a proxy.
func TestPgx(t *testing.T) {
	furnish(t)
	sameOutput(t, "bench", func(dsn string) string {
		c := open(t, dsn)
		var out strings.Builder
		show := func(what string, rows pgx.Rows, err error) {
			if err != nil {
				fmt.Fprintln(&out, what, err)
				return
			}
			defer rows.Close()
			for rows.Next() {
				values, err := rows.Values()
				fmt.Fprintf(&out, "%s %v %v\n", what, values, err)
			}
			fmt.Fprintln(&out, what, rows.CommandTag(), pgCode(rows.Err()), rows.FieldDescriptions())
		}
		for _, name := range []string{"simple", "exec", "described", "prepared", "cached"} {
			mode, ok := protocols[name]
			if !ok {
				mode = pgx.QueryExecModeCacheDescribe
			}
			for range 2 {
				rows, err := c.Query(t.Context(), "select id, i8, n, t, ok, d, ts, u from pgbench_types order by id", mode)
				show(name, rows, err)
				rows, err = c.Query(t.Context(), "select aid, abalance from pgbench_accounts where aid = $1", mode, 7)
				show(name, rows, err)
				rows, err = c.Query(t.Context(), "select 1/$1::int", mode, 0)
				show(name, rows, err)
			}
		}
		batch := &pgx.Batch{}
		for i := range 5 {
			batch.Queue("insert into pgbench_copy values ($1, $2, $3) returning id", 330+i, "batch", nil)
		}
		batch.Queue("delete from pgbench_copy")
		results := c.SendBatch(t.Context(), batch)
		for range 6 {
			rows, err := results.Query()
			show("batch", rows, err)
		}
		fmt.Fprintln(&out, results.Close())
		n, err := c.CopyFrom(t.Context(), pgx.Identifier{"pgbench_copy"}, []string{"id", "name", "n"},
			pgx.CopyFromRows([][]any{{340, "copied", 1}, {341, nil, nil}}))
		fmt.Fprintln(&out, n, err)
		tag, err := c.PgConn().CopyTo(t.Context(), &out, "copy pgbench_copy to stdout")
		fmt.Fprintln(&out, tag, err)
		tag, err = c.Exec(t.Context(), "delete from pgbench_copy")
		fmt.Fprintln(&out, tag, err)
		return out.String()
	})
}

func pgCode(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return fmt.Sprint(err)
}

// pgbench makes its tables anew through the proxy, and runs in every mode.
func TestPgbench(t *testing.T) {
	pgbench := tool(t, "pgbench", "postgresql-client or postgresql-contrib")
	d := dsn(t, "bench")
	if out, err := run(t, nil, pgbench, "-i", "-s", "1", "-q", d); err != nil {
		t.Fatalf("pgbench -i: %v: %s", err, out)
	}
	for _, mode := range []string{"simple", "extended", "prepared"} {
		for _, kind := range [][]string{{"-S"}, {"-N"}, {}} {
			t.Run(mode+strings.Join(kind, ""), func(t *testing.T) {
				args := append([]string{"-n", "-M", mode, "-c", "4", "-j", "2", "-t", "25"}, kind...)
				out, err := run(t, nil, pgbench, append(args, d)...)
				if err != nil || !strings.Contains(out, "number of transactions actually processed: 100/100") || !strings.Contains(out, "failed transactions: 0 ") {
					t.Fatalf("%v: %s", err, out)
				}
			})
		}
	}
	var total, entries int
	err := superuser(t).QueryRow(t.Context(), "select (select count(*) from pgbench_accounts), (select count(*) from pgbench_history)").Scan(&total, &entries)
	if err != nil || total != 100000 || entries != 600 {
		t.Errorf("%d accounts and %d entries (%v), want 100000 and 600", total, entries, err)
	}
}
