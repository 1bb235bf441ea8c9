package policy_test

import (
	"strings"
	"testing"

	"shiguan/policy"
	"shiguan/policy/sql"
)

const ceilingText = `version: 1
data:
  s.person:
    id: {class: number, subject: true}
    name: {class: text}
    phone: {class: phone}
classes:
  number: {mask: keep, last: 2}
  text: {mask: constant, value: hidden}
  phone: {mask: keep, first: 3, last: 4}
officers:
  a.tax: {department: tax, key: a.tax+1}
  b.tax: {department: tax, key: b.tax+1}
  c.audit: {department: audit, key: c.audit+1}
grants:
  - id: contact
    who: {department: tax}
    may: [select, update]
    on: [s.person]
    clear: [s.person.name, s.person.phone]
    match: [s.person.id]
    set: [s.person.phone]
    when: purpose.startsWith("case-")
    limit: {rows: 10}
    officers: ["*"]
    signatures: 2
    other_department: true
    longest: 8h
  - id: flood
    who: {department: tax}
    may: [select]
    on: [s.person]
    clear: [s.*]
    officers: [a.tax]
    signatures: 1
    longest: 1h
    break_glass: true
rules:
  - id: read
    who: {department: tax}
    may: [select, update]
    on: [s.*]
    clear: [s.person.name]
    match: [s.person.id]
    limit: {rows: 100}
`

// under is a session under the ceiling, of a clerk whose department has these rules.
func under(t *testing.T, data, rules string) *session {
	t.Helper()
	p, err := policy.Join(parse(t, ceilingText), parse(t, "version: 1\n"+data+"rules:\n"+rules))
	if err != nil {
		t.Fatal(err)
	}
	return &session{policy: p, cat: deskCatalogue(t), person: clerk, prepared: map[string]*sql.Statement{}}
}

func TestBothLevelsMustAllow(t *testing.T) {
	s := under(t, "", `
  - id: own
    who: {department: tax}
    may: [select]
    on: [s.person]
    clear: [s.person.name]
    limit: {rows: 500}
  - id: old
    who: {user: c1}
    may: [update]
    on: [s.plain]
`)
	for text, want := range map[string]string{
		"select id, name, phone from s.person":   "allow own; person.id~! person.name person.phone~ about rows 100 filter",
		"select name from s.person":              "allow own; person.name person.id!+ about rows 100 filter",
		"select a from s.plain":                  "refuse old: rule old gives you update",
		"select name from s.person where id='1'": "allow own; person.name pinned(number=1) about rows 100 filter",
		"select name from s.person order by id":  "refuse ceiling:read: the city's ceiling: s.person.id is masked",
		"update s.plain set a = 1":               "allow old;",
		"update s.person set name = 'x'":         "refuse own: rule own gives you select",
		"select a from s_old.plain":              "refuse default-deny: no rule",
		"select 1":                               "allow everyone; any",
	} {
		expect(t, s, text, want)
		expect(t, s, text, want) // remembered
	}
	s.person.Department = "water"
	expect(t, s, "update s.plain set a = 1", "refuse ceiling:default-deny: the city's ceiling: no rule")
}

// What is sensitive at one level is so at both, under a mask that shows no more than either's.
func TestDataOfTwoLevels(t *testing.T) {
	s := under(t, `data:
  s.person:
    id: {class: number, subject: true}
    phone: {class: digits}
    born: {class: date}
classes:
  number: {mask: keep, last: 2}
  digits: {mask: keep, first: 3, least: 7}
  date: {mask: null}
`, `
  - id: own
    who: {department: tax}
    may: [select]
    on: [s.person]
    match: [s.person.id]
`)
	expect(t, s, "select id, name, phone, born from s.person", "allow own; person.id~! person.name person.phone~ person.born~ about rows 100 filter")
	expect(t, s, "select id from s.person order by born", "refuse own: s.person.born is masked")
	expect(t, s, "select id from s.person order by phone", "refuse own: s.person.phone is masked")
	expect(t, s, "select id from s.person order by name", "allow own; person.id~! about rows 100 filter")
	r, err := s.request("select phone from s.person where id = '7'")
	if err != nil {
		t.Fatal(err)
	}
	d := s.policy.Decide(r)
	if len(d.Plans) != 1 || d.Plans[0].Outputs[0].Mask == nil {
		t.Fatalf("%+v", d)
	}
	for value, want := range map[string]string{"13912345678": "139****", "1391234": "****"} {
		if got, _, err := d.Plans[0].Outputs[0].Mask.Append(nil, []byte(value), 0, 25); string(got) != want || err != nil {
			t.Errorf("%s is shown as %s, %v; want %s", value, got, err, want)
		}
	}
}

// What widens, or cannot be joined, is refused when it is loaded, with its line.
func TestJoinRefuses(t *testing.T) {
	rule := func(lines string) string { return "rules:\n  - id: own\n    who: {department: tax}\n" + lines }
	for name, x := range map[string]struct{ text, want string }{
		"a verb":              {rule("    may: [delete]\n    on: [s.person]\n"), "gives delete on s.person"},
		"a table":             {rule("    may: [select]\n    on: [t.x]\n"), "gives select on t.x"},
		"all tables":          {rule("    may: [select]\n    on: [\"*\"]\n"), "gives select on *"},
		"in clear":            {rule("    may: [select]\n    on: [s.person]\n    clear: [s.person.phone]\n"), "shows s.person.phone in clear"},
		"all in clear":        {rule("    may: [select]\n    on: [s.person]\n    clear: [s.person.*]\n"), "shows s.person.* in clear"},
		"a match":             {rule("    may: [select]\n    on: [s.person]\n    match: [s.person.phone]\n"), "lets s.person.phone be matched"},
		"a function":          {rule("    may: [select]\n    on: [s.person]\n    functions: [s.f]\n"), "allows the function s.f"},
		"transparent":         {rule("    may: [all]\n    on: [\"*\"]\n    transparent: true\n"), "is transparent"},
		"other people":        {"rules:\n  - id: own\n    who: {department: water}\n    may: [select]\n    on: [s.person]\n", "gives select on s.person"},
		"another mask":        {"data: {s.person: {phone: {class: p}}}\nclasses: {p: {mask: keep, first: 6}}\n", "neither mask reveals less"},
		"another subject":     {"data: {s.person: {name: {class: n, subject: true}}}\nclasses: {n: {mask: null}}\n", "rows have one person"},
		"another namespace":   {"data: {s.person: {id: {class: n, subject: true}}}\nclasses: {n: {mask: null}}\n", "traced by the class's name"},
		"officers of its own": {"officers: {o: {department: x, key: o+1}}\n", "that is the ceiling's to say"},
	} {
		p := parse(t, "version: 1\n"+x.text)
		if _, err := policy.Join(parse(t, ceilingText), p); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v, want %q", name, err, x.want)
		}
	}
}

func TestDigestOfTwoLevels(t *testing.T) {
	a, b := parse(t, ceilingText), parse(t, "version: 1\n")
	p, err := policy.Join(a, b)
	if err != nil || p.Digest() == a.Digest() || p.Digest() == b.Digest() || !strings.HasPrefix(p.Digest(), "sha256:") {
		t.Fatalf("%v", err)
	}
	if q, err := policy.Join(a, parse(t, "version: 1\n# other\n")); err != nil || q.Digest() == p.Digest() {
		t.Errorf("another policy has the same digest: %v", err)
	}
}

// Where one level masks what the other shows in clear, the order of rows is settled as the stricter one wants it.
func TestOneLevelSettlesTheOrder(t *testing.T) {
	s := under(t, "data: {s.person: {name: {class: text}}}\nclasses: {text: {mask: constant, value: hidden}}\n", `
  - id: own
    who: {department: tax}
    may: [select]
    on: [s.person]
    match: [s.person.name]
`)
	for _, text := range []string{"select a.id, b.id from s.person a join s.person b using (name)", "select a.phone from s.person a join s.person b using (name)"} {
		a, err := sql.Analyse(text, s.cat, sql.Env{})
		if err != nil {
			t.Fatal(err)
		}
		d := s.policy.Decide(policy.Request{Person: s.person, Time: workday, Analysis: a, Text: text})
		if !d.Allow || !strings.HasSuffix(d.Plans[0].Text, `using (name) ORDER BY "a".tableoid, "a".ctid, "b".tableoid, "b".ctid`) {
			t.Errorf("%s: %v %+v", text, d.Reason, d.Plans)
		}
	}
}
