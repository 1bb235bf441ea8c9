package sql

// Analysis is what one statement text touches, statement by statement, resolved against one catalogue snapshot. It is
// immutable once returned, so that any number of sessions may share it from a cache.
type Analysis struct {
	Statements []Statement
	Catalogue  *Catalogue // the snapshot every OID and attribute number below belongs to

	literals constants // of the text; none when texts of its shape cannot be told from it
	template *Analysis // see Template
	kept     bool
}

// Statement is one statement of the text. A statement whose meaning could not be established does not exist: Analyse
// returns an *Error for the whole text instead.
type Statement struct {
	Verb Verb
	Text string // the statement's own slice of the source text, without the semicolon

	Tables    []TableUse  // every relation touched, views as themselves and also the relations behind them
	Columns   []ColumnUse // every base column touched, once per distinct use
	Functions []FunctionUse
	Outputs   []Output // columns of the rows the statement returns, in order; nil when it returns none

	// Pins are the columns held to one value by a top-level `column = constant` or `column = $n` conjunct. Rows that the
	// statement returns or changes then concern that value alone.
	Pins []Pin

	// Occurrences are the places at which rows of tables enter the statement, with what holds these rows to values.
	Occurrences []Occurrence

	// Aggregated says that no output is a row of a table: the statement groups, or every output is an aggregate.
	Aggregated bool

	// OrderShows names what in the statement lets the order in which the server finds rows show in values, or in which rows
	// there are: window functions, LIMIT in a subquery, string_agg and the like. "" when it shows in the order of rows at most.
	OrderShows string

	Block    Block // effect on the transaction block
	MayWrite bool  // false only when it provably changes nothing in the database
	DDL      bool  // changes the catalogue
	Chain    bool  // COMMIT or ROLLBACK AND CHAIN: a new block begins at once
	Analyze  bool  // EXPLAIN ANALYZE: the inner statement is carried out

	// Outlined says that the grammar alone is known: the lists above are empty because nobody looked.
	Outlined bool

	// Reason says what an Other statement is, or why it is Other.
	Reason string
	// Params is the highest $n in the text.
	Params int

	// Name is the object's name for PREPARE, EXECUTE, DEALLOCATE, DECLARE, FETCH, MOVE, CLOSE ("" = ALL); what is
	// discarded for DISCARD; which kind for Transaction: "begin", "commit", "rollback", "savepoint", "release",
	// "rollback to", "prepare transaction", "set transaction".
	Name string
	// Savepoint is the name in SAVEPOINT, RELEASE and ROLLBACK TO.
	Savepoint string
	Inner     *Statement // PREPARE, EXECUTE, DECLARE, FETCH, EXPLAIN, COPY (query), CREATE TABLE AS: the statement inside
	Setting   *Setting   // SET, RESET, SHOW
	// Under is set by who keeps a prepared statement or cursor, for Env.Prepared and Env.Cursor: on which conditions it was sent.
	Under string
	Copy  *Copy // COPY

	// tail is where further output columns may be written into Text; see AppendOutputs.
	tail appendPoint
	// touched are the columns of relations as the text names them, views not expanded.
	touched map[Column]struct{}
	// pinned are, beside Pins, the numbers of the literals that they hold to, from 1; 0 for none.
	pinned []int32
}

// Verb is what a statement does, in the words that rules use.
type Verb string

const (
	Select      Verb = "select"
	Insert      Verb = "insert"
	Update      Verb = "update"
	Delete      Verb = "delete"
	Merge       Verb = "merge"
	CopyOut     Verb = "copy to"   // COPY … TO STDOUT
	CopyIn      Verb = "copy from" // COPY … FROM STDIN
	Truncate    Verb = "truncate"
	Create      Verb = "create"
	Alter       Verb = "alter"
	Drop        Verb = "drop"
	Maintain    Verb = "maintain" // VACUUM, ANALYZE, REINDEX, CLUSTER, LOCK TABLE
	Transaction Verb = "transaction"
	Set         Verb = "set"
	Show        Verb = "show"
	Explain     Verb = "explain"
	Prepare     Verb = "prepare"
	Execute     Verb = "execute"
	Deallocate  Verb = "deallocate"
	Declare     Verb = "declare"
	Fetch       Verb = "fetch"
	CloseCur    Verb = "close"
	Discard     Verb = "discard"
	Empty       Verb = "empty"
	Other       Verb = "other" // parsed, known to PostgreSQL, and never allowed but by a transparent policy
)

// Block is a statement's effect on the transaction block.
type Block uint8

const (
	BlockNone     Block = iota
	BlockBegin          // BEGIN, START TRANSACTION
	BlockCommit         // COMMIT, END, PREPARE TRANSACTION, COMMIT AND CHAIN
	BlockRollback       // ROLLBACK, ABORT
	BlockInside         // SAVEPOINT, RELEASE, ROLLBACK TO
)

// TableUse is one relation and one verb done to it. A SELECT … FOR UPDATE is a select.
type TableUse struct {
	OID    uint32 // 0 when the relation does not exist (CREATE TABLE, DROP TABLE IF EXISTS)
	Schema string
	Name   string
	Kind   byte // pg_class.relkind
	Verb   Verb
	Via    string // the view or parent through which it is reached, "" when named by the statement
	// Times is how often rows of the relation enter the statement in this way: twice in a self-join.
	Times int
}

// Use is how a column is used.
type Use string

const (
	UseOutput     Use = "output"     // bare output column of the outermost rows
	UseExpression Use = "expression" // inside an expression that reaches the output
	UseMatch      Use = "match"      // compared with = or IN to constants, parameters or another column, nothing else
	UseFilter     Use = "filter"     // any other use in WHERE, HAVING, ON, CHECK
	UseOrder      Use = "order"
	UseGroup      Use = "group"     // GROUP BY, DISTINCT, set operations, PARTITION BY
	UseWrite      Use = "write"     // assigned by INSERT, UPDATE, MERGE, COPY FROM
	UseSource     Use = "source"    // read to compute a value that is written
	UseCount      Use = "count"     // argument of count() alone
	UseAggregate  Use = "aggregate" // argument of sum() or avg() alone
)

// Column identifies a column of a base table (or matview, foreign table) by what does not change when it is renamed.
type Column struct {
	Table uint32 // pg_class.oid
	Att   int16  // pg_attribute.attnum; 0 = whole row
}

// ColumnUse is one base column and one use of it. A match against another column names it in With.
type ColumnUse struct {
	Column
	Schema, TableName, Name string
	Use                     Use
	With                    Column // UseMatch against a column; else zero
}

// FunctionUse is a function, operator or cast that is not on the known-safe list.
type FunctionUse struct {
	OID    uint32
	Schema string
	Name   string
	Why    string // "volatile", "user-defined", "reads files", …
}

// Output is one column of the statement's rows.
type Output struct {
	Name string
	// Server is what the server must report in RowDescription for this column: the relation named in the statement (a
	// view's own OID for a view) and its attribute number, or zeros for an expression.
	Server Column
	// Base is the base column whose bare value this is, or zeros for an expression.
	Base Column
	// From are all base columns on which an expression depends; nil when Base is set.
	From []Column
	// Aggregate says that the output is count, sum or avg over its sources.
	Aggregate bool
	Type      uint32 // pg_type.oid where known, else 0
}

// Pin holds a base column to one value: a constant, or parameter $Param. There is none where the value's text might differ
// from the column's text although = holds, and none for a table whose rows enter the statement more than once. The single
// row of an INSERT … VALUES is pinned too. A parameter is pinned only for text columns, where its bytes are the value.
type Pin struct {
	Column
	Param int    // 1-based; 0 when constant
	Value string // the constant as text
}

// Setting is the parameter of SET, RESET or SHOW.
type Setting struct {
	Name  string // lower case
	Value string // literal value, "" for DEFAULT, RESET or a list that is not one literal
	Local bool
	Reset bool
}

// Copy describes a COPY whose other end is the client.
type Copy struct {
	Format    string // "text", "csv" or "binary"
	Delimiter byte
	Quote     byte
	Escape    byte
	Null      string
	Header    bool
	// ForceQuote says that some or all columns are quoted in CSV whether needed or not.
	ForceQuote bool
}

// Error says why a text cannot be decided. Policy must refuse it.
type Error struct {
	Reason   string // what, and what to write instead; carries no literal of the statement
	Position int    // byte offset into the text where known, else -1
	// Syntax says that the text does not parse at all. Nothing can come of such a statement but an error.
	Syntax bool
	Told   string // the parser's own message, which quotes the text, for the client alone

	internal string // what a recovered panic said; for tests and operators, never for a client
}

func (e *Error) Error() string { return e.Reason }
