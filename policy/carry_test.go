package policy_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"shiguan/policy"
	"shiguan/policy/sql"
)

// asked is one statement that the tests of the demo city ask, and who asks it.
type asked struct {
	who, purpose, text string
}

func cityStatements(t testing.TB) (list []asked) {
	t.Helper()
	for _, file := range []string{"city.txt", "roads.txt"} {
		f, err := os.Open("testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var now asked
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			line := strings.TrimSpace(lines.Text())
			switch {
			case line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "= "):
			case strings.HasPrefix(line, "as "):
				now.who, now.purpose, _ = strings.Cut(line[3:], " ")
			default:
				now.text = line
				list = append(list, now)
			}
		}
		if err := lines.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

var literalLike = regexp.MustCompile(`'[^']*'|\b[0-9]+\b`)

// otherLiteral takes the place of a literal: mostly such as may vary, with words in it that decisions look for.
func otherLiteral(r *rand.Rand, was string) string {
	switch n := r.IntN(9); {
	case n == 0:
		return []string{"null", "1.5", "$$x$$", "E'x'", "'a'\n'b'", "''", "-3", "0", "9876543210", "'007'", "'timezone'", "$1"}[r.IntN(12)]
	case n < 3:
		return was
	case was[0] == '\'' && n < 6:
		return []string{"'X'", "'it''s over'", "'distinct'", "'rollup('", "'left not except full'", "'É'", "'--'", "'grouping sets'", "',\"citizens\".\"id_number\"'", "';'"}[r.IntN(10)]
	case was[0] == '\'':
		return fmt.Sprintf("'v%s'", strings.Repeat("y", r.IntN(9)))
	}
	return fmt.Sprint(1 + r.IntN(1<<r.IntN(30)))
}

// TestCarriedDecisionsAreFreshOnes asks for statements of the city with literals replaced at random, by several people,
// through one cache: what is decided, planned and sent must be what a policy without memory says of a fresh analysis, at
// one level and at two.
func TestCarriedDecisionsAreFreshOnes(t *testing.T) {
	for name, make := range map[string]func(testing.TB) *policy.Policy{"one level": cityPolicy, "two levels": twoLevels} {
		t.Run(name, func(t *testing.T) { carriedAreFresh(t, make) })
	}
}

// twoLevels is the city's policy under a ceiling that says the same.
func twoLevels(t testing.TB) *policy.Policy {
	p, err := policy.Join(cityPolicy(t), cityPolicy(t))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func carriedAreFresh(t *testing.T, make func(testing.TB) *policy.Policy) {
	p, cat, cache := make(t), city(t), sql.NewCache(4<<20)
	r := rand.New(rand.NewPCG(3, 5))
	env := sql.Env{SearchPath: []string{"public"}, ParamTypes: []uint32{}}
	carried, rewritten, pinned := 0, 0, 0
	for _, s := range cityStatements(t) {
		if !literalLike.MatchString(s.text) {
			continue
		}
		fresh := make(t)
		for i := range 8 {
			text := literalLike.ReplaceAllStringFunc(s.text, func(was string) string { return otherLiteral(r, was) })
			req := policy.Request{Person: cityPeople[s.who], Database: "civil", Purpose: s.purpose, Time: workday, Text: text, Env: env}
			if i%3 == 2 {
				req.Person = cityPeople["auditor"]
			}
			a, err := cache.Analyse(text, cat, env)
			if err != nil {
				continue
			}
			b, err := sql.Analyse(text, cat, env)
			if err != nil {
				t.Fatalf("%s: analysed from the cache alone", text)
			}
			req.Analysis = a
			got := p.Decide(req)
			req.Analysis = b
			want := fresh.Decide(req)
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%s asks %s\n got %s %+v\nwant %s %+v", req.Person.User, text, summary(got), got, summary(want), want)
			}
			if a.Template() == nil || !got.Allow {
				continue
			}
			carried++
			for _, plan := range got.Plans {
				if plan.Text != "" {
					rewritten++
				}
				if len(plan.Pinned) > 0 {
					pinned++
				}
			}
		}
	}
	t.Logf("%d decisions allowed from carried analyses, %d statements rewritten, %d pinned", carried, rewritten, pinned)
	if carried < 100 || rewritten < 20 || pinned < 20 {
		t.Errorf("too few to test anything: %d carried, %d rewritten, %d pinned", carried, rewritten, pinned)
	}
}

// Literals that hold the words by which decisions tell statements apart must not change decisions.
func TestLiteralsAreNoWords(t *testing.T) {
	s := &session{policy: cityPolicy(t), cat: city(t), person: cityPeople["civil_manager"], purpose: "case-1"}
	plain := s.say("select id_number, upper(name) from civil.citizens where name <> 'x'")
	for _, word := range []string{"over", "rollup", "cube", "sets", "distinct"} {
		if got := s.say("select id_number, upper(name) from civil.citizens where name <> '" + word + "'"); got != plain {
			t.Errorf("%s: %s, want %s", word, got, plain)
		}
	}
	if got := s.say("select id_number, count(upper(name)) over () from civil.citizens"); got == plain {
		t.Error("a window function is not noticed")
	}
}

// Conditions are remembered, and must not be when they look at the clock.
func TestConditionsSeeTheClock(t *testing.T) {
	p := parse(t, `version: 1
rules:
  - {id: office, who: {user: a}, may: [select], on: [public.notes], when: "time.hour >= 8 && time.hour < 18"}
  - {id: until, who: {user: b}, may: [select], on: [public.notes], when: "time.now < timestamp('2026-11-19T02:00:30Z')"}
`)
	s := &session{policy: p, cat: city(t)}
	for range 2 {
		for _, c := range []struct {
			user  string
			after time.Duration
			want  bool
		}{
			{"a", 0, true}, {"a", 59 * time.Minute, true}, {"a", 8 * time.Hour, false}, {"a", 24 * time.Hour, true},
			{"b", 0, true}, {"b", 29 * time.Second, true}, {"b", 31 * time.Second, false}, {"c", 0, false},
		} {
			s.person, s.time = policy.Person{User: c.user}, workday.Add(c.after)
			if got := s.say("select note from notes"); strings.HasPrefix(got, "allow") != c.want {
				t.Errorf("%s after %s: %s", c.user, c.after, got)
			}
		}
	}
}

// decider is what the proxy does with each text: analyse it and decide.
type decider struct {
	policy *policy.Policy
	cache  *sql.Cache
	cat    *sql.Catalogue
	env    sql.Env
	person policy.Person
}

func newDecider(t testing.TB, who string) *decider {
	return &decider{cityPolicy(t), sql.NewCache(64 << 20), city(t), sql.Env{SearchPath: []string{"public"}, ParamTypes: []uint32{}}, cityPeople[who]}
}

func (d *decider) decide(t testing.TB, text string) policy.Decision {
	a, err := d.cache.Analyse(text, d.cat, d.env)
	if err != nil {
		t.Fatal(err)
	}
	decision := d.policy.Decide(policy.Request{Person: d.person, Database: "civil", Role: "clerks", Application: "psql", Client: "10.0.0.1:5000",
		Purpose: "case-2026-114", Time: workday, Analysis: a, Text: text, Env: d.env})
	if !decision.Allow {
		t.Fatal(decision.Reason)
	}
	return decision
}

const lookedUp = "select name, phone, birth_date from civil.citizens where birth_date = '1985-08-02' and id_number = '%018d'"

func TestSeenStatementsAreDecidedWithoutAllocation(t *testing.T) {
	for who, text := range map[string]string{"civil_clerk": fmt.Sprintf(lookedUp, 1), "bench": "select abalance from pgbench_accounts where aid = $1"} {
		for _, p := range []*policy.Policy{cityPolicy(t), twoLevels(t)} {
			d := newDecider(t, who)
			d.policy = p
			for range 2 {
				d.decide(t, text)
			}
			if n := testing.AllocsPerRun(1000, func() { d.decide(t, text) }); n != 0 {
				t.Errorf("%s: %v allocations", who, n)
			}
		}
	}
}

// BenchmarkDecision is analysis and decision together: of a text seen before, of one that differs in literals only (once
// with columns that the proxy adds), and of one seen for the first time.
func BenchmarkDecision(b *testing.B) {
	b.Run("seen", func(b *testing.B) {
		d, text := newDecider(b, "civil_clerk"), fmt.Sprintf(lookedUp, 1)
		b.ReportAllocs()
		for b.Loop() {
			d.decide(b, text)
		}
	})
	for name, query := range map[string]string{
		"other literals/pinned":    lookedUp,
		"other literals/rewritten": "select name, phone, birth_date from civil.citizens where birth_date = '1985-08-02' and name = '%018d'",
		"other literals/pgbench":   "SELECT abalance FROM pgbench_accounts WHERE aid = 1%07d;",
	} {
		who := "civil_clerk"
		if strings.Contains(query, "pgbench") {
			who = "bench"
		}
		texts := make([]string, 10_000)
		for i := range texts {
			texts[i] = fmt.Sprintf(query, i)
		}
		b.Run(name, func(b *testing.B) {
			d := newDecider(b, who)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				d.decide(b, texts[i%len(texts)])
			}
		})
		b.Run("first sight/"+name[len("other literals/"):], func(b *testing.B) {
			d := newDecider(b, who)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				d.cache.Purge()
				d.decide(b, texts[i%len(texts)])
			}
		})
	}
}
