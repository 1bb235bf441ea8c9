package auditlog

import (
	"errors"
	"sync/atomic"
	"time"
)

// batch is a run of records that are written and synced together. Appenders
// fill it under the writer's lock; once taken it belongs to the writer
// goroutine until done is closed.
type batch struct {
	first  uint64    // index of its first record
	count  uint64    // records in it
	bytes  int64     // in parts and buf
	parts  [][]byte  // whole parts, in order, before buf
	buf    []byte    // the part that still grows
	oldest time.Time // when its first record came

	done chan struct{} // closed when durable or failed
	ok   atomic.Bool   // durable; set before done is closed
	err  error         // why not; set before done is closed, nil if ok
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

func (b *batch) finish(err error) {
	b.err = err
	b.ok.Store(err == nil)
	close(b.done)
}

// Receipt stands for one appended record. It is a small value, copied freely
// and used from any goroutine. What it vouches for it vouches for only after
// Wait returned nil or Durable true.
type Receipt struct {
	index uint64
	batch *batch
}

var errNoReceipt = errors.New("the zero receipt stands for no record: nothing was appended")

// Index returns the record's index, which is also its leaf's index in the
// tree. The index of a record that never became durable may be given again.
func (r Receipt) Index() uint64 { return r.index }

// Wait blocks until the record is durable and returns nil, or until the log is
// broken and returns a *BrokenError. It returns immediately once that is known.
func (r Receipt) Wait() error {
	if r.batch == nil {
		return errNoReceipt
	}
	<-r.batch.done
	return r.batch.err
}

// Durable reports whether Wait would return nil at once.
func (r Receipt) Durable() bool { return r.batch != nil && r.batch.ok.Load() }

// Settled is closed when the record's fate is known: Wait does not block from
// then on. It is nil for the zero receipt.
func (r Receipt) Settled() <-chan struct{} {
	if r.batch == nil {
		return nil
	}
	return r.batch.done
}
