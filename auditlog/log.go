package auditlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"filippo.io/age"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/mod/sumdb/note"

	"shiguan/auditlog/record"
	"shiguan/auditlog/record/seal"
	"shiguan/auditlog/tiles"
)

// Options say which log to open and how. Dir, Origin, Signer and Recipients are
// required.
type Options struct {
	Dir         string          // made if it does not exist
	Origin      string          // the log's name in every checkpoint
	Signer      note.Signer     // the log's key, named like Origin
	MoreSigners []note.Signer   // more keys of the log, of other algorithms; each signs every head too
	Recipients  []age.Recipient // who can read the records
	Cosigner    Cosigner        // nil: nothing is ever witnessed or published
	Quorum      *tiles.Policy   // what a published checkpoint must satisfy; nil: what Cosigner says is enough

	Interval     time.Duration         // between heads; 0: one second
	Heartbeat    time.Duration         // after so long without a record the log writes one itself; 0: never
	SegmentBytes int64                 // 0: 64 MiB
	Logger       *slog.Logger          // nil: slog.Default
	Registerer   prometheus.Registerer // nil: no metrics

	fs     fileSystem       // nil: the disk
	now    func() time.Time // nil: time.Now; decides when a key period ends
	manual bool             // no goroutine but the committer's: whoever opened the log takes the steps
}

const defaultInterval = time.Second

// check fills in what was left out.
func (o *Options) check() error {
	switch {
	case o.Dir == "":
		return errors.New("no directory for the audit log: set one")
	case o.Origin == "":
		return errors.New("the audit log has no origin: set the name it has in checkpoints")
	case o.Signer == nil:
		return errors.New("the audit log has no signing key: make one with shiguan key")
	case len(o.Recipients) == 0:
		return errors.New("the audit log has no recipients, so nobody could ever read it: name at least one investigator's public key")
	case o.SegmentBytes < 0 || o.Interval < 0 || o.Heartbeat < 0:
		return errors.New("segment size, interval and heartbeat of the audit log must not be negative")
	}
	for _, s := range o.signers() {
		if s.Name() != o.Origin {
			return fmt.Errorf("the audit log's key is named %s, its origin is %s: they must be equal", s.Name(), o.Origin)
		}
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = defaultSegmentBytes
	}
	if o.Interval == 0 {
		o.Interval = defaultInterval
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.fs == nil {
		o.fs = osFS{o.Dir}
	}
	if o.now == nil {
		o.now = time.Now
	}
	return nil
}

// signers are all keys that sign a head, in the order of its signature lines.
func (o *Options) signers() []note.Signer { return append([]note.Signer{o.Signer}, o.MoreSigners...) }

// Log is an open log, to which this process alone appends. It is safe for
// concurrent use.
type Log struct {
	options    Options
	fs         fileSystem
	lock       io.Closer
	reader     *reader
	tiles      *tileStore
	ages       *ages
	metrics    *metrics
	committer  *committer
	signer     *signer
	witnessing *witnessing

	sealer    atomic.Pointer[seal.Sealer]
	periodDay int // day of the year on which the period was opened; of Open, then of housekeep

	stop       context.CancelFunc // ends the goroutines except the committer's
	background sync.WaitGroup

	once   sync.Once
	broken atomic.Pointer[BrokenError]
	done   chan struct{}
	closed sync.Once
	result error // of Close
}

// Append seals a record in the calling goroutine and queues it. It does not
// wait for the disk, except when very much waits for it already. The payload
// must be what record.Append wrote for a record of that kind and time; it is
// copied. The record's index is given in the order in which Append was called;
// whether the record is durable the receipt tells.
func (l *Log) Append(kind record.Kind, t time.Time, payload []byte) (Receipt, error) {
	return l.append(l.sealer.Load(), kind, t, payload)
}

// frames recycles the buffers in which frames are built before they are copied
// into a batch.
var frames = sync.Pool{New: func() any { return new([]byte) }}

func (l *Log) append(sealer *seal.Sealer, kind record.Kind, t time.Time, payload []byte) (Receipt, error) {
	if err := l.Err(); err != nil {
		return Receipt{}, err
	}
	if len(payload) > maxLength-record.LeafSize-seal.Overhead {
		return Receipt{}, fmt.Errorf("%w: %d bytes, at most %d fit", ErrTooLarge, len(payload), maxLength-record.LeafSize-seal.Overhead)
	}
	need := frameSize + len(payload) + seal.Overhead
	var frame []byte
	if need < largeFrame {
		buf := frames.Get().(*[]byte)
		defer func() { *buf = frame[:0]; frames.Put(buf) }()
		frame = *buf
	}
	if cap(frame) < need {
		frame = make([]byte, 0, need)
	}
	leaf, frame, err := sealer.Seal(frame[:frameSize], kind, t, payload)
	if err != nil {
		return Receipt{}, err
	}
	leaf.Append(frame[headerSize:headerSize])
	return l.committer.add(frame, bodyCRC(frame[headerSize:]))
}

// SyncTime is how long a sync of the disk takes these days: the median of the
// last few. An event loop waits itself (Receipt.Wait) while that is less than
// what a wake-up from beside it costs, and uses Receipt.Notify when it is more.
func (l *Log) SyncTime() time.Duration { return l.committer.times.typical() }

// Done is closed when the log has broken for good. It is not closed by Close.
func (l *Log) Done() <-chan struct{} { return l.done }

// Err returns nil, or a *BrokenError once Done is closed.
func (l *Log) Err() error {
	if err := l.broken.Load(); err != nil {
		return err
	}
	return nil
}

// fail breaks the log for good and returns why it is broken, which is the
// first cause and not always this one.
func (l *Log) fail(cause error) error {
	l.once.Do(func() {
		err := &BrokenError{cause}
		l.broken.Store(err)
		l.metrics.failed()
		l.options.Logger.Error("the audit log is broken: no more records are taken, the process must be restarted", "error", cause)
		close(l.done)
		l.committer.abort(err)
	})
	return l.Err()
}

// Status says how far the log is.
func (l *Log) Status() Status {
	s := Status{
		Origin:           l.options.Origin,
		Witnessed:        l.witnessing.witnessed.Load(),
		Integrated:       l.signer.integrated.Load(),
		Durable:          l.committer.durable.Load(),
		OldestNotDurable: l.committer.oldestWaiting(),
		Period:           l.sealer.Load().Period(),
	}
	if s.Durable > s.Integrated {
		s.OldestNotIntegrated = l.ages.since(s.Integrated)
	}
	if s.Durable > s.Witnessed {
		s.OldestUnwitnessed = l.ages.since(s.Witnessed)
	}
	if ms := l.witnessing.last.Load(); ms != 0 {
		s.LastWitnessed = time.UnixMilli(ms).UTC()
	}
	if head := l.signer.current.Load(); head != nil {
		s.Head = string(head.signed)
	}
	if err := l.Err(); err != nil {
		s.Broken = err.Error()
	}
	return s
}

// Close takes no more records, makes durable what was queued, signs a last head
// and, while ctx lasts, tries to have it co-signed. It returns the *BrokenError
// of a broken log. Only the first call does anything.
func (l *Log) Close(ctx context.Context) error {
	l.closed.Do(func() { l.result = l.close(ctx) })
	return l.result
}

func (l *Log) close(ctx context.Context) error {
	l.committer.close()
	l.stop()
	l.background.Wait()
	if l.Err() == nil {
		// Nothing else runs any more: the same steps as ever, from this goroutine.
		if _, err := l.signer.step(context.WithoutCancel(ctx)); err != nil {
			l.fail(err)
		}
	}
	if l.Err() == nil && l.witnessing.cosigner != nil {
		if err := l.witnessing.step(ctx); breaks(err) {
			l.fail(err)
		} else if err != nil {
			l.options.Logger.Warn("audit log: the last head is not witnessed yet; it will be with the next one", "error", err)
		}
	}
	l.tiles.close()
	l.metrics.unregister()
	return errors.Join(l.Err(), l.lock.Close())
}
