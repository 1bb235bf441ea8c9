package search

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"shiguan/auditlog/record"
)

// Query says which statements and refused logins are wanted. Fields that are set must all hold; the zero Query finds all.
type Query struct {
	Person     string
	Department string
	Table      string    // schema.table, or the part after a dot: citizens finds civil.citizens
	Text       string    // occurs in the statement or in a text parameter; a to z match A to Z
	Decision   string    // allowed, refused or failed; a refused login counts as refused
	Session    string    // 16 hex digits
	Since      time.Time // at or after, to the millisecond
	Until      time.Time // before
	Before     uint64    // index below this one, to go on after the last hit of a page; 0: no bound
	Limit      int       // 0: no limit
	Subject    *record.Subject
}

// Outcomes of a hit.
const (
	OutcomeCompleted = "completed"
	OutcomeFailed    = "failed"  // by the server, or before policy could decide
	OutcomeRefused   = "refused" // nothing was run, or nobody got in
	OutcomePending   = "pending" // no outcome is on record yet and the session goes on
	OutcomeUnknown   = "unknown" // no outcome is on record and the session is over: it may have run

	// Of these only Index, Kind and Time are set.
	OutcomeErased     = "erased"     // the content was lawfully erased
	OutcomeUnreadable = "unreadable" // the content could not be opened, see Anomalies
)

// Hit is what the index says about a statement or a refused login. It is no evidence: Index names the record that is.
type Hit struct {
	Index       uint64
	Kind        record.Kind // KindStatement or KindLoginRefused
	Time        time.Time   // UTC
	Session     string
	Seq         uint64
	Person      string
	Department  string
	Position    string
	Database    string
	Client      string
	Application string
	Statement   string
	Decision    string
	Rule        string
	Reason      string
	Purpose     string
	Tables      []string
	Outcome     string
	OutcomeIn   *uint64 // index of the record that says the outcome; nil if none does
	Rows        int64   // returned or affected; -1 unknown
	Bytes       int64   // -1 unknown
	SQLState    string
	Micros      int64

	// With Query.Subject: in which records the subject is named, and how often. These records, and not the statement's,
	// prove who saw whom.
	NamedIn     []uint64
	SubjectRows int64
}

const selectHits = `SELECT s.idx, s.kind, s.time, s.content, s.session, s.seq, s.person, s.department, s.position, s.database,
	s.client, s.application, s.statement, s.tables, s.decision, s.rule, s.reason, s.purpose,
	o.record, o.rows, o.bytes, o.sqlstate, o.micros,
	s.idx < (SELECT max(started) FROM position) OR e.closed IS NOT NULL
FROM statements s LEFT JOIN outcomes o ON o.idx = s.idx LEFT JOIN sessions e ON e.session = s.session`

// Search returns the hits, newest (by index) first. It sees what the last Update committed.
func (x *Index) Search(ctx context.Context, q Query) ([]Hit, error) {
	where, args := q.where()
	query := selectHits + where + " ORDER BY s.idx DESC"
	if q.Limit > 0 {
		query += " LIMIT ?"
		args = append(args, q.Limit)
	}
	// One transaction, so that an update in between does not make the subject's rows other ones than the hits'.
	tx, err := x.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("search index: %w", err)
	}
	defer tx.Rollback()
	hits, err := readHits(ctx, tx, query, args)
	if err != nil || q.Subject == nil {
		return hits, err
	}
	for i := range hits {
		if err := hits[i].readNamed(ctx, tx, *q.Subject); err != nil {
			return nil, err
		}
	}
	return hits, nil
}

// where builds the conditions. Every value is a parameter.
func (q *Query) where() (string, []any) {
	var conditions []string
	var args []any
	and := func(condition string, values ...any) {
		conditions = append(conditions, condition)
		args = append(args, values...)
	}
	if q.Person != "" {
		and("s.person = ?", q.Person)
	}
	if q.Department != "" {
		and("s.department = ?", q.Department)
	}
	if q.Decision != "" {
		and("s.decision = ?", q.Decision)
	}
	if q.Session != "" {
		and("s.session = ?", q.Session)
	}
	if !q.Since.IsZero() {
		and("s.time >= ?", ceilMillis(q.Since))
	}
	if !q.Until.IsZero() {
		and("s.time < ?", ceilMillis(q.Until))
	}
	if q.Before != 0 {
		and("s.idx < ?", int64(q.Before))
	}
	if q.Table != "" {
		and(`s.idx IN (SELECT u.idx FROM table_names n JOIN table_uses u ON u.name_id = n.id
			WHERE n.name = ? OR substr(n.name, -length(?) - 1) = '.' || ?)`, q.Table, q.Table, q.Table)
	}
	if q.Subject != nil {
		and("s.idx IN (SELECT idx FROM subjects WHERE subject = ?)", q.Subject[:])
	}
	if q.Text != "" {
		// The trigram index ignores case in all alphabets; it proposes, and instr decides, as it does for short texts.
		if phrase := trigramPhrase(q.Text); phrase != "" {
			and("s.idx IN (SELECT rowid FROM texts WHERE texts MATCH ?)", phrase)
		}
		and("(instr(lower(s.statement), lower(?)) > 0 OR instr(lower(s.params), lower(?)) > 0)", q.Text, q.Text)
	}
	if len(conditions) == 0 {
		return "", nil
	}
	return " WHERE " + strings.Join(conditions, " AND "), args
}

// phraseRunes bounds the phrase looked up in the text index: more of the text finds hardly less and costs more.
const phraseRunes = 64

// trigramPhrase is the beginning of the text as an FTS5 phrase, or empty if the trigram index cannot help.
func trigramPhrase(text string) string {
	runes := []rune(text)
	if len(runes) < 3 || slices.Contains(runes, 0) {
		return ""
	}
	return `"` + strings.ReplaceAll(string(runes[:min(len(runes), phraseRunes)]), `"`, `""`) + `"`
}

// ceilMillis rounds up to the millisecond, so that comparing stored milliseconds with it is comparing with t.
func ceilMillis(t time.Time) int64 {
	ms := t.UnixMilli()
	if t.After(time.UnixMilli(ms)) {
		ms++
	}
	return ms
}

func readHits(ctx context.Context, tx *sql.Tx, query string, args []any) ([]Hit, error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("search index: %w", err)
	}
	defer rows.Close()
	var hits []Hit
	for rows.Next() {
		h, err := scanHit(rows)
		if err != nil {
			return nil, err
		}
		hits = append(hits, h)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("search index: %w", err)
	}
	return hits, nil
}

func scanHit(rows *sql.Rows) (Hit, error) {
	var h Hit
	var ms int64
	var tables string
	var content int
	var over bool
	var said, count, size, micros sql.NullInt64
	var sqlstate sql.NullString
	err := rows.Scan(&h.Index, &h.Kind, &ms, &content, &h.Session, &h.Seq, &h.Person, &h.Department, &h.Position, &h.Database,
		&h.Client, &h.Application, &h.Statement, &tables, &h.Decision, &h.Rule, &h.Reason, &h.Purpose,
		&said, &count, &size, &sqlstate, &micros, &over)
	if err != nil {
		return h, fmt.Errorf("search index: %w", err)
	}
	h.Time = time.UnixMilli(ms).UTC()
	if tables != "" {
		if err := json.Unmarshal([]byte(tables), &h.Tables); err != nil {
			return h, fmt.Errorf("search index: tables of record %d: %w", h.Index, err)
		}
	}
	h.Rows, h.Bytes = -1, -1
	if said.Valid {
		in := uint64(said.Int64)
		h.OutcomeIn, h.Rows, h.Bytes, h.SQLState, h.Micros = &in, count.Int64, size.Int64, sqlstate.String, micros.Int64
	}
	h.setOutcome(content, over)
	return h, nil
}

// setOutcome names the outcome; over says that the statement's session has ended, in order or not.
func (h *Hit) setOutcome(content int, over bool) {
	switch {
	case content == contentErased:
		h.Outcome = OutcomeErased
	case content == contentUnreadable:
		h.Outcome = OutcomeUnreadable
	case h.Decision == record.DecisionRefused:
		h.Outcome = OutcomeRefused
	case h.Decision == record.DecisionFailed, h.OutcomeIn != nil && h.SQLState != "":
		h.Outcome = OutcomeFailed
	case h.OutcomeIn != nil:
		h.Outcome = OutcomeCompleted
	case over:
		h.Outcome = OutcomeUnknown
	default:
		h.Outcome = OutcomePending
	}
	// What was refused, or failed before it ran, returned nothing, whether or not a record says so.
	if h.OutcomeIn == nil && (h.Outcome == OutcomeRefused || h.Outcome == OutcomeFailed) {
		h.Rows, h.Bytes = 0, 0
	}
}

func (h *Hit) readNamed(ctx context.Context, tx *sql.Tx, s record.Subject) error {
	rows, err := tx.QueryContext(ctx, "SELECT record, rows FROM subjects WHERE subject = ? AND idx = ? ORDER BY record", s[:], int64(h.Index))
	if err != nil {
		return fmt.Errorf("search index: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var in, n int64
		if err := rows.Scan(&in, &n); err != nil {
			return fmt.Errorf("search index: %w", err)
		}
		h.NamedIn = append(h.NamedIn, uint64(in))
		h.SubjectRows += n
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("search index: %w", err)
	}
	return nil
}

// Anomaly is a record that does not fit the others, or cannot be read although its key is there. fsck judges these; the index
// only says where it had to leave something out.
type Anomaly struct {
	Record uint64
	What   string
}

// Anomalies returns all anomalies in the order of the log.
func (x *Index) Anomalies(ctx context.Context) ([]Anomaly, error) {
	rows, err := x.db.QueryContext(ctx, "SELECT record, what FROM anomalies ORDER BY record, rowid")
	if err != nil {
		return nil, fmt.Errorf("search index: %w", err)
	}
	defer rows.Close()
	var found []Anomaly
	for rows.Next() {
		var a Anomaly
		if err := rows.Scan(&a.Record, &a.What); err != nil {
			return nil, fmt.Errorf("search index: %w", err)
		}
		found = append(found, a)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("search index: %w", err)
	}
	return found, nil
}
