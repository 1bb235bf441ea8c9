package proxy

import (
	"crypto/rand"
	"log/slog"
	"testing"
	"time"

	"filippo.io/age"
	"golang.org/x/mod/sumdb/note"

	"shiguan/auditlog"
	"shiguan/auditlog/record"
	"shiguan/policy"
	"shiguan/policy/mask"
	"shiguan/policy/sql"
	"shiguan/proxy/session"
	"shiguan/proxy/wire"
)

// loopless is a session with a log and nobody at its ends: what it sends stays in its outboxes.
func loopless(t *testing.T) *conn {
	t.Helper()
	key, _, err := note.GenerateKey(rand.Reader, "log.example")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	investigator, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	log, err := auditlog.Open(t.Context(), auditlog.Options{Dir: t.TempDir(), Origin: "log.example", Signer: signer,
		Recipients: []age.Recipient{investigator.Recipient()}, SegmentBytes: 16 << 20, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close(t.Context()) })
	s := &Server{opt: Options{Log: log, SubjectKey: record.NewSubjectKey()}, limits: Limits{}.withDefaults()}
	s.metrics = newMetrics(s, nil, "test")
	p, err := policy.Parse("policy.yaml", []byte("version: 1\n"))
	if err != nil {
		t.Fatal(err)
	}
	s.policy.Store(p)
	c := &conn{srv: s, id: "s", queue: session.NewQueue[*execution](wire.TxIdle), db: &database{},
		statements: session.NewNames[*prepared](), portals: session.NewNames[*portal](), cursors: session.NewNames[cursor](),
		hasher: s.opt.SubjectKey.Hasher(), pins: s.opt.SubjectKey.Hasher()}
	c.db.known.Store(new(sql.Catalogue))
	c.trail.log, c.trail.appended = log, func(auditlog.Receipt) {}
	c.toClient.buf, c.toServer.buf = make([]byte, 0, 1<<16), make([]byte, 0, 1<<16)
	return c
}

func (c *conn) forgetSent() {
	c.toClient.buf, c.toServer.buf = c.toClient.buf[:0], c.toServer.buf[:0]
}

const textOID = 25

// A row costs no allocation, whether it passes as it is or is masked.
func TestRowsAreForwardedWithoutAllocation(t *testing.T) {
	star, err := mask.New(mask.Spec{Kind: mask.Keep, First: 1, Last: 1})
	if err != nil {
		t.Fatal(err)
	}
	for name, output := range map[string]policy.OutputPlan{"as it is": {}, "masked": {Mask: star}} {
		c := loopless(t)
		plan := &policy.Plan{Statement: &sql.Statement{Verb: sql.Select}, Outputs: []policy.OutputPlan{{}, output}}
		col := column{typ: textOID}
		e := &execution{steps: []step{{plan: plan, result: newResult(plan, []column{col, col}, nil)}}}
		c.current = e
		row := wire.BeginDataRow(nil)
		row.Value([]byte("1"))
		row.Value([]byte("somebody"))
		m := wire.Message(row.End())
		allocs := testing.AllocsPerRun(1000, func() {
			if err := c.answer(m); err != nil {
				t.Fatal(err)
			}
			c.forgetSent()
		})
		if allocs != 0 {
			t.Errorf("a row that passes %s costs %v allocations", name, allocs)
		}
		if e.steps[0].rows < 1000 {
			t.Errorf("%d rows were counted", e.steps[0].rows)
		}
	}
}

// statementAllocs is what one execution of a prepared statement may cost: the portal with its parameters, what is known of
// the messages until they are answered, the record with its keys, and little else. It is 13; the race detector adds some.
const statementAllocs = 18

func TestStatementsCostFewAllocations(t *testing.T) {
	c := loopless(t)
	st := &prepared{text: "select name from t where id = $1", verdict: &verdict{}, fate: new(session.Fate), columns: new(description)}
	st.verdict.decision = policy.Decision{Allow: true, Rule: "r", Plans: []policy.Plan{{
		Statement: &sql.Statement{Verb: sql.Select, Text: st.text}, Outputs: []policy.OutputPlan{{}}}}}
	st.columns.Store(&[]column{{typ: textOID}})
	st.fate.Set(session.Done)
	c.statements.Define("s", st, st.fate, 0)
	asked := []wire.Message{
		wire.AppendBind(nil, wire.Bind{Statement: []byte("s"), Params: wire.MakeValues([]byte("42"))}),
		wire.AppendExecute(nil, "", 0), wire.AppendSync(nil),
	}
	row := wire.BeginDataRow(nil)
	row.Value([]byte("somebody"))
	answers := []wire.Message{wire.AppendEmpty(nil, wire.MsgBindComplete), row.End(),
		wire.AppendCommandComplete(nil, "SELECT 1"), wire.AppendReadyForQuery(nil, wire.TxIdle)}
	allocs := testing.AllocsPerRun(2000, func() {
		st.verdict.epoch = c.epoch(c.db.known.Load(), time.Now()) // a minute may begin
		for _, m := range asked {
			if err := c.handle(m); err != nil {
				t.Fatal(err)
			}
		}
		if len(c.toServer.buf) == 0 {
			t.Fatal("nothing goes to the server")
		}
		for _, m := range answers {
			if err := c.answer(m); err != nil {
				t.Fatal(err)
			}
		}
		c.forgetSent()
	})
	t.Logf("%v allocations", allocs)
	if allocs > statementAllocs {
		t.Errorf("a statement costs %v allocations, at most %d were foreseen", allocs, statementAllocs)
	}
	if got := c.trail.totals; got.Statements < 2000 || got.Rows < 2000 || got.Refused+got.Failed != 0 {
		t.Errorf("on record are %+v", got)
	}
}
