package proxy

import (
	"errors"
	"io"
	"log/slog"
	"runtime/debug"
	"time"

	"shiguan/auditlog/record"
	"shiguan/policy/sql"
	"shiguan/proxy/auth"
	"shiguan/proxy/poll"
	"shiguan/proxy/session"
	"shiguan/proxy/wire"
)

// errShutdown is what clients are told when the proxy stops in good order.
var errShutdown error = &wire.Error{Code: "57P01", Message: "terminating connection: the proxy is shutting down"}

// errRevoked is what people are told who could not log in again as who they are.
var errRevoked error = &wire.Error{Code: "57P01", Message: "terminating connection: this login is no longer valid"}

// welcome reports that the session's person could still log in as the same person, to the same database.
func (c *conn) welcome(people *auth.People, now time.Time) bool {
	p, ok := people.Find(c.person.User)
	if ok && p.Login != auth.LoginPassword {
		ok = people.Names(p.User, c.client.peer)
	}
	return ok && p.ValidAt(now) && p.MayUse(c.db.Name) && p.Login == c.person.Login &&
		p.Role == c.person.Role && p.Department == c.person.Department && p.Position == c.person.Position
}

// conn is one session, from its login to its end. The goroutine of the login owns it first, and from the hand-over on that
// of its loop: nothing in it is shared, and nothing that is done for it may block.
type conn struct {
	srv  *Server
	log  *slog.Logger
	loop *loop

	id          string
	address     string
	application string
	person      auth.Person
	db          *database
	searchPath  []string
	tempSchema  string // where the session may have temporary tables

	queue *session.Queue[*execution]
	trail trail

	// What the client sends.
	client     *link
	fromClient *wire.Reader
	toServer   outbox
	batch      uint64  // of messages, ended by Sync or Query
	doomed     bool    // the batch was given something that must fail: what follows up to Sync will not be read
	copies     []*gate // of the further COPYs from the client in the string under way
	statements *session.Names[*prepared]
	portals    *session.Names[*portal]
	cursors    *session.Names[cursor]
	held       int           // at least the bytes of statement text kept for names
	bound      int           // at least the bytes of parameters kept for portals
	lastBind   *session.Fate // nil before the first
	emptied    *session.Fate // of a DISCARD ALL sent since tempSchema was set
	emptiedIn  uint64        // the batch it was sent in
	purpose    session.Setting
	blockEnds  []*step // the COMMITs by which the transaction ended that the purpose waits for
	astray     bool    // what names mean to the server is not known any more; see observe
	observed   bool    // the session did what only a transparent rule allows
	requoted   bool    // the server may cut texts into words otherwise than we do
	pins       *record.SubjectHasher
	longAsked  *passage // an over-long message on its way

	findPrepared, findCursor func(name string) *sql.Statement // see env

	// Why the client's next message is not looked at yet; see paused.
	gate    *gate         // the server must deal with a message first
	gated   *execution    // that message
	fate    *session.Fate // must be known
	loading bool          // the catalogue is being read
	loaded  loaded        // and was, for the message at hand
	leaving bool          // the client took its leave: nothing more comes from it
	gone    bool          // the client has hung up

	// What the server sends.
	upstream   *link
	fromServer *wire.Reader
	toClient   outbox
	current    *execution // whose rows are coming
	hasher     *record.SubjectHasher
	fields     []copyField      // scratch
	about      []record.Subject // scratch: of the row at hand
	masked     []byte           // scratch
	columns    []column         // scratch
	copyIn     bool             // the server waits for COPY data
	batches    uint64           // ReadyForQuery received
	idleBatch  uint64           // batches that are over and left no transaction: their portals are gone
	purposeEnd *session.Ending  // the batch whose end decides what the purpose is
	ddl        bool             // the open transaction block changed the catalogue
	overrun    *wire.Error      // the Query under way returned too many rows and must still fail
	filtering  bool             // the open transaction touched masked values: errors and notices up to its end may quote them
	parted     bool             // the server has said why it closes
	stumbled   bool             // something in the batch under way failed
	longAnswer *passage         // an over-long row on its way

	// Set at the login.
	route     *route // to the server
	serverPID uint32
	serverKey []byte
	superuser bool
	key       cancelKey

	// Of the turn.
	called       bool // the session is on the loop's list
	moreAsked    bool // the last turn left messages of the client
	moreAnswered bool // the last turn left messages of the server
	blocked      bool // the session is on the loop's list of those that wait for records

	cancel   func(delivered bool) // a cancel request waits until what it is to hit has been sent; it is told how it went
	stopping bool                 // a cancel request is being delivered: nothing is sent to the server

	farewell string // the session is over, once the client has taken what is left for it: why
	deadline time.Time
	closed   bool // the client was told that nothing more comes
	ended    bool
}

// loaded is a catalogue that was read for the message at hand, or why it could not be.
type loaded struct {
	cat *sql.Catalogue
	err error
}

// passage is an over-long message that is passed on, or swallowed, piece by piece.
type passage struct {
	to  io.Writer
	end func() error // when all of it has passed
}

// errPause stops a passage until the next turn. The piece at hand was taken.
var errPause = errors.New("the rest comes in another turn")

// Ready puts the session on the loop's list: something may have come for it, or may be sent now.
func (c *conn) Ready() {
	if !c.called && !c.ended {
		c.called = true
		c.loop.called = append(c.loop.called, c)
	}
}

// serve does whatever can be done for the session now.
func (c *conn) serve() {
	c.moreAsked, c.moreAnswered = false, false
	if c.farewell != "" {
		c.linger()
		return
	}
	c.takeBuffers()
	if err := c.serveServer(); err != nil {
		c.stop(err)
		return
	}
	if err := c.serveClient(); err != nil {
		c.clientFailed(err)
		return
	}
	if err := c.disclose(); err != nil {
		c.stop(err)
	}
}

// send writes what may leave, which is more after a commit than before.
func (c *conn) send() {
	if c.ended {
		return
	}
	if err := c.sendUpstream(); err != nil {
		c.stop(err)
	}
	if err := c.sendClient(); err != nil {
		c.stop(err)
	}
	c.giveBuffers()
	if c.moreAsked && c.toServer.waiting() < backlog || c.moreAnswered && c.toClient.waiting() < released {
		c.Ready()
	}
}

// waitsForRecords reports that a commit will let something leave.
func (c *conn) waitsForRecords() bool {
	return c.toServer.unrecorded() && c.farewell == "" || c.toClient.unrecorded() && !c.holding()
}

// takeBuffers gives the outboxes room, and giveBuffers takes it back from those that are empty: an idle session has none.
func (c *conn) takeBuffers() {
	for _, o := range []*outbox{&c.toServer, &c.toClient} {
		if o.buf == nil {
			o.buf = c.loop.takeBuffer()
		}
	}
}

func (c *conn) giveBuffers() {
	for _, o := range []*outbox{&c.toServer, &c.toClient} {
		if len(o.buf) == 0 && o.buf != nil {
			c.loop.giveBuffer(o.buf)
			o.buf, o.sent, o.cleared = nil, 0, 0
		}
	}
}

// sendUpstream writes to the server. A pipeline is not torn where a message in it waits for the catalogue.
func (c *conn) sendUpstream() error {
	if c.farewell != "" || c.stopping || c.loading {
		return nil
	}
	if err := c.toServer.clear(); err != nil {
		return err
	}
	if err := c.toServer.flush(); err != nil {
		c.toServer.buf, c.toServer.sent, c.toServer.cleared = nil, 0, 0 // it takes nothing any more; reading tells why
	}
	if c.cancel != nil && !c.toServer.unrecorded() {
		c.deliverCancel()
	}
	return nil
}

// sendClient writes to the client. Rows about persons stay until there is a record that names them.
func (c *conn) sendClient() error {
	if !c.holding() {
		if err := c.toClient.clear(); err != nil {
			return err
		}
	}
	if err := c.toClient.flush(); err != nil {
		return err
	}
	if c.farewell != "" && c.toClient.empty() && !c.closed {
		c.closed = true
		if err := c.client.CloseWrite(); err != nil {
			return err
		}
		c.Ready()
	}
	return nil
}

// end ends the session at once. What the server still owed is on record as lost.
func (c *conn) end(reason string) {
	if c.ended {
		return
	}
	c.ended = true
	c.client.Close()
	c.upstream.Close()
	c.loop.forget(c)
	c.srv.forget(c)
	c.lose(c.current)
	for _, o := range c.queue.Close() {
		c.lose(o.Exec)
	}
	c.trail.close(reason)
}

// guard does something for the session. A fault of ours ends this session and no other; its stack is for the operator.
func (c *conn) guard(do func()) {
	defer func() {
		if fault := recover(); fault != nil {
			c.log.Error("a fault of the proxy ended a session", "fault", fault, "stack", string(debug.Stack()))
			defer func() {
				if fault := recover(); fault != nil {
					c.log.Error("a fault of the proxy while it ended a session", "fault", fault, "stack", string(debug.Stack()))
				}
			}()
			c.end("fault of the proxy")
		}
	}()
	do()
}

// fatal tells the client why the session ends, and nothing else that it has not been sent yet.
func (c *conn) fatal(e *wire.Error) {
	if c.longAnswer != nil { // in the middle of a row there is no place for it
		c.srv.metrics.fatal(e.Code)
		c.end(e.Message)
		return
	}
	c.toClient.cut()
	c.lastWord(e)
}

// lastWord tells the client why the session ends, after all that is there for it.
func (c *conn) lastWord(e *wire.Error) {
	e.Severity = "FATAL"
	c.srv.metrics.fatal(e.Code)
	c.toClient.buf = wire.AppendError(c.toClient.buf, e)
	c.part(e.Message)
}

// lastWait is how long a client has to take the last word of his session.
const lastWait = 2 * time.Second

// part ends the session when the client has taken what is there for it. A connection that is closed while it holds unread
// bytes is reset, and what the client has not received yet is lost: so we wait until he has hung up.
func (c *conn) part(reason string) {
	if c.farewell == "" {
		c.deadline = time.Now().Add(lastWait)
		c.loop.parting = append(c.loop.parting, c)
		c.upstream.Close()
	}
	c.farewell = reason
	c.Ready()
}

// linger waits for the client to hang up.
func (c *conn) linger() {
	if !c.closed {
		return
	}
	for range 16 {
		_, err := c.client.discard(c.loop.scratch)
		switch {
		case errors.Is(err, poll.ErrAgain):
			return
		case err != nil:
			c.end(c.farewell)
			return
		}
	}
	c.moreAnswered = true
}

// stop ends the session because of err, telling the client where that is possible.
func (c *conn) stop(err error) {
	var broken *logError
	var violation *wire.ProtocolError
	var told *wire.Error
	switch {
	case c.ended:
	case errors.As(err, &told):
		farewell := *told
		c.fatal(&farewell)
	case errors.As(err, &broken):
		c.srv.logFailed(err)
		c.fatal(&wire.Error{Code: "58030", Message: "the audit record could not be written: nothing runs without a record",
			Hint: "Tell the system administrator: the log's disk is full or failing."})
	case errors.As(err, &violation):
		c.fatal(&wire.Error{Code: violation.Code, Message: violation.Message})
	case c.farewell != "":
		c.end(c.farewell)
	case c.gone:
		c.end("client disconnected")
	default:
		c.end("connection failed")
	}
}

// lose puts on record that nobody knows how a statement ended.
func (c *conn) lose(e *execution) {
	if e == nil {
		return
	}
	for i := range e.steps {
		if s := &e.steps[i]; !s.done {
			s.done = true
			c.trail.outcome(record.Outcome{Seq: s.seq, Of: s.receipt.Index(), Rows: -1, Bytes: s.bytes, SQLState: "08006"}, false)
		}
	}
}
