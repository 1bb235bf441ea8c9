package pgtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
)

// Binaries is where one PostgreSQL installation keeps its programs.
type Binaries struct {
	Dir string // holds postgres, initdb and usually psql, pgbench
}

// ErrNotFound is returned when this machine has no PostgreSQL server.
var ErrNotFound = errors.New("no PostgreSQL server found on PATH or in /usr/lib/postgresql/*/bin: install one, on Debian with `apt-get install postgresql`")

// Find returns the PostgreSQL server on PATH, else the newest one below /usr/lib/postgresql.
func Find() (Binaries, error) {
	if dir, ok := onPath(); ok {
		return Binaries{Dir: dir}, nil
	}
	if dirs := debianDirs("/usr/lib/postgresql"); len(dirs) > 0 {
		return Binaries{Dir: dirs[0]}, nil
	}
	return Binaries{}, ErrNotFound
}

// onPath follows symbolic links, since PATH often holds a link to postgres without initdb beside it.
func onPath() (string, bool) {
	path, err := exec.LookPath("postgres")
	if err != nil {
		return "", false
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", false
	}
	dir := filepath.Dir(path)
	return dir, complete(dir)
}

// debianDirs lists the complete installations below root, newest major version first.
func debianDirs(root string) []string {
	found, _ := filepath.Glob(filepath.Join(root, "*", "bin")) // the pattern is constant and well formed
	var dirs []string
	for _, dir := range found {
		if complete(dir) {
			dirs = append(dirs, dir)
		}
	}
	major := func(dir string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir))) // what is no number sorts last
		return n
	}
	sort.Slice(dirs, func(i, j int) bool { return major(dirs[i]) > major(dirs[j]) })
	return dirs
}

func complete(dir string) bool {
	for _, name := range []string{"postgres", "initdb"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}

// Path returns the full path of a program of the installation; the clients psql and pgbench may also come from PATH.
func (b Binaries) Path(program string) (string, error) {
	path := filepath.Join(b.Dir, program)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("%s is neither in %s nor on PATH: on Debian, `apt-get install postgresql-client`", program, b.Dir)
	}
	return path, nil
}
