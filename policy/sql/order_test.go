package sql_test

import (
	"strings"
	"testing"

	"shiguan/policy/sql"
)

func TestSettleOrder(t *testing.T) {
	const c, h = `"c".tableoid, "c".ctid`, `"h".tableoid, "h".ctid`
	cat := city(t)
	for text, want := range map[string]string{
		"select c.name from civil.citizens c":                                                    "select c.name from civil.citizens c ORDER BY " + c,
		"select c.name from civil.citizens c, civil.households h order by c.name desc":           "select c.name from civil.citizens c, civil.households h order by c.name desc, " + c + ", " + h,
		"select c.name from civil.citizens c where exists (select 1 order by 1) limit 3 -- last": "select c.name from civil.citizens c where exists (select 1 order by 1) ORDER BY " + c + " limit 3 -- last",
		"select c.name as limit, c.name as order from civil.citizens c offset 2":                 "select c.name as limit, c.name as order from civil.citizens c ORDER BY " + c + " offset 2",
		"select c.name from civil.citizens c order by 1 /* x */ fetch first row only":            "select c.name from civil.citizens c order by 1, " + c + " /* x */ fetch first row only",
		"select c.name from civil.citizens c for share":                                          "select c.name from civil.citizens c ORDER BY " + c + " for share",
		"with w as (select 1) select c.name from civil.citizens c":                               "with w as (select 1) select c.name from civil.citizens c ORDER BY " + c,
		"copy (select c.name from civil.citizens c) to stdout":                                   "copy (select c.name from civil.citizens c ORDER BY " + c + ") to stdout",
		"declare v cursor with hold for select c.name from civil.citizens c":                     "declare v cursor with hold for select c.name from civil.citizens c ORDER BY " + c,
		"prepare p as select c.name from civil.citizens c order by name":                         "prepare p as select c.name from civil.citizens c order by name, " + c,
		"select c.name, count(*) from civil.citizens c group by c.name limit 1":                  "select c.name, count(*) from civil.citizens c group by c.name ORDER BY 1, 2 limit 1",
		"select distinct c.name from civil.citizens c order by 1":                                "select distinct c.name from civil.citizens c order by 1, 1",
		"select count(*) from civil.citizens c":                                                  "select count(*) from civil.citizens c",
		// What cannot be settled.
		"select n.name from civil.citizen_names n":                                       "",
		"select s.name from (select name from civil.citizens) s":                         "",
		"with s as (select name from civil.citizens) select name from s":                 "",
		"select c.name from civil.citizens c union all select 'x'":                       "",
		"(select c.name from civil.citizens c)":                                          "(select c.name from civil.citizens c ORDER BY " + c + ")",
		"select distinct to_json(c.name) from civil.citizens c":                          "",
		"select j.name from (civil.citizens c cross join civil.households h) as j":       "",
		"update civil.citizens c set phone = '1' returning c.name":                       "",
		"select c.name from civil.citizens c, generate_series(1, 3) g":                   "",
		"select c.name, 1 from civil.citizens c natural join civil.households limit 1;;": "select c.name, 1 from civil.citizens c natural join civil.households ORDER BY " + c + `, "households".tableoid, "households".ctid limit 1;;`,
	} {
		a, err := analyse(cat, corpusEntry{text: text})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got, err := sql.SettleOrder(a, text, 0)
		if err != nil {
			got = ""
		}
		if got != want {
			t.Errorf("%s\n\tbecame %s (%v)\n\twant   %s", text, got, err, want)
		}
	}
}

func TestOrderShows(t *testing.T) {
	cat := city(t)
	for text, want := range map[string]string{
		"select name, count(*), sum(length(phone)), max(phone) from civil.citizens group by 1 limit 3": "",
		"select row_number() over () from civil.citizens":                                              "row_number",
		"select string_agg(name, '' order by name) from civil.citizens":                                "string_agg",
		"select avg(length(name)::float8) from civil.citizens":                                         "avg",
		"select name from civil.citizens where random() < 0.5":                                         "random",
		"select distinct on (name) name from civil.citizens":                                           "DISTINCT ON",
		"select * from (select name from civil.citizens offset 2) s":                                   "LIMIT",
		"select name from civil.citizens order by name fetch first row with ties":                      "LIMIT",
		"select array(select name from civil.citizens)":                                                "ARRAY",
		"select * from (select json_agg(name) from civil.citizens) s":                                  "json_agg",
		"with w as (select name from civil.citizens limit 1) select * from w":                          "LIMIT",
	} {
		a, err := analyse(cat, corpusEntry{text: text})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := a.Statements[0].OrderShows; (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: order shows by %q, want %q", text, got, want)
		}
	}
}
