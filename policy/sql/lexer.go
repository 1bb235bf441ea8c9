package sql

import "strings"

// lexer is a linear pass over the text, by the rules of PostgreSQL's scan.l with standard_conforming_strings on. It runs
// before the real parser because that parser answers deep nesting by overflowing the C stack, which kills the process.
// It understands just enough to measure: where tokens begin and end, how deep they nest, how long chains are.
type lexer struct {
	text string
	pos  int

	tokens  int
	depth   int   // open brackets
	maxNest int   // upper bound of the parse tree's depth, in levels of brackets and chained operators
	chain   []int // for each open bracket level, tokens since the last comma that could nest to the left
	joined  []int // for each open bracket level, set operations, which commas do not end
	open    int   // sum of chain and joined
	ends    int   // semicolons

	skew string // first word whose class differs between PostgreSQL 14 and 17
	junk bool   // a number or parameter runs into letters: older servers read two tokens, newer one or none

	keep        bool // whether literals are wanted
	literals    []literal
	afterString bool // the token before was a string
	continued   bool // a string goes on in another pair of quotes on the next line
}

// limits within which the real parser is safe; see the tests that stand at them.
const (
	maxText       = 1 << 20
	maxSmallText  = 32 << 10 // up to here nesting may go to maxNesting
	maxNesting    = 3000
	maxFlatNest   = 64 // in larger texts: lists of values, not expressions
	maxTokens     = 5000
	maxFlatTokens = 400_000
	maxStatements = 5000 // of one text: each costs more memory than its words
	maxComment    = 32
	maxOperator   = 63
	maxIdentifier = 63
)

const operatorChars = "+-*/<>=~!@#%^&|`?"

// skewWords are those that PostgreSQL 17's grammar treats otherwise than 14's to 16's (WIRE.md, route 51).
var skewWords = wordSet(`system_user json json_array json_arrayagg json_object json_objectagg json_exists json_query
	json_scalar json_serialize json_table json_value merge_action`)

// joiners chain to the left across commas: SELECT a, b UNION SELECT a, b UNION …
var joiners = wordSet("union intersect except select values")

func wordSet(words string) map[string]struct{} {
	set := make(map[string]struct{})
	for _, w := range strings.Fields(words) {
		set[w] = struct{}{}
	}
	return set
}

// run measures the whole text. The error's reason names a limit.
func (l *lexer) run() *Error {
	l.chain, l.joined = append(l.chain[:0], 0), append(l.joined[:0], 0)
	for l.pos < len(l.text) {
		if err := l.next(); err != nil {
			return err
		}
	}
	return nil
}

func (l *lexer) fail(reason string) *Error { return &Error{Reason: reason, Position: l.pos} }

func (l *lexer) at(i int) byte {
	if l.pos+i < len(l.text) {
		return l.text[l.pos+i]
	}
	return 0
}

func (l *lexer) next() *Error {
	c := l.text[l.pos]
	switch {
	case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v':
		l.pos++
		return nil
	case c == '-' && l.at(1) == '-':
		l.line()
		return nil
	case c == '/' && l.at(1) == '*':
		return l.comment()
	}
	l.tokens++
	start, after := l.pos, l.afterString
	l.afterString = false
	switch {
	case c == '\'':
		l.afterString, l.continued = true, l.continued || after
		if err := l.quoted(1, false); err != nil {
			return err
		}
		l.literal(start)
		return nil
	case c == '"':
		return l.identifier(1)
	case (c == 'e' || c == 'E') && l.at(1) == '\'':
		l.afterString = true
		return l.quoted(2, true)
	case strings.IndexByte("bBxXnN", c) >= 0 && l.at(1) == '\'':
		l.afterString = true
		return l.quoted(2, false)
	case (c == 'u' || c == 'U') && l.at(1) == '&' && l.at(2) == '\'':
		l.afterString = true
		return l.quoted(3, false)
	case (c == 'u' || c == 'U') && l.at(1) == '&' && l.at(2) == '"':
		return l.identifier(3)
	case c == '$':
		return l.dollar()
	case isDigit(c) || c == '.' && isDigit(l.at(1)):
		l.number()
		l.literal(start)
		return nil
	case isIdentStart(c):
		return l.word()
	case strings.IndexByte(operatorChars, c) >= 0:
		return l.operator()
	default:
		return l.punctuation(c)
	}
}

func (l *lexer) line() {
	if i := strings.IndexAny(l.text[l.pos:], "\n\r"); i >= 0 {
		l.pos += i
	} else {
		l.pos = len(l.text)
	}
}

func (l *lexer) comment() *Error {
	start, depth := l.pos, 0
	for l.pos < len(l.text) {
		switch {
		case l.text[l.pos] == '/' && l.at(1) == '*':
			if depth++; depth > maxComment {
				return l.fail("comments are nested too deeply: close some")
			}
			l.pos += 2
		case l.text[l.pos] == '*' && l.at(1) == '/':
			l.pos += 2
			if depth--; depth == 0 {
				return nil
			}
		default:
			l.pos++
		}
	}
	l.pos = start
	return l.fail("a comment is not closed")
}

// quoted skips a string literal whose opening is n bytes long.
func (l *lexer) quoted(n int, escapes bool) *Error {
	start := l.pos
	l.pos += n
	for l.pos < len(l.text) {
		switch c := l.text[l.pos]; {
		case c == '\\' && escapes:
			l.pos += 2
		case c == '\'' && l.at(1) == '\'':
			l.pos += 2
		case c == '\'':
			l.pos++
			return nil
		default:
			l.pos++
		}
	}
	l.pos = start
	return l.fail("a quoted string is not closed")
}

func (l *lexer) identifier(n int) *Error {
	start, length := l.pos, 0
	l.pos += n
	for l.pos < len(l.text) {
		if l.text[l.pos] == '"' {
			if l.at(1) != '"' {
				l.pos++
				if length > maxIdentifier {
					l.pos = start
					return l.fail("an identifier is longer than 63 bytes: write what the server would cut it to")
				}
				l.link("")
				return nil
			}
			l.pos++
		}
		l.pos++
		length++
	}
	l.pos = start
	return l.fail("a quoted identifier is not closed")
}

// dollar skips $1, $$…$$ and $tag$…$tag$.
func (l *lexer) dollar() *Error {
	if isDigit(l.at(1)) {
		l.pos++
		for isDigit(l.at(0)) {
			l.pos++
		}
		l.junk = l.junk || isIdentStart(l.at(0))
		return nil
	}
	i := 1
	for isIdentStart(l.at(i)) || i > 1 && isDigit(l.at(i)) {
		i++
	}
	if l.at(i) != '$' {
		l.pos++ // a lone $ is an error to the real parser
		l.link("")
		return nil
	}
	tag := l.text[l.pos : l.pos+i+1]
	end := strings.Index(l.text[l.pos+len(tag):], tag)
	if end < 0 {
		return l.fail("a dollar-quoted string is not closed")
	}
	l.pos += end + 2*len(tag)
	return nil
}

func (l *lexer) number() {
	start := l.pos
	for isDigit(l.at(0)) || l.at(0) == '.' && l.at(1) != '.' {
		l.pos++
	}
	if c := l.at(0); (c == 'e' || c == 'E') && (isDigit(l.at(1)) || (l.at(1) == '+' || l.at(1) == '-') && isDigit(l.at(2))) {
		for l.pos += 2; isDigit(l.at(0)); {
			l.pos++
		}
	}
	for isIdentStart(l.at(0)) || isDigit(l.at(0)) { // 0x1F, 1_000, 1abc
		l.pos++
		l.junk = true
	}
	if l.pos == start {
		l.pos++
	}
}

func (l *lexer) word() *Error {
	start := l.pos
	for c := l.at(0); isIdentStart(c) || isDigit(c) || c == '$'; c = l.at(0) {
		l.pos++
	}
	word := l.text[start:l.pos]
	if len(word) > maxIdentifier {
		l.pos = start
		return l.fail("an identifier is longer than 63 bytes: write what the server would cut it to")
	}
	word = strings.ToLower(word)
	if _, ok := skewWords[word]; ok && l.skew == "" {
		l.skew = word
	}
	l.link(word)
	return nil
}

// operator skips a run of operator characters; a run ends where a comment begins.
func (l *lexer) operator() *Error {
	start := l.pos
	for l.pos < len(l.text) && strings.IndexByte(operatorChars, l.text[l.pos]) >= 0 {
		if l.pos > start && (strings.HasPrefix(l.text[l.pos:], "--") || strings.HasPrefix(l.text[l.pos:], "/*")) {
			break
		}
		l.pos++
		// A run such as "- - -" without blanks is cut by the real lexer into several operators: count each byte.
		l.link("")
	}
	if l.pos-start > maxOperator {
		l.pos = start
		return l.fail("an operator is longer than 63 bytes")
	}
	return nil
}

func (l *lexer) punctuation(c byte) *Error {
	l.pos++
	top := len(l.chain) - 1
	switch c {
	case '(', '[':
		l.chain, l.joined = append(l.chain, 0), append(l.joined, 0)
		l.depth++
		l.measure()
	case ')', ']':
		if top > 0 {
			l.open -= l.chain[top] + l.joined[top]
			l.chain, l.joined = l.chain[:top], l.joined[:top]
			l.depth--
			l.link("") // what stands in brackets may be one link of a chain: f(a)(b), x[1][2]
		}
	case ',':
		l.open -= l.chain[top]
		l.chain[top] = 0
	case ';':
		l.ends++
		l.open -= l.chain[top]
		l.chain[top] = 0
		if top == 0 {
			l.open -= l.joined[0]
			l.joined[0] = 0
		}
	default:
		l.link("")
	}
	return nil
}

// link counts a token that may put what stands before it one level deeper in the tree. Constants cannot.
func (l *lexer) link(word string) {
	top := len(l.chain) - 1
	if _, ok := joiners[word]; ok {
		l.joined[top]++
	} else {
		l.chain[top]++
	}
	l.open++
	l.measure()
}

func (l *lexer) measure() {
	if n := l.open + l.depth; n > l.maxNest {
		l.maxNest = n
	}
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isIdentStart(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}
