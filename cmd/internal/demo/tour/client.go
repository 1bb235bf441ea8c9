package tour

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// mode is a way of running a statement and having its rows sent. All must give the same answers.
type mode struct {
	name   string
	format int16 // of result columns, extended protocol
	simple bool
}

var modes = []mode{{"simple protocol", 0, true}, {"extended protocol, text", 0, false}, {"extended protocol, binary", 1, false}}

// table is a result: column names, and values as they came over the wire, nil for NULL.
type table struct {
	columns []string
	rows    [][][]byte
}

// query runs one statement in one mode.
func query(ctx context.Context, conn *pgconn.PgConn, m mode, text string) (*table, error) {
	if m.simple {
		results, err := conn.Exec(ctx, text).ReadAll()
		if err != nil {
			return nil, err
		}
		if len(results) != 1 {
			return nil, fmt.Errorf("%d results for one statement", len(results))
		}
		return tableOf(results[0])
	}
	return tableOf(conn.ExecParams(ctx, text, nil, nil, nil, []int16{m.format}).Read())
}

func tableOf(r *pgconn.Result) (*table, error) {
	if r.Err != nil {
		return nil, r.Err
	}
	t := &table{rows: r.Rows}
	for _, f := range r.FieldDescriptions {
		t.columns = append(t.columns, f.Name)
	}
	return t, nil
}

// as connects to the proxy as a person, with this tour's purpose if wanted.
func (w *walker) as(user string, purpose bool) (*pgconn.PgConn, error) {
	p, err := w.m.Person(user)
	if err != nil {
		return nil, err
	}
	u := url.URL{Scheme: "postgres", User: url.UserPassword(p.User, p.Password), Path: "/" + w.m.Database,
		Host: fmt.Sprintf("%s:%d", w.m.Proxy.Host, w.m.Proxy.Port), RawQuery: "sslmode=disable&application_name=tour"}
	conn, err := pgconn.Connect(w.ctx, u.String())
	if err != nil {
		return nil, fmt.Errorf("log in as %s: %w", user, err)
	}
	if purpose {
		if _, err := conn.Exec(w.ctx, "SET shiguan.purpose = '"+w.purpose+"'").ReadAll(); err != nil {
			conn.Close(w.ctx)
			return nil, fmt.Errorf("state a purpose as %s: %w", user, err)
		}
	}
	return conn, nil
}

// in connects as a person and runs f in every mode, each time in a session of its own.
func (w *walker) in(user string, purpose bool, f func(conn *pgconn.PgConn, m mode) error) error {
	for _, m := range modes {
		conn, err := w.as(user, purpose)
		if err != nil {
			return err
		}
		err = f(conn, m)
		conn.Close(w.ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return nil
}

// shown checks what a person sees of a statement's rows in every mode: columns named in masked must differ from the
// truth wherever there is one, all others must be byte-identical to what the server itself sends.
func (w *walker) shown(user string, purpose bool, text string, masked ...string) error {
	return w.in(user, purpose, func(conn *pgconn.PgConn, m mode) error {
		got, err := query(w.ctx, conn, m, text)
		if err != nil {
			return err
		}
		want, err := query(w.ctx, w.direct.conn, m, text)
		if err != nil {
			return fmt.Errorf("past the proxy: %w", err)
		}
		return compare(got, want, masked)
	})
}

func compare(got, want *table, masked []string) error {
	if strings.Join(got.columns, ",") != strings.Join(want.columns, ",") {
		return fmt.Errorf("columns are %v, the server says %v", got.columns, want.columns)
	}
	if len(got.rows) != len(want.rows) || len(got.rows) == 0 {
		return fmt.Errorf("%d rows, the server says %d", len(got.rows), len(want.rows))
	}
	hidden := map[string]bool{}
	for _, name := range masked {
		hidden[name] = true
	}
	for i, row := range got.rows {
		for j, value := range row {
			truth, name := want.rows[i][j], want.columns[j]
			same := string(value) == string(truth) && (value == nil) == (truth == nil)
			if hidden[name] && same && truth != nil {
				return fmt.Errorf("row %d: %s is shown in clear", i+1, name)
			}
			if !hidden[name] && !same {
				return fmt.Errorf("row %d: %s is %s, the server says %s", i+1, name, display(value), display(truth))
			}
		}
	}
	return nil
}

func display(value []byte) string {
	if value == nil {
		return "NULL"
	}
	return "0x" + hex.EncodeToString(value[:min(len(value), 32)])
}

// refused checks that a statement is refused with 42501 in every mode and that the session goes on.
func (w *walker) refused(user string, purpose bool, texts ...string) error {
	return w.in(user, purpose, func(conn *pgconn.PgConn, m mode) error {
		for _, text := range texts {
			if err := wantState(w.ctx, conn, m, text, "42501"); err != nil {
				return err
			}
		}
		if _, err := query(w.ctx, conn, m, "select 1"); err != nil {
			return fmt.Errorf("the session does not go on after a refusal: %w", err)
		}
		return nil
	})
}

func wantState(ctx context.Context, conn *pgconn.PgConn, m mode, text, state string) error {
	_, err := query(ctx, conn, m, text)
	var pgErr *pgconn.PgError
	switch {
	case err == nil:
		return fmt.Errorf("allowed: %s", text)
	case !errors.As(err, &pgErr) || pgErr.Code != state:
		return fmt.Errorf("want SQLSTATE %s for %s: %w", state, text, err)
	}
	return nil
}

// direct is the superuser's connection past the proxy.
type direct struct{ conn *pgconn.PgConn }

func connectDirect(ctx context.Context, dsn string) (*direct, error) {
	conn, err := pgconn.Connect(ctx, dsn)
	if err != nil {
		return nil, err
	}
	return &direct{conn}, nil
}

func (d *direct) close(ctx context.Context) { d.conn.Close(ctx) }

// one returns the single value of a statement as text.
func (d *direct) one(ctx context.Context, text string) (string, error) {
	t, err := query(ctx, d.conn, modes[1], text)
	if err != nil {
		return "", err
	}
	if len(t.rows) != 1 || len(t.rows[0]) != 1 {
		return "", fmt.Errorf("%d rows for %s", len(t.rows), text)
	}
	return string(t.rows[0][0]), nil
}
