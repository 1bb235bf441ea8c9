package witness

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/note"

	"shiguan/auditlog/tiles"
)

const (
	defaultMirrorInterval = 2 * time.Second
	maxMirrorWait         = time.Minute
	defaultNoteEvery      = 256
)

// mirrored is a head whose whole tree is in the store.
type mirrored struct {
	head   tiles.Checkpoint
	signed []byte
}

// mirror keeps a full copy of the public part of one log. It pulls entries, never tiles: what it serves it has hashed itself,
// from the entries up to the root that this witness co-signed. One goroutine runs it.
type mirror struct {
	log    *logState
	source *mirrorSource
	store  *mirrorStore
	own    []note.Verifier // of the witness
	logger *slog.Logger
	clock  func() time.Time
	pause  time.Duration // between two looks at the log

	noteEvery int // after how many bundles an unfinished pull notes how far it has come

	news chan struct{}            // holds something if a head was co-signed since the mirror last looked
	head atomic.Pointer[mirrored] // nil while nothing is mirrored; set once durable

	builder *tiles.Builder // nil: begin where the store says
	pending bool           // builder hands over the tiles of an unfinished pull

	mu       sync.Mutex
	behind   time.Time // guarded by mu; since when a co-signed head is not mirrored, zero if there is none
	failures uint64    // guarded by mu; looks at the log that ended in an error
	stopped  bool      // guarded by mu; damaged, or its disk failed

	damage error // fixed after openMirror: neither serve nor pull
}

// storeError says that the mirror's directory failed. What was written since the last flush is in doubt, so nothing more is
// written until the witness is started again; what is published stays good.
type storeError struct{ err error }

func (e *storeError) Error() string { return e.err.Error() }
func (e *storeError) Unwrap() error { return e.err }

// openMirror reads what is mirrored. Damage does not keep the witness from its work: it is kept in m.damage.
func (w *Witness) openMirror(l *logState, dir string, o Options) (*mirror, error) {
	source, err := newMirrorSource(l.url)
	if err != nil {
		return nil, fmt.Errorf("mirror of %s: %w", l.origin, err)
	}
	store, err := openMirrorStore(filepath.Join(dir, originHash(l.origin)))
	if err != nil {
		return nil, fmt.Errorf("creating the mirror's directory: %w", err)
	}
	if o.mirrorSync != nil {
		store.sync = o.mirrorSync
	}
	m := &mirror{log: l, source: source, store: store, own: w.own, logger: w.logger, clock: w.clock,
		pause: cmp.Or(o.MirrorInterval, defaultMirrorInterval), noteEvery: cmp.Or(o.noteEvery, defaultNoteEvery), news: make(chan struct{}, 1)}
	if err := m.restore(); err != nil {
		m.damage, m.stopped = damagedMirror(store.path, err), true
	}
	return m, nil
}

// restore reads the mirrored head and checks that the tree's right edge gives its root. The rest is for fsck.
func (m *mirror) restore() error {
	signed, err := m.store.read(mirrorCheckpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	n, err := tiles.ParseNote(signed)
	if err != nil {
		return err
	}
	head, err := tiles.ParseCheckpoint(n.Text)
	if err != nil {
		return err
	}
	if head.Origin != m.log.origin {
		return fmt.Errorf("it holds the log %s", head.Origin)
	}
	if _, err := n.Verify(append(m.own[:len(m.own):len(m.own)], m.log.keys...)...); err != nil {
		return fmt.Errorf("its checkpoint: %w", err)
	}
	root, err := tiles.RootAt(context.Background(), m.store, head.Size)
	if err != nil {
		return err
	}
	if root != head.Root {
		return fmt.Errorf("its tiles have the root %s, its checkpoint says %s", tiles.FormatHash(root), tiles.FormatHash(head.Root))
	}
	m.head.Store(&mirrored{head, signed})
	return nil
}

// size is how many entries are mirrored.
func (m *mirror) size() uint64 {
	if h := m.head.Load(); h != nil {
		return h.head.Size
	}
	return 0
}

// cosigned tells the mirror that a head was co-signed.
func (m *mirror) cosigned(size uint64, at time.Time) {
	if size <= m.size() {
		return
	}
	m.mu.Lock()
	if m.behind.IsZero() {
		m.behind = at
	}
	m.mu.Unlock()
	select {
	case m.news <- struct{}{}:
	default:
	}
}

// lag is for how long a co-signed head has not been mirrored.
func (m *mirror) lag() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.behind.IsZero() {
		return 0
	}
	return max(0, m.clock().Sub(m.behind))
}

// trouble is for the metrics.
func (m *mirror) trouble() (failures uint64, stopped bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failures, m.stopped
}

// run mirrors until ctx ends.
func (m *mirror) run(ctx context.Context) {
	defer m.source.close()
	if m.damage != nil {
		m.logger.Error("nothing is mirrored", "origin", m.log.origin, "error", m.damage)
		return
	}
	m.again() // what was co-signed in the last life
	wait, said := m.pause, ""
	for {
		select {
		case <-m.news:
		case <-ctx.Done():
			return
		}
		err := m.catchUp(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			wait, said = m.pause, ""
		case errors.Is(err, errNotYet) && m.lag() < maxMirrorWait:
			m.again()
			wait = m.pause
		default:
			if m.fail(err) {
				return
			}
			m.again()
			wait = min(2*wait, max(maxMirrorWait, m.pause))
			if text := err.Error(); text != said { // once, not once a minute
				m.logger.Error("mirroring failed; it is tried again", "origin", m.log.origin, "error", err)
				said = text
			}
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// fail counts a failure and says whether it is the last.
func (m *mirror) fail(err error) (last bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failures++
	if last = errors.As(err, new(*storeError)); last {
		m.stopped = true
		m.logger.Error("mirroring stops until the witness is started again, because its directory failed; what was mirrored is served",
			"origin", m.log.origin, "error", err)
	}
	return last
}

func (m *mirror) again() {
	select {
	case m.news <- struct{}{}:
	default:
	}
}

// errNotYet says that the log has not published what was co-signed.
var errNotYet = errors.New("the log has not published the head that was co-signed")

// catchUp mirrors the head that was co-signed last.
func (m *mirror) catchUp(ctx context.Context) error {
	began := m.clock()
	m.log.mu.Lock()
	target := m.log.latest
	m.log.mu.Unlock()
	if target.Size <= m.size() {
		return nil
	}
	signed := *m.log.shown.Load() // of target, or of a later one
	if c, err := headOf(signed); err != nil {
		return err
	} else if c != target {
		m.again()
		return nil
	}
	published, size, err := m.published(ctx, target)
	if err != nil {
		return err
	}
	if err := m.pull(ctx, target, size); err != nil {
		return err
	}
	return m.finish(target, merge(signed, published), began)
}

// published returns the log's own checkpoint, which says how wide its bundles are. It need not be the one that was co-signed.
func (m *mirror) published(ctx context.Context, target tiles.Checkpoint) ([]byte, uint64, error) {
	signed, err := m.source.checkpoint(ctx)
	if errors.Is(err, errNoResource) {
		return nil, 0, errNotYet
	}
	if err != nil {
		return nil, 0, err
	}
	c, _, err := tiles.OpenCheckpoint(signed, m.log.keys...)
	switch {
	case err != nil:
		return nil, 0, fmt.Errorf("the checkpoint at %s: %w", m.source.base, err)
	case c.Origin != target.Origin:
		return nil, 0, fmt.Errorf("%s serves the log %s: correct the log's url", m.source.base, c.Origin)
	case c.Size < target.Size:
		return nil, 0, errNotYet
	case c.Size == target.Size && c.Root != target.Root:
		return nil, 0, fmt.Errorf("the log shows another tree of size %d than it had co-signed: keep this entry, it proves that the log cheats; "+
			"shown:\n%s\nco-signed:\n%s", c.Size, signed, *m.log.shown.Load())
	}
	return signed, c.Size, nil
}

// finish makes a tree that has been compared with its root the mirrored one.
func (m *mirror) finish(target tiles.Checkpoint, signed []byte, began time.Time) error {
	old := m.size()
	// A crash here or up to the rename of the checkpoint leaves the old head, and the new tiles to be written again.
	if err := m.builder.Publish(); err != nil {
		return m.forget(err)
	}
	if err := m.store.publish(signed); err != nil {
		return m.forget(err)
	}
	m.head.Store(&mirrored{target, signed})
	m.log.mu.Lock()
	more := m.log.latest.Size > target.Size
	m.log.mu.Unlock()
	m.mu.Lock()
	if m.behind = (time.Time{}); more {
		m.behind = began
	}
	m.mu.Unlock()
	m.store.prune(old, target.Size)
	if err := m.store.dropPending(); err != nil {
		return m.forget(err)
	}
	return nil
}

// forget drops the builder, whose idea of what is on disk no longer holds.
func (m *mirror) forget(err error) error {
	m.builder = nil
	return &storeError{err}
}

func headOf(signed []byte) (tiles.Checkpoint, error) {
	n, err := tiles.ParseNote(signed)
	if err != nil {
		return tiles.Checkpoint{}, err
	}
	return tiles.ParseCheckpoint(n.Text)
}

// merge adds the cosignatures that the log has gathered, if they are for the same head: with them the copy satisfies
// everybody's quorum, not only those who trust this witness. They are the log's to vouch for, like those it publishes.
func merge(signed, published []byte) []byte {
	n, err := tiles.ParseNote(published)
	ours, ownErr := tiles.ParseNote(signed)
	if err != nil || ownErr != nil || !bytes.Equal(n.Text, ours.Text) {
		return signed
	}
	all, err := tiles.AddSignatures(signed, n.Signatures...)
	if err != nil {
		return signed
	}
	if _, err := tiles.ParseNote(all); err != nil { // more lines than anybody reads
		return signed
	}
	return all
}
