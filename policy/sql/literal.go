package sql

import (
	"sort"
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v6"
)

// literal is a plain constant of a text: a string in single quotes, or a decimal number that is spelled in the usual way.
// Every other constant (E'…', U&'…', $$…$$, B'…', 1e3, 0x1F, 007) is one with the words around it.
type literal struct {
	start, end int32
	class      byte
}

// Classes of literals. Two literals of one class have the same type to the grammar, and are alike to every question that
// the analyser asks about the text of a constant: see constant, convert and pin.
const (
	classString  = 's'
	classInteger = 't' // a string that spells an integer as the server would print it
	classUUID    = 'u' // a string that spells a UUID
	classUpper   = 'U' // a string that spells a UUID with capitals in it
	classInt4    = 'i'
	classInt8    = 'l'
	classNumeric = 'd'
)

// literal notes the token from start to where the lexer is now.
func (l *lexer) literal(start int) {
	if !l.keep {
		return
	}
	text := l.text[start:l.pos]
	class := numberClass(text)
	if text[0] == '\'' {
		class = stringClass(text[1 : len(text)-1])
	}
	if class != 0 {
		l.literals = append(l.literals, literal{int32(start), int32(l.pos), class})
	}
}

// numberClass is 0 for a number that is spelled in any other way than the server would print it.
func numberClass(text string) byte {
	whole, fraction, decimal := strings.Cut(text, ".")
	if !digits(whole) || whole[0] == '0' && len(whole) > 1 {
		return 0
	}
	switch {
	case decimal && digits(fraction) && len(text) <= 40:
		return classNumeric
	case decimal || len(whole) > 18:
		return 0
	case len(whole) < 10 || len(whole) == 10 && whole <= "2147483647":
		return classInt4
	}
	return classInt8
}

func digits(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}

func stringClass(inside string) byte {
	switch {
	case spellsInteger(inside):
		return classInteger
	case len(inside) != 36:
	case canonicalUUID.MatchString(inside):
		return classUUID
	case canonicalUUID.MatchString(strings.ToLower(inside)):
		return classUpper
	}
	return classString
}

// spellsInteger is canonicalInt, which every string of every statement is asked.
func spellsInteger(s string) bool {
	abs := strings.TrimPrefix(s, "-")
	return digits(abs) && len(abs) <= 19 && (abs[0] != '0' || s == "0")
}

// valueOf is what the grammar makes of a literal.
func (l literal) valueOf(text string, negative bool) string {
	s := text[l.start:l.end]
	switch {
	case s[0] == '\'':
		s = s[1 : len(s)-1]
		if strings.IndexByte(s, '\'') >= 0 {
			s = strings.ReplaceAll(s, "''", "'")
		}
	case negative && s != "0":
		s = "-" + s
	}
	return s
}

// constants are the literals of a text under analysis, with what became of each.
type constants struct {
	text string
	list []literal
	fate []fate // beside list
}

// fate is what the analysis saw of one literal. It is inert, that is, another of its class in its place changes nothing of
// the analysis but pins, when the analysis met it and each time in a place that is known to be so. What is not met here
// (lengths in types, options, positions, …) is not inert.
type fate struct {
	met, inert int32
	negative   bool // the grammar made one constant of a minus sign and the literal
	foreign    bool // the grammar made something else of it than we would
}

// note finds the literal behind a constant of the tree and gives its number, from 1; 0 when there is none.
func (c *constants) note(n *pg_query.A_Const, text string) int32 {
	at := n.Location
	if len(c.list) == 0 || at <= 0 || int(at) >= len(c.text) {
		return 0
	}
	i := sort.Search(len(c.list), func(i int) bool { return c.list[i].start >= at })
	if i == len(c.list) {
		return 0
	}
	l, negative := c.list[i], false
	if l.start != at {
		if c.text[at] != '-' || strings.TrimLeft(c.text[at+1:l.start], " \t\r\n\f\v") != "" {
			return 0
		}
		negative = true
	}
	f := &c.fate[i]
	f.met++
	f.foreign = f.foreign || f.met > 1 && f.negative != negative || l.valueOf(c.text, negative) != text
	f.negative = negative
	return int32(i + 1)
}

// inert marks values that are literals and stand where nothing depends on what they are. Whoever says so must not look at
// the text of the value, but for pin and convert, whose questions the classes answer.
func (an *analyser) inert(vs ...value) {
	for _, v := range vs {
		if v.lit > 0 {
			an.constants.fate[v.lit-1].inert++
		}
	}
}

// varies says that texts of one shape may differ in the literal.
func (f fate) varies() bool { return f.met > 0 && f.inert == f.met && !f.foreign }

// inertOperators are those between a column and a constant that programs write: comparisons, patterns and arithmetic. What
// a constant means to others (JSON paths, regular expressions, text search) is nobody's business here, but it stays part of
// the shape.
var inertOperators = wordSet(`= <> != < <= > >= ~~ !~~ ~~* !~~* + - * / ||`)

// inertTo are the types a literal may be cast to and remain inert: not those whose values name objects of the database, and
// none of users.
var inertTo = map[uint32]bool{
	typeBool: true, typeInt2: true, typeInt4: true, typeInt8: true, typeText: true, typeVarchar: true, typeDate: true,
	typeNumeric: true, typeUUID: true, 700: true, 701: true, 1114: true, 1184: true, // float4, float8, timestamp, timestamptz
	1005: true, 1007: true, 1016: true, 1009: true, 1015: true, 1182: true, 1231: true, 2951: true, // arrays of them
}

// operands marks the operands of an operator that was just resolved.
func (an *analyser) operands(op []string, vs ...value) {
	if _, ok := inertOperators[op[len(op)-1]]; ok && len(op) == 1 && !an.foreign {
		an.inert(vs...)
	}
}

// WithoutLiterals is the text with nothing between the quotes of plain string literals. Rules that look for words in a
// statement look there: a literal is no word, and must not change a decision.
func WithoutLiterals(text string) string {
	l := &lexer{text: text, keep: true}
	if l.run() != nil {
		return text
	}
	var b strings.Builder
	at := 0
	for _, lit := range l.literals {
		if text[lit.start] == '\'' {
			b.WriteString(text[at : lit.start+1])
			at = int(lit.end) - 1
		}
	}
	return b.String() + text[at:]
}

// Shape is the text with a ? for every constant and single blanks between words, fit to be shown to those who may not see
// what was asked for; "" when the text cannot be read.
func Shape(text string) string {
	l := &lexer{text: text, chain: []int{0}, joined: []int{0}}
	var b strings.Builder
	gap := false
	for l.pos < len(text) {
		start, before := l.pos, l.tokens
		if l.next() != nil {
			return ""
		}
		if l.tokens == before { // white space, or a comment, which may hold anything
			gap = true
			continue
		}
		if gap && b.Len() > 0 {
			b.WriteByte(' ')
		}
		gap = false
		if token := text[start:l.pos]; constantToken(token) {
			b.WriteByte('?')
		} else {
			b.WriteString(token)
		}
	}
	return b.String()
}

// constantToken tells strings and numbers of every spelling from names, words and operators.
func constantToken(t string) bool {
	switch c := t[0]; {
	case c == '"' || len(t) > 2 && t[2] == '"' && t[1] == '&':
		return false
	case c == '$':
		return !digits(t[1:])
	default:
		return isDigit(c) || c == '.' && len(t) > 1 || strings.HasSuffix(t, "'")
	}
}
