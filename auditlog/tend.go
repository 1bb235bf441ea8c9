package auditlog

import "time"

// tend is the goroutine that makes durable what nobody waits for: at once when a
// batch is to be told of by Notify, and else after a while. It does nothing
// while the log is idle, and next to nothing while others lead.
func (c *committer) tend() {
	defer close(c.ended)
	for {
		select {
		case <-c.ending:
			return
		case <-c.urgent:
			c.mu.Lock()
		case <-c.timer.C:
			c.mu.Lock()
			c.tending = false
		}
		b := c.pending
		late := b.count > 0 && (len(b.tell) > 0 || time.Since(b.oldest) >= c.linger)
		if late && !c.leading && c.broken == nil {
			c.leadLocked()
		}
		// While records come it goes on looking: to set the timer costs the one who
		// appends more than it costs us to look for nothing.
		records := c.pending.first + c.pending.count
		if (c.pending.count > 0 || records != c.tended) && c.broken == nil {
			c.tendLocked()
		}
		c.tended = records
		c.mu.Unlock()
	}
}

// tendLocked makes tend look after a while.
func (c *committer) tendLocked() {
	if !c.tending {
		c.tending = true
		c.timer.Reset(c.linger)
	}
}

// hurry makes tend look now. It never blocks.
func (c *committer) hurry() {
	select {
	case c.urgent <- struct{}{}:
	default: // it will look anyhow
	}
}

// notify has f called with the fate of a batch, which tend brings about if
// nobody else does.
func (c *committer) notify(b *batch, f func(error)) {
	c.mu.Lock()
	if b.fate.Load() == undecided {
		b.tell = append(b.tell, f)
		if !c.leading {
			c.hurry()
		}
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	f(b.err)
}
