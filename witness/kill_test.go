package witness_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"shiguan/auditlog/tiles"
	"shiguan/witness"
)

// The test binary runs itself as the witness that is killed.
const childEnv = "SHIGUAN_WITNESS_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		if err := runChild(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// runChild serves a witness until it is killed. Its first line of output is the address.
func runChild(dir string) error {
	signer, err := tiles.NewCosigner(os.Getenv(childEnv + "_KEY"))
	if err != nil {
		return err
	}
	vkey := os.Getenv(childEnv + "_LOG")
	origin, _, _ := strings.Cut(vkey, "+")
	o := witness.Options{
		Signer: signer, StateDir: dir, Limits: unlimited, MirrorInterval: time.Millisecond,
		Logs: []witness.LogConfig{{Origin: origin, VKey: vkey, Mirror: os.Getenv(childEnv + "_MIRROR")}},
	}
	o.SetMirror((*os.File).Sync, 2)
	w, err := witness.Open(o)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	return w.Serve(context.Background(), l, nil)
}

type child struct {
	t   *testing.T
	cmd *exec.Cmd
	url string
}

func startChild(t *testing.T, dir, skey, logKey string) *child {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childEnv+"="+dir, childEnv+"_KEY="+skey, childEnv+"_LOG="+logKey)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, cmd: cmd}
	t.Cleanup(c.kill)
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the witness did not start: %v", err)
	}
	c.url = "http://" + strings.TrimSpace(addr)
	return c
}

func (c *child) kill() {
	if c.cmd == nil {
		return
	}
	c.cmd.Process.Kill()
	c.cmd.Wait()
	c.cmd = nil
}

func (c *child) post(body string) (status int, answer string, err error) {
	resp, err := http.Post(c.url+"/add-checkpoint", "text/plain", strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := bufio.NewReader(resp.Body).ReadString('\n')
	return resp.StatusCode, text, err
}

// What was answered for survives kill -9 at any moment.
func TestStateSurvivesKill(t *testing.T) {
	const kills = 12
	skey, vkey, err := tiles.GenerateWitnessKey("audit-office.example")
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := tiles.NewCosignatureVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	log := newFakeLog(t, "log.example/civil")
	dir := t.TempDir()
	answered := uint64(0) // the largest size that a cosignature came back for
	for round := range kills {
		c := startChild(t, dir, skey, log.vkey)
		old := askSize(t, c, log)
		if old < answered {
			t.Fatalf("round %d: the witness remembers size %d after co-signing %d", round, old, answered)
		}
		// The kill comes while submissions are under way: the submitter never waits for it.
		enough := make(chan struct{})
		done := make(chan error, 1)
		go func() {
			for n := 0; ; n++ {
				size := old + 1
				log.grow(size, "leaf")
				status, line, err := c.post(log.submission(old, size))
				if err != nil {
					done <- nil // killed
					return
				}
				if status != http.StatusOK {
					done <- fmt.Errorf("answer %d %q", status, line)
					return
				}
				if _, err := note.Open([]byte(log.checkpoint(size)+line), note.VerifierList(verifier)); err != nil {
					done <- err
					return
				}
				old, answered = size, size
				if n == round {
					close(enough)
				}
			}
		}()
		select {
		case <-enough:
			c.kill()
		case err := <-done:
			t.Fatalf("round %d: %v", round, errors.Join(err, errors.New("stopped before the kill")))
		}
		if err := <-done; err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
	if answered < kills {
		t.Fatalf("only %d sizes were answered for in %d rounds", answered, kills)
	}
}

// askSize learns the latest size from the witness, as a log does that has lost it.
func askSize(t *testing.T, c *child, log *fakeLog) uint64 {
	t.Helper()
	probe := log.size + 1000 // never co-signed, so old is never right
	fork := log.fork()
	fork.grow(probe, "leaf")
	status, answer, err := c.post(fork.submission(probe-1, probe))
	if err != nil {
		t.Fatal(err)
	}
	if status != http.StatusConflict {
		t.Fatalf("answer %d %q, want 409", status, answer)
	}
	size, err := strconv.ParseUint(strings.TrimSpace(answer), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return size
}
