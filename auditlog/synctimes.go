package auditlog

import (
	"slices"
	"sync/atomic"
	"time"
)

// syncTimes remembers how long the last syncs took. add belongs to the leader;
// typical is for everybody.
type syncTimes struct {
	last   [9]time.Duration
	n      int
	median atomic.Int64
}

// add takes one more time. The median of a few is not moved by one that was
// extraordinary, and follows a disk that has become another within ten syncs.
func (t *syncTimes) add(took time.Duration) {
	t.last[t.n%len(t.last)] = took
	t.n++
	sorted := t.last
	known := sorted[:min(t.n, len(sorted))]
	slices.Sort(known)
	t.median.Store(int64(known[len(known)/2]))
}

func (t *syncTimes) typical() time.Duration { return time.Duration(t.median.Load()) }
