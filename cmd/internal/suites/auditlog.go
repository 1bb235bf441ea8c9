package main

import (
	"context"
	"fmt"
	"path/filepath"

	"shiguan/auditlog"
	"shiguan/auditlog/record"
	"shiguan/auditlog/record/seal"
)

// recordedSession is one session as the audit log tells it.
type recordedSession struct {
	person, role, database string
	statements             []*recordedStatement
}

// recordedStatement is one statement record with its outcome.
type recordedStatement struct {
	index  uint64
	text   string
	params []record.Param
	state  string // SQLSTATE or "skipped"; "" when it was carried out
}

// ran is how many statements were carried out.
func (s *recordedSession) ran() (n int) {
	for _, st := range s.statements {
		if st.state == "" {
			n++
		}
	}
	return n
}

// auditLog reads the sessions on record by the number of the server's process.
func (b *bed) auditLog(ctx context.Context) (map[string][]*recordedSession, error) {
	source, err := auditlog.OpenDir(filepath.Join(b.city.Dir, "log"))
	if err != nil {
		return nil, err
	}
	ids, err := seal.ParseIdentities(filepath.Join(b.city.Dir, "keys", "investigator.identity"))
	if err != nil {
		return nil, err
	}
	opener := auditlog.NewOpener(source, ids)
	byPID := map[string][]*recordedSession{}
	sessions := map[string]*recordedSession{}
	statements := map[uint64]*recordedStatement{}
	conclude := func(o record.Outcome) {
		if st := statements[o.Of]; st != nil {
			st.state = o.SQLState
		}
	}
	err = source.Records(ctx, 0, func(stored auditlog.Stored) error {
		payload, _, err := opener.Open(ctx, stored)
		if err != nil {
			return err
		}
		r, err := record.Decode(payload)
		if err != nil {
			return fmt.Errorf("record %d: %w", stored.Index, err)
		}
		switch r.Kind {
		case record.KindSessionOpened:
			s := &recordedSession{person: r.Person, role: r.Role, database: r.Database}
			sessions[r.Session] = s
			byPID[r.Detail["backend"]] = append(byPID[r.Detail["backend"]], s)
		case record.KindStatement:
			st := &recordedStatement{index: stored.Index, text: r.Statement, params: r.Params}
			if len(r.StatementRaw) > 0 {
				st.text = string(r.StatementRaw)
			}
			if r.Decision != record.DecisionAllowed {
				st.state = r.Decision
			}
			statements[stored.Index] = st
			sessions[r.Session].statements = append(sessions[r.Session].statements, st)
		}
		if r.Outcome != nil {
			conclude(*r.Outcome)
		}
		for _, o := range r.Earlier {
			conclude(o)
		}
		return nil
	})
	return byPID, err
}
