package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgproto3/v2"

	"shiguan/cmd/internal/demo"
)

// PostgreSQL tells names apart by their first 63 bytes. A name that is longer must not stand for one statement to the
// proxy and for another to the server, or rows leave under the plan and record of a statement that did not make them.
func TestNamesAreComparedAsTheServerDoes(t *testing.T) {
	stem := strings.Repeat("n", 63)
	harmless := &pgproto3.Parse{Name: stem + "1", Query: "select 'x'::text, 'y'::text"}
	secret := &pgproto3.Parse{Name: stem + "2", Query: "select id_number, phone from civil.citizens"}
	for name, messages := range map[string][]pgproto3.FrontendMessage{
		"statement": {harmless, &pgproto3.Close{ObjectType: 'S', Name: stem + "3"}, secret,
			&pgproto3.Bind{PreparedStatement: stem + "1"}, &pgproto3.Execute{}},
		"portal": {harmless, &pgproto3.Parse{Name: "s", Query: secret.Query},
			&pgproto3.Bind{DestinationPortal: stem + "1", PreparedStatement: stem + "1"},
			&pgproto3.Close{ObjectType: 'P', Name: stem + "3"},
			&pgproto3.Bind{DestinationPortal: stem + "2", PreparedStatement: "s"},
			&pgproto3.Execute{Portal: stem + "1"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := raw(t, dsn(t, "auditor"))
			frames := pipeline(c, messages...)
			for _, row := range values(frames) {
				if row[0] == demo.Sample().ID {
					t.Errorf("a masked value left in clear: %q", row)
				}
			}
			if n := len(values(frames)); n < 2 {
				t.Errorf("%d rows: %s", n, text(frames))
			}
		})
	}
}

// What EXECUTE runs must be what the proxy knows under the name.
func TestExecuteCannotChangeWhatNamesMean(t *testing.T) {
	from := logSize(t)
	h := subjectHasher(t)
	a := demo.Sample().ID
	b := column(t, "select id_number from civil.citizens where id_number <> '"+a+"' limit 1")[0]
	query := func(id string) string { return "select name from civil.citizens where id_number = '" + id + "'" }
	c := raw(t, dsn(t, "fund_clerk", "application_name=renamed"))
	c.ask("prepare q as " + query(a))
	pipeline(c, &pgproto3.Parse{Name: "gone", Query: "deallocate q"}, &pgproto3.Parse{Name: "other", Query: "prepare q as " + query(b)})
	c.ask("execute gone")
	c.ask("execute other")
	left := values(c.ask("execute q"))
	name := column(t, strings.Replace(query(b), "name", "name as id_number", 1))[0]
	c.send(&pgproto3.Terminate{})
	for _, s := range statementsOf(t, sessionOf(t, "renamed", from)) {
		if s.Statement != "execute q" || len(left) == 0 || left[0][0] != name {
			continue
		}
		if err := s.sameSubjects(h, []string{b}); err != nil {
			t.Errorf("the row of one person left under the record of another: %v", err)
		}
	}
}

// A transaction that EXECUTE ends is over: what follows does not run in a block.
func TestExecuteCannotEndABlock(t *testing.T) {
	c := raw(t, dsn(t, "bench"))
	pipeline(c, &pgproto3.Parse{Name: "c", Query: "commit"})
	c.ask("begin")
	if got := kinds(c.ask("execute c")); strings.HasSuffix(got, "ZI") {
		t.Errorf("EXECUTE ended the block unseen: %s", got)
	}
}

// COPY's text format does not tell NULL from a value that is spelled like it: with a NULL string of his own choice a person
// would learn where a masked value is what he guesses, and whose row leaves would not be on record.
func TestCopyTellsNullFromValues(t *testing.T) {
	id := demo.Sample().ID
	for _, options := range []string{"null '" + id + "'", "format csv, null '" + id + "'", "format csv, null '" + id + "', delimiter ';'", `null ''`, `null '\N'`} {
		t.Run(options, func(t *testing.T) {
			from := logSize(t)
			application := "copied-" + fmt.Sprint(len(options))
			c := raw(t, dsn(t, "auditor", "application_name="+application))
			frames := c.ask("copy (select id_number, name from civil.citizens) to stdout (" + options + ")")
			for _, f := range frames {
				if f.kind() == 'd' && strings.Contains(string(f), id) {
					t.Errorf("the masked value left: %q", f)
				}
			}
			c.send(&pgproto3.Terminate{})
			if e := errorOf(frames); e != nil {
				if e.Code != "0A000" && e.Code != "42501" {
					t.Errorf("%s %s", e.Code, e.Message)
				}
				return
			}
			h := subjectHasher(t)
			for _, s := range statementsOf(t, sessionOf(t, application, from)) {
				if !s.subjects[h.SubjectString("resident_id", id)] {
					t.Error("a person whose row left is not on record")
				}
			}
		})
	}
}

// Between two COPYs of one string the server reads nothing but COPY data, and answers no Sync.
func TestSyncBetweenTwoCopies(t *testing.T) {
	furnish(t)
	script := func(c *rawConn) []frame {
		c.send(&pgproto3.Query{String: "copy pgbench_history from stdin; copy pgbench_history from stdin"})
		all := c.until('G')
		c.send(&pgproto3.CopyDone{}, &pgproto3.Sync{})
		all = append(all, c.until('G')...)
		c.send(&pgproto3.CopyDone{})
		all = append(all, c.until('Z')...)
		return append(all, c.ask("select 1")...)
	}
	direct, proxied := kinds(script(raw(t, directDSN(t, "bench")))), kinds(script(raw(t, dsn(t, "bench"))))
	if direct != proxied {
		t.Errorf("the server answers %s, the proxy %s", direct, proxied)
	}
}
