package noninterference

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// worlds are the two databases. The first has the values of the city; what the second one has otherwise depends on the
// person who is to look at it. Both are written anew for each person, so that they are stored in the same way.
type worlds struct {
	first, second *pgx.Conn
	tables        []table // as the city is
	person        string  // whom the second world is made for, and with what lengths
	known         map[string]bool
}

// table is the content of one table, in the order in which it is stored.
type table struct {
	name    string
	columns []string
	rows    [][]string
}

// contents are the tables that differ between worlds, those that others refer to first.
var contents = []struct{ name, columns string }{
	{"civil.citizens", "id_number name phone address birth_date"},
	{"civil.households", "household_id id_number size district"},
	{"housing.fund_accounts", "account_no id_number employer balance"},
	{"welfare.payments", "payment_id id_number amount reason paid_on"},
}

func openWorlds(ctx context.Context, config *pgx.ConnConfig) (*worlds, error) {
	w := &worlds{known: map[string]bool{}}
	for name, conn := range map[string]**pgx.Conn{trueName: &w.first, twinName: &w.second} {
		own := config.Copy()
		own.Database = name
		own.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
		var err error
		if *conn, err = pgx.ConnectConfig(ctx, own); err != nil {
			return nil, err
		}
	}
	for _, c := range contents {
		t := table{name: c.name, columns: strings.Fields(c.columns)}
		rows, err := w.first.Query(ctx, "SELECT "+strings.Join(t.columns, "::text, ")+"::text FROM "+c.name+" ORDER BY ctid")
		if err != nil {
			return nil, err
		}
		if t.rows, err = pgx.CollectRows(rows, texts); err != nil {
			return nil, err
		}
		w.tables = append(w.tables, t)
	}
	for _, row := range w.tables[0].rows[:40] {
		w.known[row[0]] = true
	}
	return w, still(ctx, w.first)
}

// texts reads a row whose columns are all text.
func texts(row pgx.CollectableRow) ([]string, error) {
	list := make([]string, len(row.FieldDescriptions()))
	to := make([]any, len(list))
	for i := range list {
		to[i] = &list[i]
	}
	return list, row.Scan(to...)
}

// write replaces the content of a world.
func (w *worlds) write(ctx context.Context, conn *pgx.Conn, tables []table) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx)
	names := make([]string, len(tables))
	for i := range tables {
		names[i] = tables[i].name
	}
	if _, err := tx.Exec(ctx, "TRUNCATE "+strings.Join(names, ", ")); err != nil {
		return err
	}
	for _, t := range tables {
		var lines strings.Builder
		for _, row := range t.rows {
			lines.WriteString(strings.Join(row, "\t") + "\n")
		}
		if _, err := conn.PgConn().CopyFrom(ctx, strings.NewReader(lines.String()), "COPY "+t.name+" FROM STDIN"); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	// The indexes are built anew too: how large they grew depends on the order in which values came.
	if _, err := conn.Exec(ctx, "VACUUM FULL "+strings.Join(names, ", ")); err != nil {
		return err
	}
	return vacuum(ctx, conn, names)
}

// secrets are the columns whose hidden part a person may not learn, by table: what the masks of the demo's policy keep is
// the same in both worlds, and so is everything that follows from it.
var secrets = map[string]map[string]string{
	// The clerk may compare numbers with those he knows: these persons keep them.
	"civil_clerk": {
		"civil.citizens": "id_number phone address", "civil.households": "id_number",
		"housing.fund_accounts": "account_no id_number employer balance", "welfare.payments": "id_number amount reason paid_on",
	},
	"civil_manager": {"housing.fund_accounts": "account_no employer balance", "welfare.payments": "amount reason paid_on"},
	"fund_clerk": {
		"civil.citizens": "phone address birth_date", "civil.households": "size district", "welfare.payments": "amount reason paid_on",
	},
	"auditor": {
		"civil.citizens": "id_number name phone address", "civil.households": "id_number",
		"housing.fund_accounts": "account_no id_number balance", "welfare.payments": "id_number amount reason",
	},
	"bench": {
		"civil.citizens": "id_number name phone address birth_date", "civil.households": "id_number size district",
		"housing.fund_accounts": "account_no id_number employer balance", "welfare.payments": "id_number amount reason paid_on",
	},
}

// arrange makes the second world for a person. With otherLengths hidden values have other lengths too, which only such
// statements may notice as ask how large a table is.
func (w *worlds) arrange(ctx context.Context, person string, otherLengths bool) error {
	key := fmt.Sprint(person, otherLengths)
	if w.person == key {
		return nil
	}
	d := disguise{known: w.known, otherLengths: otherLengths}
	if person != "civil_clerk" {
		d.known = nil
	}
	var tables []table
	for _, t := range w.tables {
		hidden := strings.Fields(secrets[person][t.name])
		changed := table{name: t.name, columns: t.columns}
		for i, row := range t.rows {
			row = slices.Clone(row)
			for j, column := range t.columns {
				if slices.Contains(hidden, column) {
					row[j] = d.value(column, row[j], i)
				}
			}
			changed.rows = append(changed.rows, row)
		}
		tables = append(tables, changed)
	}
	w.person = ""
	var first, second error
	both(func() { first = w.write(ctx, w.first, w.tables) }, func() { second = w.write(ctx, w.second, tables) })
	if err := errors.Join(first, second); err != nil {
		return err
	}
	if !otherLengths {
		if err := w.alike(ctx, person); err != nil {
			return err
		}
	}
	w.person = key
	return nil
}

// cell is a value of the first world.
func (w *worlds) cell(table, column, row int) string { return w.tables[table].rows[row][column] }
