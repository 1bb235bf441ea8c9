package search_test

import (
	"database/sql"
	"net/url"
	"testing"
)

// database opens the index's file behind the index's back.
func (b *bench) database() *sql.DB {
	b.t.Helper()
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: b.path}).String())
	if err != nil {
		b.t.Fatal(err)
	}
	return db
}

// rows returns the number that a query gives.
func (b *bench) rows(query string) (n int) {
	b.t.Helper()
	db := b.database()
	defer db.Close()
	if err := db.QueryRow(query).Scan(&n); err != nil {
		b.t.Fatal(err)
	}
	return n
}

// An index of another version is not migrated: it is emptied and built again.
func TestOtherVersionIsBuiltAgain(t *testing.T) {
	b := newBench(t)
	b.statements(10)
	b.src.signAll()
	b.update()
	if err := b.x.Close(); err != nil {
		t.Fatal(err)
	}
	db := b.database()
	for _, query := range []string{"DROP TABLE outcomes", "CREATE TABLE \"odd name\" (a)", "PRAGMA user_version = 999"} {
		if _, err := db.Exec(query); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	b.x = openIndex(t, b.path)
	b.update()
	b.same()
}
