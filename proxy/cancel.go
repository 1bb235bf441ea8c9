package proxy

import (
	"context"
	"crypto/subtle"
	"time"

	"shiguan/auditlog/record"
	"shiguan/proxy/wire"
)

// cancelRequest cancels what the session with this key is doing, and nothing of any other. The client is not answered.
func (s *Server) cancelRequest(r wire.CancelRequest) {
	s.mu.Lock()
	c := s.keys[r.PID]
	s.mu.Unlock()
	if c == nil || subtle.ConstantTimeCompare(c.key.secret[:], r.Key) != 1 {
		s.metrics.cancels.WithLabelValues("unknown").Inc()
		return
	}
	if c.deliverCancel() {
		s.metrics.cancels.WithLabelValues("delivered").Inc()
	} else {
		s.metrics.cancels.WithLabelValues("idle").Inc()
	}
}

// deliverCancel passes a cancel on while a statement is under way. Nothing new is sent to the server until the server has
// taken it, or it might hit the next statement.
func (c *conn) deliverCancel() bool {
	if !c.cancelling.CompareAndSwap(false, true) {
		return false // one is under way already; another would do nothing more
	}
	defer c.cancelling.Store(false)
	if c.lockBusy() {
		defer c.busy.Unlock()
	}
	if c.queue.Idle() {
		return false
	}
	receipt, err := c.trail.fact(record.KindCancel, func(*record.Record) {})
	if err != nil || receipt.Wait() != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.srv.limits.ConnectTimeout)
	defer cancel()
	nc, err := c.route.again(ctx)
	if err != nil {
		c.log.Warn("cancel request could not be delivered", "err", err)
		return false
	}
	defer nc.Close()
	if _, err := nc.Write(wire.AppendCancelRequest(nil, c.serverPID, c.serverKey)); err != nil {
		return false
	}
	nc.Read(make([]byte, 1)) // the server closes once it has signalled
	return true
}

// lockBusy takes the lock, unless it is held for so long that the client's goroutine must be stuck in a write: then the
// server is not reading, and what a cancel will hit is what keeps it from doing so.
func (c *conn) lockBusy() bool {
	for until := time.Now().Add(cancelPatience); !c.busy.TryLock(); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			return false
		}
	}
	return true
}

const cancelPatience = time.Second
