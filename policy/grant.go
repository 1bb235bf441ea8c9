package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Kinds of grants. The id of a grant begins with its kind, so that it is seen wherever the grant is named.
const (
	KindGrant      = "grant"
	KindBreakGlass = "break-glass"
)

// Bounds of grants: of one in bytes, and how many may be in force at once.
const (
	MaxGrantBytes = 16 << 10
	MaxGrants     = 256
)

// KindOfGrant tells a grant's kind by its id.
func KindOfGrant(id string) string {
	if strings.HasPrefix(id, KindBreakGlass+"-") {
		return KindBreakGlass
	}
	return KindGrant
}

// Grant widens for one person, one purpose and some time what policy allows, as far as a rule under the policy's grants says
// that it may be widened. It says nothing of who signed it: see Signed.
type Grant struct {
	ID         string // kind, and the beginning of SHA-256 over Text: no two texts have one id
	Under      string // the rule under grants
	Person     string
	Department string
	Purpose    string
	Reason     string
	From       time.Time
	Until      time.Time
	Text       string // as the officers sign it

	under *grantable
	rule  *rule
}

// granted binds a rule to its grant.
type granted struct {
	id, purpose string
	from, until time.Time
}

// holds reports that a request is made for the purpose and in the time of a grant. A clock that was set back does not
// bring back a grant that has run out.
func (g *granted) holds(r *Request) bool {
	if g == nil {
		return true
	}
	latest := r.Time
	if r.Latest.After(latest) {
		latest = r.Latest
	}
	return r.Purpose == g.purpose && !r.Time.Before(g.from) && latest.Before(g.until)
}

// Grant reads a grant and holds it against the policy's grants. file is what errors call it. The error joins one *Problem for
// each thing that is wrong.
func (p *Policy) Grant(file string, text []byte) (*Grant, error) {
	if len(text) > MaxGrantBytes {
		return nil, &Problem{File: file, Message: fmt.Sprintf("a grant has at most %d bytes, this one %d", MaxGrantBytes, len(text))}
	}
	spec, problems := decodeStrict[grantSpec](file, "the grant", text)
	if len(problems) > 0 {
		return nil, join(problems)
	}
	c := compiler{file: file, ids: map[string]int{}}
	g := c.grant(spec, p)
	if len(c.problems) > 0 {
		return nil, join(c.problems)
	}
	sum := sha256.Sum256(text)
	g.Text, g.ID = string(text), g.kind()+"-"+hex.EncodeToString(sum[:8])
	return g, nil
}

func (g *Grant) kind() string {
	if g.under.breakGlass {
		return KindBreakGlass
	}
	return KindGrant
}

func (c *compiler) grant(spec *grantSpec, p *Policy) *Grant {
	g := &Grant{Under: spec.Under.text, Person: spec.Person.text, Department: spec.Department.text, Purpose: spec.Purpose.text, Reason: spec.Reason.text}
	if spec.Version.value != 1 {
		c.problem(spec.Version.line, "version %d is not known: write version: 1", spec.Version.value)
	}
	for _, field := range []struct {
		name string
		word
		most int
	}{{"person", spec.Person, 200}, {"department", spec.Department, 200}, {"purpose", spec.Purpose, 200}, {"reason", spec.Reason, 2000}} {
		if field.text == "" || field.text == "*" || len(field.text) > field.most {
			c.problem(field.line, "%s must be said, in at most %d bytes", field.name, field.most)
		}
	}
	g.From, g.Until = c.minute("from", spec.From), c.minute("until", spec.Until)
	r := c.rule(&ruleSpec{ID: word{"this", max(spec.Under.line, 1)}, Who: whoSpec{User: only(spec.Person), Department: only(spec.Department)},
		May: spec.May, On: spec.On, Columns: spec.Columns, Set: spec.Set, Clear: spec.Clear, Match: spec.Match, Limit: spec.Limit})
	i := slices.IndexFunc(p.grantable, func(g *grantable) bool { return g.rule.id == spec.Under.text })
	if i < 0 {
		c.problem(spec.Under.line, "under: %q is no rule under the policy's grants: %s", spec.Under.text, p.grantableNames())
		return g
	}
	g.under = p.grantable[i]
	c.narrows(spec, r, g)
	g.rule = g.under.narrowed(r)
	return g
}

// minute reads a time. Whole minutes only: what was decided is decided again with the next minute.
func (c *compiler) minute(name string, w word) time.Time {
	t, err := time.Parse(time.RFC3339, w.text)
	if err != nil || t.Second() != 0 || t.Nanosecond() != 0 {
		c.problem(w.line, "%s: write a whole minute as 2026-11-22T08:00:00+08:00", name)
	}
	return t
}

func only(w word) words { return words{list: []word{w}, line: max(w.line, 1)} }

func (p *Policy) grantableNames() string {
	var ids []string
	for _, g := range p.grantable {
		ids = append(ids, g.rule.id)
	}
	if ids == nil {
		return "there are none"
	}
	return "there are " + strings.Join(ids, ", ")
}

// narrows checks that a grant gives no more than the rule it is given under.
func (c *compiler) narrows(spec *grantSpec, r *rule, g *Grant) {
	under := g.under.rule
	beyond := func(line int, format string, args ...any) {
		c.problem(line, "%s is more than %s may give", fmt.Sprintf(format, args...), under.id)
	}
	if under.users != nil && !contains(under.users, g.Person) {
		beyond(spec.Person.line, "a grant to %s", g.Person)
	}
	if under.departments != nil && !contains(under.departments, g.Department) {
		beyond(spec.Department.line, "a grant to somebody of %s", g.Department)
	}
	if extra := r.may &^ under.may; extra != 0 {
		beyond(spec.May.line, "may: [%s]", extra)
	}
	for _, on := range r.on {
		if !anyIncludes(under.on, on) {
			beyond(spec.On.line, "on %s", on)
		}
	}
	for _, list := range []struct {
		name        string
		line        int
		have, limit []columnPattern
		free        bool
	}{
		{"clear", spec.Clear.line, r.clear, under.clear, false}, {"match", spec.Match.line, r.match, slices.Concat(under.match, under.clear), false},
		{"columns", spec.Columns.line, r.columns, under.columns, !under.restrictsRead}, {"set", spec.Set.line, r.set, under.set, !under.restrictsWrite},
	} {
		for _, p := range list.have {
			if !list.free && !anyIncludesColumn(list.limit, p) {
				beyond(list.line, "%s: %s", list.name, p)
			}
		}
	}
	switch long := g.Until.Sub(g.From); {
	case long <= 0:
		c.problem(spec.Until.line, "until is not after from")
	case long > g.under.longest:
		beyond(spec.Until.line, "a time of %v (at most %v)", long, g.under.longest)
	}
}

// narrowed is the rule under which a grant is given, made as narrow as the grant.
func (u *grantable) narrowed(r *rule) *rule {
	n := *u.rule
	n.users, n.may, n.on, n.clear, n.match = r.users, r.may, r.on, r.clear, r.match
	if n.departments = r.departments; r.restrictsRead {
		n.columns, n.restrictsRead = r.columns, true
	}
	if r.restrictsWrite {
		n.set, n.restrictsWrite = r.set, true
	}
	n.rows = smaller(n.rows, r.rows)
	n.daily.Rows, n.daily.Bytes = smaller(n.daily.Rows, r.daily.Rows), smaller(n.daily.Bytes, r.daily.Bytes)
	n.daily.Subjects = smaller(n.daily.Subjects, r.daily.Subjects)
	return &n
}

// BreakGlass says that the grant was given under a rule for emergencies.
func (g *Grant) BreakGlass() bool { return g.under.breakGlass }

// Officers are those who may sign the grant.
func (g *Grant) Officers() []Officer { return g.under.officers }

// Signed reports whether officers, by name, whose signatures over Text were verified, make the grant valid. Each counts once.
func (g *Grant) Signed(names []string) error {
	count, elsewhere := 0, false
	for _, o := range g.under.officers {
		if slices.Contains(names, o.Name) {
			count++
			elsewhere = elsewhere || o.Department != g.Department
		}
	}
	var missing []error
	if count < g.under.signatures {
		missing = append(missing, fmt.Errorf("%s wants the signatures of %d officers, and has %d", g.Under, g.under.signatures, count))
	}
	if g.under.otherDepartment && !elsewhere {
		missing = append(missing, fmt.Errorf("%s wants the signature of an officer who is not of %s", g.Under, g.Department))
	}
	return errors.Join(missing...)
}

// WithGrants is the policy together with grants that it has read and whose signatures were found sufficient. They hold at
// both levels.
func (p *Policy) WithGrants(grants []*Grant) *Policy {
	if len(grants) == 0 {
		return p
	}
	with := p.granting(grants, "")
	if p.ceiling != nil {
		with.ceiling = p.ceiling.granting(grants, ceilingPrefix)
	}
	return with
}

func (p *Policy) granting(grants []*Grant, prefix string) *Policy {
	with := *p
	with.memory, with.grants, with.rules = newMemory(), grants, slices.Clone(p.rules)
	for _, g := range grants {
		r := *g.rule
		r.id = prefix + r.id + "/" + g.ID
		r.clear = slices.Concat(r.clear, p.foreign)
		r.granted = &granted{id: g.ID, purpose: g.Purpose, from: g.From, until: g.Until}
		with.rules = append(with.rules, &r)
	}
	slices.SortFunc(with.rules, byID)
	return &with
}

// Grants are those that were added to the policy.
func (p *Policy) Grants() []*Grant { return p.grants }
