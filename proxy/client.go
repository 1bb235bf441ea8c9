package proxy

import (
	"errors"
	"io"
	"time"

	"shiguan/auditlog"
	"shiguan/auditlog/record"
	"shiguan/policy/sql"
	"shiguan/proxy/poll"
	"shiguan/proxy/session"
	"shiguan/proxy/wire"
)

// refusedText is what the server gets in place of a refused statement. It cannot be parsed, so the server fails it
// before anything else, in every state; its log shows who did it.
const refusedText = "shiguan refused this statement"

// refusedName is the statement name under which that text is sent where an unnamed one would destroy the client's.
const refusedName = "shiguan_refused"

// backlog is how many bytes may wait for the server before the client is not read any more.
const backlog = 64 << 10

// messagesATurn is how many messages of one side are dealt with before others have their turn.
const messagesATurn = 256

// serveClient handles what the client has sent, as far as it may be looked at.
func (c *conn) serveClient() error {
	for n := 0; ; n++ {
		if paused, err := c.paused(); paused || err != nil {
			return err
		}
		if n == messagesATurn || c.toServer.waiting() >= backlog {
			c.moreAsked = true
			return nil
		}
		if c.longAsked != nil {
			if err := c.pass(c.fromClient, &c.longAsked, &c.moreAsked); err != nil {
				return err
			}
			if c.longAsked != nil {
				return nil
			}
			continue
		}
		if !c.fromClient.Ready() && !c.client.Readable() {
			if c.queue.Idle() {
				c.fromClient.Idle()
			}
			return nil
		}
		m, err := c.fromClient.Next()
		var long *wire.TooLongError
		switch {
		case err == nil:
			err = c.handle(m)
			c.loaded = loaded{}
		case errors.Is(err, poll.ErrAgain):
			continue
		case errors.As(err, &long):
			err = c.tooLong(long)
		}
		if errors.Is(err, errWait) {
			c.fromClient.Unread(m)
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// errWait says that a message of the client cannot be dealt with yet: nothing has come of it, and it is looked at again.
// What is waited for stands in the session, or is an answer of the server.
var errWait = errors.New("the message must wait")

// paused reports that the client's next message must wait. When a gate has opened, what was put off comes first.
func (c *conn) paused() (bool, error) {
	if c.leaving || c.gone || c.loading {
		return true, nil
	}
	if c.fate != nil && c.fate.Get() == session.Pending {
		return true, nil
	}
	c.fate = nil
	g := c.gate
	if g == nil {
		return false, nil
	}
	if !g.opened {
		return true, nil
	}
	if c.gate = nil; g.over == nil {
		return false, nil
	}
	return false, c.refuseRest(c.gated, g.over)
}

// pass goes on with an over-long message, until all of it has passed, no more is there, or it is time for others.
func (c *conn) pass(from *wire.Reader, p **passage, more *bool) error {
	_, err := from.Stream((*p).to)
	switch {
	case errors.Is(err, poll.ErrAgain):
		return nil
	case errors.Is(err, errPause):
		*more = true
		return nil
	case err != nil:
		return err
	}
	end := (*p).end
	*p = nil
	return end()
}

// boxed puts pieces of an over-long message into an outbox.
type boxed struct {
	box     *outbox
	receipt auditlog.Receipt
}

func (b boxed) Write(piece []byte) (int, error) {
	b.box.put(piece, b.receipt)
	if b.box.waiting() >= backlog {
		return len(piece), errPause
	}
	return len(piece), nil
}

// swallowed takes the pieces of an over-long message that goes nowhere, and lets others have their turn in between.
type swallowed struct {
	to io.Writer
	n  int
}

func (s *swallowed) Write(piece []byte) (int, error) {
	s.to.Write(piece) // a digest, or nothing: takes all
	if s.n += len(piece); s.n >= 4*backlog {
		s.n = 0
		return len(piece), errPause
	}
	return len(piece), nil
}

// clientFailed ends the session from the client's side.
func (c *conn) clientFailed(err error) {
	var broken *logError
	var violation *wire.ProtocolError
	if errors.As(err, &broken) || errors.As(err, &violation) {
		c.stop(err)
		return
	}
	c.gone = true
	c.askCancel(func(bool) { c.end("client disconnected") }) // nobody waits for the result any more
}

// handle deals with one message of the client. The table is closed: an unknown message ends the session.
func (c *conn) handle(m wire.Message) error {
	if c.copyIn && !copyMessage(m.Type()) {
		return errOnlyCopy
	}
	if owesReply(m.Type()) {
		if (c.doomed || c.queue.Skipping()) && m.Type() != wire.MsgSync {
			return nil // the server would not read it either
		}
		if c.queue.Full() {
			return errWait // for the server's answers
		}
	}
	switch m.Type() {
	case wire.MsgQuery:
		return c.query(m)
	case wire.MsgParse:
		return c.parse(m)
	case wire.MsgBind:
		return c.bind(m)
	case wire.MsgDescribe:
		return c.describe(m)
	case wire.MsgExecute:
		return c.execute(m)
	case wire.MsgClose:
		return c.close(m)
	case wire.MsgSync:
		return c.sync(m)
	case wire.MsgFlush:
		if err := wire.ParseEmpty(m.Body()); err != nil {
			return err
		}
		c.toServer.put(m, c.trail.newest())
		return nil
	case wire.MsgFunctionCall:
		return c.functionCall(m)
	case wire.MsgCopyData, wire.MsgCopyDone, wire.MsgCopyFail:
		// Outside of COPY the server ignores them, and so may they pass; inside, the COPY is on record.
		if m.Type() != wire.MsgCopyData {
			return c.copied(m)
		}
		c.toServer.put(m, c.trail.newest())
		return nil
	case wire.MsgTerminate:
		return c.terminate(m)
	}
	return &wire.ProtocolError{Code: "08P01", Message: "invalid frontend message type"}
}

// errOnlyCopy ends a session: the server would drop the message and end the COPY, so that replies and what they answer
// would no longer match.
var errOnlyCopy = &wire.ProtocolError{Code: "08P01", Message: "only COPY data may be sent while a COPY is under way"}

// terminate lets the server finish what it was sent before, as it would for a client of its own: the replies go to whoever
// still reads them, and every statement gets its outcome.
func (c *conn) terminate(m wire.Message) error {
	if err := wire.ParseEmpty(m.Body()); err != nil {
		return err
	}
	c.leaving = true
	c.toServer.put(m, c.trail.newest())
	return nil
}

// copied ends the COPY data of one statement. Where another one of the same string may ask for more, nothing is read until
// it does: the server drops or refuses there what it would answer elsewhere.
func (c *conn) copied(m wire.Message) error {
	c.copyIn = false
	c.toServer.put(m, c.trail.newest())
	if len(c.copies) == 0 {
		return nil
	}
	next := c.copies[0]
	c.copies = c.copies[1:]
	c.await(next, nil, false)
	return nil
}

// copyMessage lists what a client may send while the server takes COPY data.
func copyMessage(t byte) bool {
	switch t {
	case wire.MsgCopyData, wire.MsgCopyDone, wire.MsgCopyFail, wire.MsgFlush, wire.MsgSync, wire.MsgTerminate:
		return true
	}
	return false
}

// owesReply lists the messages that the server answers, and discards after an error until Sync.
func owesReply(t byte) bool {
	switch t {
	case wire.MsgQuery, wire.MsgParse, wire.MsgBind, wire.MsgDescribe, wire.MsgExecute, wire.MsgClose, wire.MsgSync, wire.MsgFunctionCall:
		return true
	}
	return false
}

// sync ends a batch. While the server takes COPY data it ignores Sync, and so owes nothing for it.
func (c *conn) sync(m wire.Message) error {
	if err := wire.ParseEmpty(m.Body()); err != nil {
		return err
	}
	if c.copyIn {
		return nil
	}
	c.push(session.Owed[*execution]{Expect: session.Sync})
	c.endBatch()
	c.doomed = false
	c.toServer.put(m, c.trail.newest())
	return nil
}

// push notes what the server will owe.
func (c *conn) push(o session.Owed[*execution]) bool { return c.queue.Push(o) }

// await lets the server deal with everything up to the gated message before the next one is looked at.
func (c *conn) await(g *gate, e *execution, flush bool) {
	if flush {
		c.toServer.buf = wire.AppendFlush(c.toServer.buf)
	}
	c.gate, c.gated = g, e
}

// settle has the message at hand wait until the fate of an earlier definition is known, where a later batch depends on it.
func (c *conn) settle(f *session.Fate) error {
	if f != nil && f.Get() == session.Pending {
		c.fate = f
		return errWait
	}
	return nil
}

// noTypes says that a text declares no types of parameters.
var noTypes = []uint32{}

// query is the simple protocol: one string of statements, decided as a whole before a byte of it is sent.
func (c *conn) query(m wire.Message) error {
	body, err := wire.ParseQuery(m.Body())
	if err != nil {
		return err
	}
	now := time.Now()
	text := string(body)
	v, err := c.judge(text, noTypes, now)
	if err != nil {
		return err
	}
	if v.failure != nil {
		return c.refuse(&v, text, nil, session.Query, "")
	}
	plans := v.decision.Plans
	if len(plans) == 1 && limited(&plans[0]) && plans[0].Statement.MayWrite && !c.queue.InBlock() {
		// It would be committed before its rows could be counted.
		v.refuse("42501", "a change whose rows are limited must be sent in a transaction block, where it can be undone")
		return c.refuse(&v, text, nil, session.Query, "")
	}
	e := &execution{loose: v.decision.Transparent}
	e.steps = make([]step, len(plans))
	for i := range plans {
		e.steps[i].plan = &plans[i]
		c.defineSQL(&e.steps[i].fate, &plans[i])
	}
	sent := m
	if rewritten, ok := joinTexts(plans); ok {
		sent = wire.AppendQuery(nil, rewritten)
		e.rewritten = &rewriting{asked: text, sent: rewritten, plans: plans}
	}
	for i := range e.steps {
		if err := c.record(&e.steps[i], &v, now, nil); err != nil {
			return err
		}
	}
	return c.forward(e, sent, session.Query, c.mustWait(e))
}

// mustWait says whether a message must be on disk before the server sees it: whenever it may write, unless it is certain
// to run in a transaction block, whose COMMIT will wait.
func (c *conn) mustWait(e *execution) bool {
	writes := false
	for i := range e.steps {
		s := e.steps[i].plan.Statement
		if s.Block == sql.BlockCommit {
			return true
		}
		if s.MayWrite {
			if len(e.steps) > 1 || !rowVerb(s.Verb) || len(s.Functions) > 0 {
				return true
			}
			writes = true
		}
	}
	return writes && !c.queue.InBlock()
}

// rowVerb lists the statements that the server can undo at the end of a transaction block, unless they call functions that
// reach further: setval and dblink are not undone.
func rowVerb(v sql.Verb) bool {
	switch v {
	case sql.Select, sql.Insert, sql.Update, sql.Delete, sql.Merge, sql.CopyIn:
		return true
	}
	return false
}

// record puts one statement on record before it is forwarded.
func (c *conn) record(s *step, v *verdict, now time.Time, p *portal) error {
	c.meter(s, v, p)
	err := c.trail.statement(s, now, func(r *record.Record) { c.describeStatement(r, s.plan, v, p) })
	if err != nil {
		return err
	}
	c.srv.metrics.decided(record.DecisionAllowed)
	if v.decision.Grant != "" {
		c.srv.metrics.under(v.decision.Grant)
	}
	return nil
}

// forward sends an allowed message whose statements are on record.
func (c *conn) forward(e *execution, m []byte, expect session.Expect, wait bool) error {
	block := false
	var newest = c.trail.newest()
	for i := range e.steps {
		s := e.steps[i].plan
		block = block || s.Statement.Block != sql.BlockNone || len(e.steps) > 1
		e.ddl = e.ddl || s.Statement.DDL
		e.filter = e.filter || s.FilterErrors
		if e.gate == nil && limited(s) {
			e.gate = new(gate)
		}
		for range copies(s.Statement) {
			if e.gate == nil {
				e.gate = new(gate)
			} else {
				e.later = append(e.later, new(gate))
			}
		}
	}
	g := e.gate
	c.copies = e.later
	if !c.push(session.Owed[*execution]{Expect: expect, Exec: e, Block: block}) {
		c.skipped(e)
		return nil
	}
	c.followPurpose(e)
	if expect == session.Query || expect == session.FunctionCall {
		c.endBatch()
	}
	if wait {
		c.toServer.put(m, newest)
	} else {
		c.toServer.putRecorded(m, newest)
	}
	if g != nil {
		c.await(g, e, expect == session.Execute)
	}
	return nil
}

// skipped settles a message that the server will discard unread.
func (c *conn) skipped(e *execution) {
	c.settled(&e.fate, session.Skipped)
	for i := range e.steps {
		c.endUnrun(&e.steps[i])
	}
}

// refuse puts a refused or failed text on record and makes the server fail in its place.
func (c *conn) refuse(v *verdict, text string, p *portal, expect session.Expect, name string) error {
	var s step
	err := c.trail.statement(&s, time.Now(), func(r *record.Record) { c.describeRefused(r, v, text, p) })
	if err != nil {
		return err
	}
	c.srv.metrics.decided(v.word)
	failure := *v.failure
	if v.word == record.DecisionRefused {
		failure.Detail = refusalDetail(v.decision.Rule, s.receipt.Index())
	}
	return c.sendRefused(&execution{refused: &failure}, expect, name)
}

func (c *conn) sendRefused(e *execution, expect session.Expect, name string) error {
	if !c.push(session.Owed[*execution]{Expect: expect, Exec: e}) {
		return nil
	}
	receipt := c.trail.newest()
	if expect == session.Query {
		c.endBatch()
		c.toServer.putRecorded(wire.AppendQuery(nil, refusedText), receipt)
	} else {
		c.doomed = true
		c.toServer.putRecorded(wire.AppendParse(nil, name, refusedText, nil), receipt)
	}
	return nil
}

// functionCall is refused by all but transparent rules: it reaches any function by number, past every analysis of SQL.
func (c *conn) functionCall(m wire.Message) error {
	if ok, err := c.callFunction(m); ok || err != nil {
		return err
	}
	v := verdict{purpose: c.purpose.Value()}
	v.decision.Rule = "default-deny"
	v.refuse("42501", "the function call interface is closed: call the function in a statement")
	return c.refuse(&v, "(function call)", nil, session.Query, "")
}

// tooLong refuses a message that is longer than the limit, without taking it into memory.
func (c *conn) tooLong(long *wire.TooLongError) error {
	if long.Type == wire.MsgCopyData {
		c.longAsked = &passage{to: boxed{&c.toServer, c.trail.newest()}, end: func() error { return nil }}
		return nil
	}
	if c.copyIn {
		return errOnlyCopy
	}
	expect := session.Parse
	switch long.Type {
	case wire.MsgQuery, wire.MsgFunctionCall:
		expect = session.Query
	case wire.MsgParse, wire.MsgBind, wire.MsgDescribe, wire.MsgExecute, wire.MsgClose:
	default:
		return &wire.ProtocolError{Code: "08P01", Message: "message is too long"}
	}
	if c.queue.Full() {
		return errWait
	}
	digest := newDigest()
	told := *long
	c.longAsked = &passage{to: &swallowed{to: digest}, end: func() error { return c.refuseLong(&told, expect, digest) }}
	return nil
}

// refuseLong refuses a message of which nothing is left but its digest.
func (c *conn) refuseLong(long *wire.TooLongError, expect session.Expect, digest digest) error {
	if c.doomed || c.queue.Skipping() {
		return nil
	}
	v := verdict{purpose: c.purpose.Value()}
	v.decision.Rule = "default-deny"
	v.refuse("54000", long.Error())
	v.detail = digest.detail(long)
	return c.refuse(&v, "(statement too long to be taken, see detail)", nil, expect, refusedName)
}
