package cli

import (
	"os"
	"path/filepath"
	"testing"

	"shiguan/cmd/internal/keyfile"
	"shiguan/cmd/internal/logtest"
)

// Damage to a wrapped key and a key that is not for us look the same. Fsck does not take one for the other in silence.
func TestFsckDoesNotPassOverWhatItCannotOpen(t *testing.T) {
	l := logtest.New(t)
	l.Fill(20)
	l.Stop()
	shiguan(t, "fsck", "--config", l.Config, "--others").must(t, ExitOK, "holds")

	keys, err := filepath.Glob(filepath.Join(l.LogDir, "keys", "*.age"))
	if err != nil || len(keys) == 0 {
		t.Fatal(keys, err)
	}
	newest := keys[len(keys)-1]
	whole, err := os.ReadFile(newest)
	if err != nil {
		t.Fatal(err)
	}
	damaged := append([]byte{}, whole...)
	damaged[len(whole)/3] ^= 1 // in the recipient's stanza
	write(t, newest, damaged)
	shiguan(t, "fsck", "--config", l.Config).must(t, ExitUsage, "keys/")
	write(t, newest, whole)

	identity := filepath.Join(l.Dir, "investigator.identity")
	if err := os.Remove(identity); err != nil {
		t.Fatal(err)
	}
	if _, err := keyfile.NewIdentity(identity); err != nil {
		t.Fatal(err)
	}
	shiguan(t, "fsck", "--config", l.Config).must(t, ExitUsage, "--others")
	one := objects(t, shiguan(t, "fsck", "--config", l.Config, "--json").must(t, ExitUsage).out)[0]
	if one["verdict"] != "unreadable" || one["not_for_us"] != one["durable"] {
		t.Errorf("--json: %v", one)
	}
	shiguan(t, "fsck", "--config", l.Config, "--others").must(t, ExitOK, "not with our identity")
}
