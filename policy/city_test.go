package policy_test

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"shiguan/policy"
	"shiguan/policy/sql"
)

// workday is a Thursday, ten o'clock in Shanghai.
var workday = time.Date(2026, 11, 19, 2, 0, 0, 0, time.UTC)

// city is the catalogue of the demo city (cmd/internal/demo/files/schema.sql), with a few relations more that policies
// stumble over.
func city(t testing.TB) *sql.Catalogue {
	t.Helper()
	return catalogue(t, func(s *sql.Snapshot) {
		table(t, s, "civil", "citizens", "id_number text", "name text", "phone text", "address text", "birth_date date")
		table(t, s, "civil", "households", "household_id int4", "id_number text", "size int4", "district text")
		view(t, s, "civil", "citizen_names", "SELECT citizens.id_number, citizens.name FROM civil.citizens", "id_number text", "name text")
		table(t, s, "housing", "fund_accounts", "account_no text", "id_number text", "employer text", "balance numeric")
		table(t, s, "welfare", "payments", "payment_id int8", "id_number text", "amount numeric", "reason text", "paid_on date")
		table(t, s, "public", "pgbench_accounts", "aid int4", "bid int4", "abalance int4", "filler bpchar")
		table(t, s, "public", "pgbench_branches", "bid int4", "bbalance int4", "filler bpchar")
		table(t, s, "public", "pgbench_tellers", "tid int4", "bid int4", "tbalance int4", "filler bpchar")
		table(t, s, "public", "pgbench_history", "tid int4", "bid int4", "aid int4", "delta int4", "mtime timestamp", "filler bpchar")
		table(t, s, "public", "notes", "note text")
	})
}

func catalogue(t testing.TB, fill func(*sql.Snapshot)) *sql.Catalogue {
	t.Helper()
	s, err := sql.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	fill(&s)
	c, err := sql.NewCatalogue(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func table(t testing.TB, s *sql.Snapshot, schema, name string, columns ...string) {
	t.Helper()
	if err := s.Table(schema, name, columns...); err != nil {
		t.Fatal(err)
	}
}

func view(t testing.TB, s *sql.Snapshot, schema, name, query string, columns ...string) {
	t.Helper()
	if err := s.View(schema, name, query, columns...); err != nil {
		t.Fatal(err)
	}
}

func parse(t testing.TB, text string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// session is somebody's connection: enough state to prepare, declare and ask again.
type session struct {
	policy   *policy.Policy
	cat      *sql.Catalogue
	person   policy.Person
	purpose  string
	time     time.Time
	prepared map[string]*sql.Statement
}

func (s *session) env() sql.Env {
	find := func(name string) *sql.Statement { return s.prepared[name] }
	return sql.Env{SearchPath: []string{"public"}, Prepared: find, Cursor: find}
}

func (s *session) request(text string) (policy.Request, error) {
	a, err := sql.Analyse(text, s.cat, s.env())
	when := s.time
	if when.IsZero() {
		when = workday
	}
	return policy.Request{Person: s.person, Database: "civil", Purpose: s.purpose, Time: when, Analysis: a, Text: text, Env: s.env()}, err
}

// say decides a text and puts the decision in one line: see summary.
func (s *session) say(text string) string {
	r, err := s.request(text)
	if err != nil {
		return "unresolved: " + err.Error()
	}
	d := s.policy.Decide(r)
	if d.Allow {
		for i := range r.Analysis.Statements {
			if st := &r.Analysis.Statements[i]; st.Verb == sql.Prepare || st.Verb == sql.Declare {
				s.prepared[st.Name] = st
			}
		}
	}
	return summary(d)
}

// summary writes a decision as "refuse RULE: reason", or as "allow RULES" and for each statement a part that begins with a
// semicolon and holds: each output by its column ("~" masked, "!" names the person, "+" added and hidden, "?" an
// expression), "any" for outputs that are not planned, "pinned", "about", "rows N", "filter" (errors are filtered).
func summary(d policy.Decision) string {
	if !d.Allow {
		return "refuse " + d.Rule + ": " + d.Reason
	}
	var b strings.Builder
	b.WriteString("allow " + d.Rule)
	for _, p := range d.Plans {
		b.WriteString(";")
		for _, o := range p.Outputs {
			_, name, _ := strings.Cut(o.Column, ".")
			if name == "" {
				name = "?"
			}
			for _, mark := range []struct {
				on   bool
				text string
			}{{o.Mask != nil, "~"}, {o.Subject != "", "!"}, {o.Hidden, "+"}} {
				if mark.on {
					name += mark.text
				}
			}
			b.WriteString(" " + name)
		}
		if p.AnyOutputs {
			b.WriteString(" any")
		}
		for _, pin := range p.Pinned {
			fmt.Fprintf(&b, " pinned(%s%s", pin.Namespace, "=")
			if pin.Param > 0 {
				fmt.Fprintf(&b, "$%d)", pin.Param)
			} else {
				b.WriteString(pin.Value + ")")
			}
		}
		if p.AboutPersons {
			b.WriteString(" about")
		}
		if p.MaxRows > 0 {
			fmt.Fprintf(&b, " rows %d", p.MaxRows)
		}
		if p.FilterErrors {
			b.WriteString(" filter")
		}
	}
	return b.String()
}

var cityPeople = map[string]policy.Person{
	"civil_clerk":   {User: "civil_clerk", Department: "civil-affairs", Position: "clerk"},
	"civil_manager": {User: "civil_manager", Department: "civil-affairs", Position: "manager"},
	"fund_clerk":    {User: "fund_clerk", Department: "housing-fund", Position: "clerk"},
	"auditor":       {User: "auditor", Department: "audit-office", Position: "auditor"},
	"bench":         {User: "bench", Department: "it-centre", Position: "load-test"},
	"investigator":  {User: "investigator", Department: "discipline-inspection", Position: "investigator"},
	"stranger":      {User: "stranger", Department: "nowhere", Position: "nobody"},
}

func cityPolicy(t testing.TB) *policy.Policy {
	t.Helper()
	text, err := os.ReadFile("../cmd/internal/demo/files/policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, string(text))
}

// TestCity runs testdata/city.txt, what each person of the demo city may do and may not, and testdata/roads.txt, the roads
// around masks and around the record of persons. A line "as PERSON [PURPOSE]" begins a session; then a statement in one line
// is followed by a line with "=" and its summary. For refusals the text after the rule is a part of the reason.
func TestCity(t *testing.T) {
	p, cat := cityPolicy(t), city(t)
	for file, least := range map[string]int{"city.txt": 200, "roads.txt": 80} {
		if cases := runCases(t, file, p, cat); cases < least {
			t.Errorf("%s: %d cases ran, want at least %d", file, cases, least)
		}
	}
}

func runCases(t *testing.T, file string, p *policy.Policy, cat *sql.Catalogue) (cases int) {
	t.Helper()
	f, err := os.Open("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var s *session
	var text string
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "as "):
			who, purpose, _ := strings.Cut(line[3:], " ")
			person, ok := cityPeople[who]
			if !ok {
				t.Fatalf("%s:%d: nobody is called %s", file, n, who)
			}
			s = &session{policy: p, cat: cat, person: person, purpose: purpose, prepared: map[string]*sql.Statement{}}
		case strings.HasPrefix(line, "= "):
			cases++
			if got := s.say(text); !agrees(got, line[2:]) {
				t.Errorf("%s:%d: %s: %s\n got %s\nwant %s", file, n, s.person.User, text, got, line[2:])
			}
		default:
			text = line
		}
	}
	if err := lines.Err(); err != nil {
		t.Error(err)
	}
	return cases
}

func agrees(got, want string) bool {
	if rule, reason, ok := strings.Cut(want, ": "); ok && strings.HasPrefix(want, "refuse ") {
		return strings.HasPrefix(got, rule+": ") && strings.Contains(got, reason)
	}
	return got == want
}
