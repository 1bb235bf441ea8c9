package policy_test

import (
	"strings"
	"testing"

	"shiguan/policy"
	"shiguan/policy/sql"
)

// byPolicy opens two tables that may be asked for by number only, a third without condition, and a family of partitions.
const byPolicy = `version: 1
rules:
  - id: tables
    who: {user: "*"}
    may: [select, update, delete, merge, insert]
    on: [s.people, s.cards]
    by: [s.people.id, s.cards.id, s.cards.holder]
    clear: [s.people.id, s.cards.id, s.cards.holder]
  - id: open
    who: {user: "*"}
    may: [select]
    on: [s.list]
  - id: parts
    who: {user: "*"}
    may: [select]
    on: [s.part, s.part_1]
    by: [s.part.id]
    match: [s.part.id]
`

func TestBy(t *testing.T) {
	cat := catalogue(t, func(s *sql.Snapshot) {
		table(t, s, "s", "people", "id int4", "name text")
		table(t, s, "s", "cards", "id int4", "holder int4", "pin text")
		table(t, s, "s", "list", "id int4")
		table(t, s, "s", "part", "id int4", "note text")
		table(t, s, "s", "part_1", "id int4", "note text")
		inherit(s, "part_1", "part")
	})
	s := &session{policy: parse(t, byPolicy), cat: cat, person: policy.Person{User: "x"}, prepared: map[string]*sql.Statement{}}
	for text, allowed := range map[string]bool{
		"select name from s.people where id = 1":                                                true,
		"select pin from s.cards where holder = 1":                                              true,
		"select pin from s.cards where pin = '1'":                                               false,
		"select p.name from s.people p join s.list l using (id)":                                true,
		"select p.name, c.pin from s.people p join s.cards c on c.holder = p.id where p.id = 1": true,
		"select p.name, c.pin from s.people p join s.cards c on c.holder = p.id where c.id = 1": true,
		// Two restricted tables that hold each other are known by nobody.
		"select p.name, c.pin from s.people p join s.cards c on c.holder = p.id":                     false,
		"select a.name from s.people a join s.people b on a.id = b.id":                               false,
		"select a.name from s.people a join s.people b on a.id = b.id where b.id = 1":                true,
		"select c.pin from s.cards c join s.list l on l.id = c.id join s.people p on p.name = c.pin": false,
		"select name from s.people where id = any ((select array_agg(id) from s.people))":            false,
		"update s.people set name = 'x'":                                                             false,
		"update s.people set name = 'x' where id = 1":                                                true,
		"update s.people set name = 'x' from s.list where list.id = people.id":                       true,
		"delete from s.people":                                                                                             false,
		"delete from s.people where id in (1, 2)":                                                                          true,
		"delete from s.people where id in (1, 2) or name = 'x'":                                                            false,
		"insert into s.people values (1, 'x')":                                                                             true,
		"insert into s.people values (1, 'x') on conflict (id) do update set name = 'y'":                                   false,
		"merge into s.people p using s.list l on l.id = p.id when matched then update set name = 'x'":                      false,
		"with c as (update s.people set name = 'x' where id = 1 returning name) select * from c":                           true,
		"with c as (update s.people set name = 'x' returning id, name) select name from c where id = 1":                    false,
		"select note from s.part where id = 1":                                                                             true,
		"select note from s.part":                                                                                          false,
		"select note from s.part_1":                                                                                        false,
		"select note from s.part_1 where id = 1":                                                                           true,
		"select note from only s.part where note = '1'":                                                                    false,
		"prepare p as select name from s.people where id = $1":                                                             true,
		"prepare q as select name from s.people where id = $1 or $1 is null":                                               false,
		"explain analyze select name from s.people":                                                                        false,
		"copy (select name from s.people where id = 1) to stdout":                                                          false, // no right to copy
		"select exists (select from s.people)":                                                                             false,
		"select name from s.people where id = 1 union all select name from s.people where id = 2":                          true,
		"select name from s.people where id = 1 union all select name from s.people":                                       false,
		"select p.name from s.people p, lateral (select id from s.list where id = p.id) l":                                 false,
		"select (select name from s.people p where p.id = l.id) from s.list l":                                             true,
		"select name from s.people where id = (select min(id) from s.list)":                                                false, // a computed value is no match
		"select name from s.people where id = 1 and id = 2":                                                                true,
		"select name from s.people where (id = 1) = true":                                                                  false,
		"select name from s.people where id between 1 and 1":                                                               false,
		"select name from s.people where coalesce(id, 1) = 1":                                                              false,
		"select name from s.people where id::text = '1'":                                                                   false,
		"select name from s.people where row(id) = row(1)":                                                                 true,
		"select p.name from s.people p full join s.list l using (id)":                                                      false,
		"select p.name from s.list l left join s.people p using (id)":                                                      true,
		"select p.name from s.people p left join s.list l using (id)":                                                      false,
		"select p.name from s.list l cross join s.people p where p.id = l.id":                                              true,
		"select p.name from s.list l cross join s.people p where p.id = l.id or l.id = 1":                                  false,
		"with recursive r as (select id, name from s.people where id = 1 union select id, name from r) select name from r": true,
	} {
		if got := s.say(text); strings.HasPrefix(got, "allow ") != allowed {
			t.Errorf("%s\n\tallowed should be %v: %s", text, allowed, got)
		}
	}
	e := s.explain(t, "select name from s.people")
	if r := e.Statements[0].Rights[0]; r.By != "s.people.id" || !strings.Contains(r.Needed, "holds s.people.id") {
		t.Errorf("the explanation says %+v", r)
	}
	e = s.explain(t, "select name from s.people where id = 1")
	if r := e.Statements[0].Rights[0]; r.By != "s.people.id" || r.Needed != "" || !r.Given {
		t.Errorf("the explanation of what is allowed says %+v", r)
	}
}

// A column that `by` names and the table lacks closes the table under the rule: it may have been renamed.
func TestByMissingColumn(t *testing.T) {
	cat := catalogue(t, func(s *sql.Snapshot) { table(t, s, "s", "people", "number int4", "name text") })
	s := &session{policy: parse(t, `version: 1
rules:
  - {id: r, who: {user: "*"}, may: [select], on: [s.people], match: [s.people.id], by: [s.people.id]}
`), cat: cat, person: policy.Person{User: "x"}}
	if got := s.say("select name from s.people where number = 1"); !strings.Contains(got, "a column that it no longer has") {
		t.Error(got)
	}
}

func (s *session) explain(t *testing.T, text string) policy.Explanation {
	t.Helper()
	r, err := s.request(text)
	if err != nil {
		t.Fatal(err)
	}
	return s.policy.Explain(r)
}
