package sql_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"shiguan/policy/sql"
)

// Each of these, at some size, makes the real parser overflow the C stack and kill the process. They must all be refused
// or answered; that this test ends is the proof.
func TestDeepTextsDoNotKillTheProcess(t *testing.T) {
	cat := city(t)
	chains := map[string]func(n int) string{
		"sum":          func(n int) string { return "select 1" + strings.Repeat("+1", n) },
		"cast":         func(n int) string { return "select 1" + strings.Repeat("::int", n) },
		"is null":      func(n int) string { return "select 1" + strings.Repeat(" is null", n) },
		"notnull":      func(n int) string { return "select 1" + strings.Repeat(" notnull", n) },
		"collate":      func(n int) string { return "select 'x'" + strings.Repeat(` collate "C"`, n) },
		"time zone":    func(n int) string { return "select now()" + strings.Repeat(" at time zone 'UTC'", n) },
		"subscript":    func(n int) string { return "select a" + strings.Repeat("[1]", n) + " from t" },
		"join":         func(n int) string { return "select 1 from a" + strings.Repeat(" cross join a", n) },
		"join using":   func(n int) string { return "select 1 from a" + strings.Repeat(" join a using (x, y)", n) },
		"union":        func(n int) string { return "select 1" + strings.Repeat(" union select 1", n) },
		"union lists":  func(n int) string { return "select 1, 2" + strings.Repeat(" union all select 1, 2", n) },
		"values union": func(n int) string { return "values (1)" + strings.Repeat(" except values (1)", n) },
		"parens":       func(n int) string { return "select " + strings.Repeat("(", n) + "1" + strings.Repeat(")", n) },
		"subselect":    func(n int) string { return strings.Repeat("(select ", n) + "1" + strings.Repeat(")", n) },
		"array":        func(n int) string { return "select array" + strings.Repeat("[", n) + "1" + strings.Repeat("]", n) },
		"function":     func(n int) string { return "select " + strings.Repeat("f(", n) + strings.Repeat(")", n) },
		"function 2":   func(n int) string { return "select " + strings.Repeat("f(1,", n) + "1" + strings.Repeat(")", n) },
		"not":          func(n int) string { return "select " + strings.Repeat("not ", n) + "true" },
		"minus":        func(n int) string { return "select " + strings.Repeat("- ", n) + "1" },
		"case": func(n int) string {
			return "select " + strings.Repeat("case when true then ", n) + "1" + strings.Repeat(" end", n)
		},
		"and":         func(n int) string { return "select true" + strings.Repeat(" and true", n) },
		"or rows":     func(n int) string { return "select 1 from t where a = 1" + strings.Repeat(" or (a, b) = (1, 2)", n) },
		"comments":    func(n int) string { return strings.Repeat("/*", n) + strings.Repeat("*/", n) + "select 1" },
		"operator":    func(n int) string { return "select 1 " + strings.Repeat("+", n) + " 1" },
		"open quote":  func(n int) string { return "select '" + strings.Repeat("(+", n) },
		"dollars":     func(n int) string { return "select " + strings.Repeat("$a$+1+", n) },
		"escaped":     func(n int) string { return `select E'\'` + strings.Repeat("+1", n) + `'` + strings.Repeat("+1", n) },
		"explain":     func(n int) string { return strings.Repeat("explain ", n) + "select 1" },
		"identifiers": func(n int) string { return "select " + strings.Repeat("a.", n) + "b" },
		"with": func(n int) string {
			return strings.Repeat("with a as (", n) + "select 1" + strings.Repeat(") select 1", n)
		},
		"mixed": func(n int) string {
			return "select " + strings.Repeat("(1+1,2+", n/4) + "1" + strings.Repeat(")", n/4) + strings.Repeat("+1", n/2)
		},
	}
	for name, chain := range chains {
		for _, n := range []int{100, 2000, 2999, 5000, 16000, 40000} {
			_, err := sql.Analyse(chain(n), cat, sql.Env{SearchPath: []string{"public"}})
			var se *sql.Error
			if err != nil && !errors.As(err, &se) {
				t.Errorf("%s of %d: error is %T", name, n, err)
			}
			if n == 40000 && err == nil && name != "open quote" {
				t.Errorf("%s of %d is accepted", name, n)
			}
			if se != nil && se.Internal() != "" {
				t.Errorf("%s of %d: panic %s", name, n, se.Internal())
			}
		}
	}
}

// Long but flat texts are what applications send, and must pass.
func TestFlatTextsPass(t *testing.T) {
	cat := city(t)
	rows := func(n int, row string) string {
		return "insert into civil.citizens (id_number, name, phone) values " + strings.TrimSuffix(strings.Repeat(row+",", n), ",")
	}
	params := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, ", ($%d, $%d, now())", 2*i+1, 2*i+2)
		}
		return "insert into welfare.payments (payment_id, id_number, paid_on) values " + b.String()[2:]
	}
	for name, text := range map[string]string{
		"1,000 rows":       rows(1000, "('110101199003070010', 'x', '1')"),
		"10,000 rows":      rows(10000, "('110101199003070010', 'x', '1')"),
		"defaults":         rows(1000, "('110101199003070010', DEFAULT, NULL)"),
		"1,000 params":     params(1000),
		"1 MB literal":     "select '" + strings.Repeat("x", 1<<20-100) + "'",
		"5,000 members":    "select name from civil.citizens where id_number in ('1'" + strings.Repeat(", '110101199003070010'", 5000) + ")",
		"500 alternatives": "select name from civil.citizens where id_number = '1'" + strings.Repeat(" or id_number = '2'", 500),
		"statements":       strings.Repeat("update civil.citizens set name = 'x' where id_number = '1';", 400),
		"wide":             "select " + strings.Repeat("c.name || 'x', ", 800) + "1 from civil.citizens c",
	} {
		if _, err := sql.Analyse(text, cat, sql.Env{SearchPath: []string{"public"}}); err != nil {
			t.Errorf("%s (%d bytes): %v", name, len(text), err)
		}
	}
}

func TestTextsTheParserMustNotSee(t *testing.T) {
	cat := city(t)
	for name, text := range map[string]string{
		"NUL":               "select 1\x00; drop table civil.citizens",
		"not UTF-8":         "select '\xff'",
		"overlong":          "select '\xc0\xaf'",
		"too long":          "select '" + strings.Repeat("x", 1<<20) + "'",
		"comment":           "select 1 /* x",
		"string":            "select 'x",
		"escape string":     `select E'x\'`,
		"identifier":        `select "x`,
		"dollar":            "select $a$ x $b$",
		"long identifier":   "select " + strings.Repeat("n", 64) + " from civil.citizens",
		"long quoted":       `select "` + strings.Repeat("é", 32) + `" from civil.citizens`,
		"long operator":     "select 1 " + strings.Repeat("<", 64) + " 2",
		"nested comments":   strings.Repeat("/*", 33) + strings.Repeat("*/", 33) + "select 1",
		"junk after number": "select 1abc",
		"hexadecimal":       "select 0x1F",
		"junk after param":  "select $1abc",
	} {
		if _, err := sql.Analyse(text, cat, sql.Env{}); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	for name, text := range map[string]string{
		"63 bytes":        "select 1 as " + strings.Repeat("n", 63),
		"doubled quotes":  `select 1 as "` + strings.Repeat(`""`, 63) + `"`,
		"nested comments": strings.Repeat("/*", 32) + strings.Repeat("*/", 32) + "select 1",
		"dollar in name":  "select 1 as a$b$c, $a$;'$a$",
		"line comment":    "select 1 -- '\n",
		"exponent":        "select 1e10, 1.5e-3, .5, 1.",
		"minus comment":   "select 1 --+1\n+1",
	} {
		if _, err := sql.Analyse(text, cat, sql.Env{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What does not parse is harmless only where the server has the same grammar, or at least takes the same words as words.
func TestSyntaxIsOnlyClaimedWhenTheServerAgrees(t *testing.T) {
	s, err := sql.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		version int
		text    string
		syntax  bool
	}{
		{150000, "selec 1", true}, {170000, "selec 1", true}, {180000, "selec 1", false},
		{150000, "select json_value(1)", false}, {170000, "select json_value(1)", true},
		{140000, "select 1 from t where a = 1x", false}, {150000, "select a.system_user from t", false},
	} {
		s.ServerVersion = c.version
		cat, err := sql.NewCatalogue(s)
		if err != nil {
			t.Fatal(err)
		}
		_, err = sql.Analyse(c.text, cat, sql.Env{})
		var se *sql.Error
		if !errors.As(err, &se) || se.Syntax != c.syntax {
			t.Errorf("%s on %d: %v, want syntax %v", c.text, c.version, err, c.syntax)
		}
	}
	s.ServerVersion = 150000
	cat, _ := sql.NewCatalogue(s)
	_, err = sql.Analyse("select 'é', fro m", cat, sql.Env{})
	var se *sql.Error
	if errors.As(err, &se); se == nil || se.Position != -1 && "select 'é', fro m"[se.Position:] == "" {
		t.Errorf("position of %v", err)
	}
	if strings.Contains(err.Error(), "é") {
		t.Errorf("the error quotes the text: %v", err)
	}
}
