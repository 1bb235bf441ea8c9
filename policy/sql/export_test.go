package sql

// Touched are the columns of relations as the text names them, for comparison with the server's own analysis.
func (s *Statement) Touched() map[Column]struct{} { return s.touched }

// Internal is what a recovered panic said, "" when there was none.
func (e *Error) Internal() string { return e.internal }

// ListEnd is listEnd.
var ListEnd = listEnd

// Nesting is the lexer's bound of the parse tree's depth, and its verdict.
func Nesting(text string) (int, error) {
	l := &lexer{text: text}
	if err := l.run(); err != nil {
		return 0, err
	}
	return l.maxNest, nil
}
