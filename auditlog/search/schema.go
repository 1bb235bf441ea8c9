package search

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// schemaVersion is SQLite's user_version of an index file. Any change of the schema or of what is put in it counts up; a
// file with another version is not migrated but built again.
const schemaVersion = 1

// Names are those of record.Record where they mean the same. Every statement record and every refused login has a row in
// statements; idx is its leaf index. What later records add to it stands in the other tables, each with the period of
// the record that said it, so that it can be forgotten with that period.
const schema = `
CREATE TABLE position (
	one     INTEGER PRIMARY KEY CHECK (one = 1),
	origin  TEXT NOT NULL,
	size    INTEGER NOT NULL, -- leaves read
	hashes  BLOB NOT NULL,    -- the compact range over them: their roots from left to right
	signed  INTEGER NOT NULL, -- size and root of the last signed head that the leaves were checked under
	root    BLOB NOT NULL,
	started INTEGER NOT NULL  -- index of the last record that says that the proxy started or stopped; 0: none
);
CREATE TABLE statements (
	idx         INTEGER PRIMARY KEY,
	kind        INTEGER NOT NULL,
	period      INTEGER NOT NULL,
	time        INTEGER NOT NULL, -- Unix milliseconds
	content     INTEGER NOT NULL DEFAULT 0, -- 0 here, 1 erased, 2 unreadable; then all below is empty
	session     TEXT NOT NULL DEFAULT '',
	seq         INTEGER NOT NULL DEFAULT 0,
	person      TEXT NOT NULL DEFAULT '',
	department  TEXT NOT NULL DEFAULT '',
	position    TEXT NOT NULL DEFAULT '',
	database    TEXT NOT NULL DEFAULT '',
	client      TEXT NOT NULL DEFAULT '',
	application TEXT NOT NULL DEFAULT '',
	statement   TEXT NOT NULL DEFAULT '',
	params      TEXT NOT NULL DEFAULT '', -- text values, separated by U+001F
	tables      TEXT NOT NULL DEFAULT '', -- JSON list
	decision    TEXT NOT NULL DEFAULT '',
	rule        TEXT NOT NULL DEFAULT '',
	reason      TEXT NOT NULL DEFAULT '',
	purpose     TEXT NOT NULL DEFAULT ''
);
CREATE INDEX statements_person ON statements (person, idx);
CREATE INDEX statements_department ON statements (department, idx);
CREATE INDEX statements_decision ON statements (decision, idx);
CREATE INDEX statements_time ON statements (time);
CREATE INDEX statements_session ON statements (session, idx);
CREATE VIRTUAL TABLE texts USING fts5 (
	statement, params, content = 'statements', content_rowid = 'idx', tokenize = 'trigram', columnsize = 0
);
CREATE TABLE table_names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE table_uses (
	name_id INTEGER NOT NULL,
	idx     INTEGER NOT NULL,
	PRIMARY KEY (name_id, idx)
) WITHOUT ROWID;
CREATE TABLE subjects (
	subject BLOB NOT NULL,
	idx     INTEGER NOT NULL, -- the statement's record
	record  INTEGER NOT NULL, -- the record that names the subject: idx itself or a disclosure
	rows    INTEGER NOT NULL, -- how often that record names it
	period  INTEGER NOT NULL,
	PRIMARY KEY (subject, idx, record)
) WITHOUT ROWID;
CREATE TABLE outcomes (
	idx      INTEGER PRIMARY KEY, -- the statement's record
	record   INTEGER NOT NULL,    -- the record that says it
	rows     INTEGER NOT NULL,
	bytes    INTEGER NOT NULL,
	sqlstate TEXT NOT NULL,
	micros   INTEGER NOT NULL,
	tag      TEXT NOT NULL,
	period   INTEGER NOT NULL
);
CREATE TABLE sessions (session TEXT PRIMARY KEY, closed INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE anomalies (record INTEGER NOT NULL, what TEXT NOT NULL);
`

// Index is an open index file. It is safe for concurrent use; updates exclude each other, also between processes.
type Index struct {
	path string
	db   *sql.DB
}

// Open opens the index at path, or creates an empty one. A file written by another version of the index is emptied: the
// next Update builds it again.
func Open(path string) (*Index, error) {
	// Created here and not by SQLite, for the mode; its -wal and -shm files inherit it.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("the directory for the search index %s does not exist: create it or name another place", path)
		}
		return nil, fmt.Errorf("opening the search index: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("opening the search index: %w", err)
	}
	db, err := sql.Open("sqlite", dsn(path))
	if err != nil {
		return nil, fmt.Errorf("opening the search index: %w", err)
	}
	x := &Index{path: path, db: db}
	if err := x.prepare(context.Background()); err != nil {
		db.Close()
		return nil, fmt.Errorf("search index %s: %w: if it is damaged, delete it (with its -wal and -shm files); "+
			"it is built again from the log", path, err)
	}
	return x, nil
}

func dsn(path string) string {
	q := url.Values{"_pragma": {
		"busy_timeout(10000)",
		"journal_mode(WAL)",
		"synchronous(NORMAL)", // a crash may lose the last batches, never the file; they are read again
		"secure_delete(ON)",   // what is erased is overwritten
		"cache_size(-32768)",  // KiB
	}}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
}

// Close closes the index.
func (x *Index) Close() error { return x.db.Close() }

// prepare creates the schema in a new file, and again in one of another version.
func (x *Index) prepare(ctx context.Context) error {
	var version int
	if err := x.db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if version == schemaVersion {
		return nil
	}
	unlock, err := x.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return x.write(ctx, func(tx *writer) error {
		if err := tx.conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
			return err
		}
		if version == schemaVersion {
			return nil // another process was faster
		}
		if err := dropAll(ctx, tx); err != nil {
			return err
		}
		if err := tx.exec(ctx, schema); err != nil {
			return err
		}
		return tx.exec(ctx, fmt.Sprintf("PRAGMA user_version = %d", schemaVersion))
	})
}

// dropAll drops what another version of the schema left. Dropping the virtual table drops its shadow tables.
func dropAll(ctx context.Context, tx *writer) error {
	for _, query := range []string{
		"SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL%'",
		"SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
	} {
		names, err := column[string](ctx, tx.conn, query)
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := tx.exec(ctx, fmt.Sprintf("DROP TABLE %q", name)); err != nil {
				return err
			}
		}
	}
	return nil
}
