package search

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// writer is the one connection that changes the index, with the statements that it has prepared. It is used by one
// goroutine, which holds the index's lock.
type writer struct {
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
	inTx  bool
}

func (x *Index) writer(ctx context.Context) (*writer, error) {
	conn, err := x.db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("search index: %w", err)
	}
	return &writer{conn: conn, stmts: make(map[string]*sql.Stmt)}, nil
}

// close gives the connection back, without what has not been committed.
func (w *writer) close() {
	if w.inTx {
		w.rollback()
	}
	for _, stmt := range w.stmts {
		stmt.Close()
	}
	w.conn.Close()
}

func (w *writer) begin(ctx context.Context) error {
	if _, err := w.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("search index: %w", err)
	}
	w.inTx = true
	return nil
}

func (w *writer) commit(ctx context.Context) error {
	if _, err := w.conn.ExecContext(ctx, "COMMIT"); err != nil {
		return fmt.Errorf("search index: %w", err)
	}
	w.inTx = false
	return nil
}

// rollback ends the transaction on a context of its own, since a cancelled one would leave it open on a pooled connection.
func (w *writer) rollback() {
	w.inTx = false
	if _, err := w.conn.ExecContext(context.Background(), "ROLLBACK"); err != nil {
		// Never hand a connection with an open transaction back to the pool.
		w.conn.Raw(func(any) error { return errBadConn })
	}
}

var errBadConn = errors.New("connection with an open transaction")

// exec runs a statement, prepared once for each text.
func (w *writer) exec(ctx context.Context, query string, args ...any) error {
	if len(args) == 0 {
		if _, err := w.conn.ExecContext(ctx, query); err != nil {
			return fmt.Errorf("search index: %w", err)
		}
		return nil
	}
	stmt, err := w.stmt(ctx, query)
	if err != nil {
		return err
	}
	if _, err := stmt.ExecContext(ctx, args...); err != nil {
		return fmt.Errorf("search index: %w", err)
	}
	return nil
}

func (w *writer) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	if stmt, ok := w.stmts[query]; ok {
		return stmt, nil
	}
	stmt, err := w.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("search index: %w", err)
	}
	w.stmts[query] = stmt
	return stmt, nil
}

// write runs fn in a transaction of its own.
func (x *Index) write(ctx context.Context, fn func(*writer) error) error {
	w, err := x.writer(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	if err := w.begin(ctx); err != nil {
		return err
	}
	if err := fn(w); err != nil {
		return err
	}
	return w.commit(ctx)
}

// lock excludes other updates of the same file, in this process and in others; searches go on. The kernel releases it when
// the process dies.
func (x *Index) lock(ctx context.Context) (unlock func(), err error) {
	f, err := os.OpenFile(x.path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the search index: %w", err)
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, fmt.Errorf("locking the search index: %w", err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("waiting for another update of the search index: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// querier is what reads: the pool, or a writer's connection within its transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// column returns the only column of a query.
func column[T any](ctx context.Context, q querier, query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("search index: %w", err)
	}
	defer rows.Close()
	var values []T
	for rows.Next() {
		var v T
		if err := rows.Scan(&v); err != nil {
			return nil, fmt.Errorf("search index: %w", err)
		}
		values = append(values, v)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("search index: %w", err)
	}
	return values, nil
}
