package noninterference

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// TestIndexesTellNoOrder has the server prefer indexes that sort by hidden values: after a column that may be searched, over
// part of a table, and enough to answer by themselves.
func TestIndexesTellNoOrder(t *testing.T) {
	if err := town.worlds.arrange(t.Context(), "civil_clerk", false); err != nil {
		t.Fatal(err)
	}
	inBoth := func(statement string) {
		t.Helper()
		for name, conn := range map[string]*pgx.Conn{trueName: town.worlds.first, twinName: town.worlds.second} {
			if _, err := conn.Exec(context.Background(), strings.ReplaceAll(statement, "{database}", name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for setting, cost := range map[string]string{"seq_page_cost": "100", "random_page_cost": "0.01", "jit": "off"} {
		inBoth("ALTER DATABASE {database} SET " + setting + " = " + cost)
		defer inBoth("ALTER DATABASE {database} RESET " + setting)
	}
	for _, definition := range []string{"(birth_date, phone)", "(phone) WHERE birth_date < '1960-01-01'", "(date_part('year', birth_date), address)", "(address, birth_date)"} {
		inBoth("CREATE INDEX tells ON civil.citizens " + definition)
		p := open(t, "civil_clerk", "case-2026-114")
		for _, text := range []string{
			"select birth_date, name from civil.citizens where birth_date < '1960-01-01'",
			"select name from civil.citizens where birth_date between '1950-01-01' and '1950-12-31'",
			"select birth_date, name from civil.citizens order by birth_date limit 60",
			"select birth_date from civil.citizens where birth_date < '1960-01-01'",
			"select name from civil.citizens where date_part('year', birth_date) = 1950",
			"select name from civil.citizens where date_part('year', birth_date) in (1950, 1951) order by date_part('year', birth_date)",
			"select address, id_number from civil.citizens limit 10",
			"select address, birth_date from civil.citizens",
			"discard all; set shiguan.purpose = 'case-1'; select birth_date from civil.citizens order by birth_date",
		} {
			v, said, leak, err := p.ask(queries(text), false, true)
			if err != nil {
				t.Fatal(err)
			}
			if leak != "" {
				t.Errorf("LEAK with an index %s: %s\n\t%s", definition, text, leak)
			}
			if v != allowed && text[0] == 's' {
				t.Errorf("%s was %s: %s", text, v, last(said))
			}
		}
		p.close()
		inBoth("DROP INDEX civil.tells")
	}
	town.worlds.person = ""
}
