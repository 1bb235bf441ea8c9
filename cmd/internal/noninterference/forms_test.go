package noninterference

import (
	"bytes"
	"slices"
	"strings"

	"github.com/jackc/pgproto3/v2"
)

// form is a way to send one statement. A refused statement must be refused in every form; one that is allowed must be
// allowed in those marked as equal.
type form struct {
	name  string
	equal bool
	fits  func(kind string) bool
	make  func(text string, params []string) script
}

func anything(kind string) bool { return kind != "" }
func isQuery(kind string) bool  { return kind == "query" }
func isPlan(kind string) bool   { return kind == "query" || kind == "write" }
func isData(kind string) bool   { return kind != "transaction" }

// kindOf sorts a text by how it can be embedded in others: "query", "write", "utility", "transaction", and "" for what is
// more than one statement or none.
func kindOf(text string) string {
	text = strings.ToLower(strings.TrimLeft(text, "( \n"))
	for strings.HasPrefix(text, "/*") {
		_, rest, ok := strings.Cut(text, "*/")
		if !ok {
			return ""
		}
		text = strings.TrimLeft(rest, "( \n")
	}
	if strings.Contains(strings.TrimRight(text, "; \n"), ";") || text == "" {
		return ""
	}
	switch first, _, _ := strings.Cut(strings.NewReplacer("\n", " ", "(", " ", "*", " ", "'", " ").Replace(text), " "); first {
	case "select", "values", "table":
		return "query"
	case "with", "insert", "update", "delete", "merge":
		return "write"
	case "begin", "commit", "rollback", "end", "abort", "start", "savepoint", "release", "declare", "fetch", "move", "close", "prepare", "execute", "deallocate", "discard":
		return "transaction"
	}
	return "utility"
}

func extended(text string, params []string, formats ...int16) script {
	bind := &pgproto3.Bind{ResultFormatCodes: formats}
	for _, p := range params {
		bind.Parameters = append(bind.Parameters, []byte(p))
	}
	return script{{encode(&pgproto3.Parse{Query: text}, bind, &pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Execute{}, &pgproto3.Sync{}), []byte{'Z'}}}
}

var forms = []form{
	{"simple", true, func(string) bool { return true }, func(text string, _ []string) script { return queries(text) }},
	{"extended", true, anything, func(text string, params []string) script { return extended(text, params) }},
	{"binary", true, isPlan, func(text string, params []string) script { return extended(text, params, 1) }},
	{"blind", true, isData, func(text string, params []string) script { // nothing is described, nothing asked for early
		s := extended(text, params)
		s[0].bytes = bytes.Replace(s[0].bytes, encode(&pgproto3.Describe{ObjectType: 'P'}), nil, 1)
		return s
	}},
	{"portions", true, isQuery, func(text string, params []string) script {
		bind := &pgproto3.Bind{DestinationPortal: "v", PreparedStatement: "v"}
		for _, p := range params {
			bind.Parameters = append(bind.Parameters, []byte(p))
		}
		some := &pgproto3.Execute{Portal: "v", MaxRows: 2}
		return script{{encode(&pgproto3.Parse{Name: "v", Query: text}, &pgproto3.Describe{ObjectType: 'S', Name: "v"}, bind, some, some,
			&pgproto3.Close{ObjectType: 'P', Name: "v"}, &pgproto3.Close{ObjectType: 'S', Name: "v"}, &pgproto3.Sync{}), []byte{'Z'}}}
	}},
	{"pipelined", true, isData, func(text string, params []string) script {
		one := &pgproto3.Parse{Query: "select 1"}
		s := extended(text, params)
		s[0].bytes = append(encode(one, &pgproto3.Bind{}, &pgproto3.Execute{}), s[0].bytes...)
		return s
	}},
	{"prepared", true, isPlan, func(text string, _ []string) script {
		return queries("prepare v as "+text, "execute v", "execute v", "deallocate v")
	}},
	{"cursor", true, isQuery, func(text string, _ []string) script {
		return queries("begin", "declare v scroll cursor for "+text, "fetch 3 from v", "fetch last from v", "fetch backward 2 from v", "move first from v", "fetch all from v", "rollback")
	}},
	{"binary cursor", true, isQuery, func(text string, _ []string) script {
		return queries("begin", "declare v binary cursor with hold for "+text, "commit", "fetch 3 from v", "close v")
	}},
	{"copy", false, isPlan, func(text string, _ []string) script { return queries("copy (" + text + "\n) to stdout") }},
	{"csv", false, isPlan, func(text string, _ []string) script {
		return queries("copy (" + text + "\n) to stdout (format csv, header, force_quote *, delimiter ';')")
	}},
	{"binary copy", false, isPlan, func(text string, _ []string) script {
		return queries("copy (" + text + "\n) to stdout (format binary)")
	}},
	{"string", false, isData, func(text string, _ []string) script { return queries("select 1;" + text + "\n;select 2") }},
	{"explain", false, isPlan, func(text string, _ []string) script {
		return queries("explain "+text, "explain (verbose, costs off) "+text, "explain (analyze, timing off, summary off, format json) "+text)
	}},
	{"subquery", false, isQuery, func(text string, _ []string) script { return queries("select * from (" + text + "\n) as v") }},
	{"common table", false, isPlan, func(text string, _ []string) script { return queries("with v as (" + text + "\n) select * from v") }},
}

// recoverScript brings a session back to where a script may begin.
var recoverScript = queries("rollback; close all; deallocate all")

// sorted puts the rows of each result in one order. In binary COPY, the messages of a result are rows too.
func sorted(said []frame) []frame {
	out := slices.Clone(said)
	for i := 0; i < len(out); {
		j := i
		for j < len(out) && (out[j].kind() == 'D' || out[j].kind() == 'd') {
			j++
		}
		slices.SortFunc(out[i:j], func(a, b frame) int { return bytes.Compare(a, b) })
		i = max(j, i+1)
	}
	return out
}
