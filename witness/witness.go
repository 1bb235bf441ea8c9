package witness

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/mod/sumdb/note"

	"shiguan/auditlog/tiles"
)

// Options configure a witness. Signer, Logs and StateDir are required.
type Options struct {
	Name   string                   // the witness's name; if set it MUST be that of the signer's key
	Signer *tiles.CosignatureSigner // the witness's key
	// MoreSigners are more keys of the witness, of other algorithms. Each co-signs whatever Signer does.
	MoreSigners []*tiles.CosignatureSigner
	Logs        []LogConfig // the logs it co-signs; one with several keys stands here several times
	StateDir    string      // owned by this witness alone; created if missing
	// MirrorDir holds the copies of the logs that are mirrored; StateDir/mirror if empty. It must be this witness's own.
	MirrorDir string
	// MirrorInterval is the least time between two looks at a log; two seconds if zero.
	MirrorInterval time.Duration

	Limits     Limits
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Clock      func() time.Time // time.Now if nil

	mirrorSync func(*os.File) error // nil: (*os.File).Sync
	noteEvery  int                  // 0: defaultNoteEvery
}

// LogConfig is one key of a log. Origin MUST be the name of the key.
type LogConfig struct {
	Origin, VKey string
	Mirror       string // if the log is mirrored: the URL of its tlog-tiles
}

// Witness co-signs checkpoints. It is safe for concurrent use.
type Witness struct {
	signers []*tiles.CosignatureSigner
	own     []note.Verifier // of signers
	dir     *stateDir
	logs    map[string]*logState // by origin hash; fixed after Open
	callers *callers
	limits  Limits
	slots   chan struct{} // one for each request being handled
	logger  *slog.Logger
	metrics *metrics
	clock   func() time.Time

	mirrorLock  *os.File // flocked while the witness runs; nil: nothing is mirrored
	mirroring   sync.WaitGroup
	stopMirrors context.CancelFunc

	failed   chan struct{} // closed once state could not be made durable
	failure  atomic.Pointer[error]
	failOnce sync.Once
}

// logState is what the witness knows of one origin.
type logState struct {
	origin string
	keys   []note.Verifier // none: the log is no longer configured, its last checkpoint is only shown
	url    string          // of the log's tiles, if it is mirrored
	mirror *mirror         // nil: it is not mirrored; fixed after Open

	// mu is held from reading the latest checkpoint until its successor is durable: the compare-and-set of tlog-witness.
	mu     sync.Mutex
	latest tiles.Checkpoint // guarded by mu; size 0 if nothing was ever co-signed
	signed time.Time        // guarded by mu; of the latest cosignature

	// shown is the latest checkpoint with signatures, for the monitoring endpoint. It is set once durable.
	shown atomic.Pointer[[]byte]
}

// Open takes the state directory, checks all state in it and returns a witness that goes on where it was. It fails if the
// directory is in use or damaged.
func Open(o Options) (*Witness, error) {
	if o.Signer == nil {
		return nil, errors.New("a witness needs a key: make one with `shiguan key`")
	}
	if o.Name == "" {
		o.Name = o.Signer.Name()
	}
	signers := append([]*tiles.CosignatureSigner{o.Signer}, o.MoreSigners...)
	own, err := verifiersOf(o.Name, signers)
	if err != nil {
		return nil, err
	}
	logs, err := configuredLogs(o.Logs)
	if err != nil {
		return nil, err
	}
	w := &Witness{
		signers: signers, own: own, logs: logs, limits: o.Limits.withDefaults(), logger: o.Logger, clock: o.Clock,
		failed: make(chan struct{}),
	}
	w.callers = newCallers(w.limits)
	w.slots = make(chan struct{}, w.limits.Concurrent)
	if w.logger == nil {
		w.logger = slog.New(slog.DiscardHandler)
	}
	if w.clock == nil {
		w.clock = time.Now
	}
	if w.dir, err = openStateDir(o.StateDir); err != nil {
		return nil, err
	}
	if err := w.restore(); err != nil {
		return nil, errors.Join(err, w.release())
	}
	if err := w.openMirrors(o); err != nil {
		return nil, errors.Join(err, w.release())
	}
	if w.metrics, err = newMetrics(w, o.Registerer); err != nil {
		return nil, errors.Join(err, w.release())
	}
	w.startMirrors()
	return w, nil
}

// verifiersOf returns the verifiers of a witness's keys, which must be different keys of one name: clients tell the lines that
// they make apart by name and key.
func verifiersOf(name string, signers []*tiles.CosignatureSigner) ([]note.Verifier, error) {
	var own []note.Verifier
	for _, s := range signers {
		if s.Name() != name {
			return nil, fmt.Errorf("the witness is named %s and its key %s: use one name for both", name, s.Name())
		}
		v, err := tiles.NewCosignatureVerifier(s.VKey().String())
		if err != nil {
			return nil, fmt.Errorf("the witness's key: %w", err)
		}
		for _, o := range own {
			if o.KeyHash() == v.KeyHash() {
				return nil, errors.New("the witness has the same key twice")
			}
		}
		own = append(own, v)
	}
	return own, nil
}

func configuredLogs(configs []LogConfig) (map[string]*logState, error) {
	if len(configs) == 0 {
		return nil, errors.New("the witness is configured for no log: name at least one by origin and key")
	}
	logs := make(map[string]*logState)
	for _, c := range configs {
		v, err := tiles.NewLogVerifier(c.VKey)
		if err != nil {
			return nil, fmt.Errorf("key of log %s: %w", c.Origin, err)
		}
		if v.Name() != c.Origin {
			return nil, fmt.Errorf("log %s has a key named %s: the key of a log is named for its origin", c.Origin, v.Name())
		}
		id := originHash(c.Origin)
		if logs[id] == nil {
			logs[id] = &logState{origin: c.Origin}
		}
		for _, k := range logs[id].keys {
			if k.KeyHash() == v.KeyHash() {
				return nil, fmt.Errorf("log %s is configured twice with the same key", c.Origin)
			}
		}
		logs[id].keys = append(logs[id].keys, v)
		if c.Mirror != "" && logs[id].url != "" && c.Mirror != logs[id].url {
			return nil, fmt.Errorf("log %s has two addresses to mirror it from: keep one", c.Origin)
		}
		if c.Mirror != "" {
			logs[id].url = c.Mirror
		}
	}
	return logs, nil
}

// restore reads the state directory into w.logs.
func (w *Witness) restore() error {
	states, err := w.dir.load()
	if err != nil {
		return err
	}
	for id, signed := range states {
		path := filepath.Join(w.dir.path, id+stateSuffix)
		if w.logs[id] == nil {
			w.logs[id] = new(logState)
		}
		if err := w.logs[id].restore(id, signed, w.own); err != nil {
			return damaged(path, err)
		}
	}
	for _, l := range w.logs {
		switch {
		case l.keys == nil:
			w.logger.Warn("state of a log that is not configured; it is kept, but nothing of that log is co-signed", "origin", l.origin)
		case l.shown.Load() == nil:
			w.logger.Warn("nothing was ever co-signed for this log: beginning from an empty tree", "origin", l.origin)
		}
	}
	return nil
}

// restore takes a checkpoint that decodeState has let pass. The checksum guards against accidents; the signatures against
// a file that belongs to something else. Keys may have been replaced since, so one that is known suffices.
func (l *logState) restore(id string, signed []byte, own []note.Verifier) error {
	n, err := tiles.ParseNote(signed)
	if err != nil {
		return err
	}
	head, err := tiles.ParseCheckpoint(n.Text)
	if err != nil {
		return err
	}
	if originHash(head.Origin) != id {
		return fmt.Errorf("it holds a checkpoint of %s and is not named for that origin", head.Origin)
	}
	good, err := n.Verify(append(own[:len(own):len(own)], l.keys...)...)
	if err != nil {
		return fmt.Errorf("its signatures: %w", err)
	}
	if l.signed, err = cosignatureTime(good, own); err != nil {
		return err
	}
	l.origin, l.latest = head.Origin, head
	l.shown.Store(&signed)
	return nil
}

// Failed is closed once the witness could not make state durable. From then on it co-signs nothing: the process should end,
// and be started again when the disk is well.
func (w *Witness) Failed() <-chan struct{} { return w.failed }

// Err says why Failed is closed; nil as long as it is not.
func (w *Witness) Err() error {
	if err := w.failure.Load(); err != nil {
		return *err
	}
	return nil
}

func (w *Witness) fail(err error) {
	w.failOnce.Do(func() {
		w.failure.Store(&err)
		close(w.failed)
	})
}

// Close ends the mirrors and gives the state directory back. The handler MUST NOT be in use any more.
func (w *Witness) Close() error {
	w.stopMirrors()
	w.mirroring.Wait()
	w.metrics.unregister()
	return w.release()
}

// release gives back the locks.
func (w *Witness) release() error {
	err := w.dir.close()
	if w.mirrorLock != nil {
		err = errors.Join(err, w.mirrorLock.Close())
	}
	return err
}
