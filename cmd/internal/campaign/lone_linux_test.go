package campaign

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"shiguan/cmd/internal/e2e/citytest"
	"shiguan/cmd/internal/keyfile"
	"shiguan/configs"
)

// lone is a proxy of a test's own before the shared city's database, with a log of its own that no witness signs.
type lone struct {
	t    *testing.T
	city *citytest.City

	config       string // of the proxy
	investigator string // configuration
	log          string // directory
	words        string // file of its standard error
	address      string // for PostgreSQL clients
	logURL       string
	metricsURL   string

	cmd   *exec.Cmd
	ended chan struct{}
}

// newLone writes the configuration of a proxy whose log is at dir.
func newLone(t *testing.T, dir string, segment configs.Size) *lone {
	t.Helper()
	c := sharedCity(t)
	home := t.TempDir()
	ports, err := citytest.FreePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	at := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports+i) }
	p := &lone{t: t, city: c, log: dir, config: filepath.Join(home, "proxy.yaml"), investigator: filepath.Join(home, "investigator.yaml"),
		words: filepath.Join(home, "words.txt"), address: at(0), logURL: "http://" + at(1) + "/", metricsURL: "http://" + at(2) + "/metrics"}
	proxy, err := configs.LoadProxy(c.ProxyConfig)
	if err != nil {
		t.Fatal(err)
	}
	const origin = "campaign.shiguan.example/lone"
	proxy.Listen, proxy.Log.Listen, proxy.Metrics.Listen = at(0), at(1), at(2)
	proxy.Log.Dir, proxy.Log.Origin, proxy.Log.SegmentSize = configs.Path(dir), origin, segment
	proxy.Log.Key = configs.Path(filepath.Join(home, "log.key"))
	vkey, err := keyfile.NewLog(proxy.Log.Key.String(), origin)
	if err != nil {
		t.Fatal(err)
	}
	proxy.Witnesses.Policy = configs.Path(filepath.Join(home, "quorum.policy"))
	if err := os.WriteFile(proxy.Witnesses.Policy.String(), []byte("log "+vkey+"\nquorum none\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	writeYAML(t, p.config, proxy)
	desk, err := configs.LoadInvestigator(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	desk.Log, desk.Origin = configs.LogSource{Dir: configs.Path(dir)}, origin
	desk.Quorum, desk.Index = proxy.Witnesses.Policy, configs.Path(filepath.Join(home, "index.sqlite"))
	writeYAML(t, p.investigator, desk)
	t.Cleanup(func() {
		if p.running() {
			p.cmd.Process.Kill()
			<-p.ended
		}
		if t.Failed() {
			t.Logf("the proxy's last words:\n%s", lastBytes(p.words, 6000))
		}
	})
	return p
}

func writeYAML(t *testing.T, file string, content any) {
	t.Helper()
	text, err := yaml.Marshal(content)
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (p *lone) running() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// launch starts the proxy, behind a tracer's command line if there is one. strace -D leaves the proxy our child.
func (p *lone) launch(tracer ...string) {
	p.t.Helper()
	words, err := os.OpenFile(p.words, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer words.Close()
	line := append(tracer, p.city.Binary, "proxy", "--config", p.config)
	p.cmd = exec.Command(line[0], line[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = words, words
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	cmd, ended := p.cmd, make(chan struct{})
	p.ended = ended
	go func() {
		cmd.Wait()
		close(ended)
	}()
}

// start launches the proxy and waits until it serves.
func (p *lone) start(tracer ...string) {
	p.t.Helper()
	p.launch(tracer...)
	for until := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		select {
		case <-p.ended:
			p.t.Fatalf("the proxy ended instead of serving: %v\n%s", p.cmd.ProcessState, lastBytes(p.words, 4000))
		default:
		}
		if c, err := net.Dial("tcp", p.address); err == nil {
			c.Close()
			return
		}
		if time.Now().After(until) {
			p.t.Fatal("the proxy does not serve")
		}
	}
}

// exit waits for the end of the process and returns its exit code.
func (p *lone) exit(within time.Duration) int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(within):
		p.t.Fatalf("the proxy does not end within %v", within)
	}
	return p.cmd.ProcessState.ExitCode()
}

// stop sends SIGTERM and returns the exit code.
func (p *lone) stop() int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatal(err)
	}
	return p.exit(time.Minute)
}

// metric reads one figure without labels.
func (p *lone) metric(name string) float64 {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.metricsURL, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindSubmatch(text)
	if found == nil {
		p.t.Fatalf("there is no metric %s", name)
	}
	value, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		p.t.Fatal(err)
	}
	return value
}

// said is everything the proxy wrote to its standard error.
func (p *lone) said() string {
	p.t.Helper()
	text, err := os.ReadFile(p.words)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}
