package demo

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"time"
)

// DefaultPortBase is the proxy's port where nothing else is asked for.
const DefaultPortBase = 16432

const host = "127.0.0.1"

// origin is the name of the demo's log. Every DIR has a key of its own for it.
const origin = "demo.shiguan.example/civil-affairs"

// layout says where everything is: files below dir, ports from base upwards.
type layout struct {
	dir  string // absolute
	base int
}

func newLayout(dir string, base int) (layout, error) {
	if base == 0 {
		base = DefaultPortBase
	}
	dir, err := filepath.Abs(dir)
	return layout{dir, base}, err
}

func (l layout) path(elem ...string) string {
	return filepath.Join(append([]string{l.dir}, elem...)...)
}

func (l layout) manifest() string           { return l.path("demo.json") }
func (l layout) control() string            { return l.path("control.sock") }
func (l layout) logFile(name string) string { return l.path("log-" + name + ".txt") }

func (l layout) proxyConfig() string        { return l.path("proxy.yaml") }
func (l layout) investigatorConfig() string { return l.path("investigator.yaml") }
func (l layout) witnessConfig(department string) string {
	return l.path("witness-" + department + ".yaml")
}

func (l layout) proxyPort() int    { return l.base }
func (l layout) postgresPort() int { return l.base + 1 }
func (l layout) logPort() int      { return l.base + 2 }
func (l layout) metricsPort() int  { return l.base + 3 }
func (l layout) consolePort() int  { return l.base + 4 }

// witnessPort is where the i-th witness listens.
func (l layout) witnessPort(i int) int { return l.base + 5 + i }

// Ports is how many consecutive ports a city takes.
func Ports() int { return 5 + len(witnessDepartments) }

func address(port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

func httpURL(port int, path string) string {
	return (&url.URL{Scheme: "http", Host: address(port), Path: path}).String()
}

// portPatience is how long ports may be taken by components of an earlier run that are just ending.
const portPatience = 3 * time.Second

// checkPorts finds a port that somebody else listens on before anything is started.
func (l layout) checkPorts() error {
	if l.base < 1 || l.base+Ports() > 65536 {
		return fmt.Errorf("--port-base %d: the demo takes %d ports from there on, and the last port is 65535", l.base, Ports())
	}
	var err error
	for until := time.Now().Add(portPatience); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
		if err = l.tryPorts(); err == nil {
			return nil
		}
	}
	return err
}

func (l layout) tryPorts() error {
	for i := range Ports() {
		listener, err := net.Listen("tcp", address(l.base+i))
		if err != nil {
			return fmt.Errorf("port %d is taken: is another demo running? else choose other ports with --port-base: %w", l.base+i, err)
		}
		listener.Close()
	}
	return nil
}
