package logtest

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"time"

	"shiguan/auditlog/record"
)

// Person is somebody of the made-up city.
type Person struct{ Name, Department, Position, Role, Client, Application string }

// People are those whose sessions Fill writes.
var People = []Person{
	{"civil_clerk", "civil-affairs", "clerk", "civil_clerks", "10.20.1.17:52110", "户政系统 3.2"},
	{"civil_manager", "civil-affairs", "manager", "civil_managers", "10.20.1.4:40022", "DBeaver 24.2"},
	{"fund_clerk", "housing-fund", "clerk", "fund_clerks", "10.31.8.90:61200", "fund-web"},
	{"auditor", "audit-office", "auditor", "auditors", "10.2.0.8:33418", "psql"},
	{"王芳", "民政局", "科员", "civil_clerks", "10.20.1.21:49152", "户政系统 3.2"},
}

// template is a statement that people of the city send.
type template struct {
	text     string // %s is an identifier
	tables   []string
	columns  []record.ColumnUse
	masked   []string
	rule     string
	decision string
	reason   string
	state    string // SQLSTATE
	rows     int
}

func use(how string, names ...string) (all []record.ColumnUse) {
	for _, n := range names {
		all = append(all, record.ColumnUse{Column: n, Use: how})
	}
	return all
}

var templates = []template{
	{text: "SELECT name, phone FROM civil.citizens WHERE id_number = '%s'", tables: []string{"civil.citizens"},
		columns: append(use("output", "civil.citizens.name", "civil.citizens.phone"), use("match", "civil.citizens.id_number")...),
		masked:  []string{"civil.citizens.phone"}, rule: "clerk-reads-citizens", rows: 1},
	{text: "SELECT c.name,\n       a.account_no,\n       a.balance\n  FROM housing.fund_accounts a\n  JOIN civil.citizens c ON c.id_number = a.id_number\n WHERE a.id_number = '%s'",
		tables:  []string{"civil.citizens", "housing.fund_accounts"},
		columns: append(use("output", "civil.citizens.name", "housing.fund_accounts.account_no", "housing.fund_accounts.balance"), use("match", "civil.citizens.id_number", "housing.fund_accounts.id_number")...),
		masked:  []string{"housing.fund_accounts.balance"}, rule: "fund-accounts", rows: 2},
	{text: "SELECT * FROM civil.citizens", tables: []string{"civil.citizens"}, decision: record.DecisionRefused, rule: "clerk-reads-citizens",
		reason: "civil.citizens.address may not be read by this rule, and no purpose was stated"},
	{text: "SELECT id_number, name FROM civil.citizens WHERE name LIKE '张%%'", tables: []string{"civil.citizens"}, decision: record.DecisionRefused,
		rule: "default-deny", reason: "civil.citizens.name is masked for this person and may not be filtered by"},
	{text: "UPDATE civil.citizens SET phone = '13800001111' WHERE id_number = '%s'", tables: []string{"civil.citizens"},
		columns: append(use("write", "civil.citizens.phone"), use("match", "civil.citizens.id_number")...), rule: "manager-updates", rows: 1},
	{text: "SELECT amount, reason FROM welfare.payments WHERE id_number = '%s' ORDER BY paid_on DESC LIMIT 20", tables: []string{"welfare.payments"},
		columns: append(use("output", "welfare.payments.amount", "welfare.payments.reason"), use("match", "welfare.payments.id_number")...),
		masked:  []string{"welfare.payments.amount", "welfare.payments.reason"}, rule: "auditor-reads-masked", rows: 20},
	{text: "SELECT count(*) FROM civil.households", tables: []string{"civil.households"}, rule: "auditor-reads-masked", rows: 1},
	{text: "SELEC name FROM civil.citizens", decision: record.DecisionFailed, reason: "syntax error", state: "42601"},
}

// Citizen is the identifier of the n-th made-up citizen, and Fill makes Citizen(1) appear in bulk exports too.
func Citizen(n int) string { return fmt.Sprintf("340102%04d0101%03dX", 1950+n%60, n%1000) }

// writer writes one session after another, as the proxy does.
type writer struct {
	l    *Log
	rand *rand.Rand
	now  time.Time
	hash *record.SubjectHasher
}

// Fill writes sessions of people until the log has grown by at least n records, and waits until they are witnessed. It
// returns the indexes of the statements.
func (l *Log) Fill(n int) (statements []uint64) {
	l.t.Helper()
	w := &writer{l: l, rand: rand.New(rand.NewPCG(7, 42)), now: time.Now().Add(-6 * time.Hour), hash: l.Subjects.Hasher()}
	for end := l.index + uint64(n); l.index < end; {
		statements = append(statements, w.session(People[w.rand.IntN(len(People))])...)
	}
	l.Witnessed()
	return statements
}

func (w *writer) tick() time.Time {
	w.now = w.now.Add(time.Duration(1+w.rand.IntN(30_000)) * time.Millisecond)
	return w.now
}

func (w *writer) session(p Person) (statements []uint64) {
	session := fmt.Sprintf("%016x", w.rand.Uint64())
	base := record.Record{Session: session, Person: p.Name, Department: p.Department, Position: p.Position, Database: "civil", Role: p.Role,
		Client: p.Client, Application: p.Application}
	opened := base
	opened.Kind, opened.Time, opened.Auth, opened.TLS = record.KindSessionOpened, w.tick(), "scram-sha-256", "TLS 1.3"
	w.l.Append(&opened)
	totals := record.Totals{}
	for seq := range 1 + w.rand.IntN(9) {
		statement, rows := w.statement(base, uint64(seq+1), &totals)
		statements = append(statements, statement)
		totals.Rows += rows
	}
	closed := base
	closed.Kind, closed.Time, closed.Reason, closed.Totals = record.KindSessionClosed, w.tick(), "client ended the session", &totals
	w.l.Append(&closed)
	return statements
}

func (w *writer) statement(base record.Record, seq uint64, totals *record.Totals) (index uint64, rows int64) {
	from := templates[w.rand.IntN(len(templates))]
	id := Citizen(w.rand.IntN(400))
	r := base
	r.Kind, r.Time, r.Seq, r.Tables, r.Columns, r.Masked = record.KindStatement, w.tick(), seq, from.tables, from.columns, from.masked
	r.Rule, r.Reason, r.Policy = from.rule, from.reason, "sha256:"+hex.EncodeToString(make([]byte, 32))
	r.Statement = from.text
	if len(from.masked) > 0 || from.rule == "manager-updates" {
		r.Statement = fmt.Sprintf(from.text, id)
	}
	r.Purpose = fmt.Sprintf("case-2026-%03d", w.rand.IntN(200))
	r.Decision = from.decision
	totals.Statements++
	switch from.decision {
	case record.DecisionRefused:
		totals.Refused++
		return w.l.Append(&r), 0
	case record.DecisionFailed:
		totals.Failed++
		return w.l.Append(&r), 0
	}
	r.Decision = record.DecisionAllowed
	index = w.l.Append(&r)
	w.disclose(base, seq, index, id, from)
	done := base
	done.Kind, done.Time, done.Of, done.Seq = record.KindOutcome, w.tick(), &index, seq
	done.Outcome = &record.Outcome{Seq: seq, Of: index, Rows: int64(from.rows), Bytes: int64(from.rows) * 61, Micros: int64(300 + w.rand.IntN(4000)),
		Tag: fmt.Sprintf("SELECT %d", from.rows), Masked: from.masked}
	w.l.Append(&done)
	return index, int64(from.rows)
}

// disclose names the persons whose rows leave next.
func (w *writer) disclose(base record.Record, seq, index uint64, id string, from template) {
	if len(from.masked) == 0 {
		return
	}
	d := base
	d.Kind, d.Time, d.Of, d.Seq, d.Part, d.Final = record.KindDisclosure, w.tick(), &index, seq, 1, true
	d.Subjects = []record.Subject{w.hash.SubjectString("resident_id", id)}
	w.l.Append(&d)
}
