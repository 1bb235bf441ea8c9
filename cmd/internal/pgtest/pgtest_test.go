package pgtest_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shiguan/cmd/internal/pgtest"
)

func TestServerAnswersOverBothRoadsAndOnlyWithThePassword(t *testing.T) {
	s := pgtest.Start(t)
	ctx := context.Background()
	if err := s.CreateDatabase(ctx, "civil", "create table t (a int); insert into t values (7)"); err != nil {
		t.Fatal(err)
	}
	socket := "postgres:///civil?host=" + s.Socket + "&port=" + strconv.Itoa(s.Port) + "&user=" + pgtest.Superuser + "&password="
	for _, dsn := range []string{s.DSN("civil"), socket + s.Password} {
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			t.Fatal(err)
		}
		var a int
		if err := conn.QueryRow(ctx, "select a from t").Scan(&a); err != nil || a != 7 {
			t.Fatalf("a = %d, %v; want 7", a, err)
		}
		conn.Close(ctx)
	}
	for _, dsn := range []string{s.DSNAs(pgtest.Superuser, "wrong", "civil"), socket + "wrong"} {
		_, err := pgx.Connect(ctx, dsn)
		var pgErr *pgconn.PgError
		if !errors.As(err, &pgErr) || pgErr.Code != "28P01" {
			t.Fatalf("wrong password: got %v, want SQLSTATE 28P01", err)
		}
	}
}

func TestStopLeavesNothingBehind(t *testing.T) {
	s, err := pgtest.Run(context.Background(), pgtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(s.Socket)
	if _, err := os.Stat(filepath.Join(dir, "data", "PG_VERSION")); err != nil {
		t.Fatalf("the cluster is not where this test looks for it: %v", err)
	}
	for range 2 { // the second one finds nothing to do
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", dir, err)
	}
	if err := syscall.Kill(s.PID(), 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d still lives: %v", s.PID(), err)
	}
	if conn, err := net.Dial("tcp", net.JoinHostPort(s.Host, strconv.Itoa(s.Port))); err == nil {
		conn.Close()
		t.Errorf("port %d is still open", s.Port)
	}
}

func TestClusterWithADirectoryIsUsedAgain(t *testing.T) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("/tmp", "pgtest-kept-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	o := pgtest.Options{Dir: filepath.Join(dir, "postgres"), Settings: map[string]string{"max_connections": "17"}}
	var password string
	for round, want := range []string{"create table kept (a int)", "select * from kept"} {
		s, err := pgtest.Run(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		err = s.Exec(ctx, "postgres", want, "do $$ begin assert current_setting('max_connections') = '17'; end $$")
		if stopErr := s.Stop(); err != nil || stopErr != nil {
			t.Fatalf("round %d: %v, %v", round, err, stopErr)
		}
		if round == 1 && s.Password != password {
			t.Error("the superuser's password changed")
		}
		password = s.Password
	}
}

// Root's own 0700 directory is closed to the user that PostgreSQL runs as; anybody else's own directory is open to him.
func TestAClosedDirectoryIsNamed(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "pgtest-closed-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s, err := pgtest.Run(context.Background(), pgtest.Options{Dir: filepath.Join(dir, "postgres")})
	if err == nil {
		t.Cleanup(func() { s.Stop() })
	}
	if closed := errors.Is(err, pgtest.ErrClosedDirectory); closed != (os.Geteuid() == 0) {
		t.Fatalf("as uid %d: %v", os.Geteuid(), err)
	}
}
