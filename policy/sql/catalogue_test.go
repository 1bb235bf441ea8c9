package sql_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"shiguan/policy/sql"
)

// Every change that could alter what a statement means must change the fingerprint; reading and writing rows must not.
func TestFingerprintNoticesChanges(t *testing.T) {
	conn, admin := connect(t), connect(t)
	ctx := context.Background()
	exec := func(text string) {
		t.Helper()
		if _, err := admin.Exec(ctx, text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	fingerprint := func() string {
		t.Helper()
		f, err := sql.Fingerprint(ctx, conn)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	exec("CREATE SCHEMA moving")
	defer exec("DROP SCHEMA moving CASCADE")
	seen := map[string]string{fingerprint(): "nothing"}
	for _, text := range []string{
		"CREATE TABLE moving.a (x int, y text)",
		"ALTER TABLE moving.a RENAME x TO z",
		"ALTER TABLE moving.a ADD COLUMN w int",
		"ALTER TABLE moving.a DROP COLUMN w",
		"ALTER TABLE moving.a RENAME TO b",
		"CREATE TABLE moving.kid () INHERITS (moving.b)",
		"ALTER TABLE moving.kid NO INHERIT moving.b",
		"CREATE VIEW moving.v AS SELECT z FROM moving.b",
		"CREATE OR REPLACE VIEW moving.v AS SELECT z + 1 AS z FROM moving.b",
		"CREATE FUNCTION moving.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
		"CREATE OR REPLACE FUNCTION moving.f() RETURNS int LANGUAGE sql VOLATILE SECURITY DEFINER AS 'SELECT 2'",
		"CREATE FUNCTION moving.same(text, int) RETURNS bool LANGUAGE sql AS 'SELECT true'",
		"CREATE OPERATOR moving.= (LEFTARG = text, RIGHTARG = int, FUNCTION = moving.same)",
		"CREATE TYPE moving.mood AS ENUM ('x')",
		"CREATE RULE r AS ON DELETE TO moving.b DO INSTEAD NOTHING",
		"ALTER SCHEMA moving RENAME TO moved",
		"ALTER SCHEMA moved RENAME TO moving",
		"DROP VIEW moving.v",
	} {
		exec(text)
		f := fingerprint()
		if before, ok := seen[f]; ok {
			t.Errorf("after %s the fingerprint is that after %s", text, before)
		}
		seen[f] = text
	}
	exec("VACUUM ANALYZE moving.b") // notes once that there are no children any more
	before := fingerprint()
	for _, text := range []string{
		"INSERT INTO moving.b VALUES (1, 'x')", "UPDATE moving.b SET z = 2", "VACUUM ANALYZE moving.b",
		"CREATE TEMP TABLE scratch (a int, b text)", "CREATE INDEX ON scratch (a)", "DROP TABLE scratch", "SET search_path = moving",
	} {
		exec(text)
		if text == "CREATE TEMP TABLE scratch (a int, b text)" {
			before = fingerprint() // the session's first temporary table makes its schema
			exec("CREATE TEMP TABLE another (a int)")
		}
		if f := fingerprint(); f != before {
			t.Errorf("%s changes the fingerprint\n%s\n%s", text, before, f)
		}
	}
}

func TestLoadIsRepeatable(t *testing.T) {
	conn := connect(t)
	ctx := context.Background()
	a, b := load(t, conn), load(t, connect(t))
	if a.Version() != b.Version() || a.Fingerprint() != b.Fingerprint() || a.Fingerprint() == "" {
		t.Errorf("two loads differ: %s %s, %s %s", a.Version(), b.Version(), a.Fingerprint(), b.Fingerprint())
	}
	// A role with no rights at all reads the same catalogue.
	for _, text := range []string{"DROP ROLE IF EXISTS nobody_special", "CREATE ROLE nobody_special LOGIN"} {
		if _, err := conn.Exec(ctx, text); err != nil {
			t.Fatal(err)
		}
	}
	cfg := conn.Config().Copy()
	cfg.User = "nobody_special"
	other, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(ctx)
	if c := load(t, other); c.Version() != a.Version() {
		t.Error("a role without rights reads another catalogue")
	}
}

func TestLineage(t *testing.T) {
	cat := load(t, connect(t))
	column := func(name string) sql.Column {
		t.Helper()
		p := strings.Split(name, ".")
		c, ok := cat.Column(p[0], p[1], p[2])
		if !ok {
			t.Fatalf("no column %s", name)
		}
		return c
	}
	for _, c := range []struct {
		of       string
		ask      func(sql.Column) []sql.Column
		want     []string
		question string
	}{
		{"app.people.ssn", cat.Descendants, []string{"app.kids.ssn"}, "descendants"},
		{"app.kids.ssn", cat.Ancestors, []string{"app.people.ssn"}, "ancestors"},
		{"app.kids.school", cat.Ancestors, nil, "ancestors"},
		{"app.events.ssn", cat.Descendants, []string{"app.events_2025.ssn"}, "descendants"},
		{"civil.citizens.name", cat.Descendants, nil, "descendants"},
		{"civil.directory.phone", func(c sql.Column) []sql.Column {
			o, err := cat.Origins(c)
			if err != nil {
				t.Error(err)
			}
			return o
		}, []string{"civil.citizens.phone"}, "origins"},
	} {
		var got []string
		for _, col := range c.ask(column(c.of)) {
			got = append(got, columnName(cat, col))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s of %s: %v, want %v", c.question, c.of, got, c.want)
		}
	}
	if _, _, name, ok := cat.ColumnName(sql.Column{Table: column("civil.citizens.name").Table, Att: 3}); ok {
		t.Errorf("the dropped column is called %q", name)
	}
}

// A table's temporary namesake is not in the catalogue, so names that it could hide must be refused.
func TestTemporaryTablesHideNames(t *testing.T) {
	cat := city(t)
	env := sql.Env{SearchPath: []string{"civil"}, TempSchema: "pg_temp_3"}
	if _, err := sql.Analyse("select * from citizens", cat, env); err == nil {
		t.Error("a name that a temporary table may hide is resolved")
	}
	for _, text := range []string{"select * from civil.citizens", "with x as (select 1) select * from x"} {
		if _, err := sql.Analyse(text, cat, env); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// EXECUTE and FETCH mean what PREPARE and DECLARE of the session were analysed to.
func TestPreparedAndCursorsOfTheSession(t *testing.T) {
	cat := city(t)
	parse := func(text string, env sql.Env) *sql.Statement {
		t.Helper()
		a, err := sql.Analyse(text, cat, env)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return &a.Statements[0]
	}
	p := parse("prepare p as select name from civil.citizens where id_number = $1 and phone = $2", sql.Env{})
	c := parse("declare c cursor for select phone from civil.citizens", sql.Env{})
	env := sql.Env{
		Prepared: func(n string) *sql.Statement { return map[string]*sql.Statement{"p": p}[n] },
		Cursor:   func(n string) *sql.Statement { return map[string]*sql.Statement{"c": c}[n] },
	}
	e := parse("execute p ('7', $1)", env)
	if len(e.Outputs) != 1 || e.Outputs[0].Name != "name" || len(e.Pins) != 2 || e.Pins[0].Value != "7" || e.Pins[1].Param != 1 || e.Params != 1 {
		t.Errorf("execute: %+v", e)
	}
	if e := parse("execute p (lower('7'), 1)", env); len(e.Pins) != 0 {
		t.Errorf("a computed parameter is pinned: %+v", e.Pins)
	}
	f := parse("fetch all from c", env)
	if len(f.Outputs) != 1 || f.Outputs[0].Name != "phone" || f.MayWrite {
		t.Errorf("fetch: %+v", f)
	}
	for _, text := range []string{"execute q", "fetch from q"} {
		if _, err := sql.Analyse(text, cat, env); err == nil {
			t.Errorf("%s of nothing known is accepted", text)
		}
	}
}

// Which operator a parameter meets depends on the type the client declares for it: text = int4 is a user's here.
func TestDeclaredParameterTypesDecide(t *testing.T) {
	cat := city(t)
	text := "select name from civil.citizens where id_number = $1"
	for _, c := range []struct {
		name  string
		types []uint32
		text  string
		user  bool
		pins  int
	}{
		{"not told", nil, text, true, 0},
		{"left to the server", []uint32{}, text, false, 1},
		{"left to the server by 0", []uint32{0}, text, false, 1},
		{"varchar", []uint32{1043}, text, false, 1},
		{"int4", []uint32{23}, text, true, 0},
		{"cast of int4", []uint32{23}, "select name from civil.citizens where id_number = $1::text", false, 0},
		{"cast", []uint32{}, "select name from civil.citizens where id_number = $1::text", false, 1},
		{"prepare int", nil, "prepare p (int) as " + text, true, 0},
		{"prepare", nil, "prepare p as " + text, false, 1},
	} {
		a, err := sql.Analyse(c.text, cat, sql.Env{SearchPath: []string{"app"}, ParamTypes: c.types})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		s := &a.Statements[0]
		if s.Inner != nil {
			s = s.Inner
		}
		if user := len(s.Functions) > 0; user != c.user || len(s.Pins) != c.pins {
			t.Errorf("%s: functions %v, pins %v", c.name, s.Functions, s.Pins)
		}
	}
}
