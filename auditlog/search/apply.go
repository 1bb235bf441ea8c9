package search

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"shiguan/auditlog/record"
)

// paramSeparator stands between the values in statements.params. It keeps a search text from matching across two values.
const paramSeparator = "\x1f"

// applier puts records into the index, within the writer's transaction. Records MUST come in the order of the log.
type applier struct {
	w       *writer
	started uint64                 // see the table position
	tables  map[string]int64       // ids of table_names; it MUST NOT outlive a transaction that was rolled back
	seen    map[record.Subject]int // scratch of addSubjects
}

func newApplier(w *writer, started uint64) *applier {
	return &applier{w: w, started: started, tables: make(map[string]int64), seen: make(map[record.Subject]int)}
}

// Values of statements.content.
const (
	contentErased     = 1
	contentUnreadable = 2
)

// apply indexes one opened record.
func (a *applier) apply(ctx context.Context, index uint64, leaf record.Leaf, r *record.Record) error {
	target, err := a.target(ctx, index, leaf, r)
	if err != nil {
		return err
	}
	if err := a.addSubjects(ctx, target, index, leaf.Period, r.Subjects); err != nil {
		return err
	}
	if r.Outcome != nil {
		if err := a.setOutcome(ctx, target, index, leaf.Period, r.Outcome); err != nil {
			return err
		}
	}
	for i := range r.Earlier {
		if err := a.earlier(ctx, index, leaf.Period, r.Session, &r.Earlier[i]); err != nil {
			return err
		}
	}
	switch r.Kind {
	case record.KindSessionClosed:
		return a.w.exec(ctx, "INSERT OR REPLACE INTO sessions (session, closed) VALUES (?, ?)", r.Session, index)
	case record.KindStarted, record.KindStopped:
		a.started = index
	case record.KindPeriodErased:
		return a.erase(ctx, index, r.Detail["period"])
	}
	return nil
}

// target is the index of the statement that the record is about: its own, that of an earlier record, or noTarget.
func (a *applier) target(ctx context.Context, index uint64, leaf record.Leaf, r *record.Record) (int64, error) {
	switch r.Kind {
	case record.KindStatement, record.KindLoginRefused:
		return int64(index), a.addStatement(ctx, index, leaf, r)
	case record.KindDisclosure, record.KindOutcome:
		if r.Of == nil {
			return noTarget, a.anomaly(ctx, index, "it is about a statement and does not say which")
		}
		return a.statement(ctx, index, *r.Of, r.Session)
	}
	return noTarget, nil
}

const noTarget = -1

// statement checks that record of is a statement of the session, as record index says.
func (a *applier) statement(ctx context.Context, index, of uint64, session string) (int64, error) {
	stmt, err := a.w.stmt(ctx, "SELECT session, content FROM statements WHERE idx = ? AND kind = ?")
	if err != nil {
		return noTarget, err
	}
	var its string
	var content int
	err = stmt.QueryRowContext(ctx, int64(of), int64(record.KindStatement)).Scan(&its, &content)
	found := !errors.Is(err, sql.ErrNoRows)
	if err != nil && found {
		return noTarget, fmt.Errorf("search index: %w", err)
	}
	if !found || content == 0 && its != session {
		return noTarget, a.anomaly(ctx, index, fmt.Sprintf("it is about record %d, which is no statement of its session", of))
	}
	return int64(of), nil
}

const insertStatement = `INSERT INTO statements (idx, kind, period, time, session, seq, person, department, position,
	database, client, application, statement, params, tables, decision, rule, reason, purpose)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

func (a *applier) addStatement(ctx context.Context, index uint64, leaf record.Leaf, r *record.Record) error {
	decision := r.Decision
	if r.Kind == record.KindLoginRefused {
		decision = record.DecisionRefused
	}
	tables := ""
	if len(r.Tables) > 0 {
		list, err := json.Marshal(r.Tables)
		if err != nil {
			return fmt.Errorf("tables of record %d: %w", index, err)
		}
		tables = string(list)
	}
	params := textParams(r.Params)
	err := a.w.exec(ctx, insertStatement, int64(index), int64(r.Kind), int64(leaf.Period), leaf.Time, r.Session, int64(r.Seq),
		r.Person, r.Department, r.Position, r.Database, r.Client, r.Application, r.Statement, params, tables, decision,
		r.Rule, r.Reason, r.Purpose)
	if err != nil {
		return err
	}
	if r.Statement != "" || params != "" {
		err := a.w.exec(ctx, "INSERT INTO texts (rowid, statement, params) VALUES (?, ?, ?)", int64(index), r.Statement, params)
		if err != nil {
			return err
		}
	}
	for _, table := range r.Tables {
		id, err := a.tableID(ctx, table)
		if err != nil {
			return err
		}
		if err := a.w.exec(ctx, "INSERT OR IGNORE INTO table_uses (name_id, idx) VALUES (?, ?)", id, int64(index)); err != nil {
			return err
		}
	}
	return nil
}

// addClosed indexes a record whose content cannot be had: that it exists, of which kind, and when.
func (a *applier) addClosed(ctx context.Context, index uint64, leaf record.Leaf, content int) error {
	if leaf.Kind == record.KindStarted || leaf.Kind == record.KindStopped {
		a.started = index // the leaf says so
	}
	if leaf.Kind != record.KindStatement && leaf.Kind != record.KindLoginRefused {
		return nil
	}
	return a.w.exec(ctx, "INSERT INTO statements (idx, kind, period, time, content) VALUES (?, ?, ?, ?, ?)",
		int64(index), int64(leaf.Kind), int64(leaf.Period), leaf.Time, content)
}

func textParams(params []record.Param) string {
	var texts []string
	for _, p := range params {
		if p.Text != nil && *p.Text != "" {
			texts = append(texts, *p.Text)
		}
	}
	return strings.Join(texts, paramSeparator)
}

func (a *applier) tableID(ctx context.Context, name string) (int64, error) {
	if id, ok := a.tables[name]; ok {
		return id, nil
	}
	if err := a.w.exec(ctx, "INSERT OR IGNORE INTO table_names (name) VALUES (?)", name); err != nil {
		return 0, err
	}
	ids, err := column[int64](ctx, a.w.conn, "SELECT id FROM table_names WHERE name = ?", name)
	if err != nil {
		return 0, err
	}
	a.tables[name] = ids[0]
	return ids[0], nil
}

func (a *applier) addSubjects(ctx context.Context, target int64, index uint64, period uint32, subjects []record.Subject) error {
	if target == noTarget || len(subjects) == 0 {
		return nil
	}
	clear(a.seen)
	for _, s := range subjects {
		a.seen[s]++
	}
	for s, rows := range a.seen {
		err := a.w.exec(ctx, "INSERT OR REPLACE INTO subjects (subject, idx, record, rows, period) VALUES (?, ?, ?, ?, ?)",
			s[:], target, int64(index), rows, int64(period))
		if err != nil {
			return err
		}
	}
	return nil
}

// earlier takes an outcome that a later record of the session carries.
func (a *applier) earlier(ctx context.Context, index uint64, period uint32, session string, o *record.Outcome) error {
	target, err := a.statement(ctx, index, o.Of, session)
	if err != nil {
		return err
	}
	return a.setOutcome(ctx, target, index, period, o)
}

// setOutcome records how a statement ended. Of several the last one counts.
func (a *applier) setOutcome(ctx context.Context, target int64, index uint64, period uint32, o *record.Outcome) error {
	if target == noTarget {
		return nil
	}
	return a.w.exec(ctx, `INSERT OR REPLACE INTO outcomes (idx, record, rows, bytes, sqlstate, micros, tag, period)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, target, int64(index), o.Rows, o.Bytes, o.SQLState, o.Micros, o.Tag, int64(period))
}

// erase forgets what records of a key period said. What they were, when and how many stays, as it does in the log.
func (a *applier) erase(ctx context.Context, index uint64, detail string) error {
	period, err := strconv.ParseUint(detail, 10, 32)
	if err != nil {
		return a.anomaly(ctx, index, "it says that a key period was erased, but not which")
	}
	for _, query := range []string{
		"DELETE FROM table_uses WHERE idx IN (SELECT idx FROM statements WHERE period = ?)",
		"DELETE FROM subjects WHERE period = ?1 OR idx IN (SELECT idx FROM statements WHERE period = ?1)",
		"DELETE FROM outcomes WHERE period = ?1 OR idx IN (SELECT idx FROM statements WHERE period = ?1)",
		`UPDATE statements SET content = 1, session = '', seq = 0, person = '', department = '', position = '', database = '',
			client = '', application = '', statement = '', params = '', tables = '', decision = '', rule = '', reason = '',
			purpose = '' WHERE period = ?`,
	} {
		if err := a.w.exec(ctx, query, int64(period)); err != nil {
			return err
		}
	}
	// Deleting single rows would leave their trigrams in old segments of the text index.
	return a.w.exec(ctx, "INSERT INTO texts (texts) VALUES ('rebuild')")
}

// anomaly notes that a record does not fit the others. It is no reason to leave the rest of the log unsearched.
func (a *applier) anomaly(ctx context.Context, index uint64, what string) error {
	return a.w.exec(ctx, "INSERT INTO anomalies (record, what) VALUES (?, ?)", int64(index), what)
}
