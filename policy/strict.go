package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"gopkg.in/yaml.v3"
)

// Problem is one thing that is wrong with a policy file, and what to write instead.
type Problem struct {
	File    string
	Line    int // 0 when it concerns the file as a whole
	Message string
}

// Error is one line, whatever the file held.
func (p *Problem) Error() string {
	message := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, p.Message)
	if p.Line == 0 {
		return p.File + ": " + message
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, message)
}

// decodeStrict reads the one YAML document of a file. Besides unknown and repeated keys it refuses what a signer
// could overlook: keys without a value, anchors and aliases, and whatever follows the document.
func decodeStrict[T any](file, what string, text []byte) (*T, []*Problem) {
	var tree yaml.Node
	if err := yaml.Unmarshal(text, &tree); err != nil {
		return nil, yamlProblems(file, err)
	}
	if found := treeProblems(file, &tree, ""); len(found) > 0 {
		return nil, found
	}
	spec := new(T)
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(spec); errors.Is(err, io.EOF) {
		return nil, []*Problem{{File: file, Message: what + " is empty: begin with version: 1"}}
	} else if err != nil {
		return nil, yamlProblems(file, err)
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, []*Problem{{File: file, Message: "a second YAML document follows: " + what + " is one document, remove the --- and what follows"}}
	}
	return spec, nil
}

// treeProblems walks the raw tree; key is the mapping key that n is the value of.
func treeProblems(file string, n *yaml.Node, key string) []*Problem {
	var found []*Problem
	add := func(format string, args ...any) {
		found = append(found, &Problem{file, n.Line, fmt.Sprintf(format, args...)})
	}
	switch {
	case n.Anchor != "" || n.Kind == yaml.AliasNode:
		add("anchors and aliases are not allowed: write it out, so that whoever signs it reads all of it")
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" && !(key == "mask" && n.Value == "null"):
		if key == "" {
			add("a list entry or the whole document has no value: write one or remove it")
		} else {
			add("key %q has no value: write one or remove the key", key)
		}
	}
	for i, child := range n.Content {
		key := ""
		if n.Kind == yaml.MappingNode && i%2 == 1 {
			key = n.Content[i-1].Value
		}
		found = append(found, treeProblems(file, child, key)...)
	}
	return found
}

var (
	yamlLine    = regexp.MustCompile(`(?s)^(?:yaml: )?line (\d+): (.*)$`)
	yamlUnknown = regexp.MustCompile(`(?s)^field (.*) not found in type policy\.(\w+)$`)
	yamlTwice   = regexp.MustCompile(`(?s)^mapping key "(.*)" already defined at line (\d+)$`)
	yamlType    = regexp.MustCompile(`(?s)^cannot unmarshal !!(\w+) .*into (\S+)$`)
)

// yamlProblems turns the library's errors into file, line and what to write instead.
func yamlProblems(file string, err error) []*Problem {
	var typed *yaml.TypeError
	if !errors.As(err, &typed) {
		p := yamlProblem(file, err.Error())
		p.Message = "not valid YAML: " + p.Message + yamlAdvice(p.Message)
		return []*Problem{p}
	}
	var found []*Problem
	for _, text := range typed.Errors {
		found = append(found, yamlProblem(file, text))
	}
	return found
}

func yamlProblem(file, text string) *Problem {
	p := &Problem{File: file, Message: strings.TrimPrefix(text, "yaml: ")}
	m := yamlLine.FindStringSubmatch(text)
	if m == nil {
		return p
	}
	p.Line, _ = strconv.Atoi(m[1])
	p.Message = m[2]
	if m := yamlUnknown.FindStringSubmatch(p.Message); m != nil {
		what := specNames[m[2]]
		p.Message = fmt.Sprintf("unknown key %q in %s: it knows %s%s", m[1], what.name, strings.Join(specKeys(what.of), ", "), meant(m[1], specKeys(what.of)))
	} else if m := yamlTwice.FindStringSubmatch(p.Message); m != nil {
		p.Message = fmt.Sprintf("key %q was already given in line %s: keep one", m[1], m[2])
	} else if m := yamlType.FindStringSubmatch(p.Message); m != nil {
		p.Message = fmt.Sprintf("expected %s here, not a YAML %s", kindNames[m[2]], m[1])
	}
	return p
}

// specKeys lists the keys that a part of the file may have.
func specKeys(of any) []string {
	var keys []string
	for f := range reflect.TypeOf(of).Fields() {
		if f.Tag.Get("yaml") == ",inline" {
			keys = append(keys, specKeys(reflect.Zero(f.Type).Interface())...)
			continue
		}
		keys = append(keys, f.Tag.Get("yaml"))
	}
	return keys
}
