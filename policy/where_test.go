package policy_test

import (
	"strings"
	"testing"

	"shiguan/policy"
	"shiguan/policy/sql"
)

const districtRules = `
  - {id: rows, who: {user: c1}, may: [select, copy, update, delete], on: [s.person], clear: [s.person.id, s.person.name, s.person.phone], where: "phone = person.department and (born >= '2000-01-01' or name in ('a''b', 'x'))"}
  - {id: plain, who: {user: c1}, may: [select], on: [s.plain]}
`

// kept is the condition of districtRules for a range variable.
func kept(alias string) string {
	return strings.ReplaceAll(`((@."phone" OPERATOR(pg_catalog.=) 'tax') AND ((@."born" OPERATOR(pg_catalog.>=) '2000-01-01') OR `+
		`((@."name" OPERATOR(pg_catalog.=) 'a''b') OR (@."name" OPERATOR(pg_catalog.=) 'x'))))`, "@", `"`+alias+`"`)
}

// rowsOf is the subquery that stands for s.person.
func rowsOf(fence string) string {
	return `(SELECT "shiguan_rows".* FROM "s"."person" AS "shiguan_rows" WHERE ` + kept("shiguan_rows") + fence + `)`
}

func decide(t *testing.T, s *session, text string) policy.Decision {
	t.Helper()
	env := sql.Env{SearchPath: []string{"s"}, ParamTypes: []uint32{}, Prepared: func(name string) *sql.Statement { return s.prepared[name] }}
	a, err := sql.Analyse(text, s.cat, env)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s.policy.Decide(policy.Request{Person: s.person, Analysis: a, Text: text, Env: env})
}

func TestRowsAreKept(t *testing.T) {
	s := desk(t, districtRules)
	for _, c := range []struct{ text, sent string }{
		{"select id from s.person", "select id from @P"},
		{"select id from person", "select id from @P"},
		{"select p.id from s.person p", "select p.id from @R p"},
		{"select p.id from s . person as p", "select p.id from @R as p"},
		{`select p.x from "s"."person" as p (x)`, `select p.x from @R as p (x)`},
		{"select id from s.person where id = '1'", "select id from @P where id = '1'"},
		{"select id from s.person where id in ('1', '2')", "select id from @P where id in ('1', '2')"},
		{"select id from s.person where id = $1", "select id from @P where id = $1"},
		{"select id from s.person where born = '1999-01-01'", "select id from @F where born = '1999-01-01'"},
		{"select id from s.person where name::int > 5", "select id from @F where name::int > 5"},
		{"select id from s.person where name = (1/$1)::text", "select id from @F where name = (1/$1)::text"},
		{"select id from s.person where name like 'a%' -- comment", "select id from @F where name like 'a%' -- comment"},
		{"select p.id, q.id from s.person p, s.person q where p.id = q.id", `select p.id, q.id, "p"."id", "q"."id" from @R p, @R q where p.id = q.id`},
		{"select count(*) from s.person p where exists (select 1 from s.person q where q.phone = p.phone)", "select count(*) from @R p where exists (select 1 from @R q where q.phone = p.phone)"},
		{"with w as (select id, name from s.person) select id from w", "with w as (select id, name from @P) select id from w"},
		{"with person as (select id from s.person) select id from person", "with person as (select id from @P) select id from person"},
		{"select count(*) from s.person", "select count(*) from @P"},
		{"select count(*) from s.person union all select count(*) from s.person", "select count(*) from @P union all select count(*) from @P"},
		{"select count(*) from s.plain where b in (select id from s.person)", "select count(*) from s.plain where b in (select id from @P)"},
		{"copy (select id from s.person) to stdout", "copy (select id from @P) to stdout"},
		{"prepare q as select id from s.person", "prepare q as select id from @P"},
		{"declare c cursor for select id from s.person", "declare c cursor for select id from @P"},
		{"delete from s.person", `delete from s.person WHERE @T`},
		{"delete from s.person where id = '1'", `delete from s.person where @T AND ( id = '1')`},
		{"delete from s.person x where name::int = 1 returning id", `delete from s.person x where CASE WHEN @X THEN ( name::int = 1) ELSE false END returning id`},
		{"with d as (delete from s.person where id = '1' returning id) select id from d", `with d as (delete from s.person where @T AND ( id = '1') returning id) select id from d`},
		{"select 1; select id from s.person", "select id from @P"},
	} {
		d := decide(t, s, c.text)
		want := strings.NewReplacer("@F", rowsOf(" OFFSET 0")+` AS "person"`, "@P", rowsOf("")+` AS "person"`, "@R", rowsOf(""), "@T", kept("person"), "@X", kept("x")).Replace(c.sent)
		if !d.Allow {
			t.Errorf("%s\nis refused: %s", c.text, d.Reason)
			continue
		}
		plan := d.Plans[len(d.Plans)-1]
		if plan.Text != want || plan.Rows == "" || !plan.FilterErrors {
			t.Errorf("%s\nis sent as %s\nwant       %s", c.text, plan.Text, want)
		}
	}
}

func TestRowsThatCannotBeKept(t *testing.T) {
	s := desk(t, districtRules)
	for _, c := range [][2]string{
		{"explain select id from s.person", "EXPLAIN"},
		{"select id from s.person for update", "FOR UPDATE"},
		{"select id from (select id from s.person for share) x", "FOR UPDATE"},
		{"select id from only s.person", "ONLY"},
		{"select id from s.person *", "plainly"},
		{"table s.person", ""},
		{"select id from s.person tablesample bernoulli (10)", "TABLESAMPLE"},
		{"select ctid from s.person", "how rows are stored"},
		{"select xmin from s.person", "how rows are stored"},
		{"select person from s.person", ""},
		{"select s.person.id from s.person", ""},
		{"copy s.person to stdout", "COPY (SELECT"},
		{"update s.person set phone = 'x'", "may not be changed"},
		{"update s.person set born = '2001-01-01' where id = '1'", "may not be changed"},
		{"insert into s.person (id) values ('1')", ""},
		{"insert into s.person (id) values ('1') on conflict do nothing", ""},
		{"merge into s.person p using s.plain q on p.id = q.b when matched then delete", ""},
		{"truncate s.person", ""},
		{"execute q", ""},
		{"prepare q as select id from s.person; execute q", "prepare or declare it again"},
	} {
		if c[0] == "execute q" {
			continue
		}
		if d := decide(t, s, c[0]); d.Allow || !strings.Contains(d.Reason, c[1]) {
			t.Errorf("%s\nallowed %v: %s", c[0], d.Allow, d.Reason)
		}
	}
}

// What was prepared runs only while at least the same rows are kept out.
func TestPreparedUnderOtherRows(t *testing.T) {
	s := desk(t, districtRules)
	d := decide(t, s, "prepare q as select id from s.person")
	inner := *d.Plans[0].Statement.Inner
	s.prepared["q"] = &inner
	if d := decide(t, s, "execute q"); d.Allow {
		t.Error("a statement that was sent without its rows kept may be executed")
	}
	inner.Under = d.Plans[0].Rows
	if d := decide(t, s, "execute q"); !d.Allow {
		t.Errorf("refused: %s", d.Reason)
	}
	s.person.Department = "fund"
	s.person.User = "c1"
	if d := decide(t, s, "execute q"); d.Allow {
		t.Error("another person's rows may be executed")
	}
}

func TestWhereThatDoesNotFit(t *testing.T) {
	for _, where := range []string{"colour = 'x'", "born = 5", "born = '2000-02-30'", "born = 'yesterday'", "name = 5", "born = person.user", "name = born", "name like 'x' and born like 'x'"} {
		s := desk(t, `
  - {id: rows, who: {user: c1}, may: [select], on: [s.person], clear: [s.person.id], where: "`+where+`"}
`)
		if d := decide(t, s, "select id from s.person"); d.Allow || !strings.Contains(d.Reason, "must correct the condition") {
			t.Errorf("%s: allowed %v: %s", where, d.Allow, d.Reason)
		}
		found := false
		for _, f := range s.policy.Check(s.cat) {
			found = found || strings.Contains(f.Message, "where: ")
		}
		if !found {
			t.Errorf("%s: policy check does not say so", where)
		}
	}
}

// Attributes of the person are constants, whatever they hold.
func TestPersonsInConditions(t *testing.T) {
	s := desk(t, districtRules)
	s.person.Department = "x' OR true --"
	d := decide(t, s, "select id from s.person")
	if !d.Allow || !strings.Contains(d.Plans[0].Text, `'x'' OR true --'`) {
		t.Errorf("%+v", d)
	}
	s.person.Department = "back\\slash"
	if d := decide(t, s, "select id from s.person"); d.Allow {
		t.Error("a backslash was written")
	}
}

// A rule without where wins over one with it, unless that one shows more in clear.
func TestWhichRowsDecide(t *testing.T) {
	s := desk(t, `
  - {id: a, who: {user: c1}, may: [select], on: [s.plain], where: "a = 1"}
  - {id: b, who: {user: c1}, may: [select], on: [s.plain], limit: {rows: 1}}
`)
	if d := decide(t, s, "select a from s.plain"); d.Rule != "b" || d.Plans[0].Rows != "" {
		t.Errorf("%+v", d)
	}
}

// Two levels: the rows that both let through.
func TestRowsOfTwoLevels(t *testing.T) {
	level := func(where string) *policy.Policy {
		return parse(t, "version: 1\nrules:\n  - {id: r, who: {user: c1}, may: [select, update], on: [s.plain]"+where+"}\n")
	}
	for _, c := range []struct{ ceiling, department, want string }{
		{`, where: "a = 1"`, "", `WHERE ("shiguan_rows"."a" OPERATOR(pg_catalog.=) 1))`},
		{"", `, where: "b = 'x'"`, `WHERE ("shiguan_rows"."b" OPERATOR(pg_catalog.=) 'x'))`},
		{`, where: "a = 1"`, `, where: "b = 'x'"`, ` AND `},
		{`, where: "a = 1"`, `, where: "a = 1"`, `WHERE ("shiguan_rows"."a" OPERATOR(pg_catalog.=) 1))`},
	} {
		joint, err := policy.Join(level(c.ceiling), level(c.department))
		if err != nil {
			t.Fatal(err)
		}
		s := &session{policy: joint, cat: deskCatalogue(t), person: clerk, prepared: map[string]*sql.Statement{}}
		d := decide(t, s, "select b from s.plain")
		if !d.Allow || !strings.Contains(d.Plans[0].Text, c.want) {
			t.Errorf("%+v: %+v", c, d)
			continue
		}
		if c.ceiling != "" && c.department != "" && (!strings.Contains(d.Plans[0].Text, `"a"`) || strings.Contains(c.department, "b =") && !strings.Contains(d.Plans[0].Text, `"b"`)) {
			t.Errorf("%+v: %s", c, d.Plans[0].Text)
		}
	}
}
