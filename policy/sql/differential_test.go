package sql_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"shiguan/policy/sql"
)

// entry is one statement of the corpus and the search_path it runs under.
type corpusEntry struct {
	line int
	path []string
	text string
}

func corpus(t testing.TB, file string) []corpusEntry {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []corpusEntry
	current := []string{"public"}
	scanner := bufio.NewScanner(f)
	scanner.Buffer(nil, 1<<20)
	for line := 1; scanner.Scan(); line++ {
		text := strings.TrimSpace(scanner.Text())
		if p, ok := strings.CutPrefix(text, "-- path:"); ok {
			current = path(p)
		} else if text != "" && !strings.HasPrefix(text, "--") {
			out = append(out, corpusEntry{line, current, text})
		}
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func setPath(t testing.TB, conn *pgx.Conn, p []string) {
	t.Helper()
	if _, err := conn.Exec(context.Background(), "SET search_path = "+strings.Join(p, ", ")); err != nil {
		t.Fatal(err)
	}
}

func load(t testing.TB, conn *pgx.Conn) *sql.Catalogue {
	t.Helper()
	cat, err := sql.Load(context.Background(), conn)
	if err != nil {
		t.Fatal(err)
	}
	return cat
}

func analyse(cat *sql.Catalogue, e corpusEntry) (*sql.Analysis, error) {
	a, err := sql.Analyse(e.text, cat, sql.Env{SearchPath: e.path})
	var se *sql.Error
	if errors.As(err, &se) && se.Internal() != "" {
		return nil, fmt.Errorf("panic: %s", se.Internal())
	}
	return a, err
}

// What the analysis says the server will report for each output column, a real server must report.
func TestOutputsAgreeWithTheServer(t *testing.T) {
	conn := connect(t)
	cat := load(t, connect(t))
	entries := corpus(t, "testdata/corpus.sql")
	if len(entries) < 150 {
		t.Fatalf("the corpus has only %d statements", len(entries))
	}
	for _, e := range entries {
		setPath(t, conn, e.path)
		a, err := analyse(cat, e)
		if err != nil {
			t.Errorf("line %d: %s\n\t%v", e.line, e.text, err)
			continue
		}
		desc, err := conn.PgConn().Prepare(context.Background(), "", e.text, nil)
		if err != nil {
			if cat.Major() != 15 && strings.HasPrefix(e.text, "merge") {
				continue // 14 has no MERGE
			}
			t.Errorf("line %d: %s\n\tthe server refuses it: %v", e.line, e.text, err)
			continue
		}
		var got, want []string
		for _, o := range a.Statements[0].Outputs {
			got = append(got, fmt.Sprintf("%s %d.%d", o.Name, o.Server.Table, o.Server.Att))
			if o.Base != (sql.Column{}) && o.Server == (sql.Column{}) {
				t.Errorf("line %d: %s\n\toutput %s has a base column that the server does not report", e.line, e.text, o.Name)
			}
		}
		for i, f := range desc.Fields {
			want = append(want, fmt.Sprintf("%s %d.%d", f.Name, f.TableOID, int16(f.TableAttributeNumber)))
			if i < len(a.Statements[0].Outputs) {
				if o := a.Statements[0].Outputs[i]; o.Type != 0 && o.Type != f.DataTypeOID && o.Type != 705 {
					t.Errorf("line %d: %s\n\toutput %s has type %d, the server says %d", e.line, e.text, o.Name, o.Type, f.DataTypeOID)
				}
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("line %d: %s\n\tanalysis %v\n\tserver   %v", e.line, e.text, got, want)
		}
	}
}

var selectedCols = regexp.MustCompile(`:relid (\d+)|:selectedCols \(b([ \d]*)\)`)

// oracle asks the server which columns of which relations a query reads: it creates a view and reads the bitmaps that
// PostgreSQL itself would check privileges by.
func oracle(conn *pgx.Conn, text string) (map[sql.Column]struct{}, error) {
	ctx := context.Background()
	tx, err := conn.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback(ctx)
	if _, err := tx.Exec(ctx, "CREATE TEMP VIEW oracle AS "+text); err != nil {
		return nil, err
	}
	var action string
	if err := tx.QueryRow(ctx, `SELECT ev_action::text FROM pg_catalog.pg_rewrite WHERE ev_class = 'pg_temp.oracle'::regclass`).Scan(&action); err != nil {
		return nil, err
	}
	out := map[sql.Column]struct{}{}
	relation := uint64(0)
	for _, m := range selectedCols.FindAllStringSubmatch(action, -1) {
		if m[1] != "" {
			relation, _ = strconv.ParseUint(m[1], 10, 32)
			continue
		}
		for _, n := range strings.Fields(m[2]) {
			att, _ := strconv.Atoi(n)
			out[sql.Column{Table: uint32(relation), Att: int16(att - 7)}] = struct{}{}
		}
		relation = 0
	}
	return out, nil
}

// The columns that the analysis says a SELECT touches must be those the server would check privileges on, no more and
// no less; and each of them that is a base column must have a use on record.
func TestTouchedColumnsAgreeWithTheServer(t *testing.T) {
	conn := connect(t)
	cat := load(t, connect(t))
	compared := 0
	for _, e := range corpus(t, "testdata/corpus.sql") {
		setPath(t, conn, e.path)
		a, err := analyse(cat, e)
		if err != nil || a.Statements[0].Verb != sql.Select || a.Statements[0].MayWrite || strings.Contains(e.text, "$") {
			continue // errors are the other test's
		}
		want, err := oracle(conn, named(a, e.text))
		if err != nil {
			t.Errorf("line %d: %s\n\toracle: %v", e.line, e.text, err)
			continue
		}
		compared++
		got := a.Statements[0].Touched()
		if !maps.Equal(got, want) {
			t.Errorf("line %d: %s\n\tanalysis %v\n\tserver   %v", e.line, e.text, columnNames(cat, got), columnNames(cat, want))
		}
		for col := range got {
			r := cat.Relation(col.Table)
			used := slices.ContainsFunc(a.Statements[0].Columns, func(u sql.ColumnUse) bool { return u.Column == col })
			// (t).column touches the row to the server, but reads the column.
			if r.Kind != "v" && !used && col.Att != 0 {
				t.Errorf("line %d: %s\n\t%v is touched and has no use", e.line, e.text, columnNames(cat, map[sql.Column]struct{}{col: {}}))
			}
		}
	}
	if compared < 100 {
		t.Errorf("only %d statements were compared", compared)
	}
}

// named wraps a query so that its columns can be those of a view: all different, none a pseudo-type.
func named(a *sql.Analysis, text string) string {
	var cols []string
	for i := range a.Statements[0].Outputs {
		cols = append(cols, fmt.Sprintf("c%d", i))
	}
	return "SELECT 1 FROM (" + text + ") AS wrapped (" + strings.Join(cols, ", ") + ")"
}

func columnNames(cat *sql.Catalogue, set map[sql.Column]struct{}) []string {
	var out []string
	for c := range set {
		schema, table, name, _ := cat.ColumnName(c)
		out = append(out, schema+"."+table+"."+name)
	}
	slices.Sort(out)
	return out
}
