package sql_test

import (
	"fmt"
	"strings"
	"testing"

	"shiguan/policy/sql"
)

// The grammar alone tells how a text falls into statements and what they do to blocks and names.
func TestOutline(t *testing.T) {
	for text, want := range map[string]string{
		"select nothing from nowhere":                                                     "select",
		"select 1; ; begin; commit and chain":                                             "select transaction:begin/1 transaction:commit/2",
		"prepare p as select 1; deallocate p":                                             "prepare:p deallocate:p",
		"deallocate all; discard all; close all":                                          "deallocate discard:all close",
		"declare c cursor for table x; fetch c; close c":                                  "declare:c fetch:c close:c",
		"copy t from stdin (format nonsense)":                                             "copy from",
		"copy t to '/tmp/x'":                                                              "other",
		"set role x; do 'x'; call f()":                                                    "other! other! other(f)!",
		"set search_path = x; set jit = off; show all":                                    "set! set show",
		"insert into t values ($1, upper($2))":                                            "insert(upper)",
		"select set_config('role', 'x', true)":                                            "select(set_config)!",
		"prepare transaction 'x'":                                                         "other:prepare transaction/2",
		"with x as (delete from t) merge into t using x on true when matched then delete": "merge",
		"create table t (a int); select 1 into x":                                         "other+ select+",
		"":           "empty",
		"-- nothing": "empty",
		"selec 1":    "none",
		"select 'a":  "none",
		"select " + strings.Repeat("(", 9000) + "1" + strings.Repeat(")", 9000): "none",
	} {
		got := "none"
		if a := sql.Outline(text, 15); a != nil {
			var words []string
			for i := range a.Statements {
				words = append(words, outlined(t, &a.Statements[i]))
			}
			got = strings.Join(words, " ")
		}
		if got != want {
			t.Errorf("%.60q: %s, want %s", text, got, want)
		}
	}
}

func outlined(t *testing.T, s *sql.Statement) string {
	w := string(s.Verb)
	if s.Name != "" {
		w += ":" + s.Name
	}
	if s.Block != sql.BlockNone {
		w += fmt.Sprint("/", int(s.Block))
	}
	for _, f := range s.Functions {
		w += "(" + f.Name + ")"
	}
	if s.Strays() {
		w += "!"
	} else if s.DDL && s.Verb != sql.Other || s.Reason == "create" {
		w += "+"
	}
	if s.Outlined != (s.Verb != sql.Empty) || len(s.Tables)+len(s.Columns)+len(s.Outputs) > 0 {
		t.Errorf("%q claims to know more than its grammar", s.Text)
	}
	return w
}
