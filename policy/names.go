package policy

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// tablePattern is what `on` and the table part of column lists say: "*", "schema.*", "schema.prefix_*" or one table.
type tablePattern struct {
	schema string // "" = every schema
	name   string // the whole name, or its beginning when prefix is set
	prefix bool
}

func (p tablePattern) matches(schema, name string) bool {
	if p.schema != "" && p.schema != schema {
		return false
	}
	if p.prefix {
		return strings.HasPrefix(name, p.name)
	}
	return p.name == name
}

// exact reports whether the pattern names one table, so that a reader of the policy sees which.
func (p tablePattern) exact() bool { return !p.prefix && p.schema != "" }

func (p tablePattern) String() string {
	switch {
	case p.schema == "":
		return "*"
	case p.prefix:
		return p.schema + "." + p.name + "*"
	}
	return p.schema + "." + p.name
}

// columnPattern is one entry of columns, set, clear or match: the columns of some tables, or one column of them.
type columnPattern struct {
	table  tablePattern
	column string // "" = every column
}

func (p columnPattern) matches(schema, table, column string) bool {
	return p.table.matches(schema, table) && (p.column == "" || p.column == column)
}

// includes reports whether every table that q can stand for is matched by p too.
func (p tablePattern) includes(q tablePattern) bool {
	return p == q || p.prefix && (p.schema == "" || p.schema == q.schema) && strings.HasPrefix(q.name, p.name)
}

// includes reports whether every column that q can stand for is matched by p too.
func (p columnPattern) includes(q columnPattern) bool {
	return p.table.includes(q.table) && (p.column == "" || p.column == q.column)
}

func (p columnPattern) String() string {
	if p.column == "" {
		return p.table.String() + ".*"
	}
	return p.table.String() + "." + p.column
}

func matchesAny(list []columnPattern, schema, table, column string) bool {
	for _, p := range list {
		if p.matches(schema, table, column) {
			return true
		}
	}
	return false
}

// segment is one part of a dotted name: an identifier, or one that ends in a star.
type segment struct {
	text string
	star bool
}

var errEmptyPart = errors.New("a part of the name is empty: write schema.table")

// parseTablePattern reads "*", "schema.*", "schema.prefix_*" or "schema.table".
func parseTablePattern(text string) (tablePattern, error) {
	parts, err := splitName(text)
	if err != nil {
		return tablePattern{}, err
	}
	return tableFrom(parts, text)
}

func tableFrom(parts []segment, text string) (tablePattern, error) {
	switch {
	case len(parts) == 1 && parts[0] == (segment{star: true}):
		return tablePattern{prefix: true}, nil
	case len(parts) != 2:
		return tablePattern{}, fmt.Errorf("%q does not name tables: write schema.table, schema.prefix_*, schema.* or \"*\"", text)
	case parts[0].star:
		return tablePattern{}, fmt.Errorf("%q has a star in its schema: write \"*\" for every table of every schema", text)
	}
	return tablePattern{schema: parts[0].text, name: parts[1].text, prefix: parts[1].star}, nil
}

// parseTableName reads the exact name of one table.
func parseTableName(text string) (tablePattern, error) {
	p, err := parseTablePattern(text)
	if err == nil && !p.exact() {
		err = fmt.Errorf("%q is a pattern: name one table as schema.table", text)
	}
	return p, err
}

// parseColumnPattern reads "*", "schema.*", "schema.prefix_*" (every column of those tables), "schema.table.*", or
// "schema.table.column" where the table may end in a star.
func parseColumnPattern(text string) (columnPattern, error) {
	parts, err := splitName(text)
	if err != nil {
		return columnPattern{}, err
	}
	last := parts[len(parts)-1]
	switch {
	case len(parts) == 2 && !last.star:
		return columnPattern{}, fmt.Errorf("%q names a table, not columns: write %s.column, or %s.* for all its columns", text, text, text)
	case len(parts) == 3 && last.star && last.text != "":
		return columnPattern{}, fmt.Errorf("%q: a column is named whole, or all are with schema.table.*", text)
	case len(parts) > 3:
		return columnPattern{}, fmt.Errorf("%q has too many parts: write schema.table.column", text)
	case len(parts) < 3:
		t, err := tableFrom(parts, text)
		return columnPattern{table: t}, err
	}
	t, err := tableFrom(parts[:2], text)
	return columnPattern{table: t, column: last.text}, err
}

// splitName cuts a dotted name. As in SQL, a part that is not plain lower case stands in double quotes; unlike SQL,
// upper case outside quotes is an error, because whether it was meant folded cannot be seen.
func splitName(text string) ([]segment, error) {
	var parts []segment
	for rest := text; ; {
		part, after, err := cutSegment(rest, text)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
		if after == "" {
			return parts, nil
		}
		if after[0] != '.' {
			return nil, fmt.Errorf("%q: expected a dot before %q", text, after)
		}
		rest = after[1:]
	}
}

func cutSegment(rest, text string) (segment, string, error) {
	if strings.HasPrefix(rest, `"`) {
		return cutQuoted(rest, text)
	}
	end := strings.IndexByte(rest, '.')
	if end < 0 {
		end = len(rest)
	}
	word, after := rest[:end], rest[end:]
	name, star := strings.CutSuffix(word, "*")
	if word == "" {
		return segment{}, "", errEmptyPart
	}
	for i, r := range name {
		if !plainRune(r, i == 0) {
			return segment{}, "", fmt.Errorf("%q: write %q in double quotes, or in lower case if that is its name", text, name)
		}
	}
	return segment{text: name, star: star}, after, nil
}

func plainRune(r rune, first bool) bool {
	switch {
	case r >= 'a' && r <= 'z', r == '_':
		return true
	case r >= '0' && r <= '9', r == '$':
		return !first
	}
	return r >= utf8.RuneSelf && r != utf8.RuneError
}

func cutQuoted(rest, text string) (segment, string, error) {
	var name strings.Builder
	for i := 1; i < len(rest); i++ {
		if rest[i] != '"' {
			name.WriteByte(rest[i])
			continue
		}
		if i+1 < len(rest) && rest[i+1] == '"' {
			name.WriteByte('"')
			i++
			continue
		}
		if name.Len() == 0 {
			return segment{}, "", errEmptyPart
		}
		return segment{text: name.String()}, rest[i+1:], nil
	}
	return segment{}, "", fmt.Errorf("%q: a double quote is not closed", text)
}
