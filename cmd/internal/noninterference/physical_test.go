package noninterference

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// physique lists what a server knows of its tables besides their values: pages, rows, visibility, and the statistics of
// columns that are the same in both worlds. Plans and their costs follow from it, and with them the order of rows.
const physique = `
SELECT 'relation', n.nspname || '.' || c.relname, concat_ws(' ', c.relpages, c.reltuples, c.relallvisible, pg_relation_size(c.oid))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN ('civil', 'housing', 'welfare') AND c.relkind IN ('r', 'i', 'm')
UNION ALL
SELECT 'column', s.schemaname || '.' || s.tablename || '.' || s.attname, s::text
FROM pg_stats s WHERE s.schemaname IN ('civil', 'housing', 'welfare')
ORDER BY 1, 2`

func readPhysique(ctx context.Context, conn *pgx.Conn) ([][]string, error) {
	rows, err := conn.Query(ctx, physique)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, texts)
}

// alike reports how the worlds differ physically, but for what the person's secrets make different: the statistics of the
// hidden columns.
func (w *worlds) alike(ctx context.Context, person string) error {
	first, err := readPhysique(ctx, w.first)
	if err != nil {
		return err
	}
	second, err := readPhysique(ctx, w.second)
	if err != nil {
		return err
	}
	if len(first) != len(second) || len(first) < 20 {
		return fmt.Errorf("%d facts about the first world, %d about the second", len(first), len(second))
	}
	for i, a := range first {
		if a[0] == "column" {
			table, column := a[1][:strings.LastIndex(a[1], ".")], a[1][strings.LastIndex(a[1], ".")+1:]
			if slices.Contains(strings.Fields(secrets[person][table]), column) {
				continue
			}
		}
		if !slices.Equal(a, second[i]) {
			return fmt.Errorf("the worlds differ physically: %s and %s", a, second[i])
		}
	}
	return nil
}

// vacuum goes on until every page is known to be visible to all. One transaction of another session that is open meanwhile
// (the proxy reads the catalogue, sessions of the tests end) keeps pages from that, in one world and not in the other.
func vacuum(ctx context.Context, conn *pgx.Conn, tables []string) error {
	for until := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err := conn.Exec(ctx, "VACUUM (FREEZE, ANALYZE) "+strings.Join(tables, ", ")); err != nil {
			return err
		}
		var visible bool
		err := conn.QueryRow(ctx, "SELECT bool_and(relallvisible = relpages) FROM pg_class WHERE oid = ANY (cast($1::text[] AS regclass[]))", tables).Scan(&visible)
		if err != nil || visible {
			return err
		}
		if time.Now().After(until) {
			return errors.New("after 30 seconds of vacuum there are pages that are not visible to all")
		}
	}
}

// still waits until no vacuum runs that nobody of us started.
func still(ctx context.Context, conn *pgx.Conn) error {
	for until := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		var n int
		if err := conn.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'autovacuum%'").Scan(&n); err != nil || n == 0 {
			return err
		}
		if time.Now().After(until) {
			return fmt.Errorf("autovacuum was switched off and %d of its processes still run", n)
		}
	}
}

// TestWorldsArePhysicallyEqual fills the first world with dead rows, as vectors that write do, and has arrange make both
// worlds anew.
func TestWorldsArePhysicallyEqual(t *testing.T) {
	for person := range secrets {
		if _, err := town.worlds.first.Exec(t.Context(), "UPDATE civil.citizens SET address = address"); err != nil {
			t.Fatal(err)
		}
		if err := town.worlds.alike(t.Context(), person); err == nil {
			t.Error("a world full of dead rows passed as equal to one without")
		}
		town.worlds.person = ""
		if err := town.worlds.arrange(t.Context(), person, false); err != nil { // it asks alike itself
			t.Error(err)
		}
	}
}
