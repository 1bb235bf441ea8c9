package keyfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shiguan/auditlog/record"
	"shiguan/auditlog/record/seal"
	"shiguan/auditlog/tiles"
	"shiguan/cmd/internal/keyfile"
)

func read(t *testing.T, file string) string {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("%s has mode %v", file, info.Mode())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestKeysAreWhatTheirReadersExpect(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, "keys", name) }

	vkey, err := keyfile.NewLog(at("log.key"), "example.org/log")
	if err != nil {
		t.Fatal(err)
	}
	if s, err := tiles.NewLogSigner(read(t, at("log.key"))); err != nil || s.VKey().String() != vkey {
		t.Errorf("log key: %v", err)
	}
	vkey, err = keyfile.NewWitness(at("witness.key"), "audit-office")
	if err != nil {
		t.Fatal(err)
	}
	if s, err := tiles.NewCosigner(strings.TrimSpace(read(t, at("witness.key")))); err != nil || s.VKey().String() != vkey {
		t.Errorf("witness key: %v", err)
	}
	vkey, err = keyfile.NewMLDSA(at("ml-dsa.key"), "audit-office")
	if err != nil {
		t.Fatal(err)
	}
	if s, err := tiles.NewMLDSACosigner(read(t, at("ml-dsa.key"))); err != nil || s.VKey().String() != vkey {
		t.Errorf("witness's ML-DSA-44 key: %v", err)
	}
	if s, err := tiles.NewMLDSALogSigner(read(t, at("ml-dsa.key"))); err != nil || s.VKey().String() != vkey {
		t.Errorf("log's ML-DSA-44 key: %v", err)
	}
	recipient, err := keyfile.NewIdentity(at("identity"))
	if err != nil {
		t.Fatal(err)
	}
	if ids, err := seal.ParseIdentities(at("identity")); err != nil || len(ids) != 1 {
		t.Errorf("identity: %v", err)
	}
	if text := read(t, at("identity")); !strings.Contains(text, recipient) {
		t.Error("the identity file does not name its recipient")
	}
	if err := keyfile.NewSubjectKey(at("subject.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := record.ParseSubjectKey([]byte(read(t, at("subject.key")))); err != nil {
		t.Error(err)
	}
	password, err := keyfile.NewPassword(at("password"))
	if err != nil || read(t, at("password")) != password+"\n" || len(password) < 22 {
		t.Errorf("password: %v", err)
	}
	left, err := os.ReadDir(filepath.Join(dir, "keys"))
	if err != nil || len(left) != 6 {
		t.Errorf("files left: %v, %v", left, err)
	}
}

func TestNothingIsOverwritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := keyfile.Write(file, "first"); err != nil {
		t.Fatal(err)
	}
	err := keyfile.Write(file, "second")
	if !errors.Is(err, keyfile.ErrExists) || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v", err)
	}
	if read(t, file) != "first" {
		t.Error("the first secret is gone")
	}
}
