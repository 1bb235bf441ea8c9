package proxy

import (
	"slices"
	"strings"

	"shiguan/policy"
	"shiguan/policy/sql"
	"shiguan/proxy/session"
	"shiguan/proxy/wire"
)

// purposeOf is the purpose under which a text is decided: the one in its leading comment, else the last that the text
// itself states or takes back, else the session's.
func (c *conn) purposeOf(text string, a *sql.Analysis) string {
	if p, ok := commentPurpose(text); ok {
		return p
	}
	purpose := c.purpose
	for i := range a.Statements {
		setPurpose(&purpose, &a.Statements[i])
	}
	return purpose.Value()
}

// setPurpose carries out what a statement says of the purpose.
func setPurpose(purpose *session.Setting, s *sql.Statement) {
	switch set := s.Setting; {
	case s.Verb == sql.Discard && s.Name == "all":
		purpose.Reset(false)
	case s.Verb != sql.Set || set == nil:
	case set.Reset && (set.Name == policy.PurposeSetting || set.Name == "" || set.Name == "all"):
		purpose.Reset(set.Local)
	case set.Name == policy.PurposeSetting:
		purpose.Set(set.Value, set.Local)
	}
}

// followPurpose follows the session's purpose through the statements of a message that has been sent, and through their
// transactions.
func (c *conn) followPurpose(e *execution) {
	for i := range e.steps {
		step := &e.steps[i]
		s := step.plan.Statement
		switch {
		case s.Block == sql.BlockBegin:
			c.purpose.Begin()
		case s.Block == sql.BlockCommit:
			if c.purpose.EndBlock(true, s.Chain, len(e.steps) == 1, &step.fate) {
				c.blockEnds = append(c.blockEnds, step)
			}
		case s.Block == sql.BlockRollback:
			c.purpose.EndBlock(false, s.Chain, len(e.steps) == 1, &step.fate)
		case s.Name == "savepoint":
			c.purpose.Savepoint(s.Savepoint)
		case s.Name == "rollback to":
			c.purpose.RollbackTo(s.Savepoint)
		case s.Name == "release":
			c.purpose.Release(s.Savepoint)
		default:
			setPurpose(&c.purpose, s)
		}
	}
}

// endBatch begins the next batch. It is called before the message that ends the batch is sent.
func (c *conn) endBatch() {
	if end := c.purpose.EndBatch(c.batch); end != nil {
		c.purposeEnd = end
	}
	if c.purpose.Pending() == nil {
		c.blockEnds = nil
	}
	c.batch++
}

// batchEnded tells whoever waits for the end of a batch how it came out.
func (c *conn) batchEnded() {
	if end := c.purposeEnd; end != nil && end.Batch == c.batches {
		fate := session.Done
		if c.stumbled {
			fate = session.Failed
		}
		c.settled(end.Fate, fate)
	}
	c.stumbled = false
}

// settlePurpose has the message at hand wait until it is known what the session's purpose is, where a transaction that
// changed it has just ended.
func (c *conn) settlePurpose() error {
	if fate := c.purpose.Pending(); fate != nil {
		if err := c.settle(fate); err != nil {
			c.toServer.buf = wire.AppendFlush(c.toServer.buf)
			return err
		}
		c.purpose.Settle(!slices.ContainsFunc(c.blockEnds, func(s *step) bool { return s.tag != "COMMIT" }))
		c.blockEnds = nil
	}
	if c.queue.Idle() {
		c.purpose.InBlock(c.queue.Status() != wire.TxIdle)
	}
	return nil
}

// commentPurpose reads purpose='…' from a leading sqlcommenter comment.
func commentPurpose(text string) (string, bool) {
	rest := strings.TrimLeft(text, " \t\r\n\f")
	if !strings.HasPrefix(rest, "/*") {
		return "", false
	}
	comment, _, ok := strings.Cut(rest[2:], "*/")
	if !ok || strings.Contains(comment, "/*") {
		return "", false
	}
	for pair := range strings.SplitSeq(comment, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		if key != "purpose" || len(value) < 2 || value[0] != '\'' || value[len(value)-1] != '\'' {
			continue
		}
		return unescapePercent(value[1 : len(value)-1]), true
	}
	return "", false
}
