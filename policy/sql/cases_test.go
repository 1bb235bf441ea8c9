package sql_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"shiguan/policy/sql"
)

// The files in testdata/cases hold statements and what is to be known of each, in blocks:
//
//	> select name from civil.citizens     the text; "path: a b" on a line of its own before it sets search_path
//	select                                 what describe says, checked to the letter
//
// With -update they are written anew: read the difference before it is committed.
func TestCases(t *testing.T) {
	files, err := os.ReadDir("testdata/cases")
	if err != nil {
		t.Fatal(err)
	}
	cat := city(t)
	for _, f := range files {
		t.Run(f.Name(), func(t *testing.T) { runCases(t, cat, "testdata/cases/"+f.Name()) })
	}
	if len(files) < 5 {
		t.Errorf("only %d files of cases", len(files))
	}
}

func runCases(t *testing.T, cat *sql.Catalogue, file string) {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	search, text, want := []string{"public"}, "", []string{}
	open, number := false, 0
	check := func() {
		if !open {
			return
		}
		number++
		got := describe(cat, search, text)
		out.WriteString(strings.Join(got, "\n") + "\n\n")
		if !*update && !slices.Equal(got, want) {
			t.Errorf("%s\n\thave:\n\t\t%s\n\twant:\n\t\t%s", text, strings.Join(got, "\n\t\t"), strings.Join(want, "\n\t\t"))
		}
		open, want = false, nil
	}
	for _, line := range strings.Split(string(data), "\n") {
		switch {
		case strings.HasPrefix(line, ">"):
			check()
			open, text = true, strings.TrimPrefix(line[1:], " ")
			out.WriteString(line + "\n")
		case strings.HasPrefix(line, "path:"), strings.HasPrefix(line, "#"):
			check()
			if p, ok := strings.CutPrefix(line, "path:"); ok {
				search = path(p)
			}
			out.WriteString(line + "\n")
		case strings.TrimSpace(line) != "":
			want = append(want, line)
		}
	}
	check()
	if number == 0 {
		t.Errorf("%s has no case", file)
	}
	if *update {
		if err := os.WriteFile(file, []byte(strings.TrimRight(out.String(), "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func describe(cat *sql.Catalogue, search []string, text string) []string {
	a, err := analyse(cat, corpusEntry{path: search, text: text})
	if err != nil {
		line := "error: " + err.Error()
		if e, ok := err.(*sql.Error); ok && e.Syntax {
			line += " (syntax)"
		}
		return []string{line}
	}
	var out []string
	for i := range a.Statements {
		out = append(out, describeStatement(cat, &a.Statements[i])...)
	}
	return out
}

func describeStatement(cat *sql.Catalogue, s *sql.Statement) []string {
	head := string(s.Verb)
	flag := func(on bool, name string) {
		if on {
			head += " " + name
		}
	}
	flag(s.MayWrite, "may-write")
	flag(s.DDL, "ddl")
	flag(s.Aggregated, "aggregated")
	flag(s.Analyze, "analyze")
	flag(s.Chain, "chain")
	flag(s.Block != sql.BlockNone, fmt.Sprintf("block=%d", s.Block))
	flag(s.Name != "", "name="+s.Name)
	flag(s.Reason != "", "reason="+fmt.Sprintf("%q", s.Reason))
	flag(s.Params > 0, fmt.Sprintf("params=%d", s.Params))
	out := []string{head}
	for _, u := range s.Tables {
		line := "  table " + u.Schema + "." + u.Name + " " + string(u.Verb)
		if u.OID == 0 {
			line += " new"
		}
		if u.Via != "" {
			line += " via " + u.Via
		}
		if u.Times != 1 {
			line += fmt.Sprintf(" %d times", u.Times)
		}
		out = append(out, line)
	}
	for _, u := range s.Columns {
		line := "  column " + u.Schema + "." + u.TableName + "." + u.Name + " " + string(u.Use)
		if u.With != (sql.Column{}) {
			line += " with " + columnName(cat, u.With)
		}
		out = append(out, line)
	}
	for _, f := range s.Functions {
		out = append(out, fmt.Sprintf("  function %s.%s: %s", f.Schema, f.Name, f.Why))
	}
	for _, o := range s.Outputs {
		line := "  output " + o.Name
		if o.Base != (sql.Column{}) {
			line += " = " + columnName(cat, o.Base)
		}
		if o.Server != o.Base {
			line += " server " + columnName(cat, o.Server)
		}
		for _, c := range o.From {
			line += " from " + columnName(cat, c)
		}
		if o.Aggregate {
			line += " aggregate"
		}
		out = append(out, line)
	}
	for _, p := range s.Pins {
		if p.Param > 0 {
			out = append(out, fmt.Sprintf("  pin %s = $%d", columnName(cat, p.Column), p.Param))
		} else {
			out = append(out, fmt.Sprintf("  pin %s = %q", columnName(cat, p.Column), p.Value))
		}
	}
	if s.Setting != nil {
		out = append(out, fmt.Sprintf("  setting %+v", *s.Setting))
	}
	if s.Copy != nil {
		out = append(out, fmt.Sprintf("  copy %+v", *s.Copy))
	}
	var add []string
	for _, c := range s.Appendable() {
		add = append(add, c.Alias+"."+c.Name)
	}
	if len(add) > 0 {
		out = append(out, "  appendable "+strings.Join(add, " "))
	}
	return out
}

func columnName(cat *sql.Catalogue, c sql.Column) string {
	schema, table, name, ok := cat.ColumnName(c)
	if !ok {
		return "nothing"
	}
	return schema + "." + table + "." + name
}
