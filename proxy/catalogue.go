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

// current is a catalogue that shows every change known of. It fails closed: without one, nothing is decided.
func (d *database) current(ctx context.Context) (*sql.Catalogue, error) {
	if cat := d.known.Load(); cat != nil && !d.dirty.Load() {
		return cat, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if cat := d.known.Load(); cat != nil && !d.dirty.Load() {
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
