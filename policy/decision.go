package policy

import (
	"time"

	"shiguan/policy/mask"
	"shiguan/policy/sql"
)

// Person is who stands behind a connection.
type Person struct {
	User       string
	Department string
	Position   string
}

// Request is everything a decision may depend on.
type Request struct {
	Person      Person
	Database    string
	Role        string // the upstream role
	Application string
	Client      string // address
	Purpose     string
	Time        time.Time
	// Latest is the latest time that was ever seen, where that is later than Time: then the clock was set back.
	Latest   time.Time
	Analysis *sql.Analysis
	// Text and Env are what Analysis was made of. They are needed to add columns to a statement: without them a statement
	// that would have to be rewritten is refused.
	Text string
	Env  sql.Env
}

// Decision is what a policy says about one text. A text is allowed or refused as a whole.
type Decision struct {
	Allow  bool
	Rule   string // ids of the rules that allowed it, joined by ","; for a refusal the rule that came nearest, or "default-deny"
	Grant  string // ids of the grants it was allowed under, joined by ","
	Reason string // refusals: what is missing, in words fit for the client: names, never values
	Plans  []Plan // one per statement, in order; nil when refused
	// Transparent says that one rule allowed everything, whatever it touches: nothing is masked, refused or kept back.
	Transparent bool
}

// Plan is how one allowed statement is carried out.
type Plan struct {
	Statement *sql.Statement
	// Text replaces the statement's text when columns that name the subject, or keys that settle the order of rows, had to be
	// added, or rows to be kept out; else "".
	Text      string
	settled   bool // Text settles the order of rows; unsettled is what it would be otherwise
	unsettled string
	at        int // where in the statement's text something was added
	// Rows says which rows of which tables the statement is kept to, "" for all. It is the Under of statements that are prepared
	// or declared by this one.
	Rows    string
	kept    map[uint32]*restriction // what Rows says, by table
	Outputs []OutputPlan            // one per column the server will return, hidden ones last; nil when no rows come back or they carry no data of tables
	// AnyOutputs says that the outputs are not predictable and carry nothing about persons (SHOW, EXPLAIN of public
	// tables, catalogue queries): they are released as they are.
	AnyOutputs bool
	// Transparent says that what comes back passes as it is, foreseen or not.
	Transparent bool
	MaxRows     int64 // 0 = no limit
	// Daily are the limits that the rows count against together with all others that the person had under the rule that day.
	Daily []Daily
	// Subjects that the statement's text or parameters name by themselves.
	Pinned []PinnedSubject
	// AboutPersons says that rows of this statement may leave only under a record that names their subjects: by a
	// Subject output, or by Pinned.
	AboutPersons bool
	// FilterErrors says that the statement touches a table with a column that this person may not see in clear: errors and
	// notices of the server may quote its values (a failing row, a cast) and are passed on without them.
	FilterErrors bool
}

// OutputPlan is what happens to one column of a result.
type OutputPlan struct {
	Server  sql.Column // what RowDescription must report; anything else stops the result
	Column  string     // schema.table.column, "" for an expression
	Mask    *mask.Mask // nil = in clear
	Type    uint32     // with a mask: what clients see the column as, of a domain the type it is over
	Subject string     // the subject namespace when the value (before masking) names a person, else ""
	Hidden  bool       // added by us; stripped before the client sees it
}

// Daily is what one rule lets a person have in a day, over all sessions. Zero is no limit.
type Daily struct {
	Rule     string
	Rows     int64
	Bytes    int64 // of rows as the server sends them
	Subjects int64 // distinct persons whom rows are about
}

// MaxSubjectsPerDay is the largest Daily.Subjects that a policy may ask for.
const MaxSubjectsPerDay = 100_000

func (d Daily) none() bool { return d.Rows == 0 && d.Bytes == 0 && d.Subjects == 0 }

// PinnedSubject is a subject known before the first row.
type PinnedSubject struct {
	Namespace string
	Value     string // the constant, when Param is 0
	Param     int    // 1-based parameter number, else 0
}
