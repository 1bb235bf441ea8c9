package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
)

// cluster is a database cluster on disk: DIR/data made by initdb, DIR/superuser.password, and a socket directory.
type cluster struct {
	bin      Binaries
	owner    owner
	dir      string
	data     string
	socket   string
	password string
	temp     bool // made by us in the temporary directory, removed at the end
	tempSock bool
}

// openCluster finds the cluster in o.Dir or makes one. initdb writes into a directory of its own, and PG_VERSION is the
// last file that a complete cluster is recognised by: one that died half-way is made again.
func openCluster(ctx context.Context, bin Binaries, o Options) (*cluster, error) {
	who, err := serverOwner()
	if err != nil {
		return nil, err
	}
	c := &cluster{bin: bin, owner: who, dir: o.Dir, socket: o.Socket}
	if c.dir == "" {
		if c.dir, err = tempDir(who, "shiguan-pg-"); err != nil {
			return nil, err
		}
		c.temp = true
	}
	if err := c.prepare(ctx); err != nil {
		return nil, errors.Join(err, c.remove())
	}
	return c, nil
}

func (c *cluster) prepare(ctx context.Context) (err error) {
	if c.dir, err = filepath.Abs(c.dir); err != nil {
		return err
	}
	if err := c.owner.reaches(c.dir); err != nil {
		return err
	}
	if err := c.owner.makeDir(c.dir); err != nil {
		return err
	}
	c.data = filepath.Join(c.dir, "data")
	if err := c.makeSocketDir(); err != nil {
		return err
	}
	if c.readPassword() == nil {
		return c.checkVersion()
	}
	return c.initialise(ctx)
}

// SocketFits reports whether a server's socket in dir has a path that a socket address can hold (107 bytes).
func SocketFits(dir string) bool { return len(dir)+len("/.s.PGSQL.65535.lock") <= 100 }

// makeSocketDir keeps the socket beside the data where its path fits.
func (c *cluster) makeSocketDir() (err error) {
	if c.socket != "" {
		return c.owner.makeDir(c.socket)
	}
	c.socket = filepath.Join(c.dir, "socket")
	if !SocketFits(c.socket) {
		c.socket, err = tempDir(c.owner, "shiguan-pgs-")
		c.tempSock = err == nil
		return err
	}
	return c.owner.makeDir(c.socket)
}

func (c *cluster) passwordFile() string { return filepath.Join(c.dir, "superuser.password") }

// readPassword succeeds only for a complete cluster, since the password file is written after initdb has returned.
func (c *cluster) readPassword() error {
	text, err := os.ReadFile(c.passwordFile())
	if err != nil {
		return err
	}
	c.password = strings.TrimSpace(string(text))
	return nil
}

func (c *cluster) checkVersion() error {
	made, err := os.ReadFile(filepath.Join(c.data, "PG_VERSION"))
	if err != nil {
		return fmt.Errorf("%s holds a password but no cluster, remove it: %w", c.dir, err)
	}
	out, err := exec.Command(filepath.Join(c.bin.Dir, "postgres"), "--version").Output()
	if err != nil {
		return fmt.Errorf("postgres --version: %w", err)
	}
	version := strings.TrimSpace(string(made))
	if !strings.Contains(string(out), " "+version+".") && !strings.Contains(string(out), " "+version+"devel") {
		return fmt.Errorf("%s was made by PostgreSQL %s and this is %s: remove the directory", c.dir, version,
			strings.TrimSpace(string(out)))
	}
	return nil
}

// initialise runs initdb. A crash before the password file is renamed into place leaves a directory without one, which
// the next attempt removes.
func (c *cluster) initialise(ctx context.Context) error {
	if err := os.RemoveAll(c.data); err != nil {
		return err
	}
	c.password = rand.Text()
	draft := c.passwordFile() + ".new"
	if err := os.WriteFile(draft, []byte(c.password+"\n"), 0o600); err != nil {
		return err
	}
	if c.owner.change {
		if err := os.Chown(draft, int(c.owner.uid), int(c.owner.gid)); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, filepath.Join(c.bin.Dir, "initdb"), "-D", c.data, "-U", Superuser, "--pwfile", draft,
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync")
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	cmd.SysProcAttr = c.owner.attributes()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return os.Rename(draft, c.passwordFile())
}

// configure writes the settings anew at every start, so that port and socket may differ from the last time.
func (c *cluster) configure(port int, o Options) error {
	settings := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"port":                    fmt.Sprint(port),
		"unix_socket_directories": c.socket,
		"password_encryption":     "scram-sha-256",
		"logging_collector":       "off",
		"timezone":                "UTC",
		"log_timezone":            "UTC",
	}
	if !o.Fsync {
		settings["fsync"], settings["synchronous_commit"], settings["full_page_writes"] = "off", "off", "off"
	}
	for name, value := range o.Settings {
		settings[name] = value
	}
	var text strings.Builder
	for name, value := range settings {
		fmt.Fprintf(&text, "%s = '%s'\n", name, strings.ReplaceAll(value, "'", "''"))
	}
	lines := strings.SplitAfter(text.String(), "\n")
	sort.Strings(lines)
	// postgresql.auto.conf is read last and so wins over what initdb wrote.
	file := filepath.Join(c.data, "postgresql.auto.conf")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "")), 0o600); err != nil {
		return err
	}
	return nil
}

func (c *cluster) logFile(o Options) string {
	if o.Log != "" {
		return o.Log
	}
	return filepath.Join(c.dir, "postgres.log")
}

// remove deletes what was made in the temporary directory, and only that.
func (c *cluster) remove() error {
	var errs []error
	if c.tempSock {
		errs = append(errs, os.RemoveAll(c.socket))
	}
	if c.temp {
		errs = append(errs, os.RemoveAll(c.dir))
	}
	return errors.Join(errs...)
}

// tempDir makes a directory for the owner. $TMPDIR may be closed to a server that runs as another user; /tmp is not.
func tempDir(who owner, prefix string) (string, error) {
	var err error
	for _, parent := range []string{os.TempDir(), "/tmp", "/var/tmp"} {
		if err = who.reaches(filepath.Join(parent, "x")); err != nil {
			continue
		}
		var dir string
		if dir, err = os.MkdirTemp(parent, prefix); err != nil {
			continue
		}
		return dir, who.makeDir(dir)
	}
	return "", fmt.Errorf("no temporary directory for PostgreSQL: %w", err)
}

// tail returns the last lines of a server's log, to be appended to an error.
func tail(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) > 5 {
		lines = lines[len(lines)-5:]
	}
	return "\n  " + strings.Join(lines, "\n  ")
}
