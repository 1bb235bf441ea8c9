package witness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/sys/unix"

	"shiguan/auditlog/tiles"
)

// openMirrors opens the copies of the logs that are mirrored.
func (w *Witness) openMirrors(o Options) error {
	dir := o.MirrorDir
	if dir == "" {
		dir = filepath.Join(o.StateDir, "mirror")
	}
	for _, l := range w.logs {
		if l.url == "" {
			continue
		}
		if w.mirrorLock == nil {
			if err := w.lockMirrors(dir); err != nil {
				return err
			}
		}
		m, err := w.openMirror(l, dir, o)
		if err != nil {
			return err
		}
		l.mirror = m
		if err := w.learn(m); err != nil {
			return err
		}
		if l.latest.Size > m.size() {
			m.behind = l.signed
		}
	}
	return nil
}

func (w *Witness) lockMirrors(dir string) error {
	if err := makeDir(dir); err != nil {
		return fmt.Errorf("creating the directory of mirrors: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("opening the lock of the directory of mirrors: %w", err)
	}
	w.mirrorLock = lock
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("another witness mirrors into %s: give this one a directory of its own (%w)", dir, err)
	}
	return nil
}

// learn compares the mirrored head, which this witness has co-signed, with the state. A mirror that is ahead proves that the
// state is an older copy; its head is taken over, because the witness must not forget what it has signed.
func (w *Witness) learn(m *mirror) error {
	l, h := m.log, m.head.Load()
	if h == nil || m.damage != nil || h.head.Size < l.latest.Size || h.head == l.latest {
		return nil
	}
	n, err := tiles.ParseNote(h.signed)
	if err != nil {
		return err
	}
	good, err := n.Verify(w.own...)
	if err != nil {
		return nil // by a key that this witness no longer has: no word of ours
	}
	root, err := tiles.RootAt(context.Background(), m.store, l.latest.Size)
	if err != nil {
		return fmt.Errorf("comparing the mirror with the state: %w", err)
	}
	if l.latest.Size > 0 && root != l.latest.Root {
		return fmt.Errorf("the state says that %s has root %s at size %d, its mirror in %s gives %s, and this witness co-signed both: "+
			"keep both as evidence, and retire this witness's key", l.origin, tiles.FormatHash(l.latest.Root), l.latest.Size,
			m.store.path, tiles.FormatHash(root))
	}
	w.logger.Warn("the state is older than what this witness has co-signed: going on from the mirrored head", "origin", l.origin,
		"state", l.latest.Size, "mirror", h.head.Size)
	if err := w.dir.save(l.origin, h.signed); err != nil {
		return err
	}
	if l.signed, err = cosignatureTime(good, w.own); err != nil {
		return err
	}
	l.latest = h.head
	l.shown.Store(&h.signed)
	return nil
}

// cosignatureTime is the time of the last cosignature of the keys.
func cosignatureTime(good []tiles.Signature, own []note.Verifier) (last time.Time, err error) {
	for _, s := range good {
		if !slices.ContainsFunc(own, func(v note.Verifier) bool { return s.Name == v.Name() && s.KeyID == v.KeyHash() }) {
			continue
		}
		if last, err = tiles.CosignatureTime(s.Blob); err != nil {
			return last, err
		}
	}
	return last, nil
}

// startMirrors runs each mirror in a goroutine of its own until stopMirrors is called.
func (w *Witness) startMirrors() {
	var ctx context.Context
	ctx, w.stopMirrors = context.WithCancel(context.Background())
	for _, l := range w.logs {
		if l.mirror != nil {
			w.mirroring.Go(func() { l.mirror.run(ctx) })
		}
	}
}

// mirrorOf finds the mirror that a request is for; it answers if there is none.
func (w *Witness) mirrorOf(rw http.ResponseWriter, r *http.Request) *mirror {
	rw.Header().Set("X-Content-Type-Options", "nosniff")
	l := w.logs[r.PathValue("origin")]
	switch {
	case l == nil || l.mirror == nil || l.mirror.head.Load() == nil && l.mirror.damage == nil || r.URL.RawPath != "":
		http.Error(rw, "nothing is mirrored for this origin", http.StatusNotFound)
	case l.mirror.damage != nil:
		http.Error(rw, "the mirror is damaged; its operator finds the reason in the log file", http.StatusInternalServerError)
	default:
		return l.mirror
	}
	return nil
}

func (w *Witness) mirrorCheckpoint(rw http.ResponseWriter, r *http.Request) {
	if m := w.mirrorOf(rw, r); m != nil {
		rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
		rw.Header().Set("Cache-Control", "public, max-age=2")
		rw.Write(m.head.Load().signed)
	}
}

// mirrorTile serves what the mirrored tree has: beyond it nothing has been compared with anything.
func (w *Witness) mirrorTile(rw http.ResponseWriter, r *http.Request) {
	m := w.mirrorOf(rw, r)
	if m == nil {
		return
	}
	id, err := tiles.ParseTilePath("tile/" + r.PathValue("path"))
	if err != nil || !inTree(id, m.size()) {
		http.NotFound(rw, r)
		return
	}
	f, err := os.Open(m.store.file(id.Path()))
	if errors.Is(err, fs.ErrNotExist) { // a partial one of a size that was not mirrored, or that the full one has replaced
		http.NotFound(rw, r)
		return
	}
	if err != nil {
		w.logger.Error("a mirrored file cannot be read", "path", id.Path(), "origin", m.log.origin, "error", err)
		http.Error(rw, "the mirror cannot read this file", http.StatusInternalServerError)
		return
	}
	defer f.Close()
	rw.Header().Set("Content-Type", "application/octet-stream")
	rw.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	if info, err := f.Stat(); err == nil {
		rw.Header().Set("Content-Length", strconv.FormatInt(info.Size(), 10))
	}
	io.Copy(rw, f)
}
