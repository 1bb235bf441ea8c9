package sql_test

import (
	"strings"
	"testing"

	"shiguan/policy/sql"
)

func TestCreate(t *testing.T) {
	s, err := sql.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	err = s.Create(`CREATE SCHEMA civil;
		CREATE TABLE civil.citizens (id_number varchar(18) PRIMARY KEY, name text NOT NULL DEFAULT 'x', tags text[], size serial, "Old Name" numeric(10,2),
			CHECK (name <> ''), UNIQUE (name));
		CREATE TABLE notes (note text, at timestamp with time zone);
		CREATE TABLE civil.old_citizens (died date) INHERITS (civil.citizens);
		CREATE TABLE civil.moves (id_number text, at date) PARTITION BY RANGE (at);
		CREATE TABLE civil.moves_2026 PARTITION OF civil.moves FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
		CREATE VIEW civil.names (number) AS SELECT c.id_number, upper(c.name) AS card FROM civil.citizens c`)
	if err != nil {
		t.Fatal(err)
	}
	cat, err := sql.NewCatalogue(s)
	if err != nil {
		t.Fatal(err)
	}
	a, err := sql.Analyse(`select number, card from civil.names; select died, "Old Name", tags, size from civil.old_citizens; select at from notes; select at from civil.moves_2026`,
		cat, sql.Env{SearchPath: []string{"public"}})
	if err != nil {
		t.Fatal(err)
	}
	if o := a.Statements[0].Outputs; o[0].Base != (sql.Column{Table: oidOf(s, "citizens"), Att: 1}) || o[1].From[0].Att != 2 {
		t.Errorf("the view's columns come from %+v", o)
	}
	for i, want := range []uint32{1082, 1700, 1009, 23} {
		if o := a.Statements[1].Outputs[i]; o.Type != want {
			t.Errorf("%s is of type %d, want %d", o.Name, o.Type, want)
		}
	}
	if kin := cat.Descendants(sql.Column{Table: oidOf(s, "citizens"), Att: 2}); len(kin) != 1 || kin[0].Table != oidOf(s, "old_citizens") {
		t.Errorf("children of citizens: %+v", kin)
	}
	if kin := cat.Ancestors(sql.Column{Table: oidOf(s, "moves_2026"), Att: 1}); len(kin) != 1 {
		t.Errorf("parents of a partition: %+v", kin)
	}
}

func TestCreateSaysWhatItWants(t *testing.T) {
	for text, want := range map[string]string{
		"CREATE INDEX i ON t (a)":                 "only CREATE SCHEMA",
		"CREATE TABLE t (a other.type)":           `column "a" of t: type "other.type" is not one of PostgreSQL's`,
		"CREATE TABLE t (a hstore)":               `type "hstore" is not one of PostgreSQL's`,
		"CREATE TABLE t (LIKE u)":                 "write the columns out",
		"CREATE TABLE t (a int) INHERITS (s.u)":   "table s.u is not there",
		"CREATE VIEW v AS SELECT x FROM nowhere":  "view v: ",
		"CREATE TABLE":                            "syntax error at end of input",
		"CREATE TABLE t (a text); SELECT 1":       "statement 2: only CREATE SCHEMA",
		"CREATE SCHEMA a CREATE TABLE t (a text)": "statements of their own",
		"-- " + strings.Repeat("x", 300<<10):      "longer than 256 KiB",
	} {
		s, err := sql.Builtin()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Create(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", text, err, want)
		}
	}
}
