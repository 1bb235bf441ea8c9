package proxy

import (
	"time"

	"shiguan/auditlog"
	"shiguan/auditlog/record"
	"shiguan/policy"
	"shiguan/policy/sql"
	"shiguan/proxy/quota"
	"shiguan/proxy/session"
	"shiguan/proxy/wire"
)

// execution is one message that the server owes a reply for, and what the proxy must know when the reply comes.
type execution struct {
	fate    session.Fate // for Parse, Bind and Close
	refused *wire.Error  // what the client gets instead of the server's error, which is certain to come
	columns *description // Describe, Execute: of the columns that the server sends
	plan    *policy.Plan // Parse, Describe: the plan they belong to
	formats wire.Formats // Describe of a portal, Execute: the format of each column the server sends
	subject string       // Parse, Bind, Describe: the statement, in case it fails
	filter  bool         // errors may carry values that the person may not see
	ddl     bool
	loose   bool // under a transparent rule: the last step takes whatever else the server completes

	rewritten *rewriting // how the text that was sent differs from the client's, nil if it does not

	steps  []step // the statements that run, in order; empty for Parse, Bind, Describe, Close, Sync
	at     int    // which of steps the server is at
	portal *portal

	gate  *gate   // somebody waits for the end of this message, or for it to ask for COPY data
	later []*gate // the gates that follow, one for each further COPY from the client in the string
}

// step is one statement that runs.
type step struct {
	plan     *policy.Plan
	receipt  auditlog.Receipt // of its statement record
	seq      uint64
	started  time.Time
	rows     int64
	bytes    int64
	part     int              // disclosures written
	fate     session.Fate     // for statements that define or remove names
	subjects []record.Subject // of rows that are in the outbox and not yet in a disclosure
	result   *result
	charges  []quota.Charge   // whom rows count against, under which daily limits
	pinned   []record.Subject // whom the statement itself names, until its first row is counted
	drawn    *int64           // rows that a cursor has given, over all FETCHes; nil for other statements
	rule     string           // that decided, and under which purpose: for the refusal of rows beyond a limit
	purpose  string
	over     bool // more rows than the policy lets out: the rest is discarded
	err      *wire.Error
	copied   int64  // rows of COPY TO STDOUT
	tag      string // how the server called what it did; to be read once fate is set
	done     bool

	ran  bool   // of a loose execution's last step: the server completed something
	last string // the tag of what it completed last
	seen int64  // rows up to then
}

// gate is where the client's messages wait until the server has dealt with one of them.
type gate struct {
	opened bool
	over   *wire.Error // the statement must still fail with this error
}

// open lets the client's messages go on, when nothing more can come of this one.
func (e *execution) open(over *wire.Error) {
	if e.gate != nil {
		e.gate.over = over
	}
	for e.gate != nil {
		e.openNext()
	}
}

// openNext lets them go on to give COPY data, and to wait at the next gate after that.
func (e *execution) openNext() {
	if e.gate == nil {
		return
	}
	e.gate.opened = true
	e.gate = nil
	if len(e.later) > 0 {
		e.gate, e.later = e.later[0], e.later[1:]
	}
}

// step is the statement the server is at, or nil.
func (e *execution) step() *step {
	if e == nil || e.at >= len(e.steps) {
		return nil
	}
	return &e.steps[e.at]
}

// prepared is a prepared statement of the session, by Parse or by SQL's PREPARE.
type prepared struct {
	text    string
	types   []uint32 // that Parse declares for the parameters
	sent    string   // the text the server was given
	bySQL   bool     // by PREPARE: verdict holds its analysis only
	verdict *verdict // never changed: another one takes its place
	fate    *session.Fate
	// columns is the server's own description, checked against the plan of the epoch it was learnt in.
	columns   *description
	rewritten *rewriting // nil when text was sent as it stands
}

// description is a result's columns as the server gave them, nil until then.
type description struct{ columns *[]column }

func (d *description) Load() *[]column      { return d.columns }
func (d *description) Store(cols *[]column) { d.columns = cols }

type column struct {
	server sql.Column // where the server says the value comes from
	typ    uint32
	format int16
}

// cursor is what DECLARE made.
type cursor struct {
	of    *sql.Statement
	batch uint64
	rows  *int64 // released so far, over all FETCHes
}

// portal is a bound statement.
type portal struct {
	name    string
	of      *prepared
	plan    *policy.Plan
	columns *description
	verdict *verdict     // never changed: another one takes its place
	bind    []byte       // copy of the Bind's body: the parameters stand in it
	values  wire.Values  // views of bind
	params  wire.Formats // views of bind
	formats wire.Formats // of the columns the server sends, hidden ones included
	asked   bool         // a Describe went before the first Execute
	rows    int64        // released so far, over all Executes
	batch   uint64
}
