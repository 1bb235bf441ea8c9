package e2e

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// Who is struck off the people file, or becomes somebody else in it, is put out of the sessions he has.
func TestRevokedPeopleAreDisconnected(t *testing.T) {
	file := filepath.Join(city.dir, "people.yaml")
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	leaving, staying := connect(t, "auditor"), connect(t, "bench")
	changed := bytes.Replace(before, []byte("audit-office"), []byte("archive"), 1)
	if bytes.Equal(changed, before) {
		t.Fatal("the auditor's department does not stand in the people file")
	}
	policy, err := os.ReadFile(city.Policy)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(file, before, 0o600); err != nil {
			t.Fatal(err)
		}
		putPolicy(t, policy)
	})
	if err := os.WriteFile(file, changed, 0o600); err != nil {
		t.Fatal(err)
	}
	putPolicy(t, policy) // reads both files again
	eventually(t, "the auditor's session ends", func() error {
		_, err := leaving.Exec(t.Context(), "select 1")
		var told *pgconn.PgError
		switch {
		case err == nil:
			return errors.New("it still answers")
		case errors.As(err, &told) && told.Code != "57P01":
			t.Errorf("he is told %v", told)
		}
		return nil
	})
	if _, err := staying.Exec(t.Context(), "select 1"); err != nil {
		t.Errorf("another session ended too: %v", err)
	}
}
