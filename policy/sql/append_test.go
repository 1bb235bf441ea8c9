package sql_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"shiguan/policy/sql"
)

// appendTo adds the named candidates ("alias.column") to a statement of a text and checks what every caller will: the new
// text is analysed, the old outputs are unchanged, the new ones follow.
func appendTo(t *testing.T, cat *sql.Catalogue, e corpusEntry, statement int, want ...string) string {
	t.Helper()
	a, err := analyse(cat, e)
	if err != nil {
		t.Fatalf("%s: %v", e.text, err)
	}
	var cols []sql.AppendCandidate
	for _, name := range want {
		i := slices.IndexFunc(a.Statements[statement].Appendable(), func(c sql.AppendCandidate) bool { return c.Alias+"."+c.Name == name })
		if i < 0 {
			t.Fatalf("%s: %s cannot be appended", e.text, name)
		}
		cols = append(cols, a.Statements[statement].Appendable()[i])
	}
	text, err := sql.AppendOutputs(a, e.text, statement, cols)
	if err != nil {
		t.Fatalf("%s: %v", e.text, err)
	}
	b, err := analyse(cat, corpusEntry{path: e.path, text: text})
	if err != nil {
		t.Fatalf("%s\nbecame %s: %v", e.text, text, err)
	}
	old, now := outputsOf(&a.Statements[statement]), outputsOf(&b.Statements[statement])
	if len(now) != len(old)+len(cols) {
		t.Fatalf("%s\nbecame %s: %d outputs, want %d", e.text, text, len(now), len(old)+len(cols))
	}
	for i, o := range now {
		if i < len(old) {
			if o.Name != old[i].Name || o.Server != old[i].Server || o.Base != old[i].Base || !slices.Equal(o.From, old[i].From) {
				t.Errorf("%s\nbecame %s: output %d is now %+v, was %+v", e.text, text, i, o, old[i])
			}
		} else if c := cols[i-len(old)]; o.Base != c.Column || o.Server != c.ServerColumn {
			t.Errorf("%s\nbecame %s: output %d is %+v, want %+v", e.text, text, i, o, c)
		}
	}
	return text
}

func outputsOf(s *sql.Statement) []sql.Output {
	if s.Inner != nil {
		return s.Inner.Outputs
	}
	return s.Outputs
}

func TestAppendOutputs(t *testing.T) {
	cat := city(t)
	for _, c := range []struct {
		text, column, want string
		statement          int
	}{
		{"select name from civil.citizens", "citizens.id_number", `select name, "citizens"."id_number" from civil.citizens`, 0},
		{"select name /* x */ -- from\n from civil.citizens where 1=1;", "citizens.id_number", "select name, \"citizens\".\"id_number\" /* x */ -- from\n from civil.citizens where 1=1;", 0},
		{"select name, phone is distinct from 'x' from civil.citizens", "citizens.id_number", `select name, phone is distinct from 'x', "citizens"."id_number" from civil.citizens`, 0},
		{"select extract(year from birth_date) from civil.citizens c", "c.id_number", `select extract(year from birth_date), "c"."id_number" from civil.citizens c`, 0},
		{"select (select 1 from civil.households limit 1) from civil.citizens c", "c.id_number", `select (select 1 from civil.households limit 1), "c"."id_number" from civil.citizens c`, 0},
		{"select 1; select name from civil.citizens; select 2", "citizens.id_number", `select 1; select name, "citizens"."id_number" from civil.citizens; select 2`, 1},
		{"  select 'é', name from civil.citizens", "citizens.id_number", `  select 'é', name, "citizens"."id_number" from civil.citizens`, 0},
		{`select "a""b".name from civil.citizens "a""b"`, `a"b.id_number`, `select "a""b".name, "a""b"."id_number" from civil.citizens "a""b"`, 0},
		{"with x as (select name, id_number from civil.citizens) select name from x", "x.id_number", `with x as (select name, id_number from civil.citizens) select name, "x"."id_number" from x`, 0},
		{"select * from civil.citizens", "citizens.id_number", `select *, "citizens"."id_number" from civil.citizens`, 0},
		{"(select name from civil.citizens)", "citizens.id_number", `(select name, "citizens"."id_number" from civil.citizens)`, 0},
		{"select name as \"from\" from civil.citizens", "citizens.id_number", `select name as "from", "citizens"."id_number" from civil.citizens`, 0},
		{"select c.name from civil.citizen_names c", "c.id_number", `select c.name, "c"."id_number" from civil.citizen_names c`, 0},
		{"update civil.citizens set phone = '1' returning name -- x", "citizens.id_number", `update civil.citizens set phone = '1' returning name, "citizens"."id_number" -- x`, 0},
		{"delete from civil.citizens c returning name;  ", "c.id_number", `delete from civil.citizens c returning name, "c"."id_number";  `, 0},
		{"insert into civil.citizens as c (name) select 'x' from civil.households returning name is distinct from 'y'; select 1", "c.id_number", `insert into civil.citizens as c (name) select 'x' from civil.households returning name is distinct from 'y', "c"."id_number"; select 1`, 0},
		{"prepare p as select name from civil.citizens", "citizens.id_number", `prepare p as select name, "citizens"."id_number" from civil.citizens`, 0},
		{"declare c cursor for select name from civil.citizens", "citizens.id_number", `declare c cursor for select name, "citizens"."id_number" from civil.citizens`, 0},
		{"copy (select name from civil.citizens) to stdout", "citizens.id_number", `copy (select name, "citizens"."id_number" from civil.citizens) to stdout`, 0},
		{"copy (delete from civil.citizens returning name) to stdout", "citizens.id_number", `copy (delete from civil.citizens returning name, "citizens"."id_number") to stdout`, 0},
		{"begin; copy (select name from civil.citizens) to stdout", "citizens.id_number", `begin; copy (select name, "citizens"."id_number" from civil.citizens) to stdout`, 1},
	} {
		if got := appendTo(t, cat, corpusEntry{text: c.text}, c.statement, c.column); got != c.want {
			t.Errorf("%s\n\tbecame %s\n\twant   %s", c.text, got, c.want)
		}
	}
}

// Where a further column would change the rows, or rows carry what is not theirs, nothing may be offered.
func TestNothingToAppend(t *testing.T) {
	cat := city(t)
	for _, text := range []string{
		"select distinct name from civil.citizens",
		"select name from civil.citizens group by name",
		"select count(*) from civil.citizens",
		"select 1 from civil.citizens having true",
		"select name from civil.citizens union all select name from civil.citizens",
		"select lag(name) over () from civil.citizens",
		"select name into x from civil.citizens",
		"create table x as select name from civil.citizens",
		"insert into civil.citizens (name) values ('x')",
		"update civil.citizens set phone = '1'",
		"explain select name from civil.citizens",
		"select name from (select distinct name, id_number from civil.citizens) s",
		"select people from civil.sizes",
		"select 1",
		"values ('x')",
		"copy civil.citizens to stdout",
		"select (select count(c.id_number)) from civil.citizens c",
	} {
		a, err := analyse(cat, corpusEntry{text: text, path: []string{"public"}})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if c := a.Statements[0].Appendable(); len(c) > 0 {
			t.Errorf("%s: offers %v", text, c)
		}
		if _, err := sql.AppendOutputs(a, text, 0, nil); err == nil {
			t.Errorf("%s: outputs were appended", text)
		}
	}
}

func TestAppendOutputsRefusesWhatItWasNotAskedFor(t *testing.T) {
	cat := city(t)
	text := "select name from civil.citizens"
	a, err := analyse(cat, corpusEntry{text: text})
	if err != nil {
		t.Fatal(err)
	}
	good := a.Statements[0].Appendable()[:1]
	bad := []sql.AppendCandidate{good[0]}
	bad[0].Name = "id_number, (select 1)"
	if _, err := sql.AppendOutputs(a, text, 0, bad); err == nil {
		t.Error("a column that was not offered is appended")
	}
	if _, err := sql.AppendOutputs(a, text+" where false", 0, good); err != nil {
		t.Errorf("text after the statement: %v", err)
	}
	if _, err := sql.AppendOutputs(a, " "+text, 0, good); err == nil {
		t.Error("another text is accepted")
	}
	if _, err := sql.AppendOutputs(a, "", 0, good); err == nil {
		t.Error("an empty text is accepted")
	}
	for _, n := range []int{-1, 1} {
		if _, err := sql.AppendOutputs(a, text, n, good); err == nil {
			t.Errorf("statement %d is accepted", n)
		}
	}
}

// Every statement of the corpus that offers columns must still be accepted by a real server with the first and the last
// of them added, and must describe the rows as foreseen.
func TestAppendedStatementsAreAcceptedByTheServer(t *testing.T) {
	conn := connect(t)
	cat := load(t, connect(t))
	tried := 0
	for _, e := range corpus(t, "testdata/corpus.sql") {
		a, err := analyse(cat, e)
		if err != nil || len(a.Statements[0].Appendable()) == 0 || strings.HasPrefix(e.text, "explain") {
			continue
		}
		setPath(t, conn, e.path)
		can := a.Statements[0].Appendable()
		first, last := can[0], can[len(can)-1]
		text := appendTo(t, cat, e, 0, first.Alias+"."+first.Name, last.Alias+"."+last.Name)
		desc, err := conn.PgConn().Prepare(context.Background(), "", text, nil)
		if err != nil {
			t.Errorf("line %d: %s\n\tthe server refuses it: %v", e.line, text, err)
			continue
		}
		tried++
		for i, c := range []sql.AppendCandidate{first, last} {
			f := desc.Fields[len(desc.Fields)-2+i]
			if got := (sql.Column{Table: f.TableOID, Att: int16(f.TableAttributeNumber)}); got != c.ServerColumn {
				t.Errorf("line %d: %s\n\tserver reports %v, want %v", e.line, text, got, c.ServerColumn)
			}
		}
	}
	if tried < 80 {
		t.Errorf("only %d statements were tried", tried)
	}
}
