package demo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"shiguan/cmd/internal/demo"
	"shiguan/cmd/internal/demo/tour"
)

// patience bounds every wait of these tests. It decides nothing: what is waited for either comes or is an error.
const patience = 90 * time.Second

// city is a demo that runs as its own process, as a user starts it.
type city struct {
	t      *testing.T
	binary string
	dir    string
	base   int
	cmd    *exec.Cmd
	said   *output
	env    []string
	exited chan error
}

// output gathers what a process prints while it runs.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

var build struct {
	once sync.Once
	file string
	err  error
}

// binary builds shiguan once for all tests of this package.
func binary(t *testing.T) string {
	t.Helper()
	build.once.Do(func() {
		dir, err := os.MkdirTemp("", "shiguan-demo-test-")
		if err != nil {
			build.err = err
			return
		}
		build.file = filepath.Join(dir, "shiguan")
		out, err := exec.Command("go", "build", "-o", build.file, "shiguan/cmd/shiguan").CombinedOutput()
		if err != nil {
			build.err = fmt.Errorf("%w: %s", err, out)
		}
	})
	if build.err != nil {
		t.Fatal(build.err)
	}
	return build.file
}

func TestMain(m *testing.M) {
	code := m.Run()
	if build.file != "" {
		os.RemoveAll(filepath.Dir(build.file))
	}
	os.Exit(code)
}

// ports finds a run of free ones. Others may take them before the demo does; the range below the ephemeral one is quiet.
func ports(t *testing.T) int {
	t.Helper()
	for base := 20000 + os.Getpid()%500*20; base < 32000; base += 20 {
		free := true
		for i := range demo.Ports() {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", base+i))
			if err != nil {
				free = false
				break
			}
			l.Close()
		}
		if free {
			return base
		}
	}
	t.Fatal("no free ports")
	return 0
}

func newCity(t *testing.T) *city {
	return &city{t: t, binary: binary(t), dir: filepath.Join(tempDir(t, 0o755), "city"), base: ports(t)}
}

// tempDir makes a directory with a mode; t.TempDir's is open to its owner alone, and so closed to PostgreSQL's user.
func tempDir(t *testing.T, mode os.FileMode) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "shiguan-demo-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, mode); err != nil {
		t.Fatal(err)
	}
	return dir
}

// start runs the demo until it has written demo.json.
func (c *city) start() {
	c.t.Helper()
	c.said = new(output)
	c.cmd = exec.Command(c.binary, "demo", "--dir", c.dir, "--port-base", fmt.Sprint(c.base))
	c.cmd.Env = append(os.Environ(), c.env...)
	c.cmd.Stdout, c.cmd.Stderr = c.said, c.said
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	exited, cmd := make(chan error, 1), c.cmd
	go func() { exited <- cmd.Wait() }()
	c.exited = exited
	c.t.Cleanup(func() { cmd.Process.Kill() })
	c.eventually("demo.json is written and the page printed", func() error {
		select {
		case err := <-exited:
			c.t.Fatalf("the demo ended: %v\n%s", err, c.said)
		default:
		}
		if _, err := os.Stat(filepath.Join(c.dir, "demo.json")); err != nil {
			return err
		}
		if !strings.Contains(c.said.String(), "Ctrl-C stops") {
			return errors.New("no page yet")
		}
		return nil
	})
}

func (c *city) eventually(what string, check func() error) {
	c.t.Helper()
	for until := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(until) {
			c.t.Fatalf("%s: not after %v: %v\n%s", what, patience, err, c.said)
		}
	}
}

func (c *city) manifest() *demo.Manifest {
	c.t.Helper()
	m, err := demo.ReadManifest(c.dir)
	if err != nil {
		c.t.Fatal(err)
	}
	return m
}

// run runs the binary and returns what it printed and its exit code.
func (c *city) run(args ...string) (string, int) {
	c.t.Helper()
	out, err := exec.Command(c.binary, args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.t.Fatal(err)
	}
	if exit != nil {
		return string(out), exit.ExitCode()
	}
	return string(out), 0
}

// gone is nil when a process has ended. One that nobody has waited for yet, as an orphan where process 1 is slow or does
// not care, has ended too.
func gone(pid int) error {
	err := syscall.Kill(pid, 0)
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && bytes.Contains(stat, []byte(") Z ")) {
		return nil
	}
	return fmt.Errorf("process %d is there: %v", pid, err)
}

// end signals the supervisor and wants everything to be gone afterwards.
func (c *city) end(signal syscall.Signal) {
	c.t.Helper()
	pids := c.manifest().PIDs
	if err := c.cmd.Process.Signal(signal); err != nil {
		c.t.Fatal(err)
	}
	select {
	case err := <-c.exited:
		if signal != syscall.SIGKILL && err != nil {
			c.t.Errorf("the demo ended with %v\n%s", err, c.said)
		}
	case <-time.After(patience):
		c.t.Fatalf("the demo does not end\n%s", c.said)
	}
	for name, pid := range pids {
		c.eventually(name+" ends with the demo", func() error { return gone(pid) })
	}
}

// The whole life of a city, in the order in which it happens.
func TestCity(t *testing.T) {
	c := newCity(t)
	c.start()
	passwords := c.manifest().People

	t.Run("demo.json has exactly the documented keys", c.checkManifest)
	t.Run("the tour holds", func(t *testing.T) {
		var out bytes.Buffer
		if err := tour.Walk(t.Context(), &out, c.dir, c.binary); err != nil {
			t.Errorf("%v\n%s", err, out.String())
		}
	})
	t.Run("every configuration passes check", c.checkConfigs)
	t.Run("what the page says works as printed", c.checkPage)
	t.Run("what the README says works as written", c.checkReadme)
	t.Run("what is killed stays dead until it is restarted", c.checkRestart)
	t.Run("a second city says what is in its way", c.checkSecond)
	t.Run("the tour does not hold where a policy lets too much through", c.checkSabotage)
	c.end(syscall.SIGTERM)
	for _, left := range []string{"demo.json", "control.sock"} {
		if _, err := os.Lstat(filepath.Join(c.dir, left)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left behind: %v", left, err)
		}
	}

	c.start() // in the same directory: the log, the data and the passwords go on
	if again := c.manifest().People; !slices.Equal(again, passwords) {
		t.Error("passwords changed")
	}
	if out, code := c.run("fsck", "--config", c.manifest().Config); code != 0 {
		t.Errorf("fsck after a second start: exit code %d: %s", code, out)
	}
	out, _ := c.run("search", "--config", c.manifest().Config, "--json", "--person", "civil_clerk")
	if !strings.Contains(out, "case-tour-") {
		t.Errorf("what was recorded before is not found: %s", out)
	}
	c.end(syscall.SIGKILL) // nothing can be cleaned up then, but nobody may live on
}

func (c *city) checkManifest(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(c.dir, "demo.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	for what, tt := range map[string]struct {
		got  any
		want string
	}{
		"demo.json": {m, "config console_url database investigator log_url log_vkey metrics_url origin people pids policy " +
			"proxy proxy_config quorum_policy upstream_dsn witnesses"},
		"proxy":        {m["proxy"], "host port"},
		"people":       {m["people"].([]any)[0], "department password position user"},
		"witnesses":    {m["witnesses"].([]any)[0], "department url vkey"},
		"investigator": {m["investigator"], "password user"},
		"pids":         {m["pids"], "console postgres proxy witness-audit-office witness-data-bureau witness-discipline-inspection"},
	} {
		keys := slices.Sorted(maps.Keys(tt.got.(map[string]any)))
		if got := strings.Join(keys, " "); got != tt.want {
			t.Errorf("%s has the keys %s, want %s", what, got, tt.want)
		}
	}
	if info, err := os.Stat(filepath.Join(c.dir, "demo.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("demo.json holds passwords and has mode %v (%v)", info.Mode(), err)
	}
}

func (c *city) checkPage(t *testing.T) {
	m := c.manifest()
	page := demo.Page(m, c.dir, c.binary)
	if len(page) < 10 {
		t.Fatalf("only %d things to try", len(page))
	}
	for _, try := range page {
		if !strings.Contains(c.said.String(), try.Command) {
			t.Errorf("not printed: %s", try.Command)
		}
		out, err := exec.Command("bash", "-c", "set -o pipefail; "+try.Command).CombinedOutput()
		if (err != nil) != try.Refused || len(out) == 0 {
			t.Errorf("%s\n%s\n%v\n%s", try.Shows, try.Command, err, out)
		}
	}
	if after := c.manifest().PIDs["witness-data-bureau"]; after == m.PIDs["witness-data-bureau"] {
		t.Error("the page's last line did not bring a new witness up")
	}
}

func (c *city) checkConfigs(t *testing.T) {
	configs, err := filepath.Glob(filepath.Join(c.dir, "witness-*.yaml"))
	if err != nil || len(configs) != 3 {
		t.Fatalf("witnesses' configurations: %v, %v", configs, err)
	}
	m := c.manifest()
	for _, config := range append(configs, m.Config, m.ProxyConfig) {
		if out, code := c.run("check", "--config", config); code != 0 {
			t.Errorf("check %s: exit code %d\n%s", config, code, out)
		}
	}
}

func (c *city) checkRestart(t *testing.T) {
	for name, before := range c.manifest().PIDs {
		if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		c.eventually(name+" is noticed to be dead", func() error {
			if !strings.Contains(c.said.String(), fmt.Sprintf("%s (process %d) has ended", name, before)) {
				return errors.New("nothing said")
			}
			return gone(before)
		})
		if out, code := c.run("demo", "restart", "--dir", c.dir, name); code != 0 || !strings.Contains(out, "serves again") {
			t.Fatalf("restart %s: exit code %d: %s", name, code, out)
		}
		after := c.manifest().PIDs[name]
		if after == before || gone(after) == nil {
			t.Errorf("%s: process %d before, %d after", name, before, after)
		}
	}
	c.ask(t)
	if out, code := c.run("demo", "restart", "--dir", c.dir, "mayor"); code != 2 || !strings.Contains(out, "there is no component") {
		t.Errorf("exit code %d: %s", code, out)
	}
}

// ask runs a statement through the proxy.
func (c *city) ask(t *testing.T) {
	t.Helper()
	m := c.manifest()
	p, err := m.Person("auditor")
	if err != nil {
		t.Fatal(err)
	}
	c.eventually("a statement goes through", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		conn, err := pgx.Connect(ctx, fmt.Sprintf("postgres://%s:%s@%s:%d/%s?sslmode=disable", p.User, p.Password, m.Proxy.Host, m.Proxy.Port, m.Database))
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		var n int
		return conn.QueryRow(ctx, "select count(*) from civil.citizens").Scan(&n)
	})
}

func (c *city) checkSecond(t *testing.T) {
	if out, code := c.run("demo", "--dir", c.dir); code != 2 || !strings.Contains(out, "already running in this directory") {
		t.Errorf("same directory: exit code %d: %s", code, out)
	}
	other := filepath.Join(t.TempDir(), "other")
	want := fmt.Sprintf("port %d is taken", c.base)
	if out, code := c.run("demo", "--dir", other, "--port-base", fmt.Sprint(c.base)); code != 2 || !strings.Contains(out, want) {
		t.Errorf("same ports: exit code %d: %s", code, out)
	}
}

// checkSabotage has the proxy show telephone numbers in clear and wants the tour to say so.
func (c *city) checkSabotage(t *testing.T) {
	m := c.manifest()
	good, err := os.ReadFile(m.Policy)
	if err != nil {
		t.Fatal(err)
	}
	bad := strings.Replace(string(good), "clear: [civil.citizens.name]", "clear: [civil.citizens.name, civil.citizens.phone]", 1)
	if bad == string(good) {
		t.Fatal("the policy has changed: teach this test what to break in it")
	}
	c.reload(t, bad)
	var out bytes.Buffer
	err = tour.Walk(t.Context(), &out, c.dir, c.binary)
	if err == nil || !strings.Contains(out.String(), "✗ a clerk with a case") || !strings.Contains(out.String(), "phone is shown in clear") {
		t.Errorf("the tour says %v\n%s", err, out.String())
	}
	c.reload(t, string(good))
}

// reload puts a policy in place and restarts the proxy with it.
func (c *city) reload(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(c.manifest().Policy, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, code := c.run("demo", "restart", "--dir", c.dir, "proxy"); code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
}

// A directory that PostgreSQL's user cannot enter (where this one is root) and whose name is too long for a socket: what
// does not fit goes into the temporary directory, and is gone afterwards.
func TestCityInAnAwkwardPlace(t *testing.T) {
	closed, temp := tempDir(t, 0o700), tempDir(t, 0o755)
	c := newCity(t)
	c.dir = filepath.Join(closed, strings.Repeat("a long name ", 8), "city")
	c.env = []string{"TMPDIR=" + temp}
	c.start()
	c.ask(t)
	if out, code := c.run("demo", "restart", "--dir", c.dir, "postgres"); code != 0 {
		t.Errorf("restart: exit code %d: %s", code, out)
	}
	c.ask(t)
	c.end(syscall.SIGINT)
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left in the temporary directory: %v, %v", left, err)
	}
}

func TestWithTourTheVerdictIsTheExitCode(t *testing.T) {
	c := newCity(t)
	cmd := exec.Command(c.binary, "demo", "--dir", c.dir, "--port-base", fmt.Sprint(c.base), "--tour", "--stay")
	cmd.Stderr = io.Discard
	out, err := cmd.Output() // no terminal, so --stay stays nowhere
	if err != nil || !strings.Contains(string(out), "steps held") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := os.Stat(filepath.Join(c.dir, "demo.json")); !errors.Is(err, os.ErrNotExist) {
		t.Error("demo.json is left behind")
	}
}
