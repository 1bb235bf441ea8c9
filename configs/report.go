package configs

import (
	"fmt"
	"net"
	"net/url"
	"strconv"

	"gopkg.in/yaml.v3"
)

// reporter gathers what is wrong with a decoded configuration and finds the line each problem belongs to.
type reporter struct {
	root     *yaml.Node
	problems []Problem
}

// add reports a problem at a key, named by its way from the top: map keys and list indexes. Where the key is missing
// the line of the nearest present one above it is given.
func (r *reporter) add(text string, way ...any) {
	r.problems = append(r.problems, Problem{Line: line(r.root, way), Text: text})
}

func (r *reporter) addf(way []any, format string, args ...any) {
	r.add(fmt.Sprintf(format, args...), way...)
}

// required reports an empty value; what says in words what belongs there.
func (r *reporter) required(value, what string, way ...any) {
	if value == "" {
		r.addf(way, "%s is missing: %s", name(way), what)
	}
}

// address reports what is no host:port to listen on.
func (r *reporter) address(value string, way ...any) {
	_, port, err := net.SplitHostPort(value)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		r.addf(way, "%s: %q is no address to listen on: write host:port, such as 127.0.0.1:6432", name(way), value)
	}
}

// httpURL reports what is no absolute http or https URL.
func (r *reporter) httpURL(value string, way ...any) {
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		r.addf(way, "%s: %q is no http or https URL", name(way), value)
	}
}

// positive reports a number or duration that is zero or below.
func positive[N ~int | ~int64](r *reporter, value N, way ...any) {
	if value <= 0 {
		r.addf(way, "%s must be more than zero", name(way))
	}
}

// notNegative reports a number or duration below zero, where zero means that there is no limit.
func notNegative[N ~int | ~int64](r *reporter, value N, way ...any) {
	if value < 0 {
		r.addf(way, "%s must not be less than zero", name(way))
	}
}

// name writes a way as people read it: databases[1].roles[0].name.
func name(way []any) string {
	text := ""
	for _, step := range way {
		switch step := step.(type) {
		case int:
			text += fmt.Sprintf("[%d]", step)
		default:
			if text != "" {
				text += "."
			}
			text += fmt.Sprint(step)
		}
	}
	return text
}

// line follows a way through the document as far as it goes.
func line(node *yaml.Node, way []any) int {
	if node.Kind == yaml.DocumentNode && len(node.Content) == 1 {
		node = node.Content[0]
	}
	found := node.Line
	for _, step := range way {
		var next *yaml.Node
		switch step := step.(type) {
		case int:
			if node.Kind == yaml.SequenceNode && step < len(node.Content) {
				next = node.Content[step]
				found = next.Line
			}
		case string:
			for i := 0; node.Kind == yaml.MappingNode && i+1 < len(node.Content); i += 2 {
				if node.Content[i].Value == step {
					next, found = node.Content[i+1], node.Content[i].Line
				}
			}
		}
		if next == nil {
			break
		}
		node = next
	}
	return found
}
