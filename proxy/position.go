package proxy

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"shiguan/policy"
	"shiguan/proxy/wire"
)

// rewriting remembers both texts of a message whose statements got further columns, so that the server's errors point into
// the one that the client wrote.
type rewriting struct {
	asked string // by the client
	sent  string // to the server
	plans []policy.Plan
}

// placed turns a position in the text that was sent, in characters from 1, into one in the text that was asked. It is 0
// where there is none.
func (r *rewriting) placed(position int) int {
	at := byteAt(r.sent, position)
	asked, sent := 0, 0 // where the statement at hand begins
	for i := range r.plans {
		was := r.plans[i].Statement.Text
		is := was
		if r.plans[i].Text != "" {
			is = r.plans[i].Text
		}
		begin := strings.Index(r.asked[asked:], was)
		if begin < 0 {
			return 0
		}
		asked += begin
		if at <= sent+len(is) {
			if at = moved(was, is, at-sent); at < 0 {
				return 0
			}
			return utf8.RuneCountInString(r.asked[:asked+at]) + 1
		}
		asked, sent = asked+len(was), sent+len(is)+len(joint)
	}
	return 0
}

// moved turns an offset in a text into one in the text it was made of; -1 for what stands between the first change and the
// last.
func moved(was, is string, at int) int {
	same, rest := 0, 0
	for same < len(was) && same < len(is) && was[same] == is[same] {
		same++
	}
	for rest < len(was)-same && rest < len(is)-same && was[len(was)-1-rest] == is[len(is)-1-rest] {
		rest++
	}
	switch {
	case at < same:
		return at
	case at >= len(is)-rest:
		return at - len(is) + len(was)
	}
	return -1
}

// byteAt is the offset of a character counted from 1.
func byteAt(s string, position int) int {
	for i := range s {
		if position--; position == 0 {
			return i
		}
	}
	return len(s)
}

// putError passes an error of the server on. Where it points into a text that is not the client's own, it is made to
// point into that.
func (c *conn) putError(e *execution, m wire.Message, fields wire.NoticeFields) {
	c.toClient.under(c.trail.newest())
	position, err := strconv.Atoi(string(fields.Get(wire.FieldPosition)))
	if e.rewritten == nil || err != nil {
		c.toClient.put(m, c.trail.newest())
		return
	}
	buf, at := wire.Begin(c.toClient.buf, wire.MsgErrorResponse)
	for code, value, ok := fields.Next(); ok; code, value, ok = fields.Next() {
		if code != wire.FieldPosition {
			buf = wire.AppendNoticeField(buf, code, value)
		} else if p := e.rewritten.placed(position); p > 0 {
			buf = wire.AppendNoticeField(buf, code, strconv.Itoa(p))
		}
	}
	c.toClient.buf = wire.EndNotice(buf, at)
}
