package auditlog

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxPending bounds what waits for the disk; Append blocks beyond it.
	maxPending = 64 << 20
	// largeFrame is from where on a frame is not copied into the batch.
	largeFrame = 256 << 10
	// maxSpare bounds the buffer kept from batch to batch.
	maxSpare = 4 << 20
)

// writer makes records durable. Appenders put frames into the pending batch
// under mu; one goroutine takes the batch, writes and syncs it.
type writer struct {
	fs       fileSystem
	metrics  *metrics
	ages     *ages
	fail     func(error) error // breaks the log and returns the *BrokenError
	preparer preparer

	durable atomic.Uint64 // records known to be on stable storage

	mu       sync.Mutex
	wake     sync.Cond // the writer waits here for work
	room     sync.Cond // appenders wait here for room
	pending  *batch
	queued   int64     // bytes in pending and in the batch being written
	writing  time.Time // oldest record of the batch being written
	spare    []byte    // a buffer for the next batch
	idle     bool      // the writer waits in wake
	waiters  int       // appenders in room
	closed   bool
	broken   error
	finished chan struct{} // closed when the goroutine has ended

	// Of the writer goroutine alone.
	segment file
	size    int64 // of segment
	offset  int64 // where the next batch goes
}

func newWriter(fs fileSystem, next uint64) *writer {
	w := &writer{fs: fs, finished: make(chan struct{})}
	w.wake.L, w.room.L = &w.mu, &w.mu
	w.durable.Store(next)
	w.pending = &batch{first: next, done: make(chan struct{})}
	return w
}

// add queues a frame whose body is in place and whose checksum over the body is
// body. It blocks only while maxPending bytes wait for the disk.
func (w *writer) add(frame []byte, body uint32) (Receipt, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.queued >= maxPending && w.broken == nil && !w.closed {
		w.waiters++
		w.room.Wait()
		w.waiters--
	}
	switch {
	case w.broken != nil:
		return Receipt{}, w.broken
	case w.closed:
		return Receipt{}, ErrClosed
	}
	b := w.pending
	index := b.first + b.count
	putHeader(frame, body, index, b.first)
	if b.count == 0 {
		b.oldest = time.Now()
		if b.buf == nil {
			b.buf, w.spare = w.spare, nil
		}
	}
	b.add(frame)
	w.queued += int64(len(frame))
	if w.idle {
		w.idle = false
		w.wake.Signal()
	}
	return Receipt{index: index, batch: b}, nil
}

// run is the writer goroutine. It ends when the writer is closed and empty, or
// the log is broken.
func (w *writer) run() {
	defer close(w.finished)
	defer w.preparer.stop()
	for {
		b := w.take()
		if b == nil {
			w.segment.Close() // everything in it was synced
			return
		}
		err := w.write(b)
		if err != nil {
			err = w.fail(fmt.Errorf("writing records %d to %d: %w", b.first, b.first+b.count-1, err))
		}
		w.metrics.wrote(b, err)
		w.settle(b, err)
		if err != nil {
			w.segment.Close()
			return
		}
	}
}

// take waits for a batch, or returns nil at the end.
func (w *writer) take() *batch {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.pending.count == 0 && !w.closed && w.broken == nil {
		w.idle = true
		w.wake.Wait()
	}
	w.idle = false
	if w.pending.count == 0 || w.broken != nil {
		return nil
	}
	b := w.pending
	w.pending = &batch{first: b.first + b.count, done: make(chan struct{})}
	w.writing = b.oldest
	return b
}

// write makes a batch durable. A crash before the sync has returned leaves any
// part of the batch, in any order of its sectors, and nothing behind it:
// recovery keeps its longest valid prefix, and nobody has been told that any of
// it is durable.
func (w *writer) write(b *batch) error {
	if w.size-w.offset < b.bytes {
		if err := w.rotate(b); err != nil {
			return err
		}
	}
	at := w.offset
	for _, part := range append(b.parts, b.buf) {
		if len(part) == 0 {
			continue
		}
		if _, err := w.segment.WriteAt(part, at); err != nil {
			return err
		}
		at += int64(len(part))
	}
	start := time.Now()
	if err := w.segment.sync(); err != nil {
		return err
	}
	w.metrics.synced(time.Since(start))
	w.offset = at
	if w.offset > w.size/2 {
		w.preparer.start()
	}
	return nil
}

// rotate goes on to a new segment that begins with the batch.
func (w *writer) rotate(b *batch) (err error) {
	var next file
	from, size := nextSegment, w.preparer.bytes
	if b.bytes > size {
		from, size = ownSegment, b.bytes
		next, err = makeZeroed(w.fs, from, size)
	} else {
		next, err = w.preparer.take()
	}
	if err != nil {
		return fmt.Errorf("making a segment for records from %d: %w", b.first, err)
	}
	// A crash until here leaves a temporary file, which Open removes.
	if err := installSegment(w.fs, from, b.first); err != nil {
		return errors.Join(err, next.Close())
	}
	// A crash from here on leaves an empty segment with the name of the next
	// record, which recovery takes for what it is.
	old := w.segment
	w.segment, w.size, w.offset = next, size, 0
	return old.Close() // everything in it was synced
}

// installSegment gives a prepared segment its name, durably.
func installSegment(fs fileSystem, from string, first uint64) error {
	if err := fs.rename(from, segmentName(first)); err != nil {
		return err
	}
	return fs.syncDir(segmentDir)
}

// settle tells the batch's receipts and makes room.
func (w *writer) settle(b *batch, err error) {
	if err == nil {
		w.ages.add(b.first, b.oldest)
		w.durable.Store(b.first + b.count)
	}
	b.finish(err)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queued -= b.bytes
	w.writing = time.Time{}
	if w.spare == nil && cap(b.buf) <= maxSpare {
		w.spare = b.buf[:0]
	}
	b.buf, b.parts = nil, nil
	if w.waiters > 0 {
		w.room.Broadcast()
	}
}

// abort fails everything that is not durable yet. The batch being written
// fails or not as its write does.
func (w *writer) abort(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken != nil {
		return
	}
	w.broken = err
	w.pending.finish(err)
	w.wake.Broadcast()
	w.room.Broadcast()
}

// close takes no more records and waits until those that are queued have their
// fate.
func (w *writer) close() {
	w.mu.Lock()
	w.closed = true
	w.wake.Broadcast()
	w.room.Broadcast()
	w.mu.Unlock()
	<-w.finished
}

// oldestWaiting is when the oldest record came that is not durable yet.
func (w *writer) oldestWaiting() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.writing.IsZero() {
		return w.writing
	}
	if w.pending.count > 0 {
		return w.pending.oldest
	}
	return time.Time{}
}
