package main

import (
	"context"
	"fmt"
	"sort"
	"strings"
)

// completeness compares what the server says that it executed for proxied sessions with what the audit log holds.
type completeness struct {
	sessions   int // of the proxy at the server
	executed   int // messages that the server carried out, as log_statement=all tells
	found      int // of them on record
	statements int // statement records of these sessions
	unrun      int // of them failed, refused or skipped before the server logged them
	params     int // values that are equal on both sides
	spelled    int // values that the server prints otherwise than they were sent: dates, times, numbers
	unequal    int // values of another format than text, which were compared by number and NULL only
	faults     []string
}

func (c *completeness) holds() bool { return len(c.faults) == 0 && c.executed == c.found }

func (c *completeness) verdict() string {
	text := fmt.Sprintf("%d of %d executions found, %d faults", c.found, c.executed, len(c.faults))
	for _, f := range c.faults[:min(len(c.faults), 10)] {
		text += "\n  " + f
	}
	return text
}

func (c *completeness) text() string {
	return fmt.Sprintf(`
## What the server executed is on record

Independent of the proxy: the server's own log (log_statement=all) of the same run, session by session, against the audit log
opened with the investigators' key. Each execution must be on record once, in order, under the person whose role ran it, in the
right database, with the right parameters; what is on record and was not executed must have failed or been skipped.

| | |
|---|---|
| sessions of the proxy at the server | %d |
| executions that the server logged | %d |
| of them on record | %d |
| statement records of these sessions | %d |
| of them failed or skipped before the server logged them | %d |
| parameters equal in both logs | %d |
| parameters that the server spells otherwise (dates, times), equal in their digits | %d |
| parameters in binary format, compared by number and NULL only | %d |
| faults | %d |
`, c.sessions, c.executed, c.found, c.statements, c.unrun, c.params, c.spelled, c.unequal, len(c.faults))
}

func (c *completeness) fault(format string, args ...any) {
	c.faults = append(c.faults, fmt.Sprintf(format, args...))
}

// complete compares the two logs.
func (b *bed) complete(ctx context.Context) (*completeness, error) {
	served, err := b.serverLog()
	if err != nil {
		return nil, err
	}
	recorded, err := b.auditLog(ctx)
	if err != nil {
		return nil, err
	}
	c := &completeness{}
	// Process numbers come again: of several sessions with one number the first at the server is the first on record.
	for pid, there := range served {
		here := recorded[pid]
		sort.Slice(there, func(i, j int) bool { return there[i].began < there[j].began })
		for i, s := range there {
			if i >= len(here) && len(s.executions) == 0 {
				continue // nobody was let in
			}
			if i >= len(here) {
				c.sessions, c.executed = c.sessions+1, c.executed+len(s.executions)
				c.fault("session %s of process %s is not on record at all", s.id, pid)
				continue
			}
			c.session(s, here[i])
		}
		delete(recorded, pid)
	}
	for pid, left := range recorded {
		for _, s := range left {
			if s.ran() > 0 {
				c.fault("process %s executed nothing, says the server; %d statements are on record", pid, s.ran())
			}
		}
	}
	return c, nil
}

// session walks along both logs of one session.
func (c *completeness) session(s *servedSession, r *recordedSession) {
	c.sessions++
	c.executed += len(s.executions)
	c.statements += len(r.statements)
	if s.user != r.role || s.database != r.database || r.person == "" {
		c.fault("session %s: the server knows %s on %s, on record is %s (%s) on %s", s.id, s.user, s.database, r.person, r.role, r.database)
	}
	at := 0
	for i := range s.executions {
		x := &s.executions[i]
		next := c.match(x, r, at)
		if next < 0 {
			c.fault("session %s, %s: not on record after statement %d: %.200q", s.id, x.when, at, x.text)
			continue
		}
		c.found++
		at = next
	}
	for ; at < len(r.statements); at++ {
		c.unran(s, r.statements[at])
	}
}

// unran counts a record that the server logged nothing for.
func (c *completeness) unran(s *servedSession, st *recordedStatement) {
	if c.unrun++; st.state == "" {
		c.fault("session %s: on record as carried out (%d), and the server did not: %.200q", s.id, st.index, st.text)
	}
}

// match finds the records of one execution from statement at on and returns where the next one begins, or -1. What stands
// before them must not have run.
func (c *completeness) match(x *execution, r *recordedSession, at int) int {
	for begin := at; begin < len(r.statements); begin++ {
		if r.statements[begin].state == "skipped" {
			continue // the server read past it
		}
		if n := c.covers(x, r.statements[begin:]); n > 0 {
			for k := at; k < begin; k++ {
				c.unran(&servedSession{id: x.when}, r.statements[k])
			}
			return begin + n
		}
		if r.statements[begin].state == "" {
			return -1
		}
	}
	return -1
}

// covers reports how many records from the first on one execution is: one, or as many as a string holds statements.
func (c *completeness) covers(x *execution, records []*recordedStatement) int {
	first := records[0]
	if !x.simple {
		if strings.TrimSpace(first.text) != strings.TrimSpace(x.text) && !(x.call && strings.HasPrefix(first.text, "(function call")) {
			return 0
		}
		if !x.call {
			c.compareParams(x, first)
		}
		return 1
	}
	rest := x.text
	for n, st := range records {
		text := strings.TrimSpace(st.text)
		i := strings.Index(rest, text)
		if i < 0 || n > 0 && (text == "" || strings.Trim(rest[:i], " \t\r\n\f;") != "" && !comment(rest[:i])) {
			return n
		}
		if text == "" && strings.TrimSpace(x.text) != "" && !comment(x.text) {
			return n
		}
		rest = rest[i+len(text):]
		if left := strings.Trim(rest, " \t\r\n\f\v;"); left == "" {
			return n + 1
		}
	}
	return len(records)
}

// comment reports that a text may be nothing but comments and separators.
func comment(s string) bool { return strings.Contains(s, "--") || strings.Contains(s, "/*") }

// compareParams compares the values of an execution.
func (c *completeness) compareParams(x *execution, st *recordedStatement) {
	if len(x.params) != len(st.params) {
		c.fault("%s: %d parameters at the server, %d on record: %.100q", x.when, len(x.params), len(st.params), x.text)
		return
	}
	for i, p := range x.params {
		q := st.params[i]
		switch {
		case (p == nil) != q.Null:
			c.fault("%s: parameter %d is NULL on one side only: %.100q", x.when, i+1, x.text)
		case p == nil:
			c.params++
		case q.Text == nil:
			c.unequal++
		case *p == *q.Text || sameValue(*p, *q.Text):
			c.params++
		case sameDigits(*p, *q.Text):
			c.spelled++
		default:
			c.fault("%s: parameter %d is %.60q at the server, %.60q on record: %.100q", x.when, i+1, *p, *q.Text, x.text)
		}
	}
}
