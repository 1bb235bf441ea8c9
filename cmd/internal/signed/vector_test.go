package signed_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"shiguan/cmd/internal/signed"
	"shiguan/configs"
)

// policy/testdata/signed is for people who write their own signer or verifier: a policy, its signatures, and the keys.
func TestPublishedVector(t *testing.T) {
	read := func(name string) []byte {
		t.Helper()
		text, err := os.ReadFile("../../../policy/testdata/signed/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	keys := strings.Fields(string(read("signers.txt")))
	signers := &configs.LevelSigners{Name: "civil-affairs", K: 2, Keys: keys}
	s, by, err := signed.Verify(signed.Department, signers, read("policy.yaml"), read("policy.yaml.sig"), time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC))
	if err != nil || s.Serial != 7 || strings.Join(by, " ") != "li.audit-office wang.data-bureau" {
		t.Errorf("%+v by %v: %v", s, by, err)
	}
	if _, _, err := signed.Verify(signed.Ceiling, signers, read("policy.yaml"), read("policy.yaml.sig"), time.Now()); err == nil {
		t.Error("it holds as a ceiling")
	}
}
