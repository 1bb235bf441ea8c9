package auditlog

import (
	"errors"
	"sync/atomic"
	"time"
)

// batch is a run of records that are written and synced together. Appenders
// fill it under the committer's lock; once taken its frames belong to the
// leader until its fate is decided.
type batch struct {
	by     *committer
	first  uint64    // index of its first record
	count  uint64    // records in it
	bytes  int64     // in parts and buf
	parts  [][]byte  // whole parts, in order, before buf
	buf    []byte    // the part that still grows
	oldest time.Time // when its first record came

	waiters int           // who are in turn; guarded by the committer's lock
	tell    []func(error) // who wants to be told; guarded by the committer's lock
	// turn has one value, for the waiter who is to lead, while the batch is
	// pending; it is closed when the fate is decided.
	turn chan struct{}

	fate atomic.Uint32
	err  error // why it failed; set before fate, nil if durable
}

// The fates of a batch.
const (
	undecided = iota
	isDurable
	hasFailed
)

func newBatch(c *committer, first uint64) *batch {
	return &batch{by: c, first: first, turn: make(chan struct{}, 1)}
}

// add puts a frame at the end. A large one is taken over instead of copied, so
// that the lock is not held for long.
func (b *batch) add(frame []byte) {
	b.count++
	b.bytes += int64(len(frame))
	if len(frame) < largeFrame {
		b.buf = append(b.buf, frame...)
		return
	}
	if len(b.buf) > 0 {
		b.parts = append(b.parts, b.buf)
		b.buf = nil
	}
	b.parts = append(b.parts, frame)
}

// decide makes the fate known to all who wait. Those who want to be told are by
// the function that it returns, which wants no lock held. It needs the lock.
func (b *batch) decide(err error) (tell func()) {
	b.err = err
	if err == nil {
		b.fate.Store(isDurable)
	} else {
		b.fate.Store(hasFailed)
	}
	close(b.turn)
	told := b.tell
	b.tell = nil
	return func() {
		for _, f := range told {
			f(err)
		}
	}
}

// Receipt stands for one appended record. It is a small value, copied freely
// and used from any goroutine. What it vouches for it vouches for only after
// Wait returned nil, or State said that the record is durable.
//
// There are three ways to learn of it. Wait is for a goroutine with nothing else
// to do, and for an event loop on a disk so fast that waiting beside it costs
// more (see Log.SyncTime); it makes everything durable that was appended until
// then. Notify is for an event loop on a slower disk. State is for who comes by
// anyhow. Without any of them the record becomes durable within milliseconds.
type Receipt struct {
	index uint64
	batch *batch
}

var errNoReceipt = errors.New("the zero receipt stands for no record: nothing was appended")

// Index returns the record's index, which is also its leaf's index in the
// tree. The index of a record that never became durable may be given again.
func (r Receipt) Index() uint64 { return r.index }

// Wait makes the record durable and returns nil, or returns a *BrokenError when
// the log is broken. The calling goroutine writes and syncs all that is pending
// unless another does so already. It returns immediately once the fate of the
// record is known.
func (r Receipt) Wait() error {
	if r.batch == nil {
		return errNoReceipt
	}
	if r.batch.fate.Load() != undecided {
		return r.batch.err
	}
	return r.batch.by.wait(r.batch)
}

// State reports what is known of the record, and never blocks: durable, or the
// error that Wait would return, or neither as long as its fate is open.
func (r Receipt) State() (durable bool, err error) {
	if r.batch == nil {
		return false, errNoReceipt
	}
	switch r.batch.fate.Load() {
	case isDurable:
		return true, nil
	case hasFailed:
		return false, r.batch.err
	}
	return false, nil
}

// Notify has f called, once, with what Wait would return: in this goroutine
// before Notify returns if that is known, else later in another. A goroutine of
// the log sees to it that it comes soon. f must not block: others wait for whoever
// calls it. It may use receipts' State and Index. One call for the last of many
// records is enough for all of them; they become durable in order.
func (r Receipt) Notify(f func(error)) {
	switch durable, err := r.State(); {
	case durable || err != nil:
		f(err)
	default:
		r.batch.by.notify(r.batch, f)
	}
}
