package policy_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"shiguan/policy"
	"shiguan/policy/sql"
)

var clerk = policy.Person{User: "c1", Department: "tax", Position: "clerk"}

// desk is a session over two tables, one of them about persons, under a policy given as rules.
func desk(t testing.TB, rules string) *session {
	t.Helper()
	text := `version: 1
data:
  s.person:
    id: {class: number, subject: true}
    name: {class: text}
    phone: {class: text}
classes:
  number: {mask: keep, last: 2}
  text: {mask: constant, value: hidden}
rules:
` + rules
	return &session{policy: parse(t, text), cat: deskCatalogue(t), person: clerk, prepared: map[string]*sql.Statement{}}
}

var (
	deskOnce sync.Once
	deskCat  *sql.Catalogue
)

func deskCatalogue(t testing.TB) *sql.Catalogue {
	deskOnce.Do(func() {
		deskCat = catalogue(t, func(s *sql.Snapshot) {
			table(t, s, "s", "person", "id text", "name text", "phone text", "born date")
			table(t, s, "s", "plain", "a int4", "b text")
			table(t, s, "s_old", "plain", "a int4", "b text")
		})
	})
	return deskCat
}

func expect(t *testing.T, s *session, text, want string) {
	t.Helper()
	if got := s.say(text); !agrees(got, want) {
		t.Errorf("%s\n got %s\nwant %s", text, got, want)
	}
}

func TestMostClearDecides(t *testing.T) {
	s := desk(t, `
  - {id: a-wide, who: {user: c1}, may: [select], on: [s.person]}
  - {id: b-name, who: {user: c1}, may: [select], on: [s.person], clear: [s.person.name], limit: {rows: 10}}
  - {id: c-both, who: {user: c1}, may: [select], on: [s.person], clear: [s.person.name, s.person.phone], limit: {rows: 5}}
  - {id: d-both, who: {user: c1}, may: [select], on: [s.person], clear: [s.person.name, s.person.phone], limit: {rows: 7}}
`)
	expect(t, s, "SELECT id, born FROM s.person", "allow a-wide; person.id~! person.born about filter")
	expect(t, s, "SELECT id, name FROM s.person", "allow b-name; person.id~! person.name about rows 10 filter")
	expect(t, s, "SELECT id, name, phone FROM s.person", "allow d-both; person.id~! person.name person.phone about rows 7 filter")
	// A rule that shows less decides where one that shows more does not allow the use.
	s = desk(t, `
  - {id: clear-only, who: {user: c1}, may: [select], on: [s.person], clear: [s.person.name, s.person.phone], columns: [s.person.name, s.person.phone, s.person.id]}
  - {id: masked-born, who: {user: c1}, may: [select], on: [s.person]}
`)
	expect(t, s, "SELECT id, name FROM s.person", "allow clear-only; person.id~! person.name about filter")
	expect(t, s, "SELECT id, name, born FROM s.person", "allow masked-born; person.id~! person.name~ person.born about filter")
}

// Rights of two rules are not added up on one table; a statement that would need both is refused.
func TestRulesAreNotMixed(t *testing.T) {
	s := desk(t, `
  - {id: by-name, who: {user: c1}, may: [select], on: [s.person], match: [s.person.name]}
  - {id: by-phone, who: {user: c1}, may: [select], on: [s.person], match: [s.person.phone]}
  - {id: plain, who: {user: c1}, may: [select], on: [s.plain], limit: {rows: 3}}
`)
	expect(t, s, "SELECT id FROM s.person WHERE name = 'x'", "allow by-name; person.id~! about filter")
	expect(t, s, "SELECT id FROM s.person WHERE phone = 'x'", "allow by-phone; person.id~! about filter")
	expect(t, s, "SELECT id FROM s.person WHERE name = 'x' AND phone = 'y'", "refuse by-name: s.person.phone is masked")
	expect(t, s, "SELECT p.id, q.b FROM s.person p, s.plain q WHERE p.phone = q.b", "allow by-phone,plain; person.id~! plain.b about rows 3 filter")
}

func TestPatterns(t *testing.T) {
	s := desk(t, `
  - {id: prefix, who: {department: tax, position: "*"}, may: [select], on: ["s.pl*"]}
`)
	expect(t, s, "SELECT a FROM s.plain", "allow prefix; plain.a")
	expect(t, s, "SELECT a FROM s_old.plain", "refuse default-deny: no rule gives you select on s_old.plain")
	expect(t, s, "SELECT id FROM s.person", "refuse default-deny: no rule")
	s.person.Department = "health"
	expect(t, s, "SELECT a FROM s.plain", "refuse default-deny: no rule")
}

func TestFunctions(t *testing.T) {
	s := desk(t, `
  - {id: plain, who: {user: c1}, may: [select], on: [s.plain], functions: [pg_catalog.pg_sleep]}
`)
	expect(t, s, "SELECT a, pg_sleep(1) FROM s.plain", "allow plain; plain.a ?")
	expect(t, s, "SELECT pg_sleep(1)", "allow plain; any")
	expect(t, s, "SELECT pg_read_file('x')", "refuse default-deny: pg_catalog.pg_read_file may not be used")
}

func TestCopyWords(t *testing.T) {
	s := desk(t, `
  - {id: out, who: {user: c1}, may: [select, copy], on: [s.plain]}
  - {id: in, who: {user: c1}, may: [insert], on: [s.plain]}
`)
	expect(t, s, "COPY s.plain TO STDOUT", "allow out; plain.a plain.b")
	expect(t, s, "COPY (SELECT a FROM s.plain) TO STDOUT", "allow out; plain.a")
	expect(t, s, "COPY s.plain FROM STDIN", "refuse in: rule in gives you insert on s.plain, not insert, copy")
	expect(t, s, "INSERT INTO s.plain VALUES (1, 'x')", "allow in;")
	expect(t, s, "COPY s.plain TO '/tmp/x'", "unresolved: COPY to or from a file of the server is not allowed: use STDIN or STDOUT")
}

func TestTransparent(t *testing.T) {
	s := desk(t, `
  - {id: tool, who: {user: c1}, may: [all], on: ["*"], transparent: true, when: purpose == "migration"}
`)
	expect(t, s, "SELECT name FROM s.person", "refuse tool: rule tool gives select on s.person, but its condition does not hold now; it asks for a purpose")
	s.purpose = "migration"
	expect(t, s, "SELECT name FROM s.person", "allow tool; person.name")
	expect(t, s, "SELECT id, name FROM s.person", "allow tool; person.id! person.name about")
	expect(t, s, "SELECT upper(phone) FROM s.person WHERE id = 'x'", "allow tool; ? pinned(number=x) about")
	expect(t, s, "DO $$ BEGIN END $$", "allow tool;")
	expect(t, s, "SET ROLE x", "allow tool;")
	expect(t, s, "SET search_path = s", "allow tool;")
	expect(t, s, "SELECT * FROM pg_authid", "allow tool; any")
	expect(t, s, "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'select 1'", "allow tool;")
	if got := summary(s.policy.Decide(policy.Request{Person: clerk, Purpose: "migration"})); got != "allow tool" {
		t.Errorf("a text without analysis: %s", got)
	}
}

func TestWithoutAnalysis(t *testing.T) {
	s := desk(t, "  - {id: all, who: {user: c1}, may: [all], on: [\"*\"], clear: [\"*\"]}\n")
	if d := s.policy.Decide(policy.Request{Person: clerk}); d.Allow || d.Rule != "default-deny" {
		t.Errorf("a text without analysis: %s", summary(d))
	}
	if d := s.policy.Decide(policy.Request{Person: clerk, Analysis: &sql.Analysis{Catalogue: s.cat}}); d.Allow {
		t.Errorf("an analysis without statements: %s", summary(d))
	}
}

// Without the text the proxy cannot be told what to send instead, so such a statement must be refused.
func TestWithoutText(t *testing.T) {
	s := desk(t, "  - {id: all, who: {user: c1}, may: [select], on: [s.person]}\n")
	r, err := s.request("SELECT name FROM s.person")
	if err != nil {
		t.Fatal(err)
	}
	r.Text = ""
	if d := s.policy.Decide(r); d.Allow || !strings.Contains(d.Reason, "add it to the select list") {
		t.Errorf("got %s", summary(d))
	}
}

func TestRewrittenText(t *testing.T) {
	s := desk(t, "  - {id: all, who: {user: c1}, may: [select], on: [s.person], match: [s.person.id]}\n")
	tests := map[string]string{
		"SELECT name FROM s.person":                                `SELECT name, "person"."id" FROM s.person`,
		"select p.name as n from s.person as p where born is null": `select p.name as n, "p"."id" from s.person as p where born is null`,
		"PREPARE q AS SELECT name FROM s.person":                   `PREPARE q AS SELECT name, "person"."id" FROM s.person`,
		"DECLARE q CURSOR FOR SELECT name FROM s.person":           `DECLARE q CURSOR FOR SELECT name, "person"."id" FROM s.person`,
		"SELECT id, name FROM s.person":                            "",
		"SELECT name FROM s.person WHERE id = 'x'":                 "",
		"SELECT count(*) FROM s.person":                            "",
	}
	for text, want := range tests {
		r, err := s.request(text)
		if err != nil {
			t.Fatal(err)
		}
		d := s.policy.Decide(r)
		if !d.Allow || d.Plans[0].Text != want {
			t.Errorf("%s: %s\n is sent as %s\n want       %s", text, summary(d), d.Plans[0].Text, want)
		}
	}
}

func TestConditions(t *testing.T) {
	friday := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC) // 08:00 in Shanghai
	tests := []struct {
		when string
		at   time.Time
		want bool
	}{
		{`true`, friday, true},
		{`time.hour == 8`, friday, true},
		{`time.hour == 8`, friday.Add(-time.Second), false},
		{`time.hour == 7`, friday.Add(-time.Second), true},
		{`time.weekday == 5`, friday, true},
		{`time.weekday == 7`, friday.AddDate(0, 0, 2), true},
		{`time.weekday == 1`, friday.AddDate(0, 0, 2).Add(16 * time.Hour), true},
		{`time.now < timestamp("2026-11-21T00:00:00Z")`, friday, true},
		{`time.now < timestamp("2026-11-21T00:00:00Z")`, friday.AddDate(0, 0, 1), false},
		{`person == "c1" && department == "tax" && position == "clerk"`, friday, true},
		{`database == "civil"`, friday, true},
		{`database == "other"`, friday, false},
		{`client.startsWith("10.") || application == "psql" || role == "r"`, friday, false},
		{`purpose.startsWith("case-")`, friday, true},
		{`purpose == ""`, friday, false},
		{`purpose.matches("^case-[0-9]+$")`, friday, true},
		// What cannot be judged does not hold.
		{`purpose.matches(purpose + "(")`, friday, false},
		{`1 / (purpose.size() - 6) == 1`, friday, false},
		{`[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, [1,2,3,4,5,6,7,8,9,10].all(c, [1,2,3,4,5,6,7,8,9,10].all(d, a+b+c+d+time.hour > 0))))`, friday, false},
	}
	for _, tt := range tests {
		s := desk(t, fmt.Sprintf("  - {id: r, who: {user: c1}, may: [select], on: [s.plain], when: '%s'}\n", tt.when))
		s.purpose, s.time = "case-1", tt.at
		if got := strings.HasPrefix(s.say("SELECT a FROM s.plain"), "allow"); got != tt.want {
			t.Errorf("%s at %s: %v, want %v", tt.when, tt.at, got, tt.want)
		}
	}
}

// The verdict must not depend on the order of rules in the file, whatever the rules are.
func TestOrderOfRulesMeansNothing(t *testing.T) {
	statements := []string{
		"SELECT id, name FROM s.person", "SELECT name FROM s.person WHERE id = 'x'", "SELECT born FROM s.person WHERE phone = 'x'",
		"UPDATE s.person SET name = 'x' WHERE id = 'y' RETURNING phone", "SELECT a FROM s.plain", "SELECT p.id, q.a FROM s.person p JOIN s.plain q ON q.b = p.name",
		"COPY s.person TO STDOUT", "SELECT upper(name) FROM s.person", "DELETE FROM s.person",
	}
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(2, 5).Draw(rt, "rules")
		var rules []string
		for i := range n {
			rules = append(rules, randomRule(rt, i))
		}
		shuffled := append([]string(nil), rules...)
		rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1)).Shuffle(n, func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		a, b := desk(t, strings.Join(rules, "")), desk(t, strings.Join(shuffled, ""))
		for _, text := range statements {
			if x, y := a.say(text), b.say(text); x != y {
				rt.Fatalf("%s\n%s\n%s\nunder\n%s\nand\n%s", text, x, y, strings.Join(rules, ""), strings.Join(shuffled, ""))
			}
		}
	})
}

func randomRule(t *rapid.T, i int) string {
	var b strings.Builder
	pick := func(label string, of ...string) string { return rapid.SampledFrom(of).Draw(t, label) }
	fmt.Fprintf(&b, "  - {id: r%d, who: {user: c1}, may: [%s], on: [%s]", i, pick("may", "select", "select, copy", "select, update", "all"), pick("on", `"*"`, "s.*", "s.person, s.plain"))
	for _, key := range []string{"clear", "match", "columns"} {
		if list := pick(key, "", "", "s.person.name", "s.person.name, s.person.phone", "s.person.*", "s.person.id, s.person.born"); list != "" {
			fmt.Fprintf(&b, ", %s: [%s]", key, list)
		}
	}
	if limit := rapid.IntRange(0, 3).Draw(t, "limit"); limit > 0 {
		fmt.Fprintf(&b, ", limit: {rows: %d}", limit)
	}
	return b.String() + "}\n"
}

// What is remembered must be what would be worked out anew, from any number of goroutines.
func TestMemory(t *testing.T) {
	s := desk(t, `
  - {id: named, who: {user: c1}, may: [select], on: [s.person], clear: [s.person.name], when: purpose == "case"}
  - {id: masked, who: {department: tax}, may: [select], on: [s.person]}
`)
	r, err := s.request("SELECT id, name FROM s.person")
	if err != nil {
		t.Fatal(err)
	}
	other := policy.Person{User: "c2", Department: "health", Position: "clerk"}
	want := map[bool]map[policy.Person]string{
		true:  {clerk: "allow named; person.id~! person.name about filter", other: "refuse default-deny: no rule gives you select on s.person"},
		false: {clerk: "allow masked; person.id~! person.name~ about filter", other: "refuse default-deny: no rule gives you select on s.person"},
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				r := r
				purpose := (g+i)%2 == 0
				if purpose {
					r.Purpose = "case"
				}
				if (g+i)%3 == 0 {
					r.Person = other
				}
				if got := summary(s.policy.Decide(r)); got != want[purpose][r.Person] {
					t.Errorf("purpose %v, %s: %s", purpose, r.Person.User, got)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkDecide(b *testing.B) {
	p, cat := cityPolicy(b), city(b)
	for who, text := range map[string]string{
		"civil_clerk": "SELECT name, phone FROM civil.citizens WHERE id_number = $1",
		"bench":       "SELECT abalance FROM pgbench_accounts WHERE aid = $1",
	} {
		s := &session{policy: p, cat: cat, person: cityPeople[who], purpose: "case-1"}
		r, err := s.request(text)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("seen/"+who, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if d := p.Decide(r); !d.Allow {
					b.Fatal(d.Reason)
				}
			}
		})
		b.Run("new/"+who, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				a := *r.Analysis
				again := r
				again.Analysis = &a
				if d := p.Decide(again); !d.Allow {
					b.Fatal(d.Reason)
				}
			}
		})
	}
}
