package policy_test

import (
	"strings"
	"testing"
	"time"

	"shiguan/policy"
)

const contactGrant = `version: 1
under: contact
person: c1
department: tax
purpose: case-1
reason: burst pipe
from: 2026-11-19T09:00:00+08:00
until: 2026-11-19T12:00:00+08:00
may: [select]
on: [s.person]
clear: [s.person.name, s.person.phone]
match: [s.person.id]
`

func TestGrantsWiden(t *testing.T) {
	s := under(t, `data:
  s.person:
    phone: {class: phone}
classes:
  phone: {mask: keep, first: 3, last: 4}
`, `
  - id: own
    who: {department: tax}
    may: [select]
    on: [s.person]
    clear: [s.person.name]
`)
	plain := s.policy
	g, err := plain.Grant("g.grant", []byte(contactGrant))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(g.ID, "grant-") || len(g.ID) != 22 || policy.KindOfGrant(g.ID) != policy.KindGrant {
		t.Errorf("id %s", g.ID)
	}
	s.policy = plain.WithGrants([]*policy.Grant{g})
	const text, masked = "select name, phone from s.person where id = '7' order by phone", "refuse own: "
	open := "allow contact/" + g.ID + "; person.name person.phone pinned(number=7) about rows 10 filter"
	expect(t, s, text, masked) // no purpose
	s.purpose = "case-1"
	expect(t, s, text, open)
	expect(t, s, text, open)
	if d := decided(t, s, text); d.Grant != g.ID {
		t.Errorf("decided under grant %q", d.Grant)
	}
	if d := decided(t, s, "select name from s.person"); d.Grant != g.ID && d.Grant != "" {
		t.Errorf("decided under grant %q", d.Grant)
	}
	for name, change := range map[string]func(){
		"another purpose":    func() { s.purpose = "case-2" },
		"another person":     func() { s.person.User = "c2" },
		"another department": func() { s.person.Department = "water" },
		"too early":          func() { s.time = g.From.Add(-time.Second) },
		"run out":            func() { s.time = g.Until },
		"withdrawn":          func() { s.policy = plain },
	} {
		before := *s
		change()
		if d := decided(t, s, text); d.Allow {
			t.Errorf("%s: allowed under %s", name, d.Rule)
		}
		*s = before
	}
	r, err := s.request(text)
	if err != nil {
		t.Fatal(err)
	}
	r.Latest = g.Until
	if d := s.policy.Decide(r); d.Allow {
		t.Error("a grant that has run out came back when the clock was set back")
	}
}

func decided(t *testing.T, s *session, text string) policy.Decision {
	t.Helper()
	r, err := s.request(text)
	if err != nil {
		t.Fatal(err)
	}
	return s.policy.Decide(r)
}

// With one level, that level says what may be granted.
func TestGrantsUnderOneLevel(t *testing.T) {
	p := parse(t, ceilingText)
	g, err := p.Grant("g", []byte(strings.NewReplacer("contact", "flood", "12:00", "10:00", "clear: [s.person.name, s.person.phone]", "clear: [s.person.*]").Replace(contactGrant)))
	if err != nil {
		t.Fatal(err)
	}
	if !g.BreakGlass() || policy.KindOfGrant(g.ID) != policy.KindBreakGlass {
		t.Errorf("%s is no break-glass", g.ID)
	}
}

func TestGrantRefuses(t *testing.T) {
	p := parse(t, ceilingText)
	for name, x := range map[string]struct{ old, new, want string }{
		"a verb":           {"may: [select]", "may: [delete]", "may: [delete] is more than contact may give"},
		"a table":          {"on: [s.person]", "on: [s.person, s.plain]", "on s.plain is more"},
		"in clear":         {"clear: [s.person.name, s.person.phone]", "clear: [s.person.id]", "clear: s.person.id is more"},
		"a match":          {"match: [s.person.id]", "match: [s.*]", "match: s.*.* is more"},
		"set":              {"may: [select]", "may: [select, update]\nset: [s.person.name]", "set: s.person.name is more"},
		"too long":         {"T12:00", "T18:00", "at most 8h0m0s"},
		"backwards":        {"T12:00", "T08:00", "until is not after from"},
		"seconds":          {"T12:00:00", "T12:00:30", "whole minute"},
		"a date":           {"2026-11-19T12:00:00+08:00", "tomorrow", "whole minute"},
		"other department": {"department: tax", "department: water", "a grant to somebody of water"},
		"everybody":        {"person: c1", "person: \"*\"", "person must be said"},
		"no purpose":       {"purpose: case-1", "purpose: \"\"", "purpose must be said"},
		"no reason":        {"reason: burst pipe\n", "", "reason must be said"},
		"another rule":     {"under: contact", "under: read", "there are contact, flood"},
		"unknown key":      {"version: 1", "version: 1\nforever: true", "unknown key"},
		"alias":            {"[select]", "&a [select]", "anchors"},
		"two documents":    {"match:", "---\nmatch:", "second YAML document"},
		"no version":       {"version: 1\n", "", "version"},
		"large":            {"burst pipe", strings.Repeat("x", policy.MaxGrantBytes), "at most"},
		"no rights":        {"may: [select]\n", "", "allows nothing"},
	} {
		text := strings.Replace(contactGrant, x.old, x.new, 1)
		if text == contactGrant {
			t.Fatalf("%s changes nothing", name)
		}
		if _, err := p.Grant("g.grant", []byte(text)); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v, want %q", name, err, x.want)
		}
	}
}

func TestGrantsNeedTheirOfficers(t *testing.T) {
	g, err := parse(t, ceilingText).Grant("g", []byte(contactGrant))
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		by string
		ok bool
	}{
		{"a.tax c.audit", true}, {"b.tax c.audit a.tax", true}, {"", false}, {"c.audit", false}, {"a.tax b.tax", false},
		{"c.audit c.audit", false}, {"c.audit d.audit", false},
	} {
		if err := g.Signed(strings.Fields(x.by)); (err == nil) != x.ok {
			t.Errorf("signed by %q: %v", x.by, err)
		}
	}
}
