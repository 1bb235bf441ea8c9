package cli

import (
	"path/filepath"
	"testing"

	"shiguan/cmd/internal/logtest"
)

// A period's key is destroyed: its records still stand and are proved, and nobody is told what they said.
func TestErasedRecordsAreShownAsErased(t *testing.T) {
	l := logtest.New(t)
	statements := l.Fill(60)
	shiguan(t, "search", "--config", l.Config).must(t, ExitOK) // the index has read them in clear
	l.Stop()
	l.Open() // begins another period, so that the first one can go
	if _, err := l.ErasePeriod(1, "archivist", "retention is over"); err != nil {
		t.Fatal(err)
	}
	l.Fill(10)
	index := statements[2]
	got := shiguan(t, "search", "--config", l.Config, "--json", "--limit", "10000").must(t, ExitOK)
	erased := 0
	for _, one := range objects(t, got.out) {
		if one["erased"] != true {
			continue
		}
		erased++
		if one["statement"] != "" || one["person"] != "" || one["rows"] != nil || one["outcome"] != "erased" || one["state"] != "witnessed" {
			t.Errorf("an erased record is shown as %v", one)
		}
	}
	if erased != len(statements) {
		t.Errorf("%d records are shown as erased, want %d", erased, len(statements))
	}
	shiguan(t, "search", "--config", l.Config, "--limit", "10000").must(t, ExitOK, lawfullyErased)
	shiguan(t, "show", "--config", l.Config, itoa(index)).must(t, ExitOK, lawfullyErased, "statement", "key period")
	shiguan(t, "show", "--config", l.Config, "--json", itoa(index)).must(t, ExitOK, `"erased":true`, `"record":null`)
	shiguan(t, "prove", "--config", l.Config, itoa(index), "-o", filepath.Join(t.TempDir(), "x")).must(t, ExitNot, lawfullyErased)
	shiguan(t, "fsck", "--config", l.Config).must(t, ExitOK, "lawfully erased")
}
