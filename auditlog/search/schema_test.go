package search_test

import (
	"database/sql"
	"net/url"
	"testing"
)

// An index of another version is not migrated: it is emptied and built again.
func TestOtherVersionIsBuiltAgain(t *testing.T) {
	b := newBench(t)
	b.statements(10)
	b.src.signAll()
	b.update()
	if err := b.x.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: b.path}).String())
	if err != nil {
		t.Fatal(err)
	}
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
