package citytest

import (
	"context"
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
	"time"

	"shiguan/cmd/internal/demo"
)

// City is a running demo city. The manifest is that of its start; processes that were restarted since have other ids.
type City struct {
	demo.Manifest
	Dir    string // of the city
	Binary string // of shiguan

	ended chan error
	cmd   *exec.Cmd
}

// Build compiles shiguan into dir.
func Build(dir string) (binary string, err error) {
	binary = filepath.Join(dir, "shiguan")
	build := exec.Command("go", "build", "-o", binary, "shiguan/cmd/shiguan")
	build.Stderr = os.Stderr
	return binary, build.Run()
}

// attempts is how often a start is tried where somebody else took a port in the meantime.
const attempts = 3

// Start runs a city in dir, which need not exist; what lies above it must let PostgreSQL's user through. Its output goes to
// dir.txt. The caller must call Stop.
func Start(binary, dir string) (*City, error) {
	var err error
	for range attempts {
		var base int
		if base, err = FreePorts(demo.Ports()); err != nil {
			return nil, err
		}
		c := &City{Dir: dir, Binary: binary, ended: make(chan error, 1)}
		if err = c.start(base); err == nil {
			return c, nil
		}
		if !strings.Contains(err.Error(), "is taken") && !strings.Contains(err.Error(), "already in use") {
			break
		}
	}
	return nil, err
}

func (c *City) start(base int) error {
	output, err := os.Create(c.Dir + ".txt")
	if err != nil {
		return err
	}
	defer output.Close() // the child has its own descriptor
	c.cmd = exec.Command(c.Binary, "demo", "--dir", c.Dir, "--port-base", fmt.Sprint(base))
	c.cmd.Stdout, c.cmd.Stderr = output, output
	c.cmd.SysProcAttr = &syscall.SysProcAttr{}
	dieWithParent(c.cmd.SysProcAttr)
	if err := c.cmd.Start(); err != nil {
		return err
	}
	go func() { c.ended <- c.cmd.Wait() }()
	for until := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		select {
		case err := <-c.ended:
			text, _ := os.ReadFile(c.Dir + ".txt")
			return fmt.Errorf("the demo city ended: %v\n%s", err, text)
		default:
		}
		if c.Reload() == nil {
			return nil
		}
		if time.Now().After(until) {
			return errors.Join(errors.New("the demo city was not ready in two minutes"), c.Stop())
		}
	}
}

// Reload reads demo.json again.
func (c *City) Reload() error {
	m, err := demo.ReadManifest(c.Dir)
	if err == nil {
		c.Manifest = *m
	}
	return err
}

// Stop ends the city and everything it started.
func (c *City) Stop() error {
	if err := c.cmd.Process.Signal(syscall.SIGTERM); errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	select {
	case err := <-c.ended:
		return err
	case <-time.After(time.Minute):
		c.cmd.Process.Kill()
		return errors.New("the demo city did not stop in a minute")
	}
}

// Restart starts a component again, as `shiguan demo restart` does, and returns its process id once it serves.
func (c *City) Restart(ctx context.Context, name string) (pid int, err error) {
	text, err := demo.Restart(ctx, c.Dir, name)
	if err != nil {
		return 0, err
	}
	if _, err := fmt.Sscan(text, &pid); err != nil {
		return 0, fmt.Errorf("restart of %s answered %q", name, text)
	}
	return pid, nil
}

// DSN is how a person reaches the proxy; options are query parameters such as application_name=x.
func (c *City) DSN(user string, options ...string) (string, error) {
	return c.DSNAt(fmt.Sprintf("%s:%d", c.Proxy.Host, c.Proxy.Port), user, options...)
}

// DSNAt is DSN for another proxy of the same city.
func (c *City) DSNAt(address, user string, options ...string) (string, error) {
	p, err := c.Person(user)
	if err != nil {
		return "", err
	}
	u := url.URL{Scheme: "postgres", User: url.UserPassword(user, p.Password), Path: c.Database, Host: address,
		RawQuery: strings.Join(append(options, "sslmode=disable"), "&")}
	return u.String(), nil
}

// Command runs a command of the binary to its end.
func (c *City) Command(ctx context.Context, args ...string) (stdout, stderr string, code int, err error) {
	var out, errs strings.Builder
	cmd := exec.CommandContext(ctx, c.Binary, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = nil
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode(), err
}

// FreePorts finds the base of a run of n ports on 127.0.0.1 that nobody listens on. It begins at random, because tests of
// several packages look at the same time, and stays below the ports that the kernel gives to clients.
func FreePorts(n int) (int, error) {
	for range 200 {
		base := 10000 + rand.IntN(1100)*20
		free := true
		for port := base; port < base+n && free; port++ {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if free = err == nil; free {
				l.Close()
			}
		}
		if free {
			return base, nil
		}
	}
	return 0, fmt.Errorf("no run of %d free ports on 127.0.0.1", n)
}
