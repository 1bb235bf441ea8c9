package proxy

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"shiguan/auditlog/record"
	"shiguan/policy/sql"
	"shiguan/proxy/auth"
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

// conn is one session, from its login to its end.
type conn struct {
	srv    *Server
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc

	id          string
	address     string
	application string
	person      auth.Person
	db          *database
	searchPath  []string
	tempSchema  string // where the session may have temporary tables; the client's goroutine owns it

	queue *session.Queue[*execution]
	trail trail

	// The client's goroutine owns these.
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
	pins       *record.SubjectHasher

	findPrepared, findCursor func(name string) *sql.Statement // see env

	// The server's goroutine owns these.
	upstream   *link
	fromServer *wire.Reader
	toClient   outbox
	current    *execution // whose rows are coming
	hasher     *record.SubjectHasher
	fields     []copyField      // scratch
	about      []record.Subject // scratch: of the row at hand
	masked     []byte           // scratch
	batches    uint64           // ReadyForQuery received
	ddl        bool             // the open transaction block changed the catalogue
	overrun    *wire.Error      // the Query under way returned too many rows and must still fail
	filtering  bool             // the open transaction touched masked values: errors and notices up to its end may quote them
	parted     bool             // the server has said why it closes
	stumbled   bool             // something in the batch under way failed

	// Set at the login.
	route     *route // to the server
	serverPID uint32
	serverKey []byte
	superuser bool
	key       cancelKey

	// Both goroutines use these.
	copyIn     atomic.Bool                    // the server waits for COPY data
	idleBatch  atomic.Uint64                  // batches that are over and left no transaction: their portals are gone
	leaving    atomic.Bool                    // the client took its leave: nothing more comes from it
	farewell   atomic.Pointer[error]          // why the session must end, for the server's goroutine to say
	cancelling atomic.Bool                    // a cancel request is being delivered
	purposeEnd atomic.Pointer[session.Ending] // the batch whose end decides what the purpose is
	busy       sync.Mutex                     // held while bytes go upstream, and while a cancel is delivered
	observed   atomic.Bool                    // the session did what only a transparent rule allows
	requoted   atomic.Bool                    // the server may cut texts into words otherwise than we do
	fateMu     sync.Mutex
	fateSet    sync.Cond // a Fate was set

	once   sync.Once
	reason string                     // why the session ends; set once
	left   []session.Owed[*execution] // what the server still owed then
	ended  chan struct{}
}

// end closes both connections, once, and keeps the first reason.
func (c *conn) end(reason string) {
	c.once.Do(func() {
		c.reason = reason
		close(c.ended)
		c.cancel()
		c.client.Close()
		c.upstream.Close()
		c.left = c.queue.Close()
		c.fateMu.Lock()
		c.fateSet.Broadcast()
		c.fateMu.Unlock()
	})
}

// sayFarewell ends the session from outside its server's goroutine, which alone may write to the client: that goroutine
// is woken and tells the client why. A client that does not read does not hold it up for long.
func (c *conn) sayFarewell(err error) {
	if c.farewell.CompareAndSwap(nil, &err) {
		c.client.SetWriteDeadline(time.Now().Add(2 * time.Second))
		c.upstream.Close()
	}
}

// run serves the session until one side leaves, and puts its end on record.
func (c *conn) run() {
	var wg sync.WaitGroup
	wg.Go(func() { c.guard(c.serveServer) })
	c.guard(c.serveClient)
	wg.Wait()
	c.lose(c.current)
	for _, o := range c.left {
		c.lose(o.Exec)
	}
	c.trail.close(c.reason)
}

// guard runs one half of the session. A fault of ours ends this session and no other; its stack is for the operator.
func (c *conn) guard(serve func()) {
	defer func() {
		if fault := recover(); fault != nil {
			c.log.Error("a fault of the proxy ended a session", "fault", fault, "stack", string(debug.Stack()))
			c.end("fault of the proxy")
		}
	}()
	serve()
}

// fatal tells the client why the session ends. Only the server's goroutine may write to the client, so this is its.
func (c *conn) fatal(e *wire.Error) {
	e.Severity = "FATAL"
	c.srv.metrics.fatal(e.Code)
	c.toClient.buf = wire.AppendError(c.toClient.buf[:0], e)
	c.toClient.wait = false
	c.client.SetDeadline(time.Now().Add(lastWait))
	c.client.Write(c.toClient.buf) // the session ends either way
	c.toClient.buf = nil
	c.upstream.Close()
	// A connection that is closed while it holds unread bytes is reset, and what the client has not received yet is lost:
	// the last word waits until he has hung up.
	if c.client.CloseWrite() == nil {
		io.Copy(io.Discard, c.client.raw()) // ends with the deadline at the latest
	}
	c.end(e.Message)
}

// lastWait is how long a client has to take the last word of his session.
const lastWait = 2 * time.Second

// stop ends the session because of err, telling the client where that is possible.
func (c *conn) stop(err error) {
	var broken *logError
	var violation *wire.ProtocolError
	var told *wire.Error
	switch {
	case errors.As(err, &told):
		farewell := *told
		c.fatal(&farewell)
	case errors.As(err, &broken):
		c.srv.logFailed(err)
		c.fatal(&wire.Error{Code: "58030", Message: "the audit record could not be written: nothing runs without a record",
			Hint: "Tell the system administrator: the log's disk is full or failing."})
	case errors.As(err, &violation):
		c.fatal(&wire.Error{Code: violation.Code, Message: violation.Message})
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		c.end("connection closed")
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
