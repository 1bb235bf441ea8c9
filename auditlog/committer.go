package auditlog

import (
	"errors"
	"fmt"
	"runtime"
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
	// lingerTime is how long a record waits for somebody who wants it durable,
	// before a goroutine of the log sees to it.
	lingerTime = 5 * time.Millisecond
	// maxYields bounds how often a leader lets others append first.
	maxYields = 10
)

// committer makes records durable. Appenders put frames into the pending batch.
// Who wants one of them durable takes the lead: takes the batch, writes and
// syncs it in its own goroutine, without a wake-up of anybody else. There is one
// leader at a time. Those who come meanwhile fill the next batch, and the first
// of them to wait leads next, for all that has gathered. What nobody waits for
// is committed by a goroutine of the log's, see tend.
type committer struct {
	fs       fileSystem
	metrics  *metrics
	ages     *ages
	fail     func(error) error // breaks the log and returns the *BrokenError
	preparer preparer
	linger   time.Duration // lingerTime, but in tests
	yield    func()        // runtime.Gosched, but in tests

	durable atomic.Uint64 // records known to be on stable storage
	times   syncTimes

	mu       sync.Mutex
	room     sync.Cond // for room, and for the end of a lead
	pending  *batch
	leading  bool      // somebody leads, or has been told to
	expected uint64    // how many waited of late, and will append again soon
	queued   int64     // bytes in pending and in the batch being written
	writing  time.Time // oldest record of the batch being written
	spare    []byte    // a buffer for the next batch
	waiters  int       // appenders in room
	tending  bool      // the timer of tend runs; always so while records are pending
	tended   uint64    // how many records there were when tend looked last
	closed   bool
	broken   error

	timer  *time.Timer
	urgent chan struct{} // capacity 1: tend must lead now
	ending chan struct{} // closed when tend must end
	ended  chan struct{} // closed when it has

	// Of the leader alone.
	segment file
	size    int64 // of segment
	offset  int64 // where the next batch goes
}

func newCommitter(fs fileSystem, next uint64) *committer {
	c := &committer{fs: fs, linger: lingerTime, yield: runtime.Gosched, timer: time.NewTimer(lingerTime),
		urgent: make(chan struct{}, 1), ending: make(chan struct{}), ended: make(chan struct{})}
	c.timer.Stop()
	c.room.L = &c.mu
	c.durable.Store(next)
	c.pending = newBatch(c, next)
	return c
}

// add queues a frame whose body is in place and whose checksum over the body is
// body. It blocks only while maxPending bytes wait for the disk.
func (c *committer) add(frame []byte, body uint32) (Receipt, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.queued >= maxPending && c.broken == nil && !c.closed {
		c.makeRoomLocked()
	}
	switch {
	case c.broken != nil:
		return Receipt{}, c.broken
	case c.closed:
		return Receipt{}, ErrClosed
	}
	b := c.pending
	index := b.first + b.count
	putHeader(frame, body, index, b.first)
	if b.count == 0 {
		b.oldest = time.Now()
		if b.buf == nil {
			b.buf, c.spare = c.spare, nil
		}
		c.tendLocked()
	}
	b.add(frame)
	c.queued += int64(len(frame))
	return Receipt{index: index, batch: b}, nil
}

// makeRoomLocked waits for the leader, or leads.
func (c *committer) makeRoomLocked() {
	if !c.leading && c.pending.count > 0 {
		c.leadLocked()
		return
	}
	c.waiters++
	c.room.Wait()
	c.waiters--
}

// wait returns the fate of a batch, which it brings about if nobody else does.
func (c *committer) wait(b *batch) error {
	c.mu.Lock()
	if b.fate.Load() == undecided && c.leading {
		b.waiters++
		c.mu.Unlock()
		if _, mine := <-b.turn; !mine {
			return b.err
		}
		c.mu.Lock()
		c.leading = false // until leadLocked, or for good if the log broke meanwhile
		c.room.Broadcast()
	}
	defer c.mu.Unlock()
	if b.fate.Load() == undecided {
		c.leadLocked()
	}
	return b.err
}

// leadLocked commits the pending batch and gives the lead away. The lock is free
// meanwhile.
func (c *committer) leadLocked() {
	c.leading = true
	if c.gatherLocked(); c.broken != nil { // the batch has its fate
		c.leading = false
		c.room.Broadcast()
		return
	}
	b := c.pending
	c.pending = newBatch(c, b.first+b.count)
	c.writing = b.oldest
	c.mu.Unlock()
	err := errLeaderLost
	// Also when the write panics: it runs in the goroutine of a session, which
	// may survive that. The log must not, and nobody may wait for ever.
	defer func() {
		if err != nil {
			err = c.fail(fmt.Errorf("writing records %d to %d: %w", b.first, b.first+b.count-1, err))
		}
		c.metrics.wrote(b, err)
		c.settle(b, err)
		c.mu.Lock()
	}()
	err = c.write(b)
}

// gatherLocked lets others append before the batch is taken. Sessions that were
// told of the last batch are running now and about to append the next record:
// one sync for all of them costs each the least. It ends when as many have come
// as waited of late, or half the time of a sync is gone. Where one session, or an
// event loop for many, waits alone, it does nothing.
func (c *committer) gatherLocked() {
	if c.pending.count >= c.expected {
		return
	}
	start, enough := time.Now(), c.times.typical()/2
	for range maxYields {
		c.mu.Unlock()
		c.yield()
		c.mu.Lock()
		if c.pending.count >= c.expected || time.Since(start) > enough {
			return
		}
	}
}

var errLeaderLost = errors.New("a fault in the program ended the write")

// write makes a batch durable. A crash before the sync has returned leaves any
// part of the batch, in any order of its sectors, and nothing behind it:
// recovery keeps its longest valid prefix, and nobody has been told that any of
// it is durable.
func (c *committer) write(b *batch) error {
	if c.size-c.offset < b.bytes {
		if err := c.rotate(b); err != nil {
			return err
		}
	}
	at := c.offset
	for _, part := range append(b.parts, b.buf) {
		if len(part) == 0 {
			continue
		}
		if _, err := c.segment.WriteAt(part, at); err != nil {
			return err
		}
		at += int64(len(part))
	}
	start := time.Now()
	if err := c.segment.sync(); err != nil {
		return err
	}
	took := time.Since(start)
	c.metrics.synced(took)
	c.times.add(took)
	c.offset = at
	if c.offset > c.size/2 {
		c.preparer.start()
	}
	return nil
}

// rotate goes on to a new segment that begins with the batch.
func (c *committer) rotate(b *batch) (err error) {
	var next file
	from, size := nextSegment, c.preparer.bytes
	if b.bytes > size {
		from, size = ownSegment, b.bytes
		next, err = makeZeroed(c.fs, from, size)
	} else {
		next, err = c.preparer.take()
	}
	if err != nil {
		return fmt.Errorf("making a segment for records from %d: %w", b.first, err)
	}
	// A crash until here leaves a temporary file, which Open removes.
	if err := installSegment(c.fs, from, b.first); err != nil {
		return errors.Join(err, next.Close())
	}
	// A crash from here on leaves an empty segment with the name of the next
	// record, which recovery takes for what it is.
	old := c.segment
	c.segment, c.size, c.offset = next, size, 0
	return old.Close() // everything in it was synced
}

// installSegment gives a prepared segment its name, durably.
func installSegment(fs fileSystem, from string, first uint64) error {
	if err := fs.rename(from, segmentName(first)); err != nil {
		return err
	}
	return fs.syncDir(segmentDir)
}

// settle says what became of a batch, and who leads next.
func (c *committer) settle(b *batch, err error) {
	if err == nil {
		c.ages.add(b.first, b.oldest)
		c.durable.Store(b.first + b.count)
	}
	c.mu.Lock()
	c.queued -= b.bytes
	c.writing = time.Time{}
	if c.spare == nil && cap(b.buf) <= maxSpare {
		c.spare = b.buf[:0]
	}
	b.buf, b.parts = nil, nil
	tell := b.decide(err)
	next := c.pending
	c.expected = uint64(1 + b.waiters + next.waiters)
	switch {
	case c.broken == nil && next.waiters > 0:
		next.turn <- struct{}{} // there is room: this happens once a batch
	case c.broken == nil && len(next.tell) > 0:
		c.leading = false
		c.hurry()
	default:
		c.leading = false
	}
	if c.waiters > 0 {
		c.room.Broadcast()
	}
	c.mu.Unlock()
	tell()
}

// abort fails everything that is not durable yet. The batch being written
// fails or not as its write does.
func (c *committer) abort(err error) {
	c.mu.Lock()
	if c.broken != nil {
		c.mu.Unlock()
		return
	}
	c.broken = err
	tell := c.pending.decide(err)
	c.room.Broadcast()
	c.mu.Unlock()
	tell()
}

// close takes no more records, and returns when those that are queued have their
// fate and nothing of the committer runs any more.
func (c *committer) close() {
	c.mu.Lock()
	c.closed = true
	c.room.Broadcast()
	for c.leading || c.pending.count > 0 && c.broken == nil {
		c.makeRoomLocked()
	}
	c.mu.Unlock()
	close(c.ending)
	<-c.ended
	c.preparer.stop()
	c.segment.Close() // everything in it was synced, or the log is broken
}

// oldestWaiting is when the oldest record came that is not durable yet.
func (c *committer) oldestWaiting() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.writing.IsZero() {
		return c.writing
	}
	if c.pending.count > 0 {
		return c.pending.oldest
	}
	return time.Time{}
}
