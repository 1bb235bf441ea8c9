package e2e

import (
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgproto3/v2"
)

// The record keeps what was asked and what was sent, and rows are kept in every way in which a statement can be run later.
func TestKeptRows(t *testing.T) {
	role := roleOf(t, "civil_manager")
	onServer(t, "grant select, update on pgbench_tellers to "+role)
	t.Cleanup(func() { onServer(t, "revoke select, update on pgbench_tellers from "+role) })
	addPolicy(t, "", "", "  - {id: kept, who: {user: civil_manager}, may: [select, update], on: [public.pgbench_tellers], where: \"tid <= 3 or filler = person.department\"}\n")
	from := logSize(t)
	c := raw(t, dsn(t, "civil_manager", "application_name=kept"))
	const asked = "select tid from pgbench_tellers order by tid"
	wants(t, c, asked, "3")
	for range 2 { // the prepared statement, bound twice
		frames := pipeline(c, &pgproto3.Parse{Query: asked}, &pgproto3.Describe{ObjectType: 'S'}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Bind{}, &pgproto3.Execute{MaxRows: 2})
		if got(frames) != "5" {
			t.Error(text(frames))
		}
	}
	for _, step := range [][2]string{
		{"prepare q (int) as select tid from pgbench_tellers where tid >= $1", "0"}, {"execute q (3)", "1"}, {"execute q (4)", "0"},
		{"select 1; " + asked, "4"}, {"update pgbench_tellers set tbalance = 1 where tid > 2 returning tid", "1"}, {"update pgbench_tellers set tbalance = 0 where 1 / (4 - tid) > 0", "0"},
		{"explain " + asked, "042501"}, {"update pgbench_tellers set tid = 9", "042501"},
	} {
		wants(t, c, step[0], step[1])
	}
	// A statement that was prepared under other rows is not run any more.
	now, err := os.ReadFile(city.Policy)
	if err != nil {
		t.Fatal(err)
	}
	putPolicy(t, []byte(strings.Replace(string(now), "tid <= 3 or", "tid <= 2 or", 1)))
	wants(t, c, "execute q (1)", "042501")
	wants(t, c, asked, "2")
	c.Close()
	all := statementsOf(t, sessionOf(t, "kept", from))
	if first := all[0]; first.Statement != asked || !strings.Contains(first.Rewritten, `OPERATOR(pg_catalog.<=) 3`) || !strings.Contains(first.Rewritten, `'civil-affairs'`) {
		t.Errorf("on record is %q, rewritten %q", first.Statement, first.Rewritten)
	}
}
