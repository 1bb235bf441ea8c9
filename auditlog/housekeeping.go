package auditlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"shiguan/auditlog/record"
)

// keepEvery is how often the log looks whether a new day has begun.
const keepEvery = time.Minute

// housekeep opens a key period each day and writes heartbeats, until ctx ends.
func (l *Log) housekeep(ctx context.Context) {
	every := keepEvery
	if l.options.Heartbeat > 0 {
		every = min(every, l.options.Heartbeat)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	quietSince, size := time.Now(), l.committer.durable.Load()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.done:
			return
		case <-tick.C:
		}
		if now := l.committer.durable.Load(); now != size {
			quietSince, size = time.Now(), now
		}
		err := l.keepPeriod()
		if err == nil && l.options.Heartbeat > 0 && time.Since(quietSince) >= l.options.Heartbeat {
			err = l.heartbeat()
		}
		if err != nil && !errors.Is(err, ErrClosed) && !errors.Is(err, ErrBroken) {
			l.fail(err)
		}
	}
}

// keepPeriod opens a new key period if the day is another one than when the
// present one was opened.
func (l *Log) keepPeriod() error {
	now := l.options.now()
	if now.YearDay() == l.periodDay {
		return nil
	}
	if err := l.openPeriod(l.sealer.Load().Period()+1, now); err != nil {
		return fmt.Errorf("opening the day's key period: %w", err)
	}
	return nil
}

// heartbeat puts on record that nothing happened and the log still runs.
func (l *Log) heartbeat() error {
	r, err := l.appendRecord(l.sealer.Load(), &record.Record{Kind: record.KindHeartbeat, Time: l.options.now(), Origin: l.options.Origin})
	if err != nil {
		return err
	}
	return r.Wait()
}
