package configs

import (
	"io/fs"
	"reflect"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// documented lists the struct behind every example. An example file without a struct here fails the test.
var documented = map[string]func(file string) (any, error){
	"proxy.example.yaml":        func(file string) (any, error) { return LoadProxy(file) },
	"witness.example.yaml":      func(file string) (any, error) { return LoadWitness(file) },
	"investigator.example.yaml": func(file string) (any, error) { return LoadInvestigator(file) },
}

func TestExamplesDecodeAndMentionEveryField(t *testing.T) {
	names, err := fs.Glob(Examples(), "*")
	if err != nil || len(names) < 2 {
		t.Fatalf("examples: %v, %v", names, err)
	}
	for _, name := range names {
		loadExample, ok := documented[name]
		if !ok {
			t.Errorf("%s belongs to no program", name)
			continue
		}
		config, err := loadExample(name)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		text, err := fs.ReadFile(Examples(), name)
		if err != nil {
			t.Fatal(err)
		}
		var root yaml.Node
		if err := yaml.Unmarshal(text, &root); err != nil {
			t.Fatal(err)
		}
		for _, missing := range unmentioned(reflect.TypeOf(config).Elem(), root.Content[0], "") {
			t.Errorf("%s does not mention %s", name, missing)
		}
	}
}

// unmentioned walks a struct type and a document together and returns the keys the document lacks.
func unmentioned(typ reflect.Type, node *yaml.Node, at string) (missing []string) {
	for typ.Kind() == reflect.Slice {
		if len(node.Content) == 0 && typ.Elem().Kind() == reflect.String {
			return nil
		}
		if len(node.Content) == 0 {
			return []string{at + "[0]"}
		}
		typ, node = typ.Elem(), node.Content[0]
	}
	if typ.Kind() != reflect.Struct {
		return nil
	}
	for i := range typ.NumField() {
		field := typ.Field(i)
		key, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		if key == "" {
			return []string{at + "." + field.Name + " (field without a yaml tag)"}
		}
		value := child(node, key)
		if value == nil {
			missing = append(missing, at+"."+key)
			continue
		}
		missing = append(missing, unmentioned(field.Type, value, at+"."+key)...)
	}
	return missing
}

func child(node *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	return nil
}

func TestUnmentionedFindsWhatIsMissing(t *testing.T) {
	var root yaml.Node
	if err := yaml.Unmarshal([]byte("listen: x\nlog: {dir: x}\ndatabases: [{name: a, roles: []}]\n"), &root); err != nil {
		t.Fatal(err)
	}
	missing := strings.Join(unmentioned(reflect.TypeFor[Proxy](), root.Content[0], ""), " ")
	for _, want := range []string{".metrics", ".log.key", ".databases.catalogue", ".databases.roles[0]"} {
		if !strings.Contains(missing+" ", want+" ") {
			t.Errorf("%s is not among %s", want, missing)
		}
	}
}
