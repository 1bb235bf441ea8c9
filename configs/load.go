package configs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Path is a file or directory named in a configuration. Once loaded it is absolute, or empty where it was left out.
type Path string

func (p Path) String() string { return string(p) }

// Error is a configuration that cannot be used: unreadable, misspelt or contradictory.
type Error struct {
	File     string
	Problems []Problem
}

// Problem is one thing wrong in a file. Line is 0 where the file as a whole is meant.
type Problem struct {
	Line int
	Text string
}

func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		if p.Line == 0 {
			lines[i] = fmt.Sprintf("%s: %s", e.File, p.Text)
			continue
		}
		lines[i] = fmt.Sprintf("%s:%d: %s", e.File, p.Line, p.Text)
	}
	return strings.Join(lines, "\n")
}

// checked is a configuration that can judge itself once it is decoded.
type checked interface {
	// check reports what is missing or contradictory. Paths are absolute by then and defaults are filled in.
	check(r *reporter)
}

// load reads one file into a configuration that already holds the defaults.
func load(file string, into checked) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	return parse(file, text, into)
}

// parse decodes the text of file strictly, resolves paths against the file's directory and has the configuration check
// itself. All problems of a stage are reported together.
func parse(file string, text []byte, into checked) error {
	if err := decode(file, text, into); err != nil {
		return err
	}
	base, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return err
	}
	resolve(reflect.ValueOf(into).Elem(), base)
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return err
	}
	r := &reporter{root: &root}
	into.check(r)
	if len(r.problems) > 0 {
		return &Error{File: file, Problems: r.problems}
	}
	return nil
}

func decode(file string, text []byte, into any) error {
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	err := d.Decode(into)
	if err == nil {
		if second := d.Decode(new(yaml.Node)); !errors.Is(second, io.EOF) {
			return &Error{file, []Problem{{0, "holds more than one YAML document, or text after it: keep the first"}}}
		}
		return nil
	}
	var typed *yaml.TypeError
	switch {
	case errors.Is(err, io.EOF):
		return &Error{file, []Problem{{0, "is empty: `shiguan init` writes an example to begin with"}}}
	case errors.As(err, &typed):
		e := &Error{File: file}
		for _, text := range typed.Errors {
			e.Problems = append(e.Problems, problem(text))
		}
		return e
	}
	return &Error{file, []Problem{problem(strings.TrimPrefix(err.Error(), "yaml: "))}}
}

var (
	atLine       = regexp.MustCompile(`^line (\d+): (.*)`)
	unknownField = regexp.MustCompile(`^field (\S+) not found in type \S+`)
)

// problem turns the decoder's "line 3: field foo not found in type configs.Proxy" into words for people.
func problem(text string) Problem {
	var p Problem
	if m := atLine.FindStringSubmatch(text); m != nil {
		p.Line, _ = strconv.Atoi(m[1]) // \d+; a number too large for a line is 0, the whole file
		text = m[2]
	}
	if m := unknownField.FindStringSubmatch(text); m != nil {
		text = fmt.Sprintf("unknown key %q: misspelt, or in the wrong place", m[1])
	}
	p.Text = text
	return p
}

var pathType = reflect.TypeFor[Path]()

// resolve makes every Path below v absolute.
func resolve(v reflect.Value, base string) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			resolve(v.Field(i), base)
		}
	case reflect.Slice:
		for i := range v.Len() {
			resolve(v.Index(i), base)
		}
	case reflect.String:
		if p := v.String(); v.Type() == pathType && p != "" && !filepath.IsAbs(p) {
			v.SetString(filepath.Join(base, p))
		}
	}
}
