package main

import (
	"context"
	"encoding/csv"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
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

// Columns of a csvlog line.
const (
	colTime, colUser, colDatabase, colPID, colFrom, colSession = 0, 1, 2, 3, 4, 5
	colBegan, colSeverity, colMessage, colDetail, colBackend   = 8, 11, 13, 14, 23
)

// ownQuestion is what the proxy itself asks at the beginning of each session.
const ownQuestion = "select pg_catalog.current_setting('max_identifier_length')"

var executed = regexp.MustCompile(`(?s)^execute (?:fetch from )?(?:<unnamed>|.*?): (.*)$`)

// serverLog reads the sessions that came by the proxy's way, the Unix socket, by process number.
func (b *bed) serverLog(ctx context.Context) (map[string][]*servedSession, error) {
	c, err := pgx.Connect(ctx, b.city.UpstreamDSN)
	if err != nil {
		return nil, err
	}
	defer c.Close(ctx)
	var dir, name string
	if err := c.QueryRow(ctx, "select current_setting('data_directory'), pg_current_logfile('csvlog')").Scan(&dir, &name); err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	sessions := map[string]*servedSession{}
	byPID := map[string][]*servedSession{}
	r := csv.NewReader(f)
	r.FieldsPerRecord = -1
	for {
		line, err := r.Read()
		if err == io.EOF {
			return byPID, nil
		}
		if err != nil {
			return nil, err
		}
		if len(line) <= colBackend || line[colFrom] != "[local]" || line[colSeverity] != "LOG" || line[colUser] == "shiguan_catalogue" {
			continue
		}
		s := sessions[line[colSession]]
		if s == nil {
			s = &servedSession{id: line[colSession], user: line[colUser], database: line[colDatabase], began: line[colTime]}
			sessions[s.id] = s
			byPID[line[colPID]] = append(byPID[line[colPID]], s)
		}
		if x, ok := readExecution(line); ok {
			s.executions = append(s.executions, x)
		}
	}
}

func readExecution(line []string) (x execution, ok bool) {
	x.when = line[colTime] + " " + line[colSession]
	message := line[colMessage]
	switch {
	case strings.HasPrefix(message, "statement: "):
		x.text, x.simple = message[len("statement: "):], true
		return x, !strings.HasPrefix(x.text, ownQuestion)
	case strings.HasPrefix(message, "fastpath function call: "):
		x.text, x.call = message, true
		return x, true
	}
	m := executed.FindStringSubmatch(message)
	if m == nil {
		return x, false
	}
	x.text = m[1]
	x.params = readParams(strings.TrimPrefix(line[colDetail], "parameters: "))
	return x, true
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
