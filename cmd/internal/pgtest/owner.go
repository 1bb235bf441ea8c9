package pgtest

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// owner is the user a server runs as: this process's own, or, since PostgreSQL refuses root, another one.
type owner struct {
	uid, gid uint32
	change   bool // this process is root and has to become the owner
}

func serverOwner() (owner, error) {
	if os.Geteuid() != 0 {
		return owner{uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil || uid == 0 {
			continue
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			continue
		}
		return owner{uid: uint32(uid), gid: uint32(gid), change: true}, nil
	}
	return owner{}, errors.New("running as root, and PostgreSQL refuses root: run as another user, or create the user postgres")
}

// attributes makes a child run as the owner, apart from the terminal's process group so that Ctrl-C reaches only the
// parent, and makes it die with the parent.
func (o owner) attributes() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true}
	dieWithParent(a)
	if o.change {
		a.Credential = &syscall.Credential{Uid: o.uid, Gid: o.gid}
	}
	return a
}

// makeDir creates a directory that belongs to the owner and to nobody else.
func (o owner) makeDir(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil { // parents the server has to pass through
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if !o.change {
		return nil
	}
	return os.Chown(dir, int(o.uid), int(o.gid))
}

// ErrClosedDirectory says that the user PostgreSQL runs as may not enter a directory on the way to the cluster's.
var ErrClosedDirectory = errors.New("a directory is closed to the user PostgreSQL runs as")

// reaches reports whether the owner may search every directory on the way to dir's parent. PostgreSQL needs that, and a
// directory made by mktemp as root, or below /root, does not give it.
func (o owner) reaches(dir string) error {
	if !o.change {
		return nil // its own directories it has made itself
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	for parent := filepath.Dir(dir); ; parent = filepath.Dir(parent) {
		info, err := os.Stat(parent)
		switch {
		case errors.Is(err, os.ErrNotExist): // will be made by makeDir, open to pass through
		case err != nil:
			return err
		case !o.maySearch(info):
			return fmt.Errorf("%w: %s (uid %d): open it with `chmod o+x %s` or choose another directory", ErrClosedDirectory, parent, o.uid, parent)
		}
		if parent == filepath.Dir(parent) {
			return nil
		}
	}
}

func (o owner) maySearch(info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	switch {
	case stat.Uid == o.uid:
		return info.Mode()&0o100 != 0
	case stat.Gid == o.gid:
		return info.Mode()&0o010 != 0
	}
	return info.Mode()&0o001 != 0
}
