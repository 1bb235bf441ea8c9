package investigation

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"shiguan/auditlog"
	"shiguan/auditlog/record"
	"shiguan/auditlog/search"
	"shiguan/auditlog/tiles"
)

// ErrNoRecord says that the log holds no record with this index.
var ErrNoRecord = errors.New("the log holds no record with this index")

// Options say which log is investigated, and with what. All of them are required.
type Options struct {
	Source   auditlog.Source
	Opener   *auditlog.Opener
	Index    *search.Index
	Origin   string        // the log's name; another log at Source is a contradiction
	Quorum   *tiles.Policy // whose signatures count
	Subjects *record.SubjectKey
	Zone     *time.Location
}

// Desk answers questions about one log. It is safe for concurrent use.
type Desk struct {
	Options
	tiles *tileCache

	updating  sync.Mutex // one update of the index at a time
	refreshed time.Time  // when Refresh last did its work; guarded by updating
	heads     *Heads     // what it found
	forgot    time.Time  // when the opener last forgot its keys; guarded by updating
}

// New opens a desk. The desk owns the index: Close closes it.
func New(o Options) *Desk {
	return &Desk{Options: o, tiles: newTileCache(o.Source)}
}

// Close closes the search index.
func (d *Desk) Close() error { return d.Index.Close() }

// Update brings the index up to date with the log and returns the log's heads as they are then. progress may be nil.
func (d *Desk) Update(ctx context.Context, progress func(done, total uint64)) (*Heads, error) {
	d.updating.Lock()
	defer d.updating.Unlock()
	return d.updateLocked(ctx, progress)
}

func (d *Desk) updateLocked(ctx context.Context, progress func(done, total uint64)) (*Heads, error) {
	if err := d.Index.Update(ctx, d.Source, d.Opener, progress); err != nil {
		return nil, indexError(err)
	}
	// Read after the index: every record it proposes is below the durable size then.
	return d.Heads(ctx)
}

// indexError marks what the index found contradictory in the log, and leaves what merely could not be read.
func indexError(err error) error {
	var diverged *search.DivergedError
	var other *search.OtherLogError
	if errors.As(err, &diverged) || errors.As(err, &other) {
		return &ContradictionError{"the log is not the one that the search index was built from", err}
	}
	return fmt.Errorf("bringing the search index up to date: %w", err)
}

const (
	// refreshEvery bounds how often pages that refresh themselves make the index be brought up to date.
	refreshEvery = time.Second
	// forgetEvery bounds how long a process that stays can still open the records of a period after its key was destroyed.
	forgetEvery = time.Minute
)

// Refresh is Update for pages: calls within a second of each other share one update.
func (d *Desk) Refresh(ctx context.Context) (*Heads, error) {
	d.updating.Lock()
	defer d.updating.Unlock()
	if d.heads != nil && time.Since(d.refreshed) < refreshEvery {
		return d.heads, nil
	}
	if time.Since(d.forgot) > forgetEvery {
		d.Opener.Forget()
		d.forgot = time.Now()
	}
	heads, err := d.updateLocked(ctx, nil)
	if err != nil {
		return nil, err
	}
	d.heads, d.refreshed = heads, time.Now()
	return heads, nil
}
