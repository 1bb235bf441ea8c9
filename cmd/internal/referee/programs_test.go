package referee_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

const (
	tesseraFsck = "github.com/transparency-dev/tessera/cmd/fsck@v1.0.4"
	tesseraLog  = "github.com/transparency-dev/tessera/cmd/conformance/posix@v1.0.4"
	omniwitness = "github.com/transparency-dev/witness/cmd/omniwitness" // version in omniwitness/go.mod
)

var bin string // where the programs are built

func TestMain(m *testing.M) {
	if os.Getenv("SHIGUAN_TEST_LONG") == "" {
		fmt.Println("the referees judge in make test-long only")
		return
	}
	dir, err := os.MkdirTemp("", "shiguan-referee")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	bin = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// install builds a pinned program outside of our module, whose requirements are not its own.
func install(t *testing.T, program, name string) string {
	t.Helper()
	cmd := exec.Command("go", "install", program)
	cmd.Dir = bin
	return build(t, cmd, name)
}

func build(t *testing.T, cmd *exec.Cmd, name string) string {
	t.Helper()
	cmd.Env = append(os.Environ(), "GOBIN="+bin, "GOFLAGS=", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	return filepath.Join(bin, name)
}

// run runs a program to its end, or kills it after the time given. What it wrote decides, not its exit code.
func run(t *testing.T, within time.Duration, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return fmt.Sprintf("%s\nkilled after %v", out, within)
	}
	if err != nil {
		return fmt.Sprintf("%s\n%v", out, err)
	}
	return string(out)
}

// output collects what a server writes; it is safe for concurrent use.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// serve starts a server that is told its address by a flag, waits until it answers there, and kills it when the test ends.
func serve(t *testing.T, program string, args func(address string) []string) (url string, written *output) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") // the server cannot be given a listener, only a free port
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	written = new(output)
	cmd := exec.Command(program, args(address)...)
	cmd.Stdout, cmd.Stderr = written, written
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
	})
	url = "http://" + address
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get(url + "/")
		if err == nil {
			resp.Body.Close()
			return url, written
		}
		select {
		case <-ended:
			t.Fatalf("%s ended:\n%s", program, written)
		default:
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("%s does not answer:\n%s", program, written)
		}
	}
}

// await waits until something holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for began := time.Now(); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > 2*time.Minute {
			t.Fatalf("after two minutes: not %s", what)
		}
	}
}

func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
