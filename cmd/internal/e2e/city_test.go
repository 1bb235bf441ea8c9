package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"shiguan/cmd/internal/demo"
)

// city is the demo city that the tests of this package share.
var city struct {
	demo.Manifest
	dir    string
	binary string
}

func TestMain(m *testing.M) {
	code, err := inCity(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

// inCity builds the binary, runs the demo city around the tests and stops it.
func inCity(run func() int) (code int, err error) {
	dir, err := os.MkdirTemp("", "shiguan-e2e-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // PostgreSQL's user must get to its files
		return 1, err
	}
	city.dir, city.binary = filepath.Join(dir, "city"), filepath.Join(dir, "shiguan")
	build := exec.Command("go", "build", fmt.Sprint("-race=", race), "-o", city.binary, "shiguan/cmd/shiguan")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return 1, err
	}
	stop, err := startCity()
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, stop(), complaints()) }()
	return run(), nil
}

// complaints looks for what no test may bring about: a program that panics, or that races.
func complaints() error {
	files, err := filepath.Glob(filepath.Join(city.dir, "log-*.txt"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("the city's programs have left no output: %w", err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, word := range []string{"DATA RACE", "panic:", "fatal error:", "fault of the proxy"} {
			if i := strings.Index(string(content), word); i >= 0 {
				return fmt.Errorf("%s:\n%s", filepath.Base(file), content[i:min(i+4000, len(content))])
			}
		}
	}
	return nil
}

func startCity() (stop func() error, err error) {
	base, err := freePorts()
	if err != nil {
		return nil, err
	}
	output, err := os.Create(city.dir + ".txt")
	if err != nil {
		return nil, err
	}
	defer output.Close()
	c := exec.Command(city.binary, "demo", "--dir", city.dir, "--port-base", fmt.Sprint(base))
	c.Stdout, c.Stderr = output, output
	dieWithTests(c)
	if err := c.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	for until := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		select {
		case err := <-ended:
			text, _ := os.ReadFile(city.dir + ".txt")
			return nil, fmt.Errorf("the demo city ended: %v\n%s", err, text)
		default:
		}
		if readManifest() == nil {
			break
		}
		if time.Now().After(until) {
			c.Process.Kill()
			return nil, errors.New("the demo city was not ready in two minutes")
		}
	}
	return func() error {
		c.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-ended:
			return err
		case <-time.After(time.Minute):
			c.Process.Kill()
			return errors.New("the demo city did not stop in a minute")
		}
	}, nil
}

func readManifest() error {
	text, err := os.ReadFile(filepath.Join(city.dir, "demo.json"))
	if err != nil {
		return err
	}
	return json.Unmarshal(text, &city.Manifest)
}

// freePorts finds the base of a run of ports that nobody listens on. It begins anywhere, since others may be looking too,
// and stays below the ports that the kernel gives away.
func freePorts() (int, error) {
	for range 100 {
		base := 10000 + 20*rand.IntN(1000)
		free := true
		for port := base; port < base+10 && free; port++ {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if free = err == nil; free {
				l.Close()
			}
		}
		if free {
			return base, nil
		}
	}
	return 0, errors.New("no run of ten free ports on 127.0.0.1")
}

// dsn is how a person reaches the proxy; options are query parameters such as application_name=x.
func dsn(t testing.TB, user string, options ...string) string {
	t.Helper()
	p, err := city.Person(user)
	if err != nil {
		t.Fatal(err)
	}
	u := url.URL{Scheme: "postgres", User: url.UserPassword(user, p.Password), Path: city.Database,
		Host: fmt.Sprintf("%s:%d", city.Proxy.Host, city.Proxy.Port), RawQuery: strings.Join(append(options, "sslmode=disable"), "&")}
	return u.String()
}

// connect opens a session as a person and closes it with the test.
func connect(t testing.TB, user string, options ...string) *pgx.Conn {
	t.Helper()
	return open(t, dsn(t, user, options...))
}

// superuser opens a session past the proxy.
func superuser(t testing.TB) *pgx.Conn {
	t.Helper()
	return open(t, city.UpstreamDSN)
}

func open(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		c.Close(ctx)
	})
	return c
}
