package policy

import (
	"fmt"
	"strconv"

	"gopkg.in/yaml.v3"
)

// The shape of a policy file, as FORMAT.md documents it. Each leaf remembers its line for the errors.
type fileSpec struct {
	Version number                       `yaml:"version"`
	Data    map[word]map[word]columnSpec `yaml:"data"`
	Classes map[word]classSpec           `yaml:"classes"`
	Rules   []ruleSpec                   `yaml:"rules"`

	Officers map[word]officerSpec `yaml:"officers"`
	Grants   []grantableSpec      `yaml:"grants"`
}

type officerSpec struct {
	Department word `yaml:"department"`
	Key        word `yaml:"key"`
}

// grantableSpec is a rule that holds only for whom officers grant it to.
type grantableSpec struct {
	Rule            ruleSpec `yaml:",inline"`
	Officers        words    `yaml:"officers"`
	Signatures      number   `yaml:"signatures"`
	OtherDepartment bool     `yaml:"other_department"`
	Longest         word     `yaml:"longest"`
	BreakGlass      bool     `yaml:"break_glass"`
}

// grantSpec is one grant, the text that officers sign.
type grantSpec struct {
	Version    number    `yaml:"version"`
	Under      word      `yaml:"under"`
	Person     word      `yaml:"person"`
	Department word      `yaml:"department"`
	Purpose    word      `yaml:"purpose"`
	Reason     word      `yaml:"reason"`
	From       word      `yaml:"from"`
	Until      word      `yaml:"until"`
	May        words     `yaml:"may"`
	On         words     `yaml:"on"`
	Columns    words     `yaml:"columns"`
	Set        words     `yaml:"set"`
	Clear      words     `yaml:"clear"`
	Match      words     `yaml:"match"`
	Limit      limitSpec `yaml:"limit"`
}

type columnSpec struct {
	Class   word `yaml:"class"`
	Subject bool `yaml:"subject"`
}

type classSpec struct {
	Mask  yaml.Node `yaml:"mask"` // a node, because `mask: null` is YAML's null and means the mask of that name
	First number    `yaml:"first"`
	Last  number    `yaml:"last"`
	Fill  number    `yaml:"fill"`
	Least number    `yaml:"least"`
	Value word      `yaml:"value"`
	To    word      `yaml:"to"`
	Step  number    `yaml:"step"`
}

type ruleSpec struct {
	ID          word      `yaml:"id"`
	Who         whoSpec   `yaml:"who"`
	May         words     `yaml:"may"`
	On          words     `yaml:"on"`
	Columns     words     `yaml:"columns"`
	Set         words     `yaml:"set"`
	Clear       words     `yaml:"clear"`
	Match       words     `yaml:"match"`
	By          words     `yaml:"by"`
	Functions   words     `yaml:"functions"`
	Where       word      `yaml:"where"`
	When        word      `yaml:"when"`
	Limit       limitSpec `yaml:"limit"`
	Transparent bool      `yaml:"transparent"`
}

type whoSpec struct {
	User       words `yaml:"user"`
	Department words `yaml:"department"`
	Position   words `yaml:"position"`
}

type limitSpec struct {
	Rows           number `yaml:"rows"`
	RowsPerDay     number `yaml:"rows_per_day"`
	BytesPerDay    number `yaml:"bytes_per_day"`
	SubjectsPerDay number `yaml:"subjects_per_day"`
}

// numbers are the limits with the words that errors use.
func (l limitSpec) numbers() []namedNumber {
	return []namedNumber{{"rows", l.Rows}, {"rows a day", l.RowsPerDay}, {"bytes a day", l.BytesPerDay}, {"subjects a day", l.SubjectsPerDay}}
}

type namedNumber struct {
	what string
	number
}

// specNames says what each part is called in errors.
var specNames = map[string]struct {
	name string
	of   any
}{
	"fileSpec":   {"a policy", fileSpec{}},
	"columnSpec": {"a column of data", columnSpec{}},
	"classSpec":  {"a class", classSpec{}},
	"ruleSpec":   {"a rule", ruleSpec{}},
	"whoSpec":    {"who", whoSpec{}},
	"limitSpec":  {"limit", limitSpec{}},

	"officerSpec":   {"an officer", officerSpec{}},
	"grantableSpec": {"a rule under grants", grantableSpec{}},
	"grantSpec":     {"a grant", grantSpec{}},
}

// kindNames says what the decoder wanted where it found something else.
var kindNames = map[string]string{
	"policy.fileSpec":                    "a mapping that begins with version: 1",
	"policy.columnSpec":                  "a mapping such as {class: phone}",
	"policy.classSpec":                   "a mapping such as {mask: keep, first: 3}",
	"policy.ruleSpec":                    "a rule, a mapping that begins with id",
	"policy.whoSpec":                     "a mapping such as {department: tax, position: clerk}",
	"policy.limitSpec":                   "a mapping such as {rows: 200}",
	"policy.officerSpec":                 "a mapping such as {department: audit-office, key: …}",
	"policy.grantableSpec":               "a rule, a mapping that begins with id",
	"policy.grantSpec":                   "a grant, a mapping that begins with version: 1",
	"[]policy.grantableSpec":             "a list of rules",
	"map[policy.word]policy.officerSpec": "a mapping from officer to {department: …, key: …}",
	"[]policy.ruleSpec":                  "a list of rules",
	"bool":                               "true or false",
	"map[policy.word]policy.columnSpec":  "a mapping from column to {class: …}",
	"map[policy.word]policy.classSpec":   "a mapping from class to {mask: …}",
	"map[policy.word]map[policy.word]policy.columnSpec": "a mapping from table to its sensitive columns",
}

// word is one string and the line it stands in.
type word struct {
	text string
	line int
}

// UnmarshalYAML takes a YAML string, or a time as it is written, and nothing else: a number or true in its place is a slip
// of the pen.
func (w *word) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" && n.ShortTag() != "!!timestamp" {
		return wrongNode(n, "a string here (put it in quotes)")
	}
	*w = word{n.Value, n.Line}
	return nil
}

// words is a list of strings, or one string that stands for a list of one.
type words struct {
	list []word
	line int // 0 = the key is absent
}

func (w *words) UnmarshalYAML(n *yaml.Node) error {
	w.line = n.Line
	if n.Kind != yaml.SequenceNode {
		w.list = make([]word, 1)
		return w.list[0].UnmarshalYAML(n)
	}
	w.list = make([]word, len(n.Content))
	for i, child := range n.Content {
		if err := w.list[i].UnmarshalYAML(child); err != nil {
			return err
		}
	}
	return nil
}

// number is one whole number that is not negative.
type number struct {
	value int64
	line  int // 0 = the key is absent
}

func (v *number) UnmarshalYAML(n *yaml.Node) error {
	i, err := strconv.ParseInt(n.Value, 10, 64)
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || err != nil || i < 0 {
		return wrongNode(n, "a whole number that is not negative")
	}
	*v = number{i, n.Line}
	return nil
}

func wrongNode(n *yaml.Node, want string) error {
	return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: expected %s", n.Line, want)}}
}
