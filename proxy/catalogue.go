package proxy

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
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
	cache *lru.Cache[string, *sql.Analysis]

	mu    sync.Mutex // one load at a time
	conn  *pgx.Conn
	print string // fingerprint of what known was loaded from
}

const (
	cachedTexts   = 8192
	cachedTextMax = 8 << 10 // bytes of a text worth keeping
	pollCatalogue = 2 * time.Second
)

func newDatabase(d Database, timeout time.Duration, log *slog.Logger) *database {
	cache, _ := lru.New[string, *sql.Analysis](cachedTexts) // fails only for a size below one
	db := &database{Database: d, log: log, timeout: timeout, cache: cache}
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
	cfg, err := d.config(d.CatalogueUser, d.CataloguePass)
	if err != nil {
		return err
	}
	cfg.RuntimeParams["search_path"] = "pg_catalog"
	cfg.RuntimeParams["application_name"] = "shiguan catalogue"
	d.conn, err = pgx.ConnectConfig(ctx, cfg)
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

// config is how to reach the server as one of its roles.
func (d *database) config(user, password string) (*pgx.ConnConfig, error) {
	cfg, err := pgx.ParseConfig("sslmode=disable")
	if err != nil {
		return nil, err
	}
	cfg.Host, cfg.Port, cfg.Database, cfg.User, cfg.Password = d.Host, d.Port, d.DBName, user, password
	cfg.Fallbacks, cfg.TLSConfig, cfg.ConnectTimeout = nil, nil, d.timeout
	cfg.RuntimeParams = map[string]string{}
	return cfg, nil
}

// watch polls for changes made behind the proxy's back, until ctx ends.
func (d *database) watch(ctx context.Context) {
	tick := time.NewTicker(pollCatalogue)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			d.mu.Lock()
			d.hangUpLocked()
			d.mu.Unlock()
			return
		case <-tick.C:
			if err := d.poll(ctx); err != nil && !errors.Is(err, context.Canceled) {
				d.log.Warn("catalogue cannot be read; statements are refused until it can", "database", d.Name, "err", err)
			}
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

// analyse returns what a text touches, from the cache where nothing but text and catalogue matters.
func (d *database) analyse(text string, cat *sql.Catalogue, env sql.Env) (*sql.Analysis, error) {
	key := ""
	if len(text) <= cachedTextMax {
		key = cacheKey(text, env)
		if a, ok := d.cache.Get(key); ok && a.Catalogue == cat {
			return a, nil
		}
	}
	a, err := sql.Analyse(text, cat, env)
	if err == nil && key != "" && !dependsOnNames(a) {
		d.cache.Add(key, a)
	}
	return a, err
}

func cacheKey(text string, env sql.Env) string {
	n := len(text) + len(env.Role) + len(env.TempSchema) + 3 + 4*len(env.ParamTypes)
	for _, s := range env.SearchPath {
		n += len(s) + 1
	}
	b := make([]byte, 0, n)
	b = append(append(b, env.Role...), 0)
	b = append(append(b, env.TempSchema...), 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(env.ParamTypes)))
	for _, t := range env.ParamTypes {
		b = binary.BigEndian.AppendUint32(b, t)
	}
	for _, s := range env.SearchPath {
		b = append(append(b, s...), 0)
	}
	return string(append(append(b, 0), text...))
}

// dependsOnNames reports that the meaning depends on statements or cursors that the session named earlier.
func dependsOnNames(a *sql.Analysis) bool {
	for i := range a.Statements {
		for s := &a.Statements[i]; s != nil; s = s.Inner {
			switch s.Verb {
			case sql.Execute, sql.Fetch:
				return true
			}
		}
	}
	return false
}
