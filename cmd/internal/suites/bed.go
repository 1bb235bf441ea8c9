package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"gopkg.in/yaml.v3"

	"shiguan/cmd/internal/e2e/citytest"
	"shiguan/cmd/internal/pgtest"
	"shiguan/proxy/auth"
)

// bed is the city in which the suites lie: a server that logs every statement, and a proxy under a transparent rule before it.
type bed struct {
	city  *citytest.City
	dir   string // of the suites' own files; belongs to who runs them
	build string // what .ci/setup fetched
	bin   string // the server's programs
	sides [2]side
	owner *syscall.Credential // who runs the suites: PostgreSQL's user, for the server writes into their directories
}

// side is one way to the server. User and password are the same on both, so that nothing the suites print differs.
type side struct {
	name     string
	host     string
	port     int
	password string
}

// databases are those that the suites use. They exist before the proxy starts, and are filled anew for each side.
var databases = []string{"regression", "isolation_regression", "pipeline", "pgx_test", "jdbc", "restored", "smoke"}

func makeBed(ctx context.Context, dir, build string) (*bed, error) {
	binary, err := citytest.Build(dir)
	if err != nil {
		return nil, err
	}
	b := &bed{dir: filepath.Join(dir, "suites"), build: build}
	if err := b.findOwner(); err != nil {
		return nil, err
	}
	found, err := pgtest.Find()
	if err != nil {
		return nil, err
	}
	b.bin = found.Dir
	if b.city, err = citytest.Start(binary, filepath.Join(dir, "city")); err != nil {
		return nil, err
	}
	if err = b.furnish(ctx); err != nil {
		b.city.Stop()
		return nil, err
	}
	return b, nil
}

// findOwner makes the directory of the suites for PostgreSQL's user.
func (b *bed) findOwner() error {
	if err := os.MkdirAll(b.dir, 0o755); err != nil || os.Geteuid() != 0 {
		return err
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return err
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	b.owner = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(b.dir, uid, gid)
}

// furnish has the server log everything, makes the databases and lets the superuser in at the proxy.
func (b *bed) furnish(ctx context.Context) error {
	upstream, err := url.Parse(b.city.UpstreamDSN)
	if err != nil {
		return err
	}
	password, _ := upstream.User.Password()
	port, err := strconv.Atoi(upstream.Port())
	if err != nil {
		return err
	}
	b.sides = [2]side{{"direct", upstream.Hostname(), port, password}, {"proxied", b.city.Proxy.Host, b.city.Proxy.Port, password}}
	for _, name := range databases {
		if err := b.fresh(ctx, name); err != nil {
			return err
		}
	}
	if err := errors.Join(b.admit(password), b.prepare()); err != nil {
		return err
	}
	for _, component := range []string{"postgres", "proxy"} {
		if _, err := b.city.Restart(ctx, component); err != nil {
			return err
		}
	}
	return b.admin(ctx, "postgres", "alter system set log_line_prefix = '"+linePrefix+"'", "alter system set log_statement = 'all'", "select pg_reload_conf()")
}

// prepare lets the server take prepared transactions, which is read at its start.
func (b *bed) prepare() error {
	f, err := os.OpenFile(filepath.Join(b.city.Dir, "postgres", "data", "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("max_prepared_transactions = 10\n")
	return errors.Join(err, f.Close())
}

// admin runs statements as the superuser, past the proxy.
func (b *bed) admin(ctx context.Context, database string, statements ...string) error {
	config, err := pgx.ParseConfig(b.city.UpstreamDSN)
	if err != nil {
		return err
	}
	config.Database = database
	config.RuntimeParams["application_name"] = "suites"
	c, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	for _, s := range statements {
		if _, err := c.Exec(ctx, s, pgx.QueryExecModeSimpleProtocol); err != nil {
			return fmt.Errorf("%.100s: %w", s, err)
		}
	}
	return nil
}

// fresh makes a database anew, with the settings that pg_regress gives its own.
func (b *bed) fresh(ctx context.Context, name string) error {
	if err := b.admin(ctx, "postgres", "drop database if exists "+name+" with (force)", "create database "+name+" template template0 encoding 'UTF8' lc_collate 'C' lc_ctype 'C'"); err != nil {
		return err
	}
	for _, setting := range []string{"lc_messages = 'C'", "lc_monetary = 'C'", "lc_numeric = 'C'", "lc_time = 'C'", "bytea_output = 'hex'", "timezone_abbreviations = 'Default'"} {
		if err := b.admin(ctx, "postgres", "alter database "+name+" set "+setting); err != nil {
			return err
		}
	}
	return nil
}

// admit adds the superuser to the proxy's people, the databases to those it serves, and a transparent rule for him.
func (b *bed) admit(password string) error {
	if err := os.WriteFile(filepath.Join(b.city.Dir, "keys", "role-superuser.password"), []byte(password), 0o600); err != nil {
		return err
	}
	verifier, err := auth.NewVerifier(password, auth.DefaultIterations)
	if err != nil {
		return err
	}
	err = change(filepath.Join(b.city.Dir, "people.yaml"), func(people map[string]any) {
		people["people"] = append(people["people"].([]any), map[string]any{"user": pgtest.Superuser, "verifier": verifier,
			"department": "it-centre", "position": "suites", "role": pgtest.Superuser})
	})
	if err != nil {
		return err
	}
	err = change(b.city.ProxyConfig, func(proxy map[string]any) {
		list := proxy["databases"].([]any)
		first := list[0].(map[string]any)
		for _, name := range databases {
			own := map[string]any{}
			for key, value := range first {
				own[key] = value
			}
			own["name"] = name
			own["roles"] = []any{map[string]any{"name": pgtest.Superuser, "password_file": "keys/role-superuser.password"}}
			list = append(list, own)
		}
		proxy["databases"] = list
	})
	if err != nil {
		return err
	}
	policy, err := os.ReadFile(b.city.Policy)
	if err != nil {
		return err
	}
	policy = append(policy, "  - {id: suites, who: {position: suites}, may: [all], on: [\"*\"], transparent: true}\n"...)
	return os.WriteFile(b.city.Policy, policy, 0o644)
}

// change edits a YAML file.
func change(file string, edit func(map[string]any)) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var content map[string]any
	if err := yaml.Unmarshal(text, &content); err != nil {
		return err
	}
	edit(content)
	if text, err = yaml.Marshal(content); err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}

// command prepares a program of a suite: it runs as the suites' owner in dir and finds the server by libpq's variables.
func (b *bed) command(ctx context.Context, s side, dir, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PGHOST="+s.host, "PGPORT="+strconv.Itoa(s.port), "PGUSER="+pgtest.Superuser, "PGPASSWORD="+s.password,
		"PGSSLMODE=disable", "PGGSSENCMODE=disable", "LC_ALL=C", "HOME="+b.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: b.owner}
	return cmd
}

// place makes a directory of its own for one side of a suite.
func (b *bed) place(suite string, s side) (string, error) {
	dir := filepath.Join(b.dir, suite, s.name)
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	return dir, b.own(dir)
}

// own makes a directory for the suites' owner.
func (b *bed) own(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil || b.owner == nil {
		return err
	}
	for d := dir; len(d) >= len(b.dir); d = filepath.Dir(d) {
		if err := os.Chown(d, int(b.owner.Uid), int(b.owner.Gid)); err != nil {
			return err
		}
	}
	return nil
}

// output runs a command to its end, whatever its verdict, and returns what it printed. Only one that could not be run, or
// was killed, is an error.
func output(cmd *exec.Cmd) (string, error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if cmd.ProcessState != nil && cmd.ProcessState.Exited() {
		err = nil
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Path), err, lastLines(out.String()))
	}
	return out.String(), nil
}

func lastLines(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}
