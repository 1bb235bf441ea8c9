package policy

import (
	"slices"
	"strings"
)

// rule compiles one rule. A faulty rule is returned too: its problems are already noted and keep the policy from loading.
func (c *compiler) rule(spec *ruleSpec) *rule {
	r := &rule{id: spec.ID.text, line: spec.ID.line, rows: spec.Limit.Rows.value, transparent: spec.Transparent,
		daily: Daily{Rows: spec.Limit.RowsPerDay.value, Bytes: spec.Limit.BytesPerDay.value, Subjects: spec.Limit.SubjectsPerDay.value}}
	c.ruleID(spec)
	c.who(spec, r)
	c.rights(spec, r)
	for _, w := range spec.On.list {
		p, err := parseTablePattern(w.text)
		if err != nil {
			c.problem(w.line, "rule %s: on: %v%s", r.id, err, several(w.text))
			continue
		}
		r.on = append(r.on, p)
	}
	if len(spec.On.list) == 0 {
		c.problem(r.line, "rule %s names no tables: write on: [schema.table]", r.id)
	}
	c.columnLists(spec, r)
	c.functions(spec, r)
	if spec.When.line != 0 {
		when, err := compileCondition(c.env, spec.When.text)
		if err != nil {
			c.problem(spec.When.line, "rule %s: %v", r.id, err)
		}
		r.when = when
	}
	c.where(spec, r)
	c.limit(spec)
	if r.transparent {
		c.transparent(spec, r)
	}
	return r
}

func (c *compiler) ruleID(spec *ruleSpec) {
	id := spec.ID
	switch first, taken := c.ids[id.text]; {
	case id.line == 0:
		c.problem(max(spec.May.line, spec.On.line), "a rule has no id: give it one, records and refusals name it")
	case !plainID.MatchString(id.text):
		c.problem(id.line, "rule id %q: write up to 64 lower-case letters, digits, dots, dashes and underscores", id.text)
	case id.text == defaultDeny:
		c.problem(id.line, "rule id %q is what refusals call the absence of a rule: choose another", id.text)
	case taken:
		c.problem(id.line, "rule id %q was already used in line %d: choose another", id.text, first)
	}
	c.ids[id.text] = id.line
}

func (c *compiler) who(spec *ruleSpec, r *rule) {
	list := func(what string, w words) []string {
		if w.line == 0 {
			return nil
		}
		names := []string{}
		for _, name := range w.list {
			if name.text == "" || (name.text != "*" && strings.Contains(name.text, "*")) {
				c.problem(name.line, "rule %s: %s %q: write whole names, or \"*\" for everybody", r.id, what, name.text)
			}
			names = append(names, name.text)
		}
		if len(names) == 0 {
			c.problem(w.line, "rule %s: %s is an empty list and would match nobody: fill or remove it", r.id, what)
		}
		return names
	}
	r.users = list("user", spec.Who.User)
	r.departments = list("department", spec.Who.Department)
	r.positions = list("position", spec.Who.Position)
	if r.users == nil && r.departments == nil && r.positions == nil {
		c.problem(r.line, "rule %s does not say for whom: write who: {department: …, position: …}, or {user: \"*\"} for everybody", r.id)
	}
}

func (c *compiler) rights(spec *ruleSpec, r *rule) {
	for _, w := range spec.May.list {
		bit, err := parseRight(w.text)
		if err != nil {
			c.problem(w.line, "rule %s: may: %v", r.id, err)
		}
		r.may |= bit
	}
	switch {
	case len(spec.May.list) == 0:
		c.problem(r.line, "rule %s allows nothing: write may: [select] or another word", r.id)
	case r.may&mayCopy != 0 && r.may&(maySelect|mayInsert) == 0:
		c.problem(spec.May.line, "rule %s: copy needs select beside it (COPY TO) or insert (COPY FROM)", r.id)
	}
}

func (c *compiler) columnLists(spec *ruleSpec, r *rule) {
	r.columns = c.columnList(r, "columns", spec.Columns, maySelect)
	r.set = c.columnList(r, "set", spec.Set, writes)
	r.clear = c.columnList(r, "clear", spec.Clear, maySelect)
	r.match = c.columnList(r, "match", spec.Match, maySelect)
	r.by = c.columnList(r, "by", spec.By, byRights)
	c.by(spec, r)
	r.restrictsRead, r.restrictsWrite = spec.Columns.line != 0, spec.Set.line != 0
	if r.restrictsRead && len(spec.Columns.list) == 0 {
		c.problem(spec.Columns.line, "rule %s: columns is empty: list the columns that may be read, or remove it for all", r.id)
	}
	if r.restrictsWrite && len(spec.Set.list) == 0 {
		c.problem(spec.Set.line, "rule %s: set is empty: list the columns that may be written, or remove it for all", r.id)
	}
}

// columnList reads one list of columns. needs are the rights of which the rule must have at least one for the list to
// mean anything; an entry for a table that `on` leaves out is a mistake too.
func (c *compiler) columnList(r *rule, key string, w words, needs right) []columnPattern {
	if w.line != 0 && r.may&needs == 0 {
		c.problem(w.line, "rule %s: %s means nothing without may: [%s]", r.id, key, needs)
	}
	var list []columnPattern
	for _, item := range w.list {
		p, err := parseColumnPattern(item.text)
		if err != nil {
			c.problem(item.line, "rule %s: %s: %v%s", r.id, key, err, several(item.text))
			continue
		}
		if p.table.exact() && !slices.ContainsFunc(r.on, func(t tablePattern) bool { return t.matches(p.table.schema, p.table.name) }) {
			c.problem(item.line, "rule %s: %s names %s, a table that on does not include: add it there", r.id, key, item.text)
		}
		list = append(list, p)
	}
	return list
}

// by checks that rows can be asked for at all by what the rule says.
func (c *compiler) by(spec *ruleSpec, r *rule) {
	if spec.By.line != 0 && len(spec.By.list) == 0 {
		c.problem(spec.By.line, "rule %s: by is empty and would show no row: list a column, or remove it", r.id)
	}
	for _, item := range spec.By.list {
		p, err := parseColumnPattern(item.text)
		switch {
		case err != nil: // reported with the list
		case p.column == "":
			c.problem(item.line, "rule %s: by: %q must name one column: write schema.table.column", r.id, item.text)
		case !slices.ContainsFunc(slices.Concat(r.match, r.clear, r.columns), func(other columnPattern) bool { return other.includes(p) }):
			c.problem(item.line, "rule %s: by names %s, which the rule does not let anybody compare: add it to match", r.id, item.text)
		}
	}
}

func (c *compiler) functions(spec *ruleSpec, r *rule) {
	for _, w := range spec.Functions.list {
		parts, err := splitName(w.text)
		if err != nil || len(parts) != 2 || parts[0].star || parts[1].star {
			c.problem(w.line, "rule %s: functions: %q must be one function as schema.name, without arguments", r.id, w.text)
			continue
		}
		r.functions = append(r.functions, parts[0].text+"."+parts[1].text)
	}
}

func (c *compiler) limit(spec *ruleSpec) {
	for _, n := range spec.Limit.numbers() {
		if n.line != 0 && n.value == 0 {
			c.problem(n.line, "rule %s: a limit of 0 %s would let nothing out: write at least 1, or remove the rule", spec.ID.text, n.what)
		}
	}
	if l := spec.Limit.SubjectsPerDay; l.value > MaxSubjectsPerDay {
		c.problem(l.line, "rule %s: subjects_per_day may be %d at most, because each of them is remembered for the day: use rows_per_day for more", spec.ID.text, MaxSubjectsPerDay)
	}
}

// transparent checks that a rule that allows everything says so in full and promises nothing that it does not keep.
func (c *compiler) transparent(spec *ruleSpec, r *rule) {
	if r.may != mayAll || len(r.on) != 1 || r.on[0] != (tablePattern{prefix: true}) {
		c.problem(r.line, "rule %s is transparent: it must say may: [all] and on: [\"*\"]", r.id)
	}
	for _, w := range []words{spec.Columns, spec.Set, spec.Clear, spec.Match, spec.By, spec.Functions} {
		if w.line != 0 {
			c.problem(w.line, "rule %s is transparent and knows no columns, set, clear, match, by or functions: remove them, or transparent", r.id)
		}
	}
	if spec.Where.line != 0 {
		c.problem(spec.Where.line, "rule %s is transparent and knows no where: remove it, or transparent", r.id)
	}
	for _, n := range spec.Limit.numbers() {
		if n.line != 0 {
			c.problem(n.line, "rule %s is transparent and knows no limit: remove it, or transparent", r.id)
		}
	}
}
