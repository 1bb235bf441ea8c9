package policydesk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"shiguan/auditlog/record"
	"shiguan/policy"
	"shiguan/policy/sql"
)

// Expectations are one file of `policy test`: who asks what of which policy, and what must become of it.
type Expectations struct {
	Policy    string            `yaml:"policy"`    // file, as seen from this one
	Catalogue expectedNames     `yaml:"catalogue"` // where names are looked up
	People    map[string]Person `yaml:"people"`
	Tests     []Expectation     `yaml:"tests"`

	file string
}

type expectedNames struct {
	Create   string `yaml:"create"`   // CREATE SCHEMA, TABLE and VIEW statements
	Snapshot string `yaml:"snapshot"` // file that `policy snapshot` wrote
}

// Person says who a user is.
type Person struct {
	Department string `yaml:"department"`
	Position   string `yaml:"position"`
	Role       string `yaml:"role"`
}

// Expectation is one statement, or several of one session of which the last is meant, and what must be decided.
type Expectation struct {
	Name        string    `yaml:"name"`
	As          string    `yaml:"as"`
	Purpose     string    `yaml:"purpose"`
	Time        time.Time `yaml:"time"`
	Application string    `yaml:"application"`
	Client      string    `yaml:"client"`
	Database    string    `yaml:"database"`
	SearchPath  []string  `yaml:"search_path"`
	SQL         texts     `yaml:"sql"`
	Expect      expected  `yaml:"expect"`
}

type expected struct {
	Decision string    `yaml:"decision"` // allowed or refused
	Rule     string    `yaml:"rule"`     // "": any
	Reason   string    `yaml:"reason"`   // a part of it
	Masked   *[]string `yaml:"masked"`   // exactly these columns; absent: any

	line int
}

// texts is one text or a list of them.
type texts []string

func (t *texts) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*t = texts{n.Value}
		return nil
	}
	var list []string
	err := n.Decode(&list)
	*t = list
	return err
}

// UnmarshalYAML keeps the line, and knows its keys by itself: strictness does not reach into it.
func (e *expected) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: expected a mapping such as {decision: allowed}", n.Line)}}
	}
	for i := 0; i < len(n.Content); i += 2 {
		if k := n.Content[i]; !slices.Contains([]string{"decision", "rule", "reason", "masked"}, k.Value) {
			return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: expect has no key %q: it knows decision, rule, reason and masked", k.Line, k.Value)}}
		}
	}
	type plain expected
	if err := n.Decode((*plain)(e)); err != nil {
		return err
	}
	e.line = n.Line
	return nil
}

// maxExpectations bounds one file.
const maxExpectations = 16 << 20

// ReadExpectations reads a file strictly: a key that is not known is an error, for the test would test something else.
func ReadExpectations(file string) (*Expectations, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxExpectations+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxExpectations {
		return nil, fmt.Errorf("%s is larger than %d MiB: split it", file, maxExpectations>>20)
	}
	e := &Expectations{file: file}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(e); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %s", file, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: a second YAML document follows: write its tests into the first", file)
	}
	return e, e.check()
}

func (e *Expectations) check() error {
	if len(e.Tests) == 0 {
		return fmt.Errorf("%s: there are no tests in it: list some under tests", e.file)
	}
	var found []error
	for i := range e.Tests {
		t := &e.Tests[i]
		problem := func(format string, args ...any) {
			found = append(found, fmt.Errorf("%s:%d: test %q: %s", e.file, t.Expect.line, t.title(i), fmt.Sprintf(format, args...)))
		}
		if _, ok := e.People[t.As]; !ok && e.People != nil {
			problem("nobody under people is called %q: add him there", t.As)
		}
		if t.As == "" {
			problem("it does not say who asks: write as: USER")
		}
		if len(t.SQL) == 0 {
			problem("it asks nothing: write sql: SELECT …")
		}
		switch t.Expect.Decision {
		case record.DecisionAllowed, record.DecisionRefused:
		default:
			problem("expect must have decision: allowed or decision: refused")
		}
		if t.Expect.Masked != nil && t.Expect.Decision == record.DecisionRefused {
			problem("what is refused masks nothing: remove masked")
		}
		if t.Expect.Reason != "" && t.Expect.Decision == record.DecisionAllowed {
			problem("what is allowed has no reason: remove reason")
		}
	}
	return errors.Join(found...)
}

func (t *Expectation) title(i int) string {
	if t.Name != "" {
		return t.Name
	}
	return fmt.Sprintf("%d", i+1)
}

// PolicyFile is the policy that the file names, as seen from where we are; "" when it names none.
func (e *Expectations) PolicyFile() string { return e.beside(e.Policy) }

func (e *Expectations) beside(file string) string {
	if file == "" || filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(filepath.Dir(e.file), file)
}

// OwnCatalogue is the catalogue that the file brings along; nil when it brings none.
func (e *Expectations) OwnCatalogue() (*sql.Catalogue, error) {
	switch c := e.Catalogue; {
	case c.Create != "" && c.Snapshot != "":
		return nil, fmt.Errorf("%s: catalogue has both create and snapshot: keep one", e.file)
	case c.Create != "":
		cat, err := Created(c.Create)
		if err != nil {
			return nil, fmt.Errorf("%s: catalogue: create: %w", e.file, err)
		}
		return cat, nil
	case c.Snapshot != "":
		return ReadSnapshot(e.beside(c.Snapshot))
	}
	return nil, nil
}

// Tested is what became of one expectation.
type Tested struct {
	File  string   `json:"file"`
	Line  int      `json:"line"`
	Test  string   `json:"test"`
	As    string   `json:"as"`
	SQL   string   `json:"sql"`
	Holds bool     `json:"holds"`
	Wrong []string `json:"wrong,omitempty"`
	Got   Outcome  `json:"got"`
}

// Run tries all tests. people is asked for users that the file does not describe; it may be nil.
func (e *Expectations) Run(p *policy.Policy, cat *sql.Catalogue, people func(user string) (Person, error)) ([]Tested, error) {
	cache := sql.NewCache(16 << 20)
	var all []Tested
	for i := range e.Tests {
		t := &e.Tests[i]
		person, ok := e.People[t.As]
		if !ok {
			if people == nil {
				return nil, fmt.Errorf("%s:%d: who %q is does not stand in the file: describe him under people, or say --people FILE or --config PROXY_CONFIG", e.file, t.Expect.line, t.As)
			}
			var err error
			if person, err = people(t.As); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", e.file, t.Expect.line, err)
			}
		}
		s := Session{Person: policy.Person{User: t.As, Department: person.Department, Position: person.Position}, Role: person.Role,
			Database: t.Database, Application: t.Application, Client: t.Client, Purpose: t.Purpose, SearchPath: t.SearchPath}
		if s.SearchPath == nil {
			s.SearchPath = []string{"public"}
		}
		now := t.Time
		if now.IsZero() {
			now = time.Now()
		}
		var got Outcome
		for _, text := range t.SQL {
			got = s.Try(p, cache, cat, text, now)
		}
		wrong := t.Expect.compare(got)
		all = append(all, Tested{File: e.file, Line: t.Expect.line, Test: t.title(i), As: t.As, SQL: t.SQL[len(t.SQL)-1], Holds: wrong == nil, Wrong: wrong, Got: got})
	}
	return all, nil
}

// compare lists what is otherwise than expected.
func (e *expected) compare(got Outcome) (wrong []string) {
	if got.Decision != e.Decision {
		why := "by " + got.Rule
		if got.Reason != "" {
			why += ": " + got.Reason
		}
		return []string{fmt.Sprintf("expected %s, is %s %s", e.Decision, got.Decision, why)}
	}
	if e.Rule != "" && got.Rule != e.Rule {
		wrong = append(wrong, fmt.Sprintf("expected rule %s, is %s", e.Rule, got.Rule))
	}
	if !strings.Contains(got.Reason, e.Reason) {
		wrong = append(wrong, fmt.Sprintf("expected %q in the reason, is: %s", e.Reason, got.Reason))
	}
	if e.Masked != nil {
		want := slices.Sorted(slices.Values(*e.Masked))
		if !slices.Equal(want, got.Masked) {
			wrong = append(wrong, fmt.Sprintf("expected masked %s, is %s", listed(want), listed(got.Masked)))
		}
	}
	return wrong
}

func listed(names []string) string { return "[" + strings.Join(names, ", ") + "]" }
