package e2e

import (
	"fmt"
	"testing"

	"shiguan/auditlog/record"
)

// ways are the ways of reading rows about persons. Each reads those of the citizens whose numbers the query gives; the
// client sees visible columns only.
var ways = []struct {
	name   string
	person string
	script string
	ids    string // of the rows that leave
	cols   int    // columns that the client sees
}{
	{"simple", "civil_manager", `Query "select name from civil.citizens order by id_number limit 7"
< Z`, "select id_number from civil.citizens order by id_number limit 7", 1},
	{"without an order", "civil_manager", `Query "select name from civil.citizens"
< Z`, "select id_number from civil.citizens", 1},
	{"extended", "civil_manager", `Parse "" "select name from civil.citizens order by id_number limit 7"
Bind "" ""
Execute ""
Sync
< Z`, "select id_number from civil.citizens order by id_number limit 7", 1},
	{"binary", "civil_manager", `Parse "" "select name from civil.citizens order by id_number limit 7"
Bind "" "" -> 1
Describe P ""
Execute ""
Sync
< Z`, "select id_number from civil.citizens order by id_number limit 7", 1},
	{"described statement", "civil_manager", `Parse s "select name, birth_date from civil.citizens order by id_number limit 7"
Describe S s
Sync
< Z
Bind "" s -> 1 0
Execute ""
Sync
< Z`, "select id_number from civil.citizens order by id_number limit 7", 2},
	{"in portions", "civil_manager", `Parse "" "select name from civil.citizens order by id_number limit 7"
Bind "" ""
Execute "" 3
Execute "" 3
Execute "" 3
Sync
< Z`, "select id_number from civil.citizens order by id_number limit 7", 1},
	{"returning", "civil_manager", `Query "begin"
Query "update civil.citizens set phone = phone where name like '王%' returning name"
Query "rollback"
< ZZZ`, "select id_number from civil.citizens where name like '王%'", 1},
	{"cursor", "civil_manager", `Query "begin"
Query "declare c cursor for select name from civil.citizens order by id_number"
Query "fetch 3 from c"
Query "fetch 4 from c"
Query "commit"
< ZZZZZ`, "select id_number from civil.citizens order by id_number limit 7", 1},
	{"prepared by SQL", "civil_manager", `Query "prepare q as select name from civil.citizens order by id_number limit 7"
Query "execute q"
< ZZ`, "select id_number from civil.citizens order by id_number limit 7", 1},
	{"view", "civil_manager", `Query "select name from civil.citizen_names order by id_number limit 7"
< Z`, "select id_number from civil.citizens order by id_number limit 7", 1},
	{"join", "civil_manager", `Query "select c.name, h.size from civil.citizens c join civil.households h on h.id_number = c.id_number order by c.id_number limit 7"
< Z`, "select h.id_number from civil.households h order by id_number limit 7", 2},
	{"by number", "civil_manager", `Query "select name from civil.citizens where id_number = (select 'x') or id_number = 'y'"
< Z`, "select id_number from civil.citizens where false", 1},
	{"copy", "civil_manager", `Query "copy (select id_number, name from civil.citizens order by id_number limit 7) to stdout"
< Z`, "select id_number from civil.citizens order by id_number limit 7", 2},
	{"copy as csv", "civil_manager", `Query "copy civil.citizens to stdout (format csv, header)"
< Z`, "select id_number from civil.citizens", 5},
	{"copy by the extended protocol", "civil_manager", `Parse "" "copy civil.households to stdout"
Bind "" ""
Execute ""
Sync
< Z`, "select id_number from civil.households", 4},
	{"masked", "auditor", `Query "select name, phone from civil.citizens order by birth_date, name limit 0"
Query "select name, phone from civil.citizens limit 7"
Query "select name, phone from civil.citizens"
< ZZZ`, "select id_number from civil.citizens", 2},
	{"masked, binary", "auditor", `Parse "" "select reason, amount from welfare.payments"
Bind "" "" -> 1
Execute ""
Sync
< Z`, "select id_number from welfare.payments", 2},
	{"masked copy", "auditor", `Query "copy housing.fund_accounts to stdout"
< Z`, "select id_number from housing.fund_accounts", 4},
}

// Whichever way rows about persons leave, the log names each person, and nobody else.
func TestEveryPersonWhoseRowLeftIsOnRecord(t *testing.T) {
	from := logSize(t)
	h := subjectHasher(t)
	for i, w := range ways {
		scripts, err := parseScripts(w.name, "## x\n"+w.script)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(w.name, func(t *testing.T) {
			application := fmt.Sprint("way-", i)
			frames := scripts[0].play(t, dsn(t, w.person, "application_name="+application))
			if e := errorOf(frames); e != nil && w.name != "masked" {
				t.Fatalf("%s %s %s", e.Code, e.Message, e.Detail)
			}
			for _, row := range values(frames) {
				if len(row) != w.cols && row[0] != "still here" {
					t.Fatalf("the client sees %d columns: %v", len(row), row)
				}
			}
			all := &statement{subjects: map[record.Subject]bool{}}
			for _, s := range statementsOf(t, sessionOf(t, application, from)) {
				for x := range s.subjects {
					all.subjects[x] = true
				}
			}
			if err := all.sameSubjects(h, column(t, w.ids)); err != nil {
				t.Error(err)
			}
		})
	}
}

// column reads one column of text past the proxy.
func column(t *testing.T, query string) []string {
	t.Helper()
	rows, err := superuser(t).Query(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}
