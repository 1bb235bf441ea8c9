package sql_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// server is a throwaway PostgreSQL shared by the tests of this package; TestMain stops it.
type server struct {
	dir  string
	dsn  string
	cmd  *exec.Cmd
	errs *os.File
}

var (
	serverOnce sync.Once
	shared     *server
	serverErr  error
)

func TestMain(m *testing.M) {
	code := m.Run()
	if shared != nil {
		shared.stop()
	}
	os.Exit(code)
}

// connect opens a session on the shared server, started and filled with the city on first use.
func connect(t testing.TB) *pgx.Conn {
	t.Helper()
	serverOnce.Do(func() { shared, serverErr = startServer() })
	if serverErr != nil {
		t.Fatalf("no PostgreSQL for the test: %v", serverErr)
	}
	conn, err := pgx.Connect(context.Background(), shared.dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// program finds a PostgreSQL program in $SHIGUAN_PG_BIN, where Debian puts it (newest version first), or on PATH.
func program(name string) (string, error) {
	if dir := os.Getenv("SHIGUAN_PG_BIN"); dir != "" {
		return filepath.Join(dir, name), nil
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	sort.Sort(sort.Reverse(sort.StringSlice(found)))
	if len(found) > 0 {
		return found[0], nil
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s is neither in /usr/lib/postgresql/*/bin nor on PATH: install postgresql", name)
	}
	return path, nil
}

// unprivileged makes a command run as postgres (or nobody) when the test runs as root, which initdb refuses.
func unprivileged(cmd *exec.Cmd, dir string) error {
	cmd.Dir = dir
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return err
		}
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	return os.Chown(dir, uid, gid)
}

func startServer() (*server, error) {
	dir, err := os.MkdirTemp("", "shiguan-sql-")
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir}
	if err := s.start(); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *server) start() error {
	initdb, err := program("initdb")
	if err != nil {
		return err
	}
	postgres, err := program("postgres")
	if err != nil {
		return err
	}
	data := filepath.Join(s.dir, "data")
	ini := exec.Command(initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	if err := unprivileged(ini, s.dir); err != nil {
		return err
	}
	if out, err := ini.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	if s.errs, err = os.Create(filepath.Join(s.dir, "log")); err != nil {
		return err
	}
	s.cmd = exec.Command(postgres, "-D", data, "-p", strconv.Itoa(port), "-k", s.dir, "-h", "127.0.0.1", "-c", "fsync=off")
	s.cmd.Stdout, s.cmd.Stderr = s.errs, s.errs
	if err := unprivileged(s.cmd, s.dir); err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.dsn = fmt.Sprintf("host=127.0.0.1 port=%d user=postgres dbname=postgres sslmode=disable", port)
	return s.fill()
}

// fill waits until the server answers and creates the city.
func (s *server) fill() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	city, err := os.ReadFile("testdata/city.sql")
	if err != nil {
		return err
	}
	for {
		conn, err := pgx.Connect(ctx, s.dsn)
		if err != nil {
			if ctx.Err() != nil {
				log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
				return fmt.Errorf("server did not start: %w\n%s", err, log)
			}
			time.Sleep(50 * time.Millisecond)
			continue
		}
		defer conn.Close(ctx)
		if _, err := conn.PgConn().Exec(ctx, string(city)).ReadAll(); err != nil {
			return fmt.Errorf("testdata/city.sql: %w", err)
		}
		return nil
	}
}

func (s *server) stop() {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Signal(syscall.SIGINT) // fast shutdown
		_ = s.cmd.Wait()
	}
	if s.errs != nil {
		s.errs.Close()
	}
	os.RemoveAll(s.dir)
}

// names of a search path as Env wants it.
func path(s string) []string { return strings.Fields(s) }
