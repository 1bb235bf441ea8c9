package policy

import (
	"strings"
	"unicode/utf8"

	"shiguan/policy/sql"
)

// meant says which of the known words was probably meant, as a clause to put behind an error; "" when none is near.
func meant(word string, known []string) string {
	best, least := "", min(2, utf8.RuneCountInString(word)/3)+1
	for _, k := range known {
		if d := distance(strings.ToLower(word), k, least); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// distance is how many characters must be added, removed, exchanged or swapped with the next to make b of a; enough or more
// ends the count.
func distance(a, b string, enough int) int {
	x, y := []rune(a), []rune(b)
	if len(x)-len(y) >= enough || len(y)-len(x) >= enough {
		return enough
	}
	before, last, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := range x {
		row[0] = i + 1
		for j := range y {
			cost := 1
			if x[i] == y[j] {
				cost = 0
			}
			row[j+1] = min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && x[i] == y[j-1] && x[i-1] == y[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(y)]
}

// meantTable looks for a table of nearly this name, or of this name in another schema.
func meantTable(c *sql.Catalogue, t tablePattern) string {
	var near, elsewhere []string
	for _, r := range c.Snapshot().Relations {
		schema := c.Relation(r.OID).Schema()
		if isSystem(schema) || !strings.Contains("rpmfv", r.Kind) {
			continue
		}
		near = append(near, schema+"."+r.Name)
		if r.Name == t.name {
			elsewhere = append(elsewhere, schema+"."+r.Name)
		}
	}
	if len(elsewhere) == 1 {
		return "; did you mean " + elsewhere[0] + "?"
	}
	return meant(t.schema+"."+t.name, near)
}

// meantColumn looks for a column of nearly this name.
func meantColumn(r *sql.Relation, column string) string {
	var names []string
	for _, a := range r.Attributes {
		if !a.Dropped {
			names = append(names, a.Name)
		}
	}
	return meant(column, names)
}

// several says how a list is written, where somebody wrote one as a string.
func several(word string) string {
	parts := strings.FieldsFunc(word, func(r rune) bool { return r == ',' || r == ' ' })
	if len(parts) < 2 || strings.Contains(word, `"`) {
		return ""
	}
	return "; a list is written [" + strings.Join(parts, ", ") + "]"
}

// yamlAdvice says what probably led to an error of the YAML reader.
func yamlAdvice(message string) string {
	for _, a := range [][2]string{
		{"cannot start any token", "indent with blanks, not tabs, and put values that begin with @, ` or % in quotes"},
		{"mapping values are not allowed", "put a value that holds a colon in quotes, and check the indentation"},
		{"did not find expected", "check the brackets, quotes and indentation in this line and the one before"},
		{"could not find expected", "a key lacks its colon, or a quote is not closed"},
		{"found unexpected end of stream", "a quote or bracket is not closed"},
		{"found unknown escape", "write values in single quotes, in which a backslash is one"},
	} {
		if strings.Contains(message, a[0]) {
			return ": " + a[1]
		}
	}
	return ""
}

// conditionWords are the variables of a condition; see conditionEnv.
const conditionWords = "purpose, person, department, position, role, database, application, client, time.now, time.hour and time.weekday"

// conditionAdvice says what to write instead of a condition that CEL cannot read.
func conditionAdvice(message, text string) string {
	switch {
	case strings.Contains(message, "undeclared reference"):
		return "; a condition knows " + conditionWords
	case strings.Contains(message, "token recognition error") && strings.Contains(text, "="):
		return "; compare with == or !=, as in purpose == 'audit'"
	case strings.Contains(message, "no matching overload"):
		return "; compare text with text in quotes, numbers with numbers: time.hour >= 8"
	case strings.Contains(message, "'<EOF>'"):
		return "; something is missing at the end"
	}
	return `; write for example purpose.startsWith("case-") && time.hour >= 8`
}
