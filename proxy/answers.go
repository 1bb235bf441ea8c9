package proxy

import (
	"errors"
	"time"

	"shiguan/auditlog/record"
	"shiguan/policy/sql"
	"shiguan/proxy/poll"
	"shiguan/proxy/session"
	"shiguan/proxy/wire"
)

// serveServer deals with what the server has sent, as far as the client takes what comes of it.
func (c *conn) serveServer() error {
	for n := 0; ; n++ {
		if n == messagesATurn || c.toClient.waiting() >= released {
			c.moreAnswered = true
			return nil
		}
		if c.longAnswer != nil {
			if err := c.pass(c.fromServer, &c.longAnswer, &c.moreAnswered); err != nil {
				return c.serverGone(err)
			}
			if c.longAnswer != nil {
				return nil
			}
			continue
		}
		if !c.fromServer.Ready() && !c.upstream.Readable() {
			if c.queue.Idle() {
				c.fromServer.Idle()
			}
			return nil
		}
		m, err := c.fromServer.Next()
		var long *wire.TooLongError
		switch {
		case err == nil:
			err = c.answer(m)
		case errors.Is(err, poll.ErrAgain):
			continue
		case errors.As(err, &long):
			err = c.streamRow(long)
		default:
			return c.serverGone(err)
		}
		if err != nil {
			return err
		}
	}
}

// holding reports that rows are held back until the record that names their persons is worth writing.
func (c *conn) holding() bool {
	s := c.current.step()
	return s != nil && len(s.subjects) > 0 && c.farewell == ""
}

// disclose lets rows about persons leave, under a record that names them, when there are enough of them.
func (c *conn) disclose() error {
	if c.holding() && c.toClient.waiting() >= released {
		return c.discloseNow()
	}
	return nil
}

func (c *conn) discloseNow() error {
	if !c.holding() {
		return nil
	}
	r, err := c.trail.disclosure(c.current.step(), nil)
	if err == nil {
		c.toClient.under(r)
	}
	return err
}

// serverGone says farewell for whoever closed the server's connection.
func (c *conn) serverGone(err error) error {
	if err := c.discloseNow(); err != nil { // what is held back names persons too
		return err
	}
	switch {
	case c.gone:
		c.end("client disconnected")
	case c.leaving:
		c.part("client terminated")
	case c.parted:
		c.part("connection closed")
	default:
		c.lastWord(&wire.Error{Code: "08006", Message: "the database server closed the connection"})
	}
	return nil
}

// answer deals with one message of the server.
func (c *conn) answer(m wire.Message) error {
	t := m.Type()
	if e := c.current; e != nil && t == wire.MsgDataRow {
		return c.row(e, m) // the queue has nothing to say until the result ends
	}
	var status byte
	if t == wire.MsgReadyForQuery {
		var err error
		if status, err = wire.ParseReadyForQuery(m.Body()); err != nil {
			return err
		}
	}
	a, err := c.queue.Answer(t, status)
	if err != nil {
		return &wire.ProtocolError{Code: "08P01", Message: err.Error()}
	}
	if !a.Known {
		return c.unasked(m)
	}
	e := a.Owed.Exec
	switch t {
	case wire.MsgErrorResponse:
		return c.failed(a, m)
	case wire.MsgReadyForQuery:
		return c.ready(a, m, status)
	case wire.MsgParseComplete, wire.MsgBindComplete, wire.MsgCloseComplete:
		c.settled(&e.fate, session.Done)
	case wire.MsgRowDescription:
		return c.rowDescription(a, m)
	case wire.MsgNoData:
		if err := c.noColumns(e); err != nil {
			return err
		}
	case wire.MsgDataRow:
		c.current = e
		return c.row(e, m)
	case wire.MsgCopyInResponse:
		c.copyIn = true
		e.openNext()
	case wire.MsgCopyOutResponse:
		if err := c.copyOut(e, m); err != nil {
			return err
		}
	case wire.MsgCopyData:
		return c.copyRow(e, m)
	case wire.MsgCopyDone:
		if s := e.step(); s != nil && s.over {
			return nil // the error takes its place
		}
	case wire.MsgParameterDescription:
	case wire.MsgFunctionCallResponse:
		c.completeLoosely(e, e.step(), m, nil)
		return nil
	case wire.MsgCommandComplete, wire.MsgEmptyQueryResponse, wire.MsgPortalSuspended:
		return c.complete(e, m)
	default:
		return &wire.ProtocolError{Code: "08P01", Message: "the database server sent a message that is not let through"}
	}
	if !a.Owed.Own {
		c.toClient.put(m, c.trail.newest())
	}
	return nil
}

// unasked deals with messages that come by themselves.
func (c *conn) unasked(m wire.Message) error {
	switch m.Type() {
	case wire.MsgParameterStatus:
		p, err := wire.ParseParameterStatus(m.Body())
		if err != nil {
			return err
		}
		if err := c.checkStatus(string(p.Name), string(p.Value)); err != nil {
			return err
		}
	case wire.MsgNoticeResponse:
		if c.mayQuote(c.inFlight()) {
			return nil
		}
	case wire.MsgErrorResponse:
		c.parted = true // a FATAL nobody asked for: the server closes next
	}
	c.toClient.put(m, c.trail.newest())
	return nil
}

// checkStatus ends a session whose state would make the analysis wrong: other quoting, other encoding, another role.
func (c *conn) checkStatus(name, value string) error {
	quoting := name == "standard_conforming_strings" && value != "on" || name == "client_encoding" && value != "UTF8"
	switch {
	case c.observed:
		if quoting {
			c.requoted = true
		}
	case quoting,
		name == "server_encoding" && value != "UTF8", // names are cut to a number of bytes there
		name == "session_authorization" && value != c.person.Role,
		name == "is_superuser" && value != "off" && !c.superuser:
		return &wire.ProtocolError{Code: "42501", Message: "the session's " + name + " changed to a value that policy cannot be checked under"}
	}
	return nil
}

// mayQuote reports whether an error or notice may contain values that the person may not see: of a statement that touches
// some, or of the checks that were put off to the end of a transaction which did. e is nil for the COMMIT at a Sync.
func (c *conn) mayQuote(e *execution) bool {
	if e == nil || e.filter {
		return e != nil || c.filtering
	}
	s := e.step()
	if s == nil {
		return false
	}
	checks := s.plan.Statement.Block == sql.BlockCommit || s.plan.Statement.Setting != nil && s.plan.Statement.Setting.Name == "constraints"
	return checks && c.filtering
}

// inFlight is what the server is working on.
func (c *conn) inFlight() *execution {
	if o, ok := c.queue.Head(); ok {
		return o.Exec
	}
	return nil
}

// settled notes the fate of a definition, the first one it is given.
func (c *conn) settled(f *session.Fate, fate uint32) {
	if f.Get() == session.Pending {
		f.Set(fate)
	}
}

// failed deals with an error of the server: the one it had to make in place of a refused statement, or its own.
func (c *conn) failed(a session.Answer[*execution], m wire.Message) error {
	e := a.Owed.Exec
	fields, err := wire.ParseErrorResponse(m.Body())
	if err != nil {
		return err
	}
	if fields.Fatal() {
		c.parted = true
	}
	code, quotes := string(fields.Get(wire.FieldCode)), c.mayQuote(e)
	for _, o := range a.Dropped {
		c.drop(o.Exec)
	}
	c.current, c.stumbled = nil, true
	if e == nil { // COMMIT of an implicit transaction failed at Sync
		if quotes {
			c.putFiltered(fields)
		} else {
			c.toClient.put(m, c.trail.newest())
		}
		return nil
	}
	c.settled(&e.fate, session.Failed)
	defer e.open(nil)
	if s := e.step(); s != nil {
		c.settled(&s.fate, session.Failed)
		if err := c.endStep(e, s, code, nil); err != nil {
			return err
		}
		c.copyIn = false
		for e.at++; e.at < len(e.steps); e.at++ { // the rest of the string does not run
			c.endUnrun(&e.steps[e.at])
		}
	} else if e.subject != "" {
		if err := c.recordFailed(e, code); err != nil {
			return err
		}
	}
	switch {
	case e.refused != nil && !fields.Fatal():
		c.toClient.buf = wire.AppendError(c.toClient.buf, e.refused)
		c.toClient.under(c.trail.newest())
	case quotes:
		c.putFiltered(fields)
	default:
		c.putError(e, m, fields)
	}
	return nil
}

// drop settles a message that the server discarded because an earlier one failed.
func (c *conn) drop(e *execution) {
	if e == nil {
		return
	}
	c.settled(&e.fate, session.Skipped)
	for i := range e.steps {
		c.endUnrun(&e.steps[i])
	}
	e.open(nil)
}

// endUnrun notes that a statement was sent and not carried out.
func (c *conn) endUnrun(s *step) {
	c.settled(&s.fate, session.Skipped)
	if !s.done {
		s.done = true
		c.trail.outcome(record.Outcome{Seq: s.seq, Of: s.receipt.Index(), SQLState: "skipped"}, false)
	}
}

// recordFailed puts a Parse, Bind or Describe that failed on record.
func (c *conn) recordFailed(e *execution, code string) error {
	var s step
	v := verdict{word: record.DecisionFailed, failure: &wire.Error{Code: code}}
	v.decision.Reason = "the server failed it before it ran"
	c.srv.metrics.decided(v.word)
	return c.trail.statement(&s, time.Now(), func(r *record.Record) { c.describeRefused(r, &v, e.subject, e.portal) })
}

// putFiltered passes on what an error is, but nothing of what it may quote.
func (c *conn) putFiltered(fields wire.NoticeFields) {
	buf, at := wire.Begin(c.toClient.buf, wire.MsgErrorResponse)
	code := string(fields.Get(wire.FieldCode))
	message := "the statement failed; the message is withheld because it may contain masked values"
	if quotesNothing(code) {
		message = string(fields.Get(wire.FieldMessage))
	}
	for _, f := range []byte{wire.FieldSeverity, wire.FieldSeverityPlain, wire.FieldCode} {
		if v := fields.Get(f); v != nil {
			buf = wire.AppendNoticeField(buf, f, v)
		}
	}
	buf = wire.AppendNoticeField(buf, wire.FieldMessage, message)
	c.toClient.buf = wire.EndNotice(buf, at)
	c.toClient.under(c.trail.newest())
}

// quotesNothing lists the errors whose message names objects and states but never values of rows.
func quotesNothing(code string) bool {
	if len(code) != 5 {
		return false
	}
	switch code[:2] {
	case "08", "0A", "23", "25", "26", "28", "34", "3D", "40", "53", "55", "57", "58":
		return true
	}
	switch code {
	case "42501", "42601", "42P01", "42703", "42883", "42P07":
		return true
	}
	return false
}

// complete ends one statement.
func (c *conn) complete(e *execution, m wire.Message) error {
	s := e.step()
	if s == nil {
		return &wire.ProtocolError{Code: "08P01", Message: "the database server completed more statements than it was sent"}
	}
	var tag []byte
	if m.Type() == wire.MsgCommandComplete {
		var err error
		if tag, err = wire.ParseCommandComplete(m.Body()); err != nil {
			return err
		}
	}
	if e.loose && e.at == len(e.steps)-1 {
		c.completeLoosely(e, s, m, tag)
		return nil
	}
	code := ""
	if s.over {
		code = s.err.Code
	}
	if err := c.endStep(e, s, code, tag); err != nil {
		return err
	}
	c.current = nil
	c.filtering = c.filtering || e.filter || s.plan.FilterErrors
	if e.portal != nil {
		e.portal.rows += s.rows
	}
	e.at++
	c.settled(&s.fate, session.Done)
	if e.ddl {
		c.catalogueChanged()
	}
	if s.over {
		c.overrun = s.err
		if e.portal != nil { // a Query waits for its ReadyForQuery
			e.open(s.err)
			c.overrun = nil
		}
		return nil
	}
	c.toClient.put(m, c.trail.newest())
	if e.portal != nil {
		e.open(nil)
	}
	return nil
}

// tagText is a command tag, without a copy of those that are most frequent.
func tagText(tag []byte) string {
	switch string(tag) {
	case "":
		return ""
	case "SELECT 0":
		return "SELECT 0"
	case "SELECT 1":
		return "SELECT 1"
	case "INSERT 0 1":
		return "INSERT 0 1"
	case "UPDATE 1":
		return "UPDATE 1"
	case "DELETE 1":
		return "DELETE 1"
	case "BEGIN":
		return "BEGIN"
	case "COMMIT":
		return "COMMIT"
	}
	return string(tag)
}

// endStep puts a statement's outcome where it costs least: into its last disclosure, or with the session's next record.
func (c *conn) endStep(e *execution, s *step, code string, tag []byte) error {
	if s.done {
		return nil
	}
	text := tagText(tag)
	if s.done = true; s.tag == "" {
		s.tag = text
	}
	if rows, ok := wire.RowsAffected(tag); ok && s.rows == 0 && !s.over {
		s.rows = rows
	}
	took := time.Since(s.started)
	out := record.Outcome{
		Seq: s.seq, Of: s.receipt.Index(), Rows: s.rows, Bytes: s.bytes, SQLState: code,
		Micros: took.Microseconds(), Tag: text,
	}
	if s.plan.Statement.Copy != nil {
		c.copyIn = false
	}
	c.srv.metrics.ran(took)
	if len(s.subjects) == 0 {
		c.trail.outcome(out, false)
		return nil
	}
	r, err := c.trail.disclosure(s, &out)
	if err != nil {
		return err
	}
	c.toClient.under(r)
	c.trail.outcome(out, true)
	return nil
}

// ready ends a batch.
func (c *conn) ready(a session.Answer[*execution], m wire.Message, status byte) error {
	c.current = nil
	e := a.Owed.Exec
	if status == wire.TxIdle {
		if c.ddl {
			c.ddl = false
			c.db.stale()
		}
		c.idleBatch = c.batches + 1
	}
	c.batchEnded()
	c.batches++
	if status == wire.TxIdle && c.overrun == nil {
		c.filtering = false
	}
	if e != nil && c.overrun != nil {
		over := c.overrun
		c.overrun = nil
		e.open(over) // the ReadyForQuery of the failing statement follows instead of this one
		return nil
	}
	c.toClient.put(m, c.trail.newest())
	if e != nil {
		if err := c.endLoosely(e); err != nil {
			return err
		}
		for ; e.at < len(e.steps); e.at++ { // nothing that the server was sent goes without an answer, nor without an outcome
			c.endUnrun(&e.steps[e.at])
		}
		e.open(nil)
	}
	return nil
}

// catalogueChanged makes the next decision wait for a fresh catalogue: at once outside a transaction block, and again
// when the block ends, because until then nobody else sees the change.
func (c *conn) catalogueChanged() {
	c.db.stale()
	c.ddl = true
}
