package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgproto3/v2"

	"shiguan/auditlog/record"
)

// limits puts limits on what the city's clerk reads, and opens a session of hers. The rule gets a name of its own, since what
// was counted under a rule stays counted.
func limits(t *testing.T, limit string) *rawConn {
	t.Helper()
	before, err := os.ReadFile(city.Policy)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { putPolicy(t, before) })
	id := "clerk-" + strings.ToLower(t.Name())
	putPolicy(t, []byte(strings.NewReplacer("id: clerk-reads-citizens\n", "id: "+id+"\n", "limit: {rows: 5000}\n", "limit: {"+limit+"}\n").Replace(string(before))))
	return clerk(t)
}

func clerk(t *testing.T) *rawConn {
	return raw(t, dsn(t, "civil_clerk", "shiguan.purpose=case-2026-7"))
}

// got is how many rows came, and the SQLSTATE of the error after them.
func got(frames []frame) string {
	code := ""
	if e := errorOf(frames); e != nil {
		code = e.Code
	}
	return fmt.Sprint(strings.Count(kinds(frames), "D")+strings.Count(kinds(frames), "d"), code)
}

func wants(t *testing.T, c *rawConn, statement, want string) {
	t.Helper()
	if frames := c.ask(statement); got(frames) != want {
		t.Errorf("%s: %s, want %s\n%s", statement, got(frames), want, text(frames))
	}
}

// A cursor's rows are counted over its life, not FETCH by FETCH.
func TestLimitOfACursor(t *testing.T) {
	c := limits(t, "rows: 5")
	const declare = "declare c cursor for select name from civil.citizens order by birth_date"
	for _, step := range [][2]string{
		{"begin", "0"}, {declare, "0"}, {"fetch 3 from c", "3"}, {"fetch 2 from c", "2"}, {"fetch 1 from c", "053400"}, {"rollback", "0"},
		{"begin", "0"}, {declare, "0"}, {"fetch 4 from c", "4"}, {"declare d" + declare[9:], "0"}, {"fetch 5 from d", "5"}, {"fetch 4 from c", "153400"},
		{"commit", "0"},
		{"begin", "0"}, {declare, "0"}, {"fetch 5 from c", "5"}, {"fetch backward 1 from c", "053400"}, {"rollback", "0"},
	} {
		wants(t, c, step[0], step[1])
	}
	// So are a portal's, and those of a cursor that portals fetch from.
	frames := pipeline(c, &pgproto3.Parse{Query: "select name from civil.citizens"}, &pgproto3.Bind{},
		&pgproto3.Execute{MaxRows: 3}, &pgproto3.Execute{MaxRows: 3})
	if got(frames) != "553400" {
		t.Errorf("a portal: %s", text(frames))
	}
	c.ask("begin")
	c.ask(declare)
	for _, want := range []string{"3", "253400"} {
		if frames := pipeline(c, &pgproto3.Parse{Query: "fetch 3 from c"}, &pgproto3.Bind{}, &pgproto3.Execute{}); got(frames) != want {
			t.Errorf("a portal that fetches: %s, want %s", text(frames), want)
		}
	}
}

// The row beyond a day's limit does not leave: in no form of a statement, in no other session, and not after a crash.
func TestLimitOfADay(t *testing.T) {
	first := limits(t, "rows_per_day: 40")
	second := clerk(t)
	wants(t, first, "select name from civil.citizens limit 10", "10")
	wants(t, second, "copy (select id_number, name from civil.citizens limit 10) to stdout", "10")
	wants(t, second, "select name from civil.citizens limit 8; select 1", "042501") // not in a string of several
	if frames := pipeline(second, &pgproto3.Parse{Query: "select birth_date from civil.citizens"}, &pgproto3.Bind{}, &pgproto3.Execute{MaxRows: 5}); got(frames) != "5" {
		t.Error(text(frames))
	}
	wants(t, first, "begin", "0")
	wants(t, first, "declare c cursor for select name from civil.citizens", "0")
	wants(t, first, "fetch 5 from c", "5")

	killProxy(t)

	third := clerk(t)
	frames := third.ask("select name from civil.citizens")
	// 30 have left; up to five more may have been reserved when the proxy was killed.
	if n := strings.Count(kinds(frames), "D"); n < 5 || n > 10 || errorOf(frames) == nil || errorOf(frames).Code != "53400" {
		t.Errorf("after a crash: %s", text(frames))
	}
	wants(t, third, "select name from civil.citizens limit 1", "053400")
	wants(t, third, "select birth_date from civil.citizens where id_number = '1'", "053400")
	wants(t, third, "copy (select id_number from civil.citizens) to stdout", "053400")
	wants(t, third, "select count(*) from civil.households", "053400")
	wants(t, third, "select 1", "1")
}

// killProxy kills the proxy and starts it again.
func killProxy(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(city.PIDs["proxy"], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.CommandContext(t.Context(), city.binary, "demo", "restart", "--dir", city.dir, "proxy").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	if err := readManifest(); err != nil {
		t.Fatal(err)
	}
}

func TestLimitOfBytes(t *testing.T) {
	c := limits(t, "bytes_per_day: 400")
	frames := c.ask("select repeat('x', 90) from civil.citizens")
	if got(frames) != "353400" {
		t.Errorf("rows of a hundred bytes: %s", text(frames))
	}
	wants(t, c, "select count(*) from civil.citizens", "1")
}

// Whom rows are about is counted once a day, whatever form names him; persons seen today may be seen again.
func TestLimitOfSubjects(t *testing.T) {
	c := limits(t, "rows: 100, subjects_per_day: 4")
	known := values(raw(t, city.UpstreamDSN).ask("select id_number from civil.citizens order by id_number limit 6"))
	id := func(i int) string { return known[i][0] }
	wants(t, c, "select name from civil.citizens where id_number = '"+id(0)+"'", "1")            // named by the statement
	wants(t, c, "select name from civil.citizens order by birth_date, name limit 0", "0")        // nobody
	wants(t, c, "select id_number, name from civil.citizens where id_number = '"+id(1)+"'", "1") // by an output
	if frames := c.ask("select size from civil.households where id_number in ('" + id(0) + "','" + id(1) + "')"); errorOf(frames) != nil {
		t.Errorf("of persons seen before: %s", text(frames))
	}
	wants(t, c, "copy (select id_number, name from civil.citizens where id_number = '"+id(2)+"') to stdout", "1")
	if frames := pipeline(c, &pgproto3.Parse{Query: "select name from civil.citizens where id_number = $1"},
		&pgproto3.Bind{Parameters: [][]byte{[]byte(id(3))}, ParameterFormatCodes: []int16{1}}, &pgproto3.Execute{}); got(frames) != "1" {
		t.Error(text(frames))
	}
	wants(t, c, "select name from civil.citizens where id_number = '"+id(4)+"'", "053400")
	wants(t, c, "select name from civil.citizens where id_number = '"+id(3)+"'", "1")
	wants(t, c, "select count(*) from civil.citizens", "1") // about nobody
	if frames := c.ask("select name from civil.citizens"); errorOf(frames) == nil || errorOf(frames).Code != "53400" {
		t.Errorf("everybody's name: %s", text(frames))
	}
}

// What is refused in the middle is on record, with the rule, beside the statement whose rows have left.
func TestLimitOnRecord(t *testing.T) {
	from := logSize(t)
	limits(t, "rows: 100, rows_per_day: 100000, subjects_per_day: 2").Close()
	c := raw(t, dsn(t, "civil_clerk", "shiguan.purpose=case-2026-7", "application_name=limited"))
	frames := c.ask("select id_number, name from civil.citizens")
	e := errorOf(frames)
	if e == nil || e.Code != "53400" || !strings.HasPrefix(e.Detail, "Rule clerk-testlimitonrecord; record ") {
		t.Fatalf("%+v", e)
	}
	c.Close()
	all := statementsOf(t, sessionOf(t, "limited", from))
	i := slices.IndexFunc(all, func(s *statement) bool { return s.Decision == record.DecisionRefused })
	if i < 1 {
		t.Fatalf("no refusal is on record: %d statements", len(all))
	}
	allowed, refused := all[i-1], all[i]
	if allowed.outcome.SQLState != "53400" || allowed.outcome.Rows != int64(strings.Count(kinds(frames), "D")) || len(allowed.subjects) != 2 {
		t.Errorf("the statement: %+v, %d subjects", allowed.outcome, len(allowed.subjects))
	}
	if refused.Rule != "clerk-testlimitonrecord" || !strings.Contains(refused.Reason, "2 different persons' rows a day") || refused.Statement != allowed.Statement ||
		refused.Purpose != "case-2026-7" {
		t.Errorf("the refusal: %+v", refused.entry)
	}
}
