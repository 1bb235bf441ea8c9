package policy

import (
	"slices"
	"strings"
	"time"
)

// Officer may sign grants.
type Officer struct {
	Name       string
	Department string
	Key        string // signed-note verifier key; its name is Name
}

// Officers are those whom the policy names, sorted by name. Where there are two levels the ceiling names them.
func (p *Policy) Officers() []Officer { return p.officers }

// grantable is a rule that holds for nobody until officers grant it.
type grantable struct {
	rule            *rule
	officers        []Officer
	signatures      int
	otherDepartment bool
	longest         time.Duration
	breakGlass      bool
}

// Bounds of what a policy may say of grants.
const (
	maxOfficers   = 256
	longestGrant  = 366 * 24 * time.Hour
	shortestGrant = time.Minute
)

func (c *compiler) officers(specs map[word]officerSpec) []Officer {
	var list []Officer
	if len(specs) > maxOfficers {
		c.problem(0, "%d officers are more than %d", len(specs), maxOfficers)
	}
	for _, name := range sortedWords(specs) {
		spec := specs[name]
		o := Officer{Name: name.text, Department: spec.Department.text, Key: spec.Key.text}
		if o.Department == "" {
			c.problem(name.line, "officer %s has no department: write {department: …, key: …}", o.Name)
		}
		if !strings.HasPrefix(o.Key, o.Name+"+") {
			c.problem(name.line, "officer %s: key must be the line that `shiguan key new-signer --name %s` prints", o.Name, o.Name)
		}
		list = append(list, o)
	}
	return list
}

func (c *compiler) grantables(specs []grantableSpec, officers []Officer) []*grantable {
	if len(specs) > maxRules {
		c.problem(0, "%d rules under grants are more than %d", len(specs), maxRules)
	}
	var list []*grantable
	for i := range specs {
		list = append(list, c.grantable(&specs[i], officers))
	}
	return list
}

func (c *compiler) grantable(spec *grantableSpec, officers []Officer) *grantable {
	g := &grantable{rule: c.rule(&spec.Rule), signatures: int(min(spec.Signatures.value, maxOfficers+1)), otherDepartment: spec.OtherDepartment, breakGlass: spec.BreakGlass}
	id := g.rule.id
	if g.rule.transparent {
		c.problem(g.rule.line, "grant %s is transparent: nobody can be granted everything, name what", id)
	}
	for _, name := range spec.Officers.list {
		switch i := slices.IndexFunc(officers, func(o Officer) bool { return o.Name == name.text }); {
		case name.text == "*":
			g.officers = officers
		case i < 0:
			c.problem(name.line, "grant %s: officer %q is not described under officers: add him there", id, name.text)
		case !slices.Contains(g.officers, officers[i]):
			g.officers = append(g.officers, officers[i])
		}
	}
	switch {
	case spec.Officers.line == 0:
		c.problem(g.rule.line, "grant %s does not say who may give it: write officers: [name, …]", id)
	case g.signatures < 1 || g.signatures > len(g.officers):
		c.problem(max(spec.Signatures.line, g.rule.line), "grant %s: signatures must be 1 to %d, as many as it names officers", id, len(g.officers))
	}
	longest, err := time.ParseDuration(spec.Longest.text)
	if err != nil || longest < shortestGrant || longest > longestGrant {
		c.problem(max(spec.Longest.line, g.rule.line), "grant %s: longest must be a time such as 8h, from 1m to 8784h", id)
	}
	g.longest = longest
	return g
}
