package main

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"shiguan/cmd/internal/demo"
)

// system is one way from pgbench to the database.
type system struct {
	name string
	dsn  string
	pid  int // of the proxy process, 0 for none
}

// role is the upstream role that the proxy's sessions have.
const role = "it_centre_load_test"

// systemsOf starts pgbouncer beside the city and lists the ways.
func systemsOf(ctx context.Context, dir string, base int, city *demo.Manifest) ([]system, func(), error) {
	upstream, err := url.Parse(city.UpstreamDSN)
	if err != nil {
		return nil, nil, err
	}
	const password = "bench"
	if err := openDirectWay(ctx, city.UpstreamDSN, password); err != nil {
		return nil, nil, err
	}
	bench, err := city.Person("bench")
	if err != nil {
		return nil, nil, err
	}
	port := base + demo.Ports() + 1
	pid, stop, err := startBouncer(ctx, dir, port, upstream.Host, city.Database, password)
	if err != nil {
		return nil, nil, err
	}
	dsn := func(address, user, password string) string {
		return (&url.URL{Scheme: "postgres", User: url.UserPassword(user, password), Host: address, Path: city.Database, RawQuery: "sslmode=disable"}).String()
	}
	return []system{
		{"direct", dsn(upstream.Host, role+"_direct", password), 0},
		{"pgbouncer", dsn(net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), role, password), pid},
		{"shiguan", dsn(net.JoinHostPort(city.Proxy.Host, strconv.Itoa(city.Proxy.Port)), bench.User, bench.Password), city.PIDs["proxy"]},
	}, stop, nil
}

// openDirectWay makes a role with the same rights that may log in past the proxy.
func openDirectWay(ctx context.Context, superuser, password string) error {
	c, err := pgx.Connect(ctx, superuser)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	_, err = c.Exec(ctx, fmt.Sprintf("DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '%[1]s_direct') THEN CREATE ROLE %[1]s_direct LOGIN PASSWORD '%[2]s' IN ROLE %[1]s; END IF; END $$", role, password))
	return err
}

// startBouncer runs pgbouncer in session mode as a user that is not root.
func startBouncer(ctx context.Context, dir string, port int, upstream, database, password string) (int, func(), error) {
	binary, err := exec.LookPath("pgbouncer")
	if err != nil {
		if binary = "/usr/sbin/pgbouncer"; !executable(binary) {
			return 0, nil, fmt.Errorf("pgbouncer was not found: install it (apt-get install pgbouncer)")
		}
	}
	host, upstreamPort, err := net.SplitHostPort(upstream)
	if err != nil {
		return 0, nil, err
	}
	home := filepath.Join(dir, "pgbouncer")
	if err := os.Mkdir(home, 0o755); err != nil {
		return 0, nil, err
	}
	ini := fmt.Sprintf(`[databases]
%s = host=%s port=%s dbname=%s user=%s_direct password=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = scram-sha-256
auth_file = %s
pool_mode = session
max_client_conn = 1000
default_pool_size = 500
logfile = %s
`, database, host, upstreamPort, database, role, password, port, filepath.Join(home, "users.txt"), filepath.Join(home, "log.txt"))
	users := fmt.Sprintf("%q %q\n", role, password)
	for name, text := range map[string]string{"pgbouncer.ini": ini, "users.txt": users, "log.txt": ""} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o666); err != nil {
			return 0, nil, err
		}
	}
	c := exec.Command(binary, "-q", filepath.Join(home, "pgbouncer.ini"))
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if os.Getuid() == 0 {
		if c.SysProcAttr.Credential, err = somebody(); err != nil {
			return 0, nil, err
		}
		if err := os.Chmod(filepath.Join(home, "log.txt"), 0o666); err != nil {
			return 0, nil, err
		}
	}
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		return 0, nil, err
	}
	for range 100 {
		if nc, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			nc.Close()
			return c.Process.Pid, func() { c.Process.Signal(syscall.SIGTERM); c.Wait() }, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	c.Process.Kill()
	return 0, nil, fmt.Errorf("pgbouncer does not listen on port %d", port)
}

func executable(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Mode()&0o111 != 0
}

// somebody is a user who is not root.
func somebody() (*syscall.Credential, error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.ParseUint(u.Uid, 10, 32)
		gid, _ := strconv.ParseUint(u.Gid, 10, 32)
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, fmt.Errorf("there is no user postgres or nobody to run pgbouncer as")
}

// cpu is the time a process has used.
func cpu(pid int) (time.Duration, error) {
	if pid == 0 {
		return 0, nil
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var ticks int64
	for _, f := range fields[11:13] { // utime and stime
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100, nil // USER_HZ is 100 on Linux
}
