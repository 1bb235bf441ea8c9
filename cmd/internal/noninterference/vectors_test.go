package noninterference

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// vectorFile is a file of policy/testdata/vectors; README.md there says what it means.
type vectorFile struct {
	As      string   `yaml:"as"`
	Purpose string   `yaml:"purpose"`
	Vectors []vector `yaml:"vectors"`
}

// vector is a statement, or a conversation, and what becomes of it.
type vector struct {
	Route     string              `yaml:"route"`
	SQL       string              `yaml:"sql"`
	Params    []string            `yaml:"params"`
	Script    string              `yaml:"script"`
	Each      map[string][]string `yaml:"each"`
	Verdict   verdict             `yaml:"verdict"`
	Except    []string            `yaml:"except"`    // forms that are left out
	Only      []string            `yaml:"only"`      // the forms to run
	Unordered bool                `yaml:"unordered"` // rows may come in another order
	Sizes     bool                `yaml:"sizes"`     // tells the size of tables, which other lengths change
	Line      int                 `yaml:"-"`
}

func (v *vector) UnmarshalYAML(n *yaml.Node) error {
	type plain vector // without this method
	v.Line = n.Line
	var known map[string]yaml.Node
	if err := n.Decode(&known); err != nil {
		return err
	}
	for key := range known {
		if !slices.Contains(vectorKeys, key) {
			return fmt.Errorf("line %d: a vector has no %q", n.Line, key)
		}
	}
	return n.Decode((*plain)(v))
}

var vectorKeys = []string{"route", "sql", "params", "script", "each", "verdict", "except", "only", "unordered", "sizes"}

// suite is what one person does, from all files.
type suite struct {
	person, purpose string
	vectors         []vector
}

func readVectors(t testing.TB) []suite {
	t.Helper()
	files, err := filepath.Glob("../../../policy/testdata/vectors/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	byPerson := map[string]*suite{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var f vectorFile
		d := yaml.NewDecoder(bytes.NewReader(text))
		d.KnownFields(true)
		if err := d.Decode(&f); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
			t.Fatalf("%s: a second document", file)
		}
		s := byPerson[f.As+f.Purpose]
		if s == nil {
			s = &suite{person: f.As, purpose: f.Purpose}
			byPerson[f.As+f.Purpose] = s
		}
		for i := range f.Vectors {
			v := &f.Vectors[i]
			if (v.SQL == "") == (v.Script == "") || !slices.Contains([]verdict{allowed, refused, failed}, v.Verdict) {
				t.Fatalf("%s:%d: a vector has sql or script, and a verdict", file, v.Line)
			}
			for _, one := range v.expand() {
				one.Route = fmt.Sprintf("%s:%d", filepath.Base(file), v.Line)
				s.vectors = append(s.vectors, one)
			}
		}
	}
	var list []suite
	for _, s := range byPerson {
		list = append(list, *s)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].person+list[i].purpose < list[j].person+list[j].purpose })
	return list
}

// expand replaces {name} by each value of that name, in all combinations, and what stands for values of the city.
func (v vector) expand() []vector {
	list := []vector{v}
	names := make([]string, 0, len(v.Each))
	for name := range v.Each {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		var more []vector
		for _, one := range list {
			for _, value := range v.Each[name] {
				more = append(more, one.replaced("{"+name+"}", value))
			}
		}
		list = more
	}
	for i := range list {
		for name, value := range cityValues() {
			list[i] = list[i].replaced("{"+name+"}", value)
		}
	}
	return list
}

func (v vector) replaced(old, value string) vector {
	v.SQL, v.Script = strings.ReplaceAll(v.SQL, old, value), strings.ReplaceAll(v.Script, old, value)
	v.Params = slices.Clone(v.Params)
	for i := range v.Params {
		v.Params[i] = strings.ReplaceAll(v.Params[i], old, value)
	}
	return v
}

// cityValues are what vectors may say of the city: of the first citizens, whose numbers everybody knows and are the same in
// both worlds, what is hidden of them in the first world.
func cityValues() map[string]string {
	m := map[string]string{}
	for i := range 5 {
		n := fmt.Sprint(i)
		for j, name := range []string{"id", "name", "phone", "address", "born"} {
			m[name+n] = town.worlds.cell(0, j, i)
		}
	}
	m["account0"], m["balance0"] = town.worlds.cell(2, 0, 0), town.worlds.cell(2, 3, 0)
	return m
}

// counted says how many vectors there must be at least: bypass attempts, and statements that must work, by person.
const leastAttempts = 300

var leastOrdinary = map[string]int{"civil_clerk": 150, "civil_manager": 150, "fund_clerk": 150, "auditor": 150, "bench": 150}

var unreplaced = regexp.MustCompile(`\{[a-z]+[0-9]*\}`)

func TestVectorsAreMany(t *testing.T) {
	attempts, ordinary, seen := 0, map[string]int{}, map[string]string{}
	for _, s := range readVectors(t) {
		for _, v := range s.vectors {
			key := s.person + "\x00" + s.purpose + "\x00" + v.SQL + "\x00" + v.Script + strings.Join(v.Params, "\x00")
			if other, ok := seen[key]; ok {
				t.Errorf("%s says the same as %s: %s%s", v.Route, other, v.SQL, v.Script)
			}
			seen[key] = v.Route
			if left := unreplaced.FindString(v.SQL + v.Script); left != "" && !strings.Contains(left, "{}") {
				t.Errorf("%s: nothing stands for %s", v.Route, left)
			}
			if v.ordinary() {
				ordinary[s.person]++
				if v.Verdict != allowed {
					t.Errorf("%s: an ordinary statement must work", v.Route)
				}
			} else {
				attempts++
			}
		}
	}
	if attempts < leastAttempts {
		t.Errorf("%d bypass attempts, want at least %d", attempts, leastAttempts)
	}
	for person, least := range leastOrdinary {
		if ordinary[person] < least {
			t.Errorf("%d ordinary statements of %s, want at least %d", ordinary[person], person, least)
		}
	}
	t.Logf("%d bypass attempts; ordinary statements: %v", attempts, ordinary)
}
