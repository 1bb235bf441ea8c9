package proxy

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"shiguan/policy/sql"
)

// database is one upstream database with what the proxy knows of its catalogue.
type database struct {
	Database
	log     *slog.Logger
	timeout time.Duration

	known atomic.Pointer[sql.Catalogue]
	dirty atomic.Bool // a change is known of that known does not show
	cache *sql.Cache  // what texts touch

	waitMu  sync.Mutex
	waiting []func(loaded) // who wants a fresh catalogue
	loading bool           // somebody fetches it for them

	mu    sync.Mutex // one load at a time
	conn  *pgx.Conn
	print string // fingerprint of what known was loaded from
}

const (
	cachedAnalyses = 64 << 20 // bytes
	pollCatalogue  = 2 * time.Second
)

func newDatabase(d Database, timeout time.Duration, log *slog.Logger) *database {
	db := &database{Database: d, log: log, timeout: timeout, cache: sql.NewCache(cachedAnalyses)}
	db.dirty.Store(true)
	return db
}

// stale says that the catalogue has changed. The next decision waits for the new one.
func (d *database) stale() { d.dirty.Store(true) }

// fresh is a catalogue that shows every change known of, or nil when there is none at hand.
func (d *database) fresh() *sql.Catalogue {
	if cat := d.known.Load(); cat != nil && !d.dirty.Load() {
		return cat
	}
	return nil
}

// request has told called, from another goroutine, with a catalogue that shows every change known of when it was asked for.
func (d *database) request(told func(loaded)) {
	d.waitMu.Lock()
	defer d.waitMu.Unlock()
	d.waiting = append(d.waiting, told)
	if !d.loading {
		d.loading = true
		go d.tellWaiting()
	}
}

// tellWaiting loads the catalogue for those who wait, until nobody does. Who comes during a load may know of a change that
// it does not show, and waits for the next.
func (d *database) tellWaiting() {
	for {
		d.waitMu.Lock()
		now := d.waiting
		d.waiting = nil
		d.loading = len(now) > 0
		d.waitMu.Unlock()
		if len(now) == 0 {
			return
		}
		var got loaded
		got.cat, got.err = d.current(context.Background())
		for _, told := range now {
			told(got)
		}
	}
}

// catalogue is what the message at hand is judged by. Where it must be read first the error is errWait, and where that has
// failed already, what it failed with.
func (c *conn) catalogue() (*sql.Catalogue, error) {
	if c.loaded.cat != nil || c.loaded.err != nil {
		return c.loaded.cat, c.loaded.err
	}
	if cat := c.db.fresh(); cat != nil {
		return cat, nil
	}
	c.loading = true
	c.db.request(func(got loaded) {
		c.loop.post(func() {
			c.loading, c.loaded = false, got
			c.Ready()
		})
	})
	return nil, errWait
}

// current is a catalogue that shows every change known of. It fails closed: without one, nothing is decided.
func (d *database) current(ctx context.Context) (*sql.Catalogue, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if cat := d.fresh(); cat != nil {
		return cat, nil
	}
	return d.loadLocked(ctx)
}

// loadLocked reads the catalogue. Changes that come meanwhile mark it dirty again.
func (d *database) loadLocked(ctx context.Context) (*sql.Catalogue, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	d.dirty.Store(false)
	cat, print, err := d.readLocked(ctx)
	if err != nil {
		d.dirty.Store(true)
		d.hangUpLocked()
		return nil, err
	}
	if old := d.known.Load(); old != nil && old.Version() == cat.Version() {
		d.print = print
		return old, nil // the same content: verdicts stay valid
	}
	d.print = print
	d.known.Store(cat)
	d.cache.Purge()
	return cat, nil
}

func (d *database) readLocked(ctx context.Context) (*sql.Catalogue, string, error) {
	for attempt := 0; ; attempt++ {
		fresh := d.conn == nil || d.conn.IsClosed()
		if fresh {
			if err := d.dialLocked(ctx); err != nil {
				return nil, "", err
			}
		}
		print, err := sql.Fingerprint(ctx, d.conn)
		if err == nil {
			var cat *sql.Catalogue
			if cat, err = sql.Load(ctx, d.conn); err == nil {
				return cat, print, nil
			}
		}
		d.hangUpLocked()
		if fresh || attempt > 0 {
			return nil, "", err
		}
	}
}

// dialLocked opens the proxy's own session: its settings come from nobody but us.
func (d *database) dialLocked(ctx context.Context) error {
	r, err := d.route(d.CatalogueUser, d.Catalogue, d.timeout)
	if err != nil {
		return err
	}
	r.RuntimeParams["search_path"] = "pg_catalog"
	r.RuntimeParams["application_name"] = "shiguan catalogue"
	d.conn, err = pgx.ConnectConfig(ctx, r.ConnConfig)
	return err
}

func (d *database) hangUpLocked() {
	if d.conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		d.conn.Close(ctx)
		d.conn = nil
	}
}

// watch polls for changes made behind the proxy's back, until ctx ends.
func (d *database) watch(ctx context.Context) {
	tick := time.NewTimer(pollCatalogue)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			d.mu.Lock()
			d.hangUpLocked()
			d.mu.Unlock()
			return
		case <-tick.C:
			began := time.Now()
			if err := d.poll(ctx); err != nil && !errors.Is(err, context.Canceled) {
				d.log.Warn("catalogue cannot be read; statements are refused until it can", "database", d.Name, "err", err)
			}
			// While it reads, the server must keep what others delete: it does so a tenth of the time at most.
			tick.Reset(max(pollCatalogue, 9*time.Since(began)))
		}
	}
}

func (d *database) poll(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known.Load() == nil || d.dirty.Load() {
		_, err := d.loadLocked(ctx)
		return err
	}
	short, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	print, err := "", errors.New("not connected")
	if d.conn != nil && !d.conn.IsClosed() {
		print, err = sql.Fingerprint(short, d.conn)
	}
	if err != nil || print != d.print {
		d.dirty.Store(true)
		_, err = d.loadLocked(ctx)
	}
	return err
}
