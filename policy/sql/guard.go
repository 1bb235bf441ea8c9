package sql

import (
	"errors"
	"strings"
	"unicode/utf8"

	pg_query "github.com/pganalyze/pg_query_go/v6"
	"github.com/pganalyze/pg_query_go/v6/parser"
)

// parserMajor is the PostgreSQL version of the grammar in use.
const parserMajor = 17

// guard refuses what the parser could not survive or would read otherwise than the server. After it the C code is safe:
// depth is bounded, there is no NUL, the text is UTF-8.
func guard(text string, major int) (*lexer, *Error) {
	if len(text) > maxText {
		return nil, &Error{Reason: "the statement is longer than 1 MiB: send the data with COPY or in parts", Position: -1}
	}
	if i := strings.IndexByte(text, 0); i >= 0 {
		return nil, &Error{Reason: "the statement contains a NUL byte", Position: i}
	}
	if !utf8.ValidString(text) {
		return nil, &Error{Reason: "the statement is not valid UTF-8", Position: -1}
	}
	l := &lexer{text: text, keep: len(text) <= maxShaped}
	if err := l.run(); err != nil {
		return nil, err
	}
	switch {
	case l.maxNest > maxNesting, len(text) > maxSmallText && l.maxNest > maxFlatNest:
		return nil, &Error{Reason: "the statement is nested too deeply or chains too many operators: simplify it, or use = ANY (array) instead of a long OR", Position: -1}
	case len(text) <= maxSmallText && l.tokens > maxTokens && l.maxNest > maxFlatNest, l.tokens > maxFlatTokens:
		return nil, &Error{Reason: "the statement has too many words: send it in parts", Position: -1}
	case l.ends > maxStatements:
		return nil, &Error{Reason: "there are more than 5,000 statements in the text: send it in parts", Position: -1}
	case l.skew == "system_user" && major < 16:
		return nil, &Error{Reason: "system_user is a column's name to this server and a function's to newer ones: quote it", Position: -1}
	case l.junk && major < 16:
		return nil, &Error{Reason: "a number runs into letters, which servers before version 16 read differently: put a space or write it in decimal", Position: -1}
	}
	return l, nil
}

// parse runs the real parser once, behind the guard.
func parse(text string, major int) (*pg_query.ParseResult, *lexer, *Error) {
	l, err := guard(text, major)
	if err != nil {
		return nil, nil, err
	}
	tree, perr := pg_query.Parse(text)
	if perr == nil {
		return tree, l, nil
	}
	var pe *parser.Error
	if !errors.As(perr, &pe) {
		return nil, nil, &Error{Reason: "the statement is nested too deeply to be read", Position: -1}
	}
	// The parser's message quotes the text: it is for the client, whose text it is, and for nobody else. What does not parse here can come to nothing on the
	// server only if both speak the same grammar: a newer server knows more, an older one may take a word for a name.
	same := major == parserMajor || major < parserMajor && l.skew == "" && !l.junk
	return nil, nil, &Error{Reason: "syntax error", Told: pe.Message, Position: byteOffset(text, pe.Cursorpos), Syntax: same}
}

// byteOffset turns the parser's 1-based character position into a byte offset.
func byteOffset(text string, cursor int) int {
	if cursor <= 0 {
		return -1
	}
	n := 0
	for i := range text {
		if n++; n == cursor {
			return i
		}
	}
	return len(text)
}
