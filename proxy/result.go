package proxy

import (
	"io"
	"slices"

	"shiguan/auditlog/record"
	"shiguan/policy"
	"shiguan/policy/mask"
	"shiguan/policy/sql"
	"shiguan/proxy/session"
	"shiguan/proxy/wire"
)

// result is how the rows of one execution are released.
type result struct {
	columns []resultColumn
	plain   bool // rows pass as they are
	hidden  bool
	named   bool // a column names persons
}

type resultColumn struct {
	mask    *mask.Mask
	typ     uint32
	format  int16
	subject string
	hidden  bool
}

var errDisagree = &wire.ProtocolError{Code: "42501",
	Message: "the server's result does not have the columns that the policy decided on: nothing was released"}

// rowDescription checks the server's description of a result against the plan and strips hidden columns.
func (c *conn) rowDescription(a session.Answer[*execution], m wire.Message) error {
	e := a.Owed.Exec
	fields, err := wire.ParseRowDescription(m.Body())
	if err != nil {
		return err
	}
	s := e.step()
	var plan *policy.Plan
	switch {
	case s != nil:
		plan = s.plan
	case e.plan != nil:
		plan = e.plan
	default:
		return errDisagree
	}
	cols, err := c.checkColumns(plan, fields)
	if err != nil {
		return err
	}
	if s != nil {
		s.result = newResult(plan, cols, nil)
	} else if e.columns != nil {
		if known := e.columns.Load(); known == nil || !slices.Equal(*known, cols) {
			kept := slices.Clone(cols)
			e.columns.Store(&kept)
		}
	}
	if a.Owed.Own {
		return nil
	}
	if hiddenOutputs(plan) == 0 {
		c.toClient.put(m, c.trail.newest())
		return nil
	}
	b := wire.BeginRowDescription(c.toClient.buf)
	for i := 0; ; i++ {
		f, ok := fields.Next()
		if !ok {
			break
		}
		if !plan.Outputs[i].Hidden {
			b.Field(f)
		}
	}
	c.toClient.buf = b.End()
	c.toClient.under(c.trail.newest())
	return nil
}

// checkColumns compares what the server reports with what the analysis foresaw, column by column. Two instruments
// that disagree about where a value comes from mean that nothing is released. Where the plan foresees no columns of users'
// tables at all, none may be reported. What it returns is valid until the next call.
func (c *conn) checkColumns(plan *policy.Plan, fields wire.Fields) ([]column, error) {
	if !plan.AnyOutputs && !plan.Transparent && fields.Len() != len(plan.Outputs) {
		return nil, errDisagree
	}
	cols := c.columns[:0]
	defer func() { c.columns = cols }()
	for i := 0; ; i++ {
		f, ok := fields.Next()
		if !ok {
			return cols, nil
		}
		cols = append(cols, column{server: sql.Column{Table: f.TableOID, Att: f.Att}, typ: f.TypeOID, format: f.Format})
		if plan.Transparent {
			continue
		}
		if plan.AnyOutputs && !c.ofSystem(f.TableOID) || !plan.AnyOutputs && plan.Outputs[i].Server != cols[i].server {
			return nil, errDisagree
		}
	}
}

// ofSystem reports whether a relation is one of the database's own, or none at all.
func (c *conn) ofSystem(oid uint32) bool {
	if oid < firstUserOID {
		return true
	}
	cat := c.db.known.Load()
	if cat == nil {
		return false
	}
	r := cat.Relation(oid) // an extension may put views beside PostgreSQL's own
	return r != nil && (r.Schema() == "pg_catalog" || r.Schema() == "information_schema")
}

// firstUserOID is the first that PostgreSQL gives to something that did not come with it.
const firstUserOID = 16384

// noColumns checks that a statement without a result was foreseen as such.
func (c *conn) noColumns(e *execution) error {
	if e.plan == nil || e.plan.Transparent || len(e.plan.Outputs) == 0 || e.plan.Statement.Copy != nil {
		return nil
	}
	return errDisagree
}

// untreated is the result whose rows pass as they are.
var untreated = &result{plain: true}

// newResult joins plan and columns. Formats, when given, are those of the Bind.
func newResult(plan *policy.Plan, cols []column, formats wire.Formats) *result {
	if !treated(plan) || plan.Transparent && !foreseen(plan, cols) {
		return untreated
	}
	return layOut(plan, cols, formats)
}

// layOut is newResult for columns that are known to be the plan's.
func layOut(plan *policy.Plan, cols []column, formats wire.Formats) *result {
	r := &result{plain: true}
	for i := range plan.Outputs {
		o := &plan.Outputs[i]
		if o.Mask != nil || o.Subject != "" || o.Hidden {
			r.plain = false
		}
		rc := resultColumn{mask: o.Mask, subject: o.Subject, hidden: o.Hidden}
		if i < len(cols) {
			rc.typ, rc.format = cols[i].typ, cols[i].format
		}
		if formats != nil {
			rc.format = formats.Of(i)
		}
		r.hidden, r.named = r.hidden || o.Hidden, r.named || o.Subject != ""
		r.columns = append(r.columns, rc)
	}
	return r
}

// row releases one row: as it is, or masked, without hidden columns, its subjects noted.
func (c *conn) row(e *execution, m wire.Message) error {
	s := e.step()
	if s == nil || s.done {
		return errDisagree
	}
	if s.result == nil {
		if err := c.resultOf(e, s); err != nil {
			return err
		}
	}
	c.about = c.about[:0]
	if s.result.plain {
		if !c.countRow(e, s, len(m)) {
			c.toClient.put(m, s.receipt)
		}
		return nil
	}
	values, err := wire.ParseDataRow(m.Body())
	if err != nil {
		return err
	}
	if values.Len() != len(s.result.columns) {
		return errDisagree
	}
	if s.result.named {
		c.nameRow(s.result, values)
	}
	if c.countRow(e, s, len(m)) {
		return nil
	}
	c.toClient.buf, err = s.result.appendRow(c.toClient.buf, values)
	c.toClient.under(s.receipt)
	return err
}

// nameRow collects the persons whom a row is about.
func (c *conn) nameRow(r *result, values wire.Values) {
	for i := range r.columns {
		value, _ := values.Next()
		if col := &r.columns[i]; col.subject != "" && value != nil {
			c.about = append(c.about, c.hasher.Subject(col.subject, value))
		}
	}
}

// appendRow writes a row as the client may see it. After an error nothing of it may leave.
func (r *result) appendRow(buf []byte, values wire.Values) ([]byte, error) {
	b := wire.BeginDataRow(buf)
	for i := range r.columns {
		value, _ := values.Next()
		col := &r.columns[i]
		switch {
		case col.hidden:
		case value == nil:
			b.Null()
		case col.mask == nil:
			b.Value(value)
		default:
			dst, at := b.OpenValue()
			out, null, err := col.mask.Append(dst, value, col.format, col.typ)
			if err != nil {
				return buf, errMask
			}
			if null {
				b.CloseNull(out, at)
			} else {
				b.CloseValue(out, at)
			}
		}
	}
	return b.End(), nil
}

var errMask = &wire.ProtocolError{Code: "42501", Message: "a value could not be masked: the result was stopped"}

// note keeps a subject for the next disclosure, once in a row of equal ones.
func (s *step) note(subject record.Subject) {
	if n := len(s.subjects); n == 0 || s.subjects[n-1] != subject {
		s.subjects = append(s.subjects, subject)
	}
}

// resultOf prepares the release of an Execute's rows, whose description came earlier.
func (c *conn) resultOf(e *execution, s *step) error {
	if e.columns == nil {
		return errDisagree
	}
	cols := e.columns.Load()
	if cols == nil {
		if (!s.plan.AnyOutputs || byName(s.plan)) && !s.plan.Transparent {
			return errDisagree
		}
		s.result = &result{plain: true}
		return nil
	}
	if !s.plan.AnyOutputs && !s.plan.Transparent && !foreseen(s.plan, *cols) {
		return errDisagree // described under another plan
	}
	s.result = newResult(s.plan, *cols, nonNil(e.formats))
	return nil
}

// foreseen reports that the server's columns are those of the plan.
func foreseen(plan *policy.Plan, cols []column) bool {
	return slices.EqualFunc(cols, plan.Outputs, func(f column, o policy.OutputPlan) bool { return f.server == o.Server })
}

// byName reports whether what runs is found by a name: then the columns are looked at, whatever the plan says of them.
func byName(p *policy.Plan) bool {
	return p.Statement.Verb == sql.Execute || p.Statement.Verb == sql.Fetch
}

func nonNil(f wire.Formats) wire.Formats {
	if f == nil {
		return wire.Formats{}
	}
	return f
}

// streamRow passes on a row or a piece of COPY data that is too long to be taken whole, where nothing in it has to be
// masked.
func (c *conn) streamRow(long *wire.TooLongError) error {
	e := c.current
	if e == nil {
		e = c.inFlight()
	}
	s := e.step()
	if s == nil || (long.Type != wire.MsgDataRow && long.Type != wire.MsgCopyData) {
		return &wire.ProtocolError{Code: "54000", Message: "the database server sent a message that is too long"}
	}
	if s.result == nil {
		if err := c.resultOf(e, s); err != nil {
			return err
		}
	}
	if !s.result.plain && !s.plan.Transparent {
		return &wire.ProtocolError{Code: "54000", Message: "a row is too long to be masked"}
	}
	next := &passage{to: &swallowed{to: io.Discard}, end: func() error { return nil }}
	c.about = c.about[:0]
	if !c.countRow(e, s, long.Length) {
		c.current = e
		next.to = boxed{&c.toClient, s.receipt}
	}
	c.longAnswer = next
	return nil
}
