package session_test

import (
	"fmt"
	"testing"

	"shiguan/proxy/session"
)

// How a setting goes through transactions; that PostgreSQL does the same is tested on a real one in cmd/internal/e2e.
func TestSettingFollowsTransactions(t *testing.T) {
	done, failed, skipped := session.Done, session.Failed, session.Skipped
	end := func(s *session.Setting, fate uint32, foreseen bool) {
		if f := s.Pending(); f != nil {
			f.Set(fate)
			s.Settle(foreseen)
		}
	}
	batch := func(s *session.Setting, fate uint32) { s.EndBatch(1); end(s, fate, true) }
	for _, x := range []struct {
		name string
		do   func(s *session.Setting)
		want string
	}{
		{"set", func(s *session.Setting) { s.Set("a", false); batch(s, done) }, "a"},
		{"set, the string fails", func(s *session.Setting) { s.Set("a", false); batch(s, failed) }, "start"},
		{"set local alone", func(s *session.Setting) { s.Set("a", true); batch(s, done) }, "start"},
		{"in a block", func(s *session.Setting) { s.Begin(); s.Set("a", true); batch(s, done) }, "a"},
		{"local, committed", func(s *session.Setting) {
			s.Begin()
			s.Set("a", true)
			batch(s, done)
			s.EndBlock(true, false, true, new(session.Fate))
			s.EndBatch(2)
			end(s, done, true)
		}, "start"},
		{"set, committed", func(s *session.Setting) {
			s.Begin()
			s.Set("a", false)
			s.Set("b", true)
			s.EndBlock(true, false, true, new(session.Fate))
			end(s, done, true)
		}, "a"},
		{"set, COMMIT answered ROLLBACK", func(s *session.Setting) {
			s.Begin()
			s.Set("a", false)
			s.EndBlock(true, false, true, new(session.Fate))
			end(s, done, false)
		}, "start"},
		{"set, COMMIT not carried out", func(s *session.Setting) {
			s.Begin()
			s.Set("a", false)
			s.EndBlock(true, false, true, new(session.Fate))
			end(s, skipped, false)
		}, "a"},
		{"set, rolled back", func(s *session.Setting) {
			s.Begin()
			s.Set("a", false)
			s.EndBlock(false, false, true, new(session.Fate))
			end(s, done, true)
		}, "start"},
		{"savepoints", func(s *session.Setting) {
			s.Begin()
			s.Set("a", false)
			s.Savepoint("p")
			s.Set("b", false)
			s.Savepoint("q")
			s.Set("c", true)
			s.Release("q")
			s.RollbackTo("p")
		}, "a"},
		{"a savepoint from before", func(s *session.Setting) { s.Begin(); s.Savepoint("p"); s.Set("a", false); s.RollbackTo("p") }, "start"},
		{"reset", func(s *session.Setting) { s.Set("a", false); batch(s, done); s.Reset(false); batch(s, done) }, "start"},
		{"a block ended unforeseen", func(s *session.Setting) { s.Begin(); s.Set("a", false); batch(s, done); s.InBlock(false) }, ""},
		{"a mixed string fails", func(s *session.Setting) {
			s.Begin()
			s.Set("a", false)
			s.EndBlock(true, false, false, new(session.Fate))
			batch(s, failed)
		}, ""},
		{"a mixed string holds", func(s *session.Setting) {
			s.Begin()
			s.Set("a", false)
			s.EndBlock(true, false, false, new(session.Fate))
			s.Set("b", true)
			batch(s, done)
		}, "a"},
		{"too many savepoints", func(s *session.Setting) {
			s.Begin()
			s.Set("a", false)
			for i := range 2000 {
				s.Savepoint(fmt.Sprint(i))
			}
		}, ""},
	} {
		s := session.NewSetting("start")
		if x.do(&s); s.Value() != x.want || s.Pending() != nil {
			t.Errorf("%s: %q, pending %v; want %q", x.name, s.Value(), s.Pending(), x.want)
		}
	}
}
