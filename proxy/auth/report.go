package auth

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"gopkg.in/yaml.v3"
)

// FileError is one thing that is wrong in a people file. Loading returns all of them, joined.
type FileError struct {
	File string
	Line int // from 1; 0: the file as a whole
	Text string
}

func (e *FileError) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Text
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Text)
}

type reporter struct {
	file     string
	problems []error
}

func (r *reporter) add(line int, format string, args ...any) {
	r.problems = append(r.problems, &FileError{r.file, line, fmt.Sprintf(format, args...)})
}

func (r *reporter) err() error { return errors.Join(r.problems...) }

var (
	atLine       = regexp.MustCompile(`^line (\d+): (.*)`)
	unknownField = regexp.MustCompile(`^field (\S+) not found in type \S+`)
	quotedScalar = regexp.MustCompile("`[^`]*`")
)

// addYAML adds what the decoder says, in words for people. What it quotes is left out: it may be a verifier.
func (r *reporter) addYAML(err error) {
	texts := []string{strings.TrimPrefix(err.Error(), "yaml: ")}
	var typed *yaml.TypeError
	if errors.As(err, &typed) {
		texts = typed.Errors
	} else if texts[0] == "EOF" {
		texts[0] = "is empty: it must say version: 1 and list people"
	}
	for _, text := range texts {
		line := 0
		if m := atLine.FindStringSubmatch(text); m != nil {
			line, _ = strconv.Atoi(m[1]) // \d+; a number too large for a line is 0, the whole file
			text = m[2]
		}
		if m := unknownField.FindStringSubmatch(text); m != nil {
			text = fmt.Sprintf("unknown key %q: misspelt, or in the wrong place", m[1])
		}
		r.add(line, "%s", strings.ReplaceAll(quotedScalar.ReplaceAllString(text, "value"), "  ", " "))
	}
}

// maxUser is the longest name PostgreSQL keeps; longer ones would be cut there.
const maxUser = 63

func checkUser(r *reporter, line int, user string) {
	switch {
	case user == "":
		r.add(line, "user is missing")
	case len(user) > maxUser:
		r.add(line, "user %q is longer than %d bytes", user, maxUser)
	case strings.ContainsFunc(user, unicode.IsControl):
		r.add(line, "user %q contains a control character", user)
	}
}

// person returns the mapping of the i-th person.
func (d *decoded) person(i int) *yaml.Node {
	_, people := field(d.root.Content[0], "people")
	if people == nil || i >= len(people.Content) {
		return nil
	}
	return resolved(people.Content[i])
}

// line is where a key of the i-th person stands, or the person, where the key is missing.
func (d *decoded) line(i int, key string) int { return lineOf(d.person(i), key) }

func lineOf(mapping *yaml.Node, key string) int {
	if mapping == nil {
		return 0
	}
	if k, _ := field(mapping, key); k != nil {
		return k.Line
	}
	return mapping.Line
}

// field finds a key of a mapping.
func field(mapping *yaml.Node, name string) (key, value *yaml.Node) {
	mapping = resolved(mapping)
	if mapping == nil || mapping.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == name {
			return mapping.Content[i], resolved(mapping.Content[i+1])
		}
	}
	return nil, nil
}

func resolved(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}
