package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgproto3/v2"

	"shiguan/cmd/internal/demo"
)

// A cursor of SQL and a portal of the protocol have one name between them: the rows that FETCH takes from a portal must not
// go out under the record of a cursor that is no more.
func TestFetchFromAPortalInACursorsPlace(t *testing.T) {
	from := logSize(t)
	h := subjectHasher(t)
	a := demo.Sample().ID
	b := column(t, "select id_number from civil.citizens where id_number <> '"+a+"' limit 1")[0]
	c := raw(t, dsn(t, "civil_manager", "application_name=usurped"))
	c.ask("begin")
	c.ask("declare c cursor for select name from civil.citizens where id_number = '" + a + "'")
	bound := pipeline(c, &pgproto3.Close{ObjectType: 'P', Name: "c"},
		&pgproto3.Parse{Name: "s", Query: "select name from civil.citizens where id_number = '" + b + "'"},
		&pgproto3.Bind{DestinationPortal: "c", PreparedStatement: "s"})
	if e := errorOf(bound); e != nil {
		t.Fatalf("the portal: %v", e)
	}
	fetched := c.ask("fetch all from c")
	c.send(&pgproto3.Terminate{})
	left := len(values(fetched))
	for _, s := range statementsOf(t, sessionOf(t, "usurped", from)) {
		if strings.HasPrefix(s.Statement, "fetch") && left > 0 {
			if err := s.sameSubjects(h, []string{b}); err != nil {
				t.Errorf("the row of one person left under the record of another: %v", err)
			}
		}
	}
}

// Names that were given up count no more, names that are held do.
func TestManyNames(t *testing.T) {
	const limit, step = 10000, 500
	c := raw(t, dsn(t, "bench"))
	define := func(from, n int, close bool) *pgproto3.ErrorResponse {
		var messages []pgproto3.FrontendMessage
		for i := from; i < from+n; i++ {
			name := fmt.Sprint("s", i)
			messages = append(messages, &pgproto3.Parse{Name: name, Query: "select 1"})
			if close {
				messages = append(messages, &pgproto3.Close{ObjectType: 'S', Name: name})
			}
		}
		return errorOf(pipeline(c, messages...))
	}
	for i := 0; i < limit+2*step; i += step {
		if e := define(i, step, true); e != nil {
			t.Fatalf("at %d: %s %s", i, e.Code, e.Message)
		}
	}
	for i := 0; i < limit; i += step {
		if e := define(i, step, false); e != nil {
			t.Fatalf("at %d: %s %s", i, e.Code, e.Message)
		}
	}
	if e := define(limit, 1, false); e == nil || e.Code != "54000" {
		t.Errorf("one name too many: %+v", e)
	}
	if e := errorOf(c.ask("prepare one_more as select 1")); e == nil || e.Code != "54000" {
		t.Errorf("one name too many, by SQL: %+v", e)
	}
	if e := errorOf(c.ask("deallocate all")); e != nil {
		t.Fatal(e.Message)
	}
	if e := define(0, 1, false); e != nil {
		t.Errorf("after DEALLOCATE ALL: %s", e.Message)
	}
}

// A change of the catalogue while results are under way stops none of them.
func TestCatalogueChangesUnderPipelines(t *testing.T) {
	const table = "pgbench_passing_by"
	admin := superuser(t)
	t.Cleanup(func() { admin.Exec(context.Background(), "drop table if exists "+table) })
	c := raw(t, dsn(t, "bench"))
	if e := errorOf(pipeline(c, &pgproto3.Parse{Name: "big", Query: "select * from pgbench_accounts"},
		&pgproto3.Parse{Name: "small", Query: "select aid, bid from pgbench_accounts where aid < 4"})); e != nil {
		t.Fatal(e.Message)
	}
	run := func(name string) []pgproto3.FrontendMessage {
		return []pgproto3.FrontendMessage{&pgproto3.Bind{PreparedStatement: name}, &pgproto3.Execute{}}
	}
	pipeline(c, run("small")...) // describes it
	c.send(append(run("big"), run("small")...)...)
	if _, err := admin.Exec(t.Context(), "create table "+table+" (i int); grant all on "+table+" to it_centre_load_test"); err != nil {
		t.Fatal(err)
	}
	// Nobody reads the big result yet, so the small one behind it has not come when the proxy learns of the table.
	if err := known(t.Context(), dsn(t, "bench"), "select i from "+table); err != nil {
		t.Fatal(err)
	}
	frames := pipeline(c, run("small")...)
	if got := strings.Count(kinds(frames), "C"); got != 3 || errorOf(frames) != nil {
		t.Errorf("%d results of 3 came, and then %s", got, text(frames[max(0, len(frames)-3):]))
	}
}

// The purpose stated at the start is the one that RESET and DISCARD ALL come back to, as for any setting.
func TestResetReturnsToThePurposeOfTheStart(t *testing.T) {
	const statement = "select name from civil.citizens limit 1"
	c := raw(t, dsn(t, "civil_clerk", "options=-c%20shiguan.purpose%3Dcase-7"))
	allowed := func(when string, want bool) {
		t.Helper()
		if e := errorOf(c.ask(statement)); (e == nil) != want {
			t.Errorf("%s: %+v", when, e)
		}
	}
	allowed("at the start", true)
	c.ask("set shiguan.purpose = 'holiday'")
	allowed("after SET", false)
	for _, reset := range []string{"reset shiguan.purpose", "reset all", "discard all"} {
		c.ask("set shiguan.purpose = 'holiday'")
		if e := errorOf(c.ask(reset)); e != nil {
			t.Fatalf("%s: %s", reset, e.Message)
		}
		allowed("after "+reset, true)
		if got := values(c.ask("show shiguan.purpose"))[0][0]; got != "case-7" {
			t.Errorf("after %s the server says %q", reset, got)
		}
	}
}

// What PREPARE made is run by EXECUTE; the protocol's messages are told so, and may name it without harm.
func TestStatementsOfSQLInTheProtocol(t *testing.T) {
	c := raw(t, dsn(t, "bench"))
	c.ask("prepare q (int) as select aid, filler from pgbench_accounts where aid = $1")
	for _, m := range []pgproto3.FrontendMessage{&pgproto3.Describe{ObjectType: 'S', Name: "q"}, &pgproto3.Bind{PreparedStatement: "q", Parameters: [][]byte{[]byte("1")}}} {
		if e := errorOf(pipeline(c, m)); e == nil || e.Code != "0A000" || e.Severity != "ERROR" {
			t.Errorf("%T: %+v", m, e)
		}
	}
	if e := errorOf(pipeline(c, &pgproto3.Close{ObjectType: 'S', Name: "q"})); e != nil {
		t.Errorf("Close: %s", e.Message)
	}
	if e := errorOf(c.ask("execute q (1)")); e == nil {
		t.Error("EXECUTE runs what was closed")
	}
}
