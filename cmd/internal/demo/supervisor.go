package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"shiguan/cmd/internal/pgtest"
)

// Options say where a city lives.
type Options struct {
	Dir      string
	PortBase int       // 0 = DefaultPortBase
	Out      io.Writer // progress and what happens to components, for people
}

// Supervisor runs one city and is the parent of all its processes.
type Supervisor struct {
	layout
	out        io.Writer
	executable string
	lock       *os.File
	secrets    *secrets
	temporary  string // holds what DIR cannot hold: the cluster, or the socket; made when needed, removed at the end

	ctx    context.Context // for what outlives the call that began it; ends with Stop
	cancel context.CancelFunc

	mu         sync.Mutex // held while a component starts or stops, and over the fields below
	names      []string   // in the order of starting
	components map[string]component
	stopping   bool
	control    *http.Server
}

// Start brings the whole city up and returns when every component serves and DIR/demo.json is written. Whatever stops it
// on the way, nothing it started goes on running. The caller must call Stop.
func Start(ctx context.Context, o Options) (*Supervisor, error) {
	s, err := prepare(o)
	if err != nil {
		return nil, err
	}
	if err := s.startAll(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// prepare takes the directory and finds the ports free. Nothing runs yet.
func prepare(o Options) (*Supervisor, error) {
	l, err := newLayout(o.Dir, o.PortBase)
	if err != nil {
		return nil, err
	}
	executable, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		return nil, err
	}
	lock, err := lockDir(l.path("demo.lock"))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l.dir, err)
	}
	s := &Supervisor{layout: l, out: o.Out, executable: executable, lock: lock, components: map[string]component{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	// What an earlier run left when it was killed must not be taken for this one.
	err = errors.Join(removeIfThere(l.manifest()), l.checkPorts())
	if err == nil {
		s.secrets, err = l.openSecrets()
	}
	if err == nil {
		err = s.secrets.check()
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return s, nil
}

func (s *Supervisor) startAll(ctx context.Context) error {
	if err := s.startPostgres(ctx); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	for i, department := range witnessDepartments {
		err := s.add(ctx, "witness-"+department, s.program("witness-"+department, "witness", s.witnessConfig(department),
			answers(httpURL(s.witnessPort(i), "/"), nil)))
		if err != nil {
			return err
		}
	}
	if err := s.add(ctx, "proxy", s.program("proxy", "proxy", s.proxyConfig(), s.proxyReady)); err != nil {
		return err
	}
	console := s.program("console", "console", s.investigatorConfig(), answers(httpURL(s.consolePort(), "/"), nil))
	if err := s.add(ctx, "console", console); err != nil {
		return err
	}
	if err := s.firstHead(ctx); err != nil {
		return err
	}
	if err := s.serveControl(); err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writeManifestLocked()
}

func (s *Supervisor) startPostgres(ctx context.Context) error {
	dir, err := s.clusterDir()
	if err != nil {
		return err
	}
	socket, err := s.socketDir(dir)
	if err != nil {
		return err
	}
	db := &database{options: pgtest.Options{Dir: dir, Port: s.postgresPort(), Socket: socket, Log: s.logFile("postgres"),
		Fsync: true, Settings: map[string]string{"max_connections": "2200"}}}
	if err := s.add(ctx, "postgres", db); err != nil {
		return err
	}
	if err := fill(ctx, db.server, s.secrets.roles); err != nil {
		return err
	}
	return s.writeConfigs(s.secrets, db.server.Socket)
}

// clusterDir is DIR/postgres where PostgreSQL can get there. Run by root it is another user, for whom DIR itself is
// opened to pass through (what is secret in it is closed file by file); what lies above DIR is not ours to change, and
// then the cluster goes into the temporary directory and does not outlive this run.
func (s *Supervisor) clusterDir() (string, error) {
	dir := s.path("postgres")
	err := pgtest.Reachable(dir)
	if errors.Is(err, pgtest.ErrClosedDirectory) {
		if err := openToPass(s.dir); err != nil {
			return "", err
		}
		err = pgtest.Reachable(dir)
	}
	if !errors.Is(err, pgtest.ErrClosedDirectory) {
		return dir, err
	}
	s.say("PostgreSQL cannot use this directory (%v): the database lives in the temporary directory and ends with this run", err)
	return s.temporaryDir("postgres")
}

// socketDir is where PostgreSQL puts its socket, the same place at every restart of it.
func (s *Supervisor) socketDir(cluster string) (string, error) {
	if dir := filepath.Join(cluster, "socket"); pgtest.SocketFits(dir) {
		return dir, nil
	}
	return s.temporaryDir("socket")
}

func (s *Supervisor) temporaryDir(name string) (string, error) {
	if s.temporary == "" {
		dir, err := os.MkdirTemp(openTemp(), "shiguan-demo-")
		if err != nil {
			return "", err
		}
		s.temporary = dir
	}
	return filepath.Join(s.temporary, name), openToPass(s.temporary)
}

// openTemp is a temporary directory that PostgreSQL can get to; $TMPDIR may be this user's alone.
func openTemp() string {
	for _, dir := range []string{os.TempDir(), "/tmp", "/var/tmp"} {
		if pgtest.Reachable(filepath.Join(dir, "any")) == nil {
			return dir
		}
	}
	return os.TempDir()
}

func openToPass(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	return os.Chmod(dir, info.Mode().Perm()|0o011)
}

// program is this binary with the command for a component and its configuration.
func (s *Supervisor) program(name, command, config string, ready func(context.Context) error) *program {
	return &program{executable: s.executable, args: []string{command, "--config", config}, log: s.logFile(name), ready: ready}
}

// add starts a component for the first time.
func (s *Supervisor) add(ctx context.Context, name string, c component) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return errors.New("the demo is stopping")
	}
	s.names = append(s.names, name)
	s.components[name] = c
	if err := c.start(ctx); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	s.say("%-28s process %d", name, c.pid())
	s.watch(name, c)
	return nil
}

// watch tells when a component ends that nobody stopped.
func (s *Supervisor) watch(name string, c component) {
	exited, pid := c.exited(), c.pid()
	go func() {
		<-exited
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.stopping && c.pid() == pid {
			s.say("%s (process %d) has ended and stays dead until: shiguan demo restart --dir %s %s", name, pid, s.dir, name)
		}
	}()
}

// restart stops a component if it still runs, starts it again and tells its new process id.
func (s *Supervisor) restart(name string) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.components[name]
	switch {
	case s.stopping:
		return 0, errors.New("the demo is stopping")
	case !ok:
		return 0, fmt.Errorf("there is no component %q: choose one of %s", name, strings.Join(s.names, ", "))
	}
	if err := c.stop(); err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	// Not the request's context: who asks may go away, the component must come up all the same.
	if err := c.start(s.ctx); err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	s.say("%-28s process %d (restarted)", name, c.pid())
	s.watch(name, c)
	return c.pid(), s.writeManifestLocked()
}

func (s *Supervisor) serveControl() error {
	l, err := listenControl(s.layout.control())
	if err != nil {
		return err
	}
	s.control = &http.Server{Handler: controlHandler(s.restart), ReadHeaderTimeout: 10 * time.Second}
	go s.control.Serve(l) // ends with ErrServerClosed at Stop
	return nil
}

// Stop ends every component, the last one started first, and removes what only a running demo needs.
func (s *Supervisor) Stop() error {
	s.cancel() // a restart that waits for its component gives up and lets go of mu
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return nil
	}
	s.stopping = true
	errs := []error{removeIfThere(s.layout.manifest())}
	if s.control != nil {
		errs = append(errs, s.control.Close())
	}
	errs = append(errs, removeControl(s.layout.control()))
	for _, name := range slices.Backward(s.names) {
		if err := s.components[name].stop(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	if s.temporary != "" {
		errs = append(errs, os.RemoveAll(s.temporary))
	}
	return errors.Join(append(errs, s.lock.Close())...)
}

// Dir is the city's directory, absolute.
func (s *Supervisor) Dir() string { return s.dir }

// Manifest is what DIR/demo.json says.
func (s *Supervisor) Manifest() *Manifest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.manifestLocked()
}

func (s *Supervisor) manifestLocked() *Manifest {
	m := &Manifest{
		Proxy: Address{host, s.proxyPort()}, Database: DatabaseName,
		UpstreamDSN: s.components["postgres"].(*database).server.DSN(DatabaseName),
		LogURL:      httpURL(s.logPort(), "/"), Origin: origin, LogVKey: s.secrets.logVKey,
		QuorumPolicy: s.path("quorum.policy"), Witnesses: s.witnessEntries(s.secrets),
		ConsoleURL: httpURL(s.consolePort(), "/"), MetricsURL: httpURL(s.metricsPort(), "/metrics"),
		Config: s.investigatorConfig(), ProxyConfig: s.proxyConfig(), Policy: s.path("policy.yaml"),
		Investigator: Account{investigator.User, s.secrets.people[investigator.User]},
		PIDs:         map[string]int{},
	}
	for _, p := range people {
		m.People = append(m.People, Login{p.User, s.secrets.people[p.User], p.Department, p.Position})
	}
	for name, c := range maps.All(s.components) {
		m.PIDs[name] = c.pid()
	}
	return m
}

func (s *Supervisor) writeManifestLocked() error {
	return s.manifestLocked().write(s.layout.manifest())
}

func (s *Supervisor) say(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

// lockDir keeps a second supervisor out of the directory. The kernel lets go when this process ends.
func lockDir(file string) (*os.File, error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, errors.New("a demo is already running in this directory: stop it with Ctrl-C, or choose another --dir")
	}
	return f, nil
}

func removeIfThere(file string) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
