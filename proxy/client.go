package proxy

import (
	"errors"
	"time"

	"shiguan/auditlog/record"
	"shiguan/policy/sql"
	"shiguan/proxy/session"
	"shiguan/proxy/wire"
)

// refusedText is what the server gets in place of a refused statement. It cannot be parsed, so the server fails it
// before anything else, in every state; its log shows who did it.
const refusedText = "shiguan refused this statement"

// refusedName is the statement name under which that text is sent where an unnamed one would destroy the client's.
const refusedName = "shiguan_refused"

// serveClient reads the client's messages until the session ends.
func (c *conn) serveClient() {
	for {
		if !c.fromClient.Ready() || len(c.toServer.buf) >= 64<<10 {
			if err := c.sendUpstream(); err != nil {
				c.clientFailed(err)
				return
			}
			if c.fromClient.Buffered() == 0 && c.queue.Idle() {
				c.fromClient.Idle()
			}
		}
		m, err := c.fromClient.Next()
		var long *wire.TooLongError
		switch {
		case errors.As(err, &long):
			err = c.tooLong(long)
		case err == nil:
			err = c.handle(m)
		}
		if err != nil {
			c.clientFailed(err)
			return
		}
	}
}

// errTerminate says that the client took its leave.
var errTerminate = errors.New("client terminated")

// clientFailed ends the session from the client's side. What must be told to the client goes through the server's
// goroutine, the only one that writes there.
func (c *conn) clientFailed(err error) {
	if errors.Is(err, errTerminate) {
		c.end("client terminated")
		return
	}
	var broken *logError
	var violation *wire.ProtocolError
	if errors.As(err, &broken) || errors.As(err, &violation) {
		c.sayFarewell(err)
		<-c.ended
		return
	}
	var lost *upstreamError
	if errors.As(err, &lost) { // reading tells the server's goroutine, which tells the client
		<-c.ended
		return
	}
	c.deliverCancel() // nobody waits for the result any more
	c.end("client disconnected")
}

// sendUpstream writes what was collected for the server, after the records it must wait for.
func (c *conn) sendUpstream() error {
	if len(c.toServer.buf) == 0 {
		return nil
	}
	c.busy.Lock() // not between a cancel request and its delivery
	defer c.busy.Unlock()
	err := c.toServer.flush()
	var broken *logError
	if err != nil && !errors.As(err, &broken) {
		return &upstreamError{err}
	}
	return err
}

// upstreamError says that the server takes nothing any more.
type upstreamError struct{ error }

// handle deals with one message of the client. The table is closed: an unknown message ends the session.
func (c *conn) handle(m wire.Message) error {
	if c.copyIn.Load() && !copyMessage(m.Type()) {
		return errOnlyCopy
	}
	if owesReply(m.Type()) {
		if (c.doomed || c.queue.Skipping()) && m.Type() != wire.MsgSync {
			return nil // the server would not read it either
		}
		if err := c.room(); err != nil {
			return err
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
	c.leaving.Store(true)
	c.toServer.put(m, c.trail.newest())
	if err := c.sendUpstream(); err != nil {
		return err
	}
	<-c.ended
	return errTerminate
}

// copied ends the COPY data of one statement. Where another one of the same string may ask for more, nothing is read until
// it does: the server drops or refuses there what it would answer elsewhere.
func (c *conn) copied(m wire.Message) error {
	c.copyIn.Store(false)
	c.toServer.put(m, c.trail.newest())
	if len(c.copies) == 0 {
		return nil
	}
	next := c.copies[0]
	c.copies = c.copies[1:]
	return c.await(next, false)
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
	if c.copyIn.Load() {
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

// room makes sure that push will not wait for replies to messages that are still in the outbox.
func (c *conn) room() error {
	if c.queue.Full() {
		return c.sendUpstream()
	}
	return nil
}

// await lets the server deal with everything up to the gated message before the next one is looked at.
func (c *conn) await(g *gate, flush bool) error {
	if flush {
		c.toServer.buf = wire.AppendFlush(c.toServer.buf)
	}
	if err := c.sendUpstream(); err != nil {
		return err
	}
	select {
	case <-g.opened:
		return nil
	case <-c.ended:
		return errTerminate
	}
}

// settle waits until the fate of an earlier definition is known, where a later batch depends on it.
func (c *conn) settle(f *session.Fate) error {
	for f != nil && f.Get() == session.Pending {
		if err := c.sendUpstream(); err != nil {
			return err
		}
		c.fateMu.Lock()
		for f.Get() == session.Pending && !c.over() {
			c.fateSet.Wait()
		}
		c.fateMu.Unlock()
		if c.over() {
			return errTerminate
		}
	}
	return nil
}

func (c *conn) over() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
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
	v := c.judge(text, noTypes, now)
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
	if e.steps = e.one[:]; len(plans) > 1 {
		e.steps = make([]step, len(plans))
	}
	for i := range plans {
		e.steps[i].plan = &plans[i]
		c.defineSQL(&e.steps[i].fate, plans[i].Statement)
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
			if s.Outlined || len(e.steps) > 1 || !rowVerb(s.Verb) || len(s.Functions) > 0 {
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
			e.gate = newGate()
		}
		for range copies(s.Statement) {
			if e.gate == nil {
				e.gate = newGate()
			} else {
				e.later = append(e.later, newGate())
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
	if g == nil {
		return nil
	}
	if err := c.await(g, expect == session.Execute); err != nil || g.over == nil {
		return err
	}
	return c.refuseRest(e, g.over)
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
		if err := c.sendUpstream(); err != nil {
			return err
		}
		_, err := c.fromClient.Stream(c.upstream)
		return err
	}
	if c.copyIn.Load() {
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
	digest := newDigest()
	if _, err := c.fromClient.Stream(digest); err != nil {
		return err
	}
	if c.doomed || c.queue.Skipping() {
		return nil
	}
	v := verdict{purpose: c.purpose.Value()}
	v.decision.Rule = "default-deny"
	v.refuse("54000", long.Error())
	v.detail = digest.detail(long)
	return c.refuse(&v, "(statement too long to be taken, see detail)", nil, expect, refusedName)
}
