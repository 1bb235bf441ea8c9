package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// servedSession is one session of the proxy as the server's log tells it.
type servedSession struct {
	id, user, database string
	began              string
	executions         []execution
}

// execution is one message that the server carried out.
type execution struct {
	when   string
	text   string
	simple bool      // a string of statements
	call   bool      // a function called by its number
	params []*string // nil for NULL
}

// linePrefix is how each entry of the server's log begins: session, process, user, database, from where, when.
const (
	lineMark   = "#suites# "
	linePrefix = lineMark + "%c|%p|%u|%d|%r|%m|"
)

// ownQuestion is what the proxy itself asks at the beginning of each session.
const ownQuestion = "select pg_catalog.current_setting('max_identifier_length')"

var executed = regexp.MustCompile(`(?s)^execute (?:fetch from )?(?:<unnamed>|.*?): (.*)$`)

// serverLog reads the sessions that came by the proxy's way, the Unix socket, by process number.
func (b *bed) serverLog() (map[string][]*servedSession, error) {
	content, err := os.ReadFile(filepath.Join(b.city.Dir, "log-postgres.txt"))
	if err != nil {
		return nil, err
	}
	sessions := map[string]*servedSession{}
	byPID := map[string][]*servedSession{}
	for entry := range strings.SplitSeq("\n"+string(content), "\n"+lineMark) {
		head := strings.SplitN(entry, "|", 7)
		if len(head) < 7 || head[4] != "[local]" || head[2] == "shiguan_catalogue" {
			continue
		}
		s := sessions[head[0]]
		if s == nil {
			s = &servedSession{id: head[0], user: head[2], database: head[3], began: head[5]}
			sessions[s.id] = s
			byPID[head[1]] = append(byPID[head[1]], s)
		}
		s.note(head[5]+" "+s.id, strings.ReplaceAll(head[6], "\n\t", "\n")) // the server indents what goes on
	}
	return byPID, nil
}

// note takes one entry of the session.
func (s *servedSession) note(when, message string) {
	if values, ok := strings.CutPrefix(message, "DETAIL:  parameters: "); ok && len(s.executions) > 0 {
		s.executions[len(s.executions)-1].params = readParams(values)
		return
	}
	message, ok := strings.CutPrefix(message, "LOG:  ")
	if !ok {
		return
	}
	x := execution{when: when}
	if text, ok := strings.CutPrefix(message, "statement: "); ok {
		x.text, x.simple = text, true
	} else if strings.HasPrefix(message, "fastpath function call: ") {
		x.text, x.call = message, true
	} else if m := executed.FindStringSubmatch(message); m != nil {
		x.text = m[1]
	} else {
		return
	}
	if !strings.HasPrefix(x.text, ownQuestion) {
		s.executions = append(s.executions, x)
	}
}

// readParams reads `$1 = 'x', $2 = NULL`.
func readParams(s string) (params []*string) {
	for s != "" {
		_, rest, ok := strings.Cut(s, " = ")
		if !ok {
			return params
		}
		if s = rest; strings.HasPrefix(s, "NULL") {
			params, s = append(params, nil), strings.TrimPrefix(s[4:], ", ")
			continue
		}
		var value strings.Builder
		i := 1
		for ; i < len(s); i++ {
			if s[i] == '\'' {
				if i+1 >= len(s) || s[i+1] != '\'' {
					break
				}
				i++
			}
			value.WriteByte(s[i])
		}
		text := value.String()
		params, s = append(params, &text), strings.TrimPrefix(s[min(i+1, len(s)):], ", ")
	}
	return params
}

// sameValue reports that the server's spelling of a value is only another one of what the client sent.
func sameValue(server, client string) bool {
	plain := func(s string) string {
		s = strings.ToLower(strings.Join(strings.Fields(s), ""))
		switch s {
		case "t", "true", "on", "yes", "1":
			return "t"
		case "f", "false", "off", "no", "0":
			return "f"
		}
		return strings.Trim(s, "+")
	}
	return plain(server) == plain(client)
}

// sameDigits reports that the digits of one value begin those of the other: a time with and without its zone.
func sameDigits(a, b string) bool {
	digits := func(s string) string {
		return strings.Map(func(r rune) rune {
			if r < '0' || r > '9' {
				return -1
			}
			return r
		}, s)
	}
	x, y := digits(a), digits(b)
	return x != "" && y != "" && (strings.HasPrefix(x, y) || strings.HasPrefix(y, x))
}
