package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"shiguan/cmd/internal/pgtest"
)

// component is one process of the city. The supervisor starts and stops it from one goroutine at a time.
type component interface {
	// start runs the process and MUST return only once it serves; an error leaves no process behind.
	start(ctx context.Context) error
	// stop ends the process, politely first. On a dead one it does nothing.
	stop() error
	pid() int
	// exited is closed once the process started last has ended. It is nil before the first start.
	exited() <-chan struct{}
}

const (
	readyWithin = 60 * time.Second
	stopWithin  = 20 * time.Second // then it is killed
	pollEvery   = 30 * time.Millisecond
)

// program is a component that is this same binary with other arguments.
type program struct {
	executable string
	args       []string
	log        string                          // file for standard output and error
	ready      func(ctx context.Context) error // one attempt: nil when it serves

	cmd  *exec.Cmd
	done chan struct{}
	end  error // how it ended; read only after done is closed
}

func (p *program) start(ctx context.Context) error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own descriptor
	from, err := log.Seek(0, 2)
	if err != nil {
		return err
	}
	cmd := exec.Command(p.executable, p.args...)
	cmd.Stdout, cmd.Stderr = log, log
	// A process group of its own: Ctrl-C on the terminal is for the supervisor, which stops everything in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	dieWithParent(cmd.SysProcAttr)
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	p.cmd, p.done = cmd, done
	go func() {
		p.end = cmd.Wait()
		close(done)
	}()
	if err := p.waitReady(ctx); err != nil {
		return errors.Join(fmt.Errorf("%w%s", err, lastLines(p.log, from)), p.stop())
	}
	return nil
}

func (p *program) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for {
		err := p.ready(ctx)
		select {
		case <-p.done:
			return fmt.Errorf("it ended instead of serving (%v)", p.end)
		default:
		}
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
		case <-ctx.Done():
			return fmt.Errorf("it does not serve: %w", err)
		case <-time.After(pollEvery):
		}
	}
}

func (p *program) stop() error {
	if p.cmd == nil {
		return nil
	}
	for _, step := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{{syscall.SIGTERM, stopWithin}, {syscall.SIGKILL, stopWithin}} {
		if err := p.cmd.Process.Signal(step.signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		select {
		case <-p.done:
			return nil
		case <-time.After(step.wait):
		}
	}
	return fmt.Errorf("process %d does not end", p.pid())
}

func (p *program) pid() int {
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

func (p *program) exited() <-chan struct{} { return p.done }

// database is the component that pgtest runs.
type database struct {
	options pgtest.Options
	server  *pgtest.Server
}

// start may find backends of a killed postmaster still ending; PostgreSQL refuses to start beside them, so a restart is
// tried for a while.
func (d *database) start(ctx context.Context) error {
	for until := time.Now().Add(15 * time.Second); ; {
		server, err := pgtest.Run(ctx, d.options)
		if err == nil {
			d.server = server
			return nil
		}
		if d.server == nil || time.Now().After(until) || ctx.Err() != nil {
			return err
		}
		time.Sleep(500 * time.Millisecond)
	}
}

func (d *database) stop() error {
	if d.server == nil {
		return nil
	}
	return d.server.Stop()
}

func (d *database) pid() int {
	if d.server == nil {
		return 0
	}
	return d.server.PID()
}

func (d *database) exited() <-chan struct{} {
	if d.server == nil {
		return nil
	}
	return d.server.Exited()
}

// lastLines is what a component wrote to its log since from, shortened, to stand below an error.
func lastLines(file string, from int64) string {
	text, err := os.ReadFile(file)
	if err != nil || int64(len(text)) <= from {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(text[from:])), "\n")
	if len(lines) > 8 {
		lines = lines[len(lines)-8:]
	}
	return "\n  " + strings.Join(lines, "\n  ")
}
