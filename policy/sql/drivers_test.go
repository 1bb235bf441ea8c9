package sql_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"shiguan/policy/sql"
)

// What psql, pg_dump, pgbench and the common drivers ask by themselves must be understood, and of PostgreSQL's own
// relations they may only need those that describe structure.
func TestDriversAreUnderstood(t *testing.T) {
	conn := connect(t)
	cat := load(t, connect(t))
	prepared := map[string]*sql.Statement{}
	env := sql.Env{SearchPath: []string{"public"}, Prepared: func(n string) *sql.Statement { return prepared[n] }}
	setPath(t, conn, env.SearchPath)
	// Rightly unsafe, and really asked for: pg_dump's settings and foreign options, psql's \dconfig,
	// the sizes of \dt+, \l+ and \db+.
	unsafe := map[string]bool{"set_config": true, "current_setting": true, "pg_options_to_table": true,
		"pg_table_size": true, "pg_total_relation_size": true, "pg_database_size": true, "pg_tablespace_size": true}
	for _, e := range corpus(t, "testdata/drivers.sql") {
		a, err := sql.Analyse(e.text, cat, env)
		if err != nil {
			// psql and pg_dump are those of 15. What a server of another version refuses, we may.
			if _, serr := conn.PgConn().Prepare(context.Background(), "", e.text, nil); cat.Major() == 15 || serr == nil {
				t.Errorf("line %d: %.300s\n\t%v %s", e.line, e.text, err, err.(*sql.Error).Internal())
			}
			continue
		}
		s := &a.Statements[0]
		if s.Verb == sql.Prepare {
			prepared[s.Name] = s
		}
		for _, f := range s.Functions {
			if !unsafe[f.Name] {
				t.Errorf("line %d: %.200s\n\tunsafe function %+v", e.line, e.text, f)
			}
		}
		if s.Verb == sql.Select && s.MayWrite && len(s.Functions) == 0 {
			t.Errorf("line %d: %.200s\n\tmay write", e.line, e.text)
		}
		if s.Verb != sql.Select {
			continue
		}
		desc, err := conn.PgConn().Prepare(context.Background(), "", e.text, nil)
		if err != nil {
			t.Errorf("line %d: %.200s\n\tthe server refuses it: %v", e.line, e.text, err)
			continue
		}
		var got, want []string
		for _, o := range s.Outputs {
			got = append(got, fmt.Sprintf("%s %d.%d", o.Name, o.Server.Table, o.Server.Att))
		}
		for _, f := range desc.Fields {
			want = append(want, fmt.Sprintf("%s %d.%d", f.Name, f.TableOID, int16(f.TableAttributeNumber)))
		}
		if !slices.Equal(got, want) {
			t.Errorf("line %d: %.200s\n\tanalysis %v\n\tserver   %v", e.line, e.text, got, want)
		}
	}
}

// psql's and the drivers' questions about structure go to relations that SystemMetadata lets pass. Those it does not are
// listed here, so that a new one is a decision.
func TestDriversNeedOnlyMetadata(t *testing.T) {
	cat := load(t, connect(t))
	env := sql.Env{SearchPath: []string{"public"}, Prepared: func(string) *sql.Statement { return &sql.Statement{Verb: sql.Select} }}
	known := map[string]bool{"pg_foreign_server": true, "pg_user_mappings": true, "pg_subscription": true} // \des \deu \dRs
	for _, e := range corpus(t, "testdata/drivers.sql") {
		a, err := sql.Analyse(e.text, cat, env)
		if err != nil {
			continue // the other test's
		}
		for _, u := range a.Statements[0].Tables {
			system := u.Schema == "pg_catalog" || u.Schema == "information_schema"
			if system && !sql.SystemMetadata(u.Schema, u.Name) && !known[u.Name] {
				t.Errorf("line %d: %.100s\n\tneeds %s.%s", e.line, e.text, u.Schema, u.Name)
				known[u.Name] = true
			}
			if system && !strings.Contains(u.Schema, "_") {
				t.Errorf("line %d: schema %q", e.line, u.Schema)
			}
		}
	}
}
