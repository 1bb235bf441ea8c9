package sql_test

import (
	"fmt"
	"strings"
	"testing"

	"shiguan/policy/sql"
)

// TestOccurrences says of statements where rows of tables enter them, and by what every such row is held: "=" by constants
// and parameters, "=N.column" by a column of occurrence N, counted from 0.
func TestOccurrences(t *testing.T) {
	cat := city(t)
	for text, want := range map[string]string{
		// Held by what the statement itself says.
		`select name from civil.citizens where id_number = 'a'`:                                                             "citizens[id_number=]",
		`select name from civil.citizens where 'a' = id_number and name like 'x%'`:                                          "citizens[id_number=]",
		`select name from civil.citizens where id_number = $1`:                                                              "citizens[id_number=]",
		`select name from civil.citizens where id_number in ('a', $1, 'b' || 'c')`:                                          "citizens[id_number=]",
		`select name from civil.citizens where id_number = any ($1)`:                                                        "citizens[id_number=]",
		`select name from civil.citizens where id_number = any (array['a', 'b'])`:                                           "citizens[id_number=]",
		`select name from civil.citizens where (id_number, name) = ('a', 'b')`:                                              "citizens[id_number= name=]",
		`select name from civil.citizens c join civil.households h on c.id_number = 'a'`:                                    "citizens[id_number=] households[]",
		`select name from (select * from civil.citizens) s where id_number = 'a'`:                                           "citizens[id_number=]",
		`select name from civil.citizen_names where id_number = 'a'`:                                                        "citizens[id_number=]",
		`with c as (select * from civil.citizens) select name from c where id_number = 'a'`:                                 "citizens[id_number=]",
		`select count(*) from civil.citizens where id_number = 'a' group by name`:                                           "citizens[id_number=]",
		`select 1 where exists (select from civil.citizens where id_number = 'a')`:                                          "citizens[id_number=]",
		`update civil.citizens set phone = '1' where id_number = 'a'`:                                                       "citizens[id_number=]",
		`delete from civil.citizens where id_number = 'a' returning name`:                                                   "citizens[id_number=]",
		`prepare p as select name from civil.citizens where id_number = $1`:                                                 "citizens[id_number=]",
		`declare c cursor for select name from civil.citizens where id_number = 'a'`:                                        "citizens[id_number=]",
		`explain select name from civil.citizens where id_number = 'a'`:                                                     "citizens[id_number=]",
		`copy (select name from civil.citizens where id_number = 'a') to stdout`:                                            "citizens[id_number=]",
		`select name from civil.citizens where id_number = 'a' union select name from civil.citizens where id_number = 'b'`: "citizens[id_number=] citizens[id_number=]",

		// Held by other tables, from the side that is restricted.
		`select c.name from housing.fund_accounts a join civil.citizens c on c.id_number = a.id_number`:                                                             "fund_accounts[id_number=1.id_number] citizens[id_number=0.id_number]",
		`select c.name from housing.fund_accounts a, civil.citizens c where c.id_number = a.id_number`:                                                              "fund_accounts[id_number=1.id_number] citizens[id_number=0.id_number]",
		`select name from housing.fund_accounts join civil.citizens using (id_number)`:                                                                              "fund_accounts[id_number=1.id_number] citizens[id_number=0.id_number]",
		`select name from housing.fund_accounts natural join civil.citizen_names`:                                                                                   "fund_accounts[id_number=1.id_number] citizens[id_number=0.id_number]",
		`select c.name from housing.fund_accounts a left join civil.citizens c on c.id_number = a.id_number`:                                                        "fund_accounts[] citizens[id_number=0.id_number]",
		`select c.name from civil.citizens c right join housing.fund_accounts a on c.id_number = a.id_number`:                                                       "citizens[id_number=1.id_number] fund_accounts[]",
		`select c.name from civil.citizens c left join housing.fund_accounts a on c.id_number = a.id_number`:                                                        "citizens[] fund_accounts[id_number=0.id_number]",
		`select c.name from civil.citizens c full join housing.fund_accounts a on c.id_number = a.id_number`:                                                        "citizens[] fund_accounts[]",
		`select name from civil.citizens where id_number in (select id_number from housing.fund_accounts)`:                                                          "citizens[id_number=1.id_number] fund_accounts[]",
		`select (select name from civil.citizens c where c.id_number = a.id_number) from housing.fund_accounts a`:                                                   "fund_accounts[] citizens[id_number=0.id_number]",
		`select from housing.fund_accounts a where exists (select from civil.citizens c where c.id_number = a.id_number)`:                                           "fund_accounts[] citizens[id_number=0.id_number]",
		`select s.name from housing.fund_accounts a, lateral (select name from civil.citizens c where c.id_number = a.id_number) s`:                                 "fund_accounts[] citizens[id_number=0.id_number]",
		`update housing.fund_accounts a set employer = c.name from civil.citizens c where c.id_number = a.id_number`:                                                "fund_accounts[id_number=1.id_number] citizens[id_number=0.id_number]",
		`with a as (select distinct id_number from housing.fund_accounts) select name from civil.citizens c join a using (id_number)`:                               "citizens[id_number=1.id_number] fund_accounts[]",
		`select a.name from civil.citizens a join civil.citizens b using (id_number)`:                                                                               "citizens[id_number=1.id_number] citizens[id_number=0.id_number]",
		`select x.name from (housing.fund_accounts a join civil.citizens x on x.id_number = a.id_number) left join civil.households h on h.id_number = x.id_number`: "fund_accounts[id_number=1.id_number] citizens[id_number=0.id_number] households[id_number=1.id_number]",

		// A second reference to a WITH name is not held by what holds the first.
		`with c as (select * from civil.citizens) select a.name from c a, c b where b.id_number = 'a'`:                                           "citizens[] citizens[id_number=]",
		`with c as (select * from civil.citizens where id_number = 'a') select a.name from c a, c b`:                                             "citizens[id_number=] citizens[id_number=]",
		`with c as (select * from civil.citizens), d as (select * from c) select a.name from d a, d b where b.id_number = 'a'`:                   "citizens[] citizens[id_number=]",
		`with c as (select * from civil.citizens) select 1`:                                                                                      "citizens[]",
		`with d as (delete from civil.citizens returning *) select name from d where id_number = 'a'`:                                            "citizens[] citizens[id_number=]",
		`with recursive r as (select id_number from civil.citizens union select id_number from r) select id_number from r where id_number = 'a'`: "citizens[] citizens[]",

		// Not held: the condition is not one of every row, or compares with the row itself.
		`select name from civil.citizens`:                                                                                       "citizens[]",
		`select name from civil.citizens where id_number = 'a' or true`:                                                         "citizens[]",
		`select name from civil.citizens where id_number = 'a' or id_number = 'b'`:                                              "citizens[]",
		`select name from civil.citizens where not id_number = 'a'`:                                                             "citizens[]",
		`select name from civil.citizens where not (id_number = 'a' and true)`:                                                  "citizens[]",
		`select name from civil.citizens where (id_number = 'a') is not null`:                                                   "citizens[]",
		`select name from civil.citizens where case when id_number = 'a' then true else true end`:                               "citizens[]",
		`select name from civil.citizens where id_number <> 'a'`:                                                                "citizens[]",
		`select name from civil.citizens where id_number not in ('a')`:                                                          "citizens[]",
		`select name from civil.citizens where id_number = all ('{}')`:                                                          "citizens[]",
		`select name from civil.citizens where id_number like 'a'`:                                                              "citizens[]",
		`select name from civil.citizens where id_number = id_number`:                                                           "citizens[]",
		`select name from civil.citizens where id_number in (id_number)`:                                                        "citizens[]",
		`select name from civil.citizens where id_number in ('a', id_number)`:                                                   "citizens[]",
		`select name from civil.citizens where id_number = name`:                                                                "citizens[]",
		`select name from civil.citizens where id_number = any (array['a', id_number])`:                                         "citizens[]",
		`select name from civil.citizens c where 'a' in (select id_number from civil.households h)`:                             "citizens[] households[]",
		`select name from civil.citizens c where exists (select 1 where c.id_number = 'a')`:                                     "citizens[]",
		`select name from civil.citizens c where (select c.id_number = 'a')`:                                                    "citizens[]",
		`select name, id_number = 'a' from civil.citizens`:                                                                      "citizens[]",
		`select count(*) filter (where id_number = 'a') from civil.citizens`:                                                    "citizens[]",
		`select name from civil.citizens group by name, id_number having id_number = 'a'`:                                       "citizens[]",
		`select name from (select max(name) as name, id_number from civil.citizens group by id_number) s where id_number = 'a'`: "citizens[]",
		`select c.name from civil.citizens c left join civil.households h on c.id_number = 'a'`:                                 "citizens[] households[]",
		`select name from civil.citizens union select name from civil.citizens where id_number = 'a'`:                           "citizens[] citizens[id_number=]",
		`copy civil.citizens (name) to stdout`:                                                                                  "citizens[]",
		`insert into civil.citizens (id_number) values ('a')`:                                                                   "",
		`insert into civil.citizens (id_number) values ('a') on conflict (id_number) do update set name = 'b'`:                  "citizens[]",
		`select relname from pg_class where oid = 1`:                                                                            "pg_class[oid=]",
		`select name from civil.citizens where id_number in (select unnest(array['a']))`:                                        "citizens[]",
		`select name from civil.citizens where id_number in (select 'a' || generate_series(1, 9))`:                              "citizens[]",
		`select name from civil.citizens where id_number = 'a' || (select max(id_number) from civil.households)`:                "citizens[] households[]",
	} {
		if got := occurrences(cat, text); got != want {
			t.Errorf("%s\n\thave %s\n\twant %s", text, got, want)
		}
	}
}

func occurrences(cat *sql.Catalogue, text string) string {
	a, err := sql.Analyse(text, cat, sql.Env{SearchPath: []string{"public"}})
	if err != nil {
		return err.Error()
	}
	name := func(table uint32, att int16) string {
		_, _, name, _ := cat.ColumnName(sql.Column{Table: table, Att: att})
		return name
	}
	all := a.Statements[0].Occurrences
	var out []string
	for _, o := range all {
		var holds []string
		for _, h := range o.Holds {
			text := name(o.Table, h.Att) + "="
			if h.By >= 0 {
				text += fmt.Sprintf("%d.%s", h.By, name(all[h.By].Table, h.ByAtt))
			}
			holds = append(holds, text)
		}
		out = append(out, cat.Relation(o.Table).Name+"["+strings.Join(holds, " ")+"]")
	}
	return strings.Join(out, " ")
}
