package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Superuser is the name of the role that owns a cluster made here.
const Superuser = "superuser"

// Options say where a server keeps its data and what is special about it. The zero value is a cluster in a temporary
// directory, on a free port, which is gone after Stop.
type Options struct {
	Dir      string            // the cluster's directory, kept at Stop and used again; "" = temporary
	Port     int               // 0 = any free one
	Settings map[string]string // written to postgresql.conf, e.g. {"max_connections": "500"}
	Socket   string            // directory for the Unix socket; "" = below Dir
	Log      string            // file that the server's messages are appended to; "" = inside the cluster's directory
	Fsync    bool              // real durability; off by default, since throwaway data need none
}

// Server is one running PostgreSQL server, a child of this process. Its fields do not change while it runs.
type Server struct {
	Binaries Binaries
	Host     string // 127.0.0.1
	Port     int
	Socket   string // directory of the Unix socket, short enough for one
	Password string // of Superuser

	cluster *cluster
	cmd     *exec.Cmd
	exited  chan struct{} // closed when the process has been waited for
}

// Run makes the cluster where there is none yet, starts the server and returns once it answers queries. The server
// stops with Stop, or with this process.
func Run(ctx context.Context, o Options) (*Server, error) {
	bin, err := Find()
	if err != nil {
		return nil, err
	}
	c, err := openCluster(ctx, bin, o)
	if err != nil {
		return nil, err
	}
	s, err := c.start(ctx, o)
	if err != nil {
		return nil, errors.Join(err, c.remove())
	}
	return s, nil
}

func (c *cluster) start(ctx context.Context, o Options) (*Server, error) {
	port := o.Port
	if port == 0 {
		var err error
		if port, err = freePort(); err != nil {
			return nil, err
		}
	}
	if err := c.configure(port, o); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(c.logFile(o), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own descriptor
	cmd := exec.Command(filepath.Join(c.bin.Dir, "postgres"), "-D", c.data)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = c.owner.attributes()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	s := &Server{Binaries: c.bin, Host: "127.0.0.1", Port: port, Socket: c.socket, Password: c.password,
		cluster: c, cmd: cmd, exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is in its log; that it ended is what matters here
		close(s.exited)
	}()
	if err := s.waitReady(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%w%s", err, tail(c.logFile(o))), s.terminate())
	}
	return s, nil
}

// waitReady polls until the superuser can log in. A server that has ended is reported at once.
func (s *Server) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.DSN("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-s.exited:
			return errors.New("postgres ended instead of starting")
		case <-ctx.Done():
			return fmt.Errorf("postgres does not answer on port %d: %w", s.Port, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// PID is the postmaster's process id.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Exited is closed when the server has ended, for whatever reason.
func (s *Server) Exited() <-chan struct{} { return s.exited }

// DSN is how the superuser reaches a database over TCP.
func (s *Server) DSN(database string) string { return s.DSNAs(Superuser, s.Password, database) }

// DSNAs is how any role reaches a database over TCP.
func (s *Server) DSNAs(user, password, database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(user, password), Path: "/" + database,
		Host: net.JoinHostPort(s.Host, strconv.Itoa(s.Port)), RawQuery: "sslmode=disable"}
	return u.String()
}

// Stop ends the server, letting it write its checkpoint first, and removes the cluster when it was temporary. A second
// Stop does nothing.
func (s *Server) Stop() error {
	return errors.Join(s.terminate(), s.cluster.remove())
}

// terminate asks politely (fast shutdown), then firmly (immediate shutdown), then kills. The server's own children end
// by themselves when their postmaster is gone.
func (s *Server) terminate() error {
	for _, step := range []struct {
		signal os.Signal
		wait   time.Duration
	}{{syscall.SIGINT, 20 * time.Second}, {syscall.SIGQUIT, 10 * time.Second}, {syscall.SIGKILL, 10 * time.Second}} {
		if err := s.cmd.Process.Signal(step.signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("stop postgres: %w", err)
		}
		select {
		case <-s.exited:
			return nil
		case <-time.After(step.wait):
		}
	}
	return fmt.Errorf("postgres (process %d) does not end", s.PID())
}

// freePort asks the kernel for a port that nobody listens on. Another process may take it before PostgreSQL does; then
// Run fails and says so.
func freePort() (int, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
