package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgproto3/v2"
	"github.com/jackc/pgx/v5"
)

// addPolicy adds passages to the city's policy until the test ends: under data, under classes, and rules.
func addPolicy(t *testing.T, data, classes, rules string) {
	t.Helper()
	before, err := os.ReadFile(city.Policy)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { putPolicy(t, before) })
	after := strings.NewReplacer("\ndata:\n", "\ndata:\n"+data, "\nclasses:\n", "\nclasses:\n"+classes, "\nrules:\n", "\nrules:\n"+rules).Replace(string(before))
	putPolicy(t, []byte(after))
}

// onServer runs statements as the superuser, directly.
func onServer(t *testing.T, statements ...string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // also when the test is over
	c, err := pgx.Connect(ctx, city.UpstreamDSN)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	for _, s := range statements {
		if _, err := c.Exec(ctx, s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// typed are columns of all the types that masks are for, and what of them is shown: as an expression of PostgreSQL's.
var typed = []struct{ column, typ, class, shown string }{
	{"id", "int", "", "id"},
	{"d", "date", "t_year", "date_trunc('year', d)::date"},
	{"ts", "timestamp", "t_quarter", "date_trunc('quarter', ts)"},
	{"tz", "timestamptz", "t_month", "date_trunc('month', tz at time zone 'Asia/Shanghai') at time zone 'Asia/Shanghai'"},
	{"i2", "smallint", "t_tens", "(i2 / 10 * 10)::smallint"},
	{"i4", "int", "t_tens", "i4 / 10 * 10"},
	{"i8", "bigint", "t_tens", "i8 / 10 * 10"},
	{"n", "numeric(20,4)", "t_thousands", "trunc(n / 1000) * 1000"},
	{"f4", "real", "t_tens", "(trunc(f4::float8 / 10) * 10 + 0)::real"},
	{"f8", "float8", "t_tens", "trunc(f8 / 10) * 10 + 0"},
	{"dom", "civil.t_money", "t_thousands", "trunc(dom::numeric / 1000) * 1000"},
	{"h", "text", "t_hash", "NULL::text"},
	{"hc", "char(20)", "t_hash", "NULL::text"},
	{"u", "uuid", "t_hash", "NULL::uuid"},
	{"b", "bytea", "t_hash", ""}, // does not fit
	{"a", "int[]", "t_tens", ""},
}

func TestTypedMasks(t *testing.T) {
	var defs, data, shown, names []string
	for _, c := range typed {
		defs = append(defs, c.column+" "+c.typ)
		if c.class != "" {
			data = append(data, "    "+c.column+": {class: "+c.class+"}\n")
		}
		if c.shown != "" && !strings.HasPrefix(c.class, "t_hash") {
			shown, names = append(shown, c.shown+" as "+c.column), append(names, c.column)
		}
	}
	onServer(t, "drop table if exists civil.typed", "drop domain if exists civil.t_money", "create domain civil.t_money as numeric(12,2)",
		"create table civil.typed ("+strings.Join(defs, ", ")+")",
		`insert into civil.typed select g, date '1899-12-30' + g * 977, timestamp '1969-12-31 23:59:59.5' + g * interval '200 days 3 hours', timestamptz '2001-12-31 15:59:59.999+00' + g * interval '31 days 1 second',
		 (g * 331 - 5000)::smallint, g * 99991 - 700000, g * 100000000007 - 900000000000, g * 12345.6789 - 99999.5, g * 7.77 - 60, g * 1e6 - 9999999.5, g * 999.99, 'person ' || g % 7, 'person ' || g % 7,
		 md5((g % 5)::text)::uuid, 'x', '{1}' from generate_series(1, 40) g`,
		"insert into civil.typed (id, d, ts, tz, n, f8) values (41, 'infinity', '-infinity', 'infinity', 'NaN', 'NaN')", "insert into civil.typed (id) values (42)",
		"grant select, update on civil.typed to "+roleOf(t, "fund_clerk"))
	t.Cleanup(func() { onServer(t, "drop table civil.typed", "drop domain civil.t_money") })
	addPolicy(t, "  civil.typed:\n"+strings.Join(data, ""),
		"  t_year: {mask: date, to: year}\n  t_quarter: {mask: date, to: quarter}\n  t_month: {mask: date, to: month}\n  t_tens: {mask: number, step: 10}\n  t_thousands: {mask: number, step: 1000}\n  t_hash: {mask: hash}\n",
		"  - {id: typed, who: {user: fund_clerk}, may: [select, copy, update], on: [civil.typed]}\n")
	eventually(t, "the proxy knows the table", func() error { return known(t.Context(), dsn(t, "fund_clerk"), "select id from civil.typed") })
	c, direct := raw(t, dsn(t, "fund_clerk")), raw(t, city.UpstreamDSN)
	plain, want := "select "+strings.Join(names, ", ")+" from civil.typed where id <= 40 order by id", "select "+strings.Join(shown, ", ")+" from civil.typed where id <= 40 order by id"

	for _, zone := range []string{"UTC", "Asia/Shanghai", "America/New_York", "ABC+167"} {
		for _, s := range []*rawConn{c, direct} {
			if e := errorOf(s.ask("set timezone = '" + zone + "'")); e != nil {
				t.Fatal(e.Message)
			}
		}
		compareMasked(t, zone+", binary", portal(c, plain, 1), portal(direct, want, 1))
	}
	// In text a timestamptz comes in Shanghai's time: the same moment, in other words than the session's.
	direct.ask("set timezone = 'Asia/Shanghai'")
	wantText := values(portal(direct, want, 0))
	for what, got := range map[string][]frame{
		"simple": c.ask(plain), "extended": portal(c, plain, 0), "returning": c.ask("update civil.typed set id = id where id <= 40 returning " + strings.Join(names, ", ")),
		"cursor": inBlock(c, "declare k cursor for "+plain, "fetch all from k"),
	} {
		compareText(t, what, values(got), wantText)
	}
	for _, form := range []string{"", " (format csv)"} {
		separator := map[string]string{"": "\t", " (format csv)": ","}[form]
		var lines [][]string
		for _, f := range c.ask("copy (" + plain + ") to stdout" + form) {
			if f.kind() == 'd' {
				lines = append(lines, strings.Split(strings.TrimSuffix(string(f[5:]), "\n"), separator))
			}
		}
		compareText(t, "copy"+form, lines, wantText)
	}
	// What has no bucket is NULL, as is NULL.
	for _, row := range values(c.ask("select d, ts, tz, n, f8, h, u from civil.typed where id > 40")) {
		if got := strings.Join(row, ""); got != strings.Repeat("NULL", 7) && got != "" {
			t.Errorf("of infinity and NULL is shown %q", row)
		}
	}
	for _, column := range []string{"b", "a"} {
		if e := errorOf(c.ask("select " + column + " from civil.typed")); e == nil || e.Code != "42501" || !strings.Contains(e.Message, "its type cannot hold") {
			t.Errorf("%s: %+v", column, e)
		}
	}
	for _, statement := range []string{"set extra_float_digits = 0", "set extra_float_digits = -15"} {
		if e := errorOf(c.ask(statement)); e == nil || e.Code != "42501" {
			t.Errorf("%s: %+v", statement, e)
		}
	}
	c.ask("set datestyle = 'german'")
	if rows := values(c.ask("select d from civil.typed where id = 3")); len(rows) != 1 || rows[0][0] == "01.01.1907" || strings.Contains(rows[0][0], "19") {
		t.Errorf("in another style: %q", rows)
	}
}

// Pseudonyms are the same for the same value in all tables, forms and sessions, and tell nothing else.
func TestPseudonyms(t *testing.T) {
	addPolicy(t, "", "", "")
	before, err := os.ReadFile(city.Policy)
	if err != nil {
		t.Fatal(err)
	}
	putPolicy(t, []byte(strings.Replace(string(before), "resident_id: {mask: keep, first: 6, last: 4, fill: 8}", "resident_id: {mask: hash}", 1)))
	true_ := map[string]string{}
	for _, row := range values(raw(t, city.UpstreamDSN).ask("select name, id_number from civil.citizens where name in (select name from civil.citizens group by name having count(*) = 1)")) {
		true_[row[0]] = row[1]
	}
	pseudonym := map[string]string{}
	one := raw(t, dsn(t, "civil_clerk", "shiguan.purpose=case-2026-7"))
	for _, row := range values(one.ask("select name, id_number from civil.citizens")) {
		if true_[row[0]] != "" {
			pseudonym[row[0]] = row[1]
		}
	}
	seen := map[string]bool{}
	for name, p := range pseudonym {
		if len(p) != 16 || seen[p] || strings.Contains(p, true_[name][:6]) {
			t.Fatalf("%s is %q", name, p)
		}
		seen[p] = true
	}
	if len(pseudonym) < 5 {
		t.Fatalf("%d names", len(pseudonym))
	}
	auditor := raw(t, dsn(t, "auditor"))
	in := 0
	for _, row := range values(portal(auditor, "select id_number from civil.households", 1)) {
		if len(row[0]) != 16 {
			t.Fatalf("%q", row)
		}
		if seen[row[0]] {
			in++
		}
	}
	if in == 0 {
		t.Error("no pseudonym of civil.citizens is one of civil.households")
	}
	if e := errorOf(auditor.ask("select id_number from civil.households order by id_number")); e == nil || e.Code != "42501" {
		t.Errorf("ordering by a hashed column: %+v", e)
	}
}

func portal(c *rawConn, statement string, format int16) []frame {
	return pipeline(c, &pgproto3.Parse{Query: statement}, &pgproto3.Bind{ResultFormatCodes: []int16{format}}, &pgproto3.Execute{})
}

// inBlock runs statements in a transaction block and returns what came of the last.
func inBlock(c *rawConn, statements ...string) (last []frame) {
	c.ask("begin")
	for _, s := range statements {
		last = c.ask(s)
	}
	c.ask("commit")
	return last
}

// compareMasked compares rows byte for byte, but for numerics, of which one number has several forms.
func compareMasked(t *testing.T, what string, got, want []frame) {
	t.Helper()
	a, b := values(got), values(want)
	if len(a) != 40 || len(b) != len(a) {
		t.Fatalf("%s: %d rows, want %d\n%s", what, len(a), len(b), text(got))
	}
	for i := range a {
		for j := range a[i] {
			if a[i][j] != b[i][j] && len(a[i][j]) == len(b[i][j]) && typed[j].typ != "numeric(20,4)" && typed[j].column != "dom" {
				t.Errorf("%s, row %d, %s: %x, want %x", what, i, typed[j].column, a[i][j], b[i][j])
			}
		}
	}
}

func compareText(t *testing.T, what string, got, want [][]string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d rows, want %d", what, len(got), len(want))
	}
	for i := range got {
		w := slices.Clone(want[i])
		for j, c := range typed[:len(w)] {
			if c.typ == "numeric(20,4)" || c.column == "dom" { // 1000.0000 is 1000
				whole, _, _ := strings.Cut(w[j], ".")
				w[j] = strings.Replace(whole, "-0", "0", 1)
			}
		}
		if fmt.Sprint(got[i]) != fmt.Sprint(w) {
			t.Errorf("%s, row %d:\n %q\n want\n %q", what, i, got[i], w)
		}
	}
}

// roleOf is the upstream role of a person.
func roleOf(t *testing.T, user string) string {
	t.Helper()
	c, err := pgx.Connect(t.Context(), dsn(t, user))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	var role string
	if err := c.QueryRow(t.Context(), "select current_user").Scan(&role); err != nil {
		t.Fatal(err)
	}
	return role
}
