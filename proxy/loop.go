package proxy

import (
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"shiguan/auditlog"
	"shiguan/proxy/auth"
	"shiguan/proxy/poll"
	"shiguan/proxy/wire"
)

// loop is one goroutine that serves many sessions, which are all its own. In each turn it
//
//  1. waits until something can be done, for any of them;
//  2. reads, decides and answers for each session called, as far as that goes without waiting; records are appended;
//  3. sends what needs no record that is not durable yet: the servers get to work;
//  4. makes the turn's records durable, with one sync for all of them;
//  5. sends what waited for that.
//
// A crash before 4 leaves records that nobody has heard of, and statements that changed nothing. On a disk whose sync takes
// so long that everybody would wait for it, 4 is done beside the loop, and 5 in the turn after.
type loop struct {
	poller  *poll.Poller
	log     *slog.Logger
	records *auditlog.Log
	ended   chan struct{}

	mu     sync.Mutex
	posted []func()
	awake  bool // it will look at posted without being woken

	sessions  map[*conn]struct{}
	called    []*conn // to be served in this turn, or the next
	blocked   []*conn // that wait for records
	unblocked []*conn // scratch
	parting   []*conn // with a deadline, the earliest first
	due       []func()
	newest    auditlog.Receipt // of the records of this loop
	appended  bool             // since the last commit
	syncing   bool             // a commit beside the loop is under way
	stopped   bool

	buffers [][]byte // for outboxes; an idle session has none
	scratch []byte
}

func newLoop(s *Server) (*loop, error) {
	p, err := poll.New()
	if err != nil {
		return nil, err
	}
	return &loop{poller: p, log: s.log, records: s.opt.Log, ended: make(chan struct{}), sessions: map[*conn]struct{}{}, scratch: make([]byte, 32<<10)}, nil
}

// post has the loop do something, soon and in the order in which it was posted. Any goroutine may call it.
func (l *loop) post(f func()) {
	l.mu.Lock()
	l.posted = append(l.posted, f)
	wake := !l.awake
	l.awake = true
	l.mu.Unlock()
	if wake {
		l.poller.Wake()
	}
}

// stop ends the loop, whose sessions have ended.
func (l *loop) stop() { l.post(func() { l.stopped = true }) }

// run is the loop.
func (l *loop) run() {
	defer close(l.ended)
	var served []*conn
	for !l.stopped {
		l.wait()
		served, l.called = l.called, served[:0]
		for _, c := range served {
			c.called = false
			c.guard(c.serve)
		}
		for _, c := range served {
			l.send(c)
		}
		l.commit()
		clear(served)
	}
	l.poller.Close()
}

// send has a session send what it may, and remembers it if there is more that waits for records.
func (l *loop) send(c *conn) {
	c.guard(c.send)
	if !c.blocked && !c.ended && c.waitsForRecords() {
		c.blocked = true
		l.blocked = append(l.blocked, c)
	}
}

// wait returns when a session was called or something posted.
func (l *loop) wait() {
	timeout := poll.Forever
	if len(l.parting) > 0 {
		timeout = max(0, time.Until(l.parting[0].deadline))
	}
	l.mu.Lock()
	if len(l.called) > 0 || len(l.posted) > 0 {
		timeout = 0
	} else {
		l.awake = false
	}
	l.mu.Unlock()
	if err := l.poller.Wait(timeout); err != nil {
		l.log.Error("the proxy cannot wait for its connections", "err", err) // a fault of ours: it cannot happen
		time.Sleep(10 * time.Millisecond)
	}
	l.mu.Lock()
	l.awake = true
	l.due, l.posted = l.posted, l.due[:0]
	l.mu.Unlock()
	for i, f := range l.due {
		f()
		l.due[i] = nil
	}
	for len(l.parting) > 0 && (l.parting[0].ended || !time.Now().Before(l.parting[0].deadline)) {
		c := l.parting[0]
		l.parting = l.parting[1:]
		c.guard(func() { c.end(c.farewell) })
	}
}

// slowSync is from where on it costs less to be woken after a sync than to wait for it.
const slowSync = 300 * time.Microsecond

// commit makes durable what was appended, and sends what waited for that.
func (l *loop) commit() {
	if !l.appended || l.syncing {
		return
	}
	l.appended = false
	if l.records.SyncTime() <= slowSync {
		l.sync()
		l.sendBlocked()
		return
	}
	l.syncing = true
	l.newest.Notify(func(error) {
		l.post(func() {
			l.syncing = false
			l.sendBlocked()
		})
	})
}

// sync waits for the newest record. What becomes of it the receipts tell, to each session.
func (l *loop) sync() {
	defer func() {
		if fault := recover(); fault != nil { // which has broken the log
			l.log.Error("a fault of the proxy while it committed records", "fault", fault, "stack", string(debug.Stack()))
		}
	}()
	l.newest.Wait()
}

func (l *loop) sendBlocked() {
	waited := l.blocked
	l.blocked = l.unblocked[:0]
	for _, c := range waited {
		c.blocked = false
		l.send(c)
	}
	clear(waited)
	l.unblocked = waited[:0]
}

// append notes a record of one of the loop's sessions.
func (l *loop) append(r auditlog.Receipt) { l.newest, l.appended = r, true }

// adopt takes a session over. The greeting is the first thing that its client gets, under the record of its beginning.
func (l *loop) adopt(c *conn, greeting []byte) {
	l.sessions[c] = struct{}{}
	c.guard(func() {
		err := l.poller.Watch(c.client.below.socket, c)
		if err == nil {
			err = l.poller.Watch(c.upstream.below.socket, c)
		}
		if err != nil {
			c.log.Error("a connection cannot be watched", "err", err)
			c.end("fault of the proxy")
			return
		}
		c.toClient.put(greeting, c.trail.newest())
		l.append(c.trail.newest())
		c.Ready()
	})
}

// forget strikes a session off.
func (l *loop) forget(c *conn) { delete(l.sessions, c) }

// tend looks after what happens by the clock: outcomes nobody carried, and people who may no longer log in.
func (l *loop) tend(now time.Time, people *auth.People) {
	for c := range l.sessions {
		c.guard(func() {
			c.trail.settle(now)
			if c.farewell == "" && !c.welcome(people, now) {
				c.stop(errRevoked)
			}
		})
	}
}

// drain ends idle sessions, or all, or all without a word.
func (l *loop) drain(all, atOnce bool) {
	for c := range l.sessions {
		c.guard(func() {
			switch {
			case atOnce:
				c.end("shutdown")
			case c.farewell == "" && (all || c.queue.Idle() && c.queue.Status() == wire.TxIdle):
				c.stop(errShutdown)
			}
		})
	}
}

// keptBuffers is how many buffers wait for the next that needs one.
const keptBuffers = 64

func (l *loop) takeBuffer() []byte {
	n := len(l.buffers)
	if n == 0 {
		return make([]byte, 0, 4<<10)
	}
	b := l.buffers[n-1]
	l.buffers = l.buffers[:n-1]
	return b
}

func (l *loop) giveBuffer(b []byte) {
	if cap(b) <= keepBuffer && len(l.buffers) < keptBuffers {
		l.buffers = append(l.buffers, b[:0])
	}
}
