package proxy

import (
	"context"
	"crypto/subtle"

	"shiguan/auditlog"
	"shiguan/auditlog/record"
	"shiguan/proxy/wire"
)

// cancelRequest cancels what the session with this key is doing, and nothing of any other. The client is not answered.
func (s *Server) cancelRequest(r wire.CancelRequest) {
	s.mu.Lock()
	c := s.keys[r.PID]
	s.mu.Unlock()
	if c == nil || subtle.ConstantTimeCompare(c.key.secret, r.Key) != 1 {
		s.metrics.cancels.WithLabelValues("unknown").Inc()
		return
	}
	told := make(chan bool, 1)
	c.loop.post(func() { c.guard(func() { c.askCancel(func(delivered bool) { told <- delivered }) }) })
	result := "idle"
	select {
	case delivered := <-told:
		if delivered {
			result = "delivered"
		}
	case <-c.loop.ended:
	}
	s.metrics.cancels.WithLabelValues(result).Inc()
}

// askCancel passes a cancel on while a statement is under way, once the server has been sent what waits for its record.
// told hears, in the session's loop, whether it was delivered.
func (c *conn) askCancel(told func(delivered bool)) {
	if c.cancel != nil || c.stopping || c.farewell != "" || c.ended || c.queue.Idle() {
		told(false) // where one is under way, another would do nothing more
		return
	}
	c.cancel = told
	c.Ready()
}

// deliverCancel puts the cancel on record and hands it to the server. Nothing new is sent to the server until the server
// has taken it, or it might hit the next statement.
func (c *conn) deliverCancel() {
	told := c.cancel
	c.cancel = nil
	receipt, err := c.trail.fact(record.KindCancel, func(*record.Record) {})
	if err != nil {
		told(false)
		return
	}
	c.stopping = true
	c.srv.wg.Go(func() {
		delivered := c.carryCancel(receipt)
		c.loop.post(func() {
			c.stopping = false
			c.Ready()
			c.guard(func() { told(delivered) })
		})
	})
}

// carryCancel runs in a goroutine of its own and touches nothing of the session that changes.
func (c *conn) carryCancel(receipt auditlog.Receipt) bool {
	if receipt.Wait() != nil {
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
