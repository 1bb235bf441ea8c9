package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"

	"shiguan/policy/mask"
)

// Policy is one checked policy file. It is immutable but for its memory of decisions, and safe for concurrent use.
type Policy struct {
	file   string
	digest string
	data   []dataColumn // sorted by table and column
	rules  []*rule      // sorted by id: the order in the file means nothing

	officers  []Officer       // who may sign grants, sorted by name
	grantable []*grantable    // what they may grant
	grants    []*Grant        // what they have granted
	ceiling   *Policy         // the level above, nil where there is one level
	foreign   []columnPattern // sensitive at the other level only

	memory *memory
}

// Digest identifies the exact bytes of the policy, as "sha256:" and 64 hex digits.
func (p *Policy) Digest() string { return p.digest }

// Keyed returns the policy with the keys of its pseudonyms, derived from a secret of the proxy's. Without it no value of a
// class with mask hash can be shown.
func (p *Policy) Keyed(secret []byte) *Policy {
	return p.keyed(secret, map[*class]*class{}) // the two levels share masks
}

func (p *Policy) keyed(secret []byte, classes map[*class]*class) *Policy {
	keyed := *p
	keyed.memory, keyed.data = newMemory(), slices.Clone(p.data)
	if p.ceiling != nil {
		keyed.ceiling = p.ceiling.keyed(secret, classes)
	}
	for i := range keyed.data {
		c := keyed.data[i].class
		if classes[c] == nil {
			classes[c] = &class{name: c.name, mask: c.mask.Keyed(secret, c.name)}
		}
		keyed.data[i].class = classes[c]
	}
	return &keyed
}

// maxRules bounds what one decision can cost.
const maxRules = 1024

// Parse reads a policy. file is what errors call it. The error joins one *Problem for each thing that is wrong.
func Parse(file string, text []byte) (*Policy, error) {
	spec, problems := decodeStrict[fileSpec](file, "the policy", text)
	if len(problems) > 0 {
		return nil, join(problems)
	}
	c := compiler{file: file, classes: map[string]*class{}, ids: map[string]int{}}
	sum := sha256.Sum256(text)
	p := &Policy{file: file, digest: "sha256:" + hex.EncodeToString(sum[:])}
	c.policy(spec, p)
	if len(c.problems) > 0 {
		return nil, join(c.problems)
	}
	p.memory = newMemory()
	return p, nil
}

func join(problems []*Problem) error {
	slices.SortStableFunc(problems, func(a, b *Problem) int { return a.Line - b.Line })
	errs := make([]error, len(problems))
	for i, p := range problems {
		errs[i] = p
	}
	return errors.Join(errs...)
}

// compiler turns a decoded file into a Policy and collects every problem, so that one run shows them all.
type compiler struct {
	file     string
	env      *cel.Env
	classes  map[string]*class
	ids      map[string]int // rule id → line
	problems []*Problem
}

func (c *compiler) problem(line int, format string, args ...any) {
	c.problems = append(c.problems, &Problem{c.file, line, fmt.Sprintf(format, args...)})
}

func (c *compiler) policy(spec *fileSpec, p *Policy) {
	env, err := conditionEnv()
	if err != nil {
		c.problem(0, "the condition language cannot be set up: %v", err)
		return
	}
	c.env = env
	switch {
	case spec.Version.line == 0:
		c.problem(0, "the version is missing: begin with version: 1")
	case spec.Version.value != 1:
		c.problem(spec.Version.line, "version %d is not known: write version: 1", spec.Version.value)
	}
	c.classSpecs(spec.Classes)
	p.data = c.dataSpecs(spec.Data)
	if len(spec.Rules) > maxRules {
		c.problem(0, "%d rules are more than %d: join some with patterns", len(spec.Rules), maxRules)
	}
	for i := range spec.Rules {
		p.rules = append(p.rules, c.rule(&spec.Rules[i]))
	}
	p.officers = c.officers(spec.Officers)
	p.grantable = c.grantables(spec.Grants, p.officers)
	slices.SortFunc(p.rules, func(a, b *rule) int { return strings.Compare(a.id, b.id) })
}

var plainID = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

func (c *compiler) classSpecs(specs map[word]classSpec) {
	for _, name := range sortedWords(specs) {
		spec := specs[name]
		if !plainID.MatchString(name.text) {
			c.problem(name.line, "class %q: write its name in lower-case letters, digits, dot, dash and underscore", name.text)
		}
		if spec.Mask.Kind == 0 {
			c.problem(name.line, "class %s has no mask: write mask: %s", name.text, mask.Kinds)
			continue
		}
		m, err := mask.New(mask.Spec{Kind: mask.Kind(spec.Mask.Value), First: int(min(spec.First.value, 1<<20)),
			Last: int(min(spec.Last.value, 1<<20)), Fill: int(min(spec.Fill.value, 1<<20)),
			Least: int(min(spec.Least.value, 1<<20)), Value: spec.Value.text, To: mask.Period(spec.To.text), Step: spec.Step.value})
		switch {
		case err != nil:
			c.problem(name.line, "class %s: %v", name.text, err)
			continue
		case spec.Fill.line != 0 && spec.Fill.value == 0:
			c.problem(spec.Fill.line, "class %s: fill must be at least 1, so that a masked value can be told from a short one", name.text)
		}
		c.classes[name.text] = &class{name: name.text, mask: m}
	}
}

func (c *compiler) dataSpecs(specs map[word]map[word]columnSpec) []dataColumn {
	var all []dataColumn
	for _, table := range sortedWords(specs) {
		t, err := parseTableName(table.text)
		if err != nil {
			c.problem(table.line, "data: %v", err)
			continue
		}
		if len(specs[table]) == 0 {
			c.problem(table.line, "data: %s names no column: list its sensitive columns or remove it", table.text)
		}
		subject := ""
		for _, column := range sortedWords(specs[table]) {
			spec := specs[table][column]
			k := c.classes[spec.Class.text]
			switch {
			case spec.Class.line == 0:
				c.problem(column.line, "%s.%s has no class: write {class: …}", table.text, column.text)
				continue
			case k == nil:
				c.problem(spec.Class.line, "class %q is not described under classes: add it there%s", spec.Class.text, meant(spec.Class.text, slices.Sorted(maps.Keys(c.classes))))
				continue
			case spec.Subject && subject != "":
				c.problem(column.line, "%s has two subject columns, %s and %s: keep the one that names the person", table.text, subject, column.text)
			case spec.Subject:
				subject = column.text
			}
			all = append(all, dataColumn{table: t, column: column.text, class: k, subject: spec.Subject, line: column.line})
		}
	}
	return all
}

// sortedWords gives the keys of a mapping in the order of their text.
func sortedWords[V any](m map[word]V) []word {
	return slices.SortedFunc(maps.Keys(m), func(a, b word) int { return strings.Compare(a.text, b.text) })
}
