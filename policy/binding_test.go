package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"shiguan/policy"
	"shiguan/policy/sql"
)

// oddities are relations that share or copy the rows of others.
func oddities(t testing.TB, person ...string) *sql.Catalogue {
	return catalogue(t, func(s *sql.Snapshot) {
		table(t, s, "s", "person", person...)
		table(t, s, "s", "person_2025", person...)
		table(t, s, "s", "parent", "id text", "note text")
		table(t, s, "s", "child", "id text", "note text", "school text")
		table(t, s, "s", "copy", "name text", "n int8")
		table(t, s, "s", "harmless", "n int8")
		table(t, s, "s", "by_number", "id int8", "v text")
		table(t, s, "s", "plain", "a int4")
		view(t, s, "s", "names", "SELECT person.id, person.name FROM s.person", "id text", "name text")
		inherit(s, "person_2025", "person")
		inherit(s, "child", "parent")
		materialise(s, "copy", "SELECT person.name, 1::bigint AS n FROM s.person")
		materialise(s, "harmless", "SELECT count(*) AS n FROM s.person")
	})
}

func relation(s *sql.Snapshot, name string) *sql.Relation {
	for i := range s.Relations {
		if s.Relations[i].Name == name {
			return &s.Relations[i]
		}
	}
	panic(name)
}

func inherit(s *sql.Snapshot, child, parent string) {
	s.Inherits = append(s.Inherits, sql.Inherit{Child: relation(s, child).OID, Parent: relation(s, parent).OID})
}

func materialise(s *sql.Snapshot, name, query string) {
	r := relation(s, name)
	r.Kind, r.Definition = "m", query
}

func oddDesk(t testing.TB, data string, cat *sql.Catalogue) *session {
	p := parse(t, "version: 1\ndata:\n"+data+`
classes:
  number: {mask: keep, last: 2}
  text: {mask: constant, value: hidden}
rules:
  - {id: all, who: {user: c1}, may: [all], on: ["*"]}
`)
	return &session{policy: p, cat: cat, person: clerk, prepared: map[string]*sql.Statement{}}
}

const personData = "  s.person: {id: {class: number, subject: true}, name: {class: text}}\n"

func TestPartitionsShareClasses(t *testing.T) {
	s := oddDesk(t, personData, oddities(t, "id text", "name text"))
	expect(t, s, "SELECT id, name FROM s.person", "allow all; person.id~! person.name~ about filter")
	expect(t, s, "SELECT id, name FROM s.person_2025", "allow all; person_2025.id~! person_2025.name~ about filter")
	expect(t, s, "SELECT id, tableoid FROM s.person", "refuse all: s.person.tableoid tells how rows are stored") // the partition is chosen by a value
	expect(t, s, "SELECT id, tableoid FROM s.person_2025", "allow all; person_2025.id~! person_2025.tableoid about filter")
	expect(t, s, "SELECT name FROM s.person_2025", "allow all; person_2025.name~ person_2025.id!+ about filter")
	expect(t, s, "SELECT name FROM s.person_2025 WHERE name > 'x'", "refuse all: s.person_2025.name is masked")
	// The policy speaks of the child: rows of the parent include its rows.
	s = oddDesk(t, "  s.child: {note: {class: text}}\n", oddities(t, "id text", "name text"))
	expect(t, s, "SELECT note FROM s.parent", "allow all; parent.note~ filter")
	expect(t, s, "SELECT upper(note) FROM s.parent", "refuse all: s.parent.note is masked")
}

func TestRightsOnAParentIncludeItsChildren(t *testing.T) {
	p := parse(t, "version: 1\nrules:\n  - {id: parents, who: {user: c1}, may: [select, update], on: [s.parent]}\n")
	s := &session{policy: p, cat: oddities(t, "id text", "name text"), person: clerk}
	expect(t, s, "SELECT id, note FROM s.parent", "allow parents; parent.id parent.note")
	expect(t, s, "UPDATE s.parent SET note = 'x'", "allow parents;")
	expect(t, s, "SELECT id FROM s.child", "refuse default-deny: no rule gives you select on s.child")
}

func TestCopiesAreClosed(t *testing.T) {
	cat := oddities(t, "id text", "name text")
	s := oddDesk(t, personData, cat)
	expect(t, s, "SELECT n FROM s.copy", "refuse default-deny: s.copy.name was computed from sensitive columns")
	expect(t, s, "SELECT n FROM s.harmless", "allow all; harmless.n")
	expect(t, s, "SELECT name FROM s.names", "allow all; person.name~ person.id!+ about filter")
	s = oddDesk(t, personData+"  s.copy: {name: {class: text}}\n", cat)
	expect(t, s, "SELECT n, name FROM s.copy", "allow all; copy.n copy.name~ filter")
}

func TestRenamedColumnClosesItsTable(t *testing.T) {
	s := oddDesk(t, personData, oddities(t, "id text", "full_name text"))
	expect(t, s, "SELECT id FROM s.person", "refuse default-deny: the policy names column s.person.name, which the table no longer has")
	expect(t, s, "SELECT id FROM s.person_2025", "refuse default-deny: the policy names column s.person.name")
	expect(t, s, "SELECT count(*) FROM s.person", "refuse default-deny: the policy names column s.person.name")
	expect(t, s, "SELECT a FROM s.plain", "allow all; plain.a")
}

func TestClosedData(t *testing.T) {
	cat := oddities(t, "id text", "name text")
	s := oddDesk(t, "  s.names: {name: {class: text}}\n", cat)
	expect(t, s, "SELECT a FROM s.plain", "allow all; plain.a")
	expect(t, s, "SELECT name FROM s.names", "refuse default-deny: the policy calls s.names sensitive, but it is a view")
	s = oddDesk(t, "  s.by_number: {id: {class: number, subject: true}}\n", cat)
	expect(t, s, "SELECT v FROM s.by_number", "refuse default-deny: the policy's subject column s.by_number.id is no character column")
	s = oddDesk(t, "  s.parent: {note: {class: text}}\n  s.child: {note: {class: number}}\n", cat)
	expect(t, s, "SELECT note FROM s.child", "refuse default-deny: the policy gives a column two classes by inheritance")
	expect(t, s, "SELECT note FROM s.parent", "refuse default-deny: the policy gives a column two classes by inheritance")
}

func TestCheckFindings(t *testing.T) {
	cat := oddities(t, "id text", "name text")
	p := parse(t, `version: 1
data:
  s.person: {id: {class: number, subject: true}, name: {class: text}}
  s.gone: {x: {class: text}}
  s.by_number: {v: {class: text}, id: {class: number}}
  s.names: {name: {class: text}}
classes:
  number: {mask: keep, last: 2}
  text: {mask: constant, value: hidden}
rules:
  - {id: a, who: {user: c1}, may: [select], on: [s.names, s.gone, s.plain], clear: [s.plain.a], columns: [s.plain.b]}
  - {id: b, who: {user: c1}, may: [all], on: ["*"], transparent: true}
`)
	want := []string{
		"0 closed s.copy.name was computed from sensitive columns: name it under data",
		"4 data names s.gone.x, and this database has no table s.gone",
		"5 s.by_number.id is masked as number, which its type cannot hold: statements that show it masked are refused, choose another class",
		"6 closed data names s.names, which is a view",
		"11 rule a names the view s.names",
		"11 rule a names s.gone, which this database does not have",
		"11 rule a names column s.plain.b, which the table does not have",
		"11 rule a lists s.plain.a under clear or match, and data does not call it sensitive",
		"12 rule b is transparent",
	}
	got := p.Check(cat)
	if len(got) != len(want) {
		t.Fatalf("%d findings, want %d: %+v", len(got), len(want), got)
	}
	for i, f := range got {
		text := fmt.Sprintf("%d %s", f.Line, f.Message)
		if f.Closed {
			text = fmt.Sprintf("%d closed %s", f.Line, f.Message)
		}
		if !strings.HasPrefix(text, want[i]) {
			t.Errorf("finding %d: %s\nwant %s", i, text, want[i])
		}
	}
	if found := cityPolicy(t).Check(city(t)); len(found) != 0 {
		t.Errorf("the demo's policy and city do not fit: %+v", found)
	}
}

// A statement prepared before the catalogue changed means other tables now, whatever its name.
func TestOutdatedStatement(t *testing.T) {
	before := oddities(t, "id text", "name text")
	after := catalogue(t, func(s *sql.Snapshot) {
		table(t, s, "s", "plain", "a int4") // takes the number that s.person had
		table(t, s, "s", "person", "id text", "name text")
	})
	s := oddDesk(t, personData, before)
	expect(t, s, "PREPARE p AS SELECT id, upper(id) FROM s.plain, s.parent", "allow all;")
	s.cat = after
	expect(t, s, "EXECUTE p", "refuse default-deny: the tables of this statement have changed")
	// A renamed column with the old number is another column too.
	renamed := catalogue(t, func(s *sql.Snapshot) { table(t, s, "s", "person", "id text", "title text") })
	named := catalogue(t, func(s *sql.Snapshot) { table(t, s, "s", "person", "id text", "name text") })
	s = oddDesk(t, "  s.other: {x: {class: text}}\n", named)
	expect(t, s, "PREPARE p AS SELECT upper(name) FROM s.person", "allow all;")
	s.cat = renamed
	expect(t, s, "EXECUTE p", "refuse default-deny: the tables of this statement have changed")
}

// Closed relations of the system stay closed to a rule for everything; others can be opened by name.
func TestSystemRelations(t *testing.T) {
	p := parse(t, `version: 1
rules:
  - {id: star, who: {user: c1}, may: [select], on: ["*"]}
  - {id: named, who: {user: dba}, may: [select], on: [pg_catalog.pg_stat_activity, pg_catalog.pg_authid, pg_catalog.pg_statistic]}
`)
	s := &session{policy: p, cat: city(t), person: clerk}
	for _, name := range []string{"pg_class", "pg_attribute", "pg_type", "pg_proc", "pg_index", "pg_constraint", "pg_roles", "pg_settings", "information_schema.columns"} {
		expect(t, s, "SELECT * FROM "+name, "allow everyone; any")
	}
	for _, name := range []string{"pg_stat_activity", "pg_locks", "pg_prepared_statements", "pg_cursors", "pg_db_role_setting"} {
		expect(t, s, "SELECT * FROM "+name, "refuse default-deny: no rule gives you select on pg_catalog."+name)
	}
	for _, name := range []string{"pg_authid", "pg_shadow", "pg_statistic", "pg_stats", "pg_stats_ext", "pg_largeobject", "pg_subscription", "pg_user_mapping"} {
		expect(t, s, "SELECT * FROM "+name, "refuse default-deny: pg_catalog."+name+" may not be read")
	}
	s.person = policy.Person{User: "dba"}
	expect(t, s, "SELECT query FROM pg_stat_activity", "allow named; any")
	expect(t, s, "SELECT * FROM pg_authid", "refuse default-deny: pg_catalog.pg_authid may not be read")
	expect(t, s, "SELECT * FROM pg_statistic", "refuse default-deny: pg_catalog.pg_statistic may not be read")
}
