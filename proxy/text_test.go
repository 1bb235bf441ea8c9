package proxy

import (
	"slices"
	"testing"

	"shiguan/policy"
	"shiguan/policy/sql"
	"shiguan/proxy/session"
)

func TestCommentPurpose(t *testing.T) {
	cases := []struct {
		text, want string
		ok         bool
	}{
		{"/*purpose='case-2026-114'*/ select 1", "case-2026-114", true},
		{" \n/*app='x',purpose='case%201'*/select 1", "case 1", true},
		{"/*purpose='100%'*/select 1", "100%", true},
		{"select 1 /*purpose='case-1'*/", "", false},
		{"/* purpose = 'case-1' */ select 1", "", false},
		{"/*/* purpose='x' */*/ select 1", "", false},
		{"/*purpose='case-1'", "", false},
		{"/*purpose=case-1*/", "", false},
	}
	for _, c := range cases {
		if got, ok := commentPurpose(c.text); got != c.want || ok != c.ok {
			t.Errorf("%q states %q, %v; want %q, %v", c.text, got, ok, c.want, c.ok)
		}
	}
}

func TestSplitOptions(t *testing.T) {
	got := splitOptions(`-c shiguan.purpose=case\ 1  --time-zone=Asia/Shanghai -cjit=off`)
	want := []string{"-c", "shiguan.purpose=case 1", "--time-zone=Asia/Shanghai", "-cjit=off"}
	if !slices.Equal(got, want) {
		t.Fatalf("split into %q", got)
	}
	p := &params{settings: map[string]string{}}
	if refusal := p.readOptions(`-c shiguan.purpose=case\ 1 -c jit=off`); refusal != nil || p.purpose != "case 1" || p.settings["jit"] != "off" {
		t.Fatalf("read %+v, %v", p, refusal)
	}
	for _, bad := range []string{"-c role=owner", "-c search_path=x", "-c standard_conforming_strings=off", "-d 5", "--role=x", "-c"} {
		p := &params{settings: map[string]string{}}
		if refusal := p.readOptions(bad); refusal == nil && p.refused == nil {
			t.Errorf("options %q were accepted", bad)
		}
	}
}

func TestSplitCopyRows(t *testing.T) {
	text := &sql.Copy{Format: "text", Delimiter: '\t', Null: `\N`}
	csv := &sql.Copy{Format: "csv", Delimiter: ',', Quote: '"', Escape: '"'}
	cases := []struct {
		copy *sql.Copy
		line string
		want []string // "NULL" for a null
	}{
		{text, "a\tb\\tc\t\\N\t\n", []string{"a", "b\tc", "NULL", ""}},
		{text, "\\\\\tx\\\n", nil},
		{text, "a\\\tb\n", []string{"a\tb"}},
		{text, "no newline", nil},
		{csv, "a,\"b,\"\"c\"\"\",,\"\"\n", []string{"a", `b,"c"`, "NULL", ""}},
		{csv, "\"two\nlines\",x\n", []string{"two\nlines", "x"}},
		{csv, "\"open,x\n", nil},
	}
	for _, c := range cases {
		split := splitText
		if c.copy.Format == "csv" {
			split = splitCSV
		}
		fields, ok := split(nil, []byte(c.line), c.copy)
		if ok != (c.want != nil) {
			t.Errorf("%q: split %v", c.line, ok)
			continue
		}
		var got []string
		for _, f := range fields {
			if f.null {
				got = append(got, "NULL")
			} else {
				got = append(got, string(f.value))
			}
		}
		if ok && !slices.Equal(got, c.want) {
			t.Errorf("%q splits into %q, want %q", c.line, got, c.want)
		}
	}
}

// What is written must be read as the same value again.
func TestCopyValuesSurvive(t *testing.T) {
	text := &sql.Copy{Format: "text", Delimiter: '|', Null: `\N`}
	csv := &sql.Copy{Format: "csv", Delimiter: ';', Quote: '"', Escape: '"'}
	for _, value := range []string{"", `\N`, `\.`, "a|b;c", "tab\tline\nreturn\rquote\"back\\slash\b\f\v", "陈*"} {
		fields, ok := splitText(nil, append(appendText(nil, []byte(value), text), '\n'), text)
		if !ok || len(fields) != 1 || fields[0].null || string(fields[0].value) != value {
			t.Errorf("text: %q came back as %+v", value, fields)
		}
		fields, ok = splitCSV(nil, append(appendCSV(nil, []byte(value), csv), '\n'), csv)
		if !ok || len(fields) != 1 || fields[0].null || string(fields[0].value) != value {
			t.Errorf("csv: %q came back as %+v", value, fields)
		}
	}
}

func TestFilteredErrorsQuoteNoValues(t *testing.T) {
	for _, code := range []string{"22P02", "22003", "P0001", "22012", "XX000", "", "2"} {
		if quotesNothing(code) {
			t.Errorf("messages of %q may quote values", code)
		}
	}
}

func TestServersThatNamesCannotBeFollowedOn(t *testing.T) {
	var c conn
	if c.checkStatus("server_encoding", "UTF8") != nil {
		t.Error("UTF8 is refused")
	}
	if c.checkStatus("server_encoding", "EUC_CN") == nil {
		t.Error("a server that cuts names elsewhere than we do is accepted")
	}
}

// In a block a change may be forwarded before its record is durable, but only one that the end of the block can undo.
func TestWhatMustWait(t *testing.T) {
	calls := []sql.FunctionUse{{Schema: "pg_catalog", Name: "setval"}}
	for _, c := range []struct {
		status byte
		s      sql.Statement
		want   bool
	}{
		{'I', sql.Statement{Verb: sql.Select}, false},
		{'I', sql.Statement{Verb: sql.Update, MayWrite: true}, true},
		{'T', sql.Statement{Verb: sql.Update, MayWrite: true}, false},
		{'T', sql.Statement{Verb: sql.Select, MayWrite: true, Functions: calls}, true},
		{'T', sql.Statement{Verb: sql.Insert, MayWrite: true, Functions: calls}, true},
		{'T', sql.Statement{Verb: sql.Execute, MayWrite: true}, true},
		{'T', sql.Statement{Verb: sql.Transaction, Block: sql.BlockCommit, MayWrite: true}, true},
		{'T', sql.Statement{Verb: sql.Transaction, Block: sql.BlockRollback}, false},
		{'E', sql.Statement{Verb: sql.Update, MayWrite: true}, true},
	} {
		plan := policy.Plan{Statement: &c.s}
		e := &execution{steps: []step{{plan: &plan}}}
		if got := (&conn{queue: session.NewQueue[*execution](c.status)}).mustWait(e); got != c.want {
			t.Errorf("%s (%d functions) in status %c: %v, want %v", c.s.Verb, len(c.s.Functions), c.status, got, c.want)
		}
	}
}
