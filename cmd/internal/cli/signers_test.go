package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shiguan/configs"
)

// edit replaces text in a file.
func edit(t *testing.T, file, old, new string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		t.Fatalf("%s does not contain %q", file, old)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), old, new, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestSecondKeys gives the example log and witness an ML-DSA-44 key each.
func TestSecondKeys(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	at := func(name string) string { return filepath.Join(dir, name) }
	run := func(want int, args ...string) string {
		t.Helper()
		out, said, code := shiguan(t, args...).parts()
		if code != want {
			t.Fatalf("%v: exit code %d: %s%s", args, code, out, said)
		}
		return out + said
	}
	run(ExitOK, "init", "--dir", dir)
	logKey := strings.TrimSpace(run(ExitOK, "key", "new-log", "--ml-dsa", "--origin", exampleOrigin, "-o", at("log.ml-dsa.key")))
	witnessKey := strings.TrimSpace(run(ExitOK, "key", "new-witness", "--ml-dsa", "--name", exampleWitness, "-o", at("witness.ml-dsa.key")))
	edit(t, at("proxy.yaml"), `key_ml_dsa: ""`, "key_ml_dsa: log.ml-dsa.key")
	edit(t, at("witness.yaml"), `key_ml_dsa: ""`, "key_ml_dsa: witness.ml-dsa.key")
	if out := run(ExitNot, "check", "--offline", "--config", at("proxy.yaml")); !strings.Contains(out, "log.key_ml_dsa: "+logKey) {
		t.Errorf("check of the proxy:\n%s", out)
	}
	if out := run(ExitOK, "check", "--config", at("witness.yaml")); !strings.Contains(out, "key_ml_dsa: "+witnessKey) {
		t.Errorf("check of the witness:\n%s", out)
	}
	proxy, err := configs.LoadProxy(at("proxy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if signers, _, err := logSigners(&proxy.Log); err != nil || len(signers) != 2 || signers[1].VKey().String() != logKey {
		t.Errorf("keys of the log: %v, %v", signers, err)
	}
	witness, err := configs.LoadWitness(at("witness.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	o, err := witnessOptions(witness)
	if err != nil || len(o.MoreSigners) != 1 || o.MoreSigners[0].VKey().String() != witnessKey || o.Signer.Name() != exampleWitness {
		t.Errorf("keys of the witness: %+v, %v", o, err)
	}

	// A policy that names only keys which do not sign would refuse every head.
	other := strings.TrimSpace(run(ExitOK, "key", "new-log", "--ml-dsa", "--origin", exampleOrigin, "-o", at("other.key")))
	policy, err := os.ReadFile(at("quorum.policy"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(policy), "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, "log ") {
			lines[i] = "log " + other
		}
	}
	if err := os.WriteFile(at("quorum.policy"), []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := run(ExitNot, "check", "--offline", "--config", at("proxy.yaml")); !strings.Contains(out, "but no key that signs it") {
		t.Errorf("check of the proxy:\n%s", out)
	}
	// The two keys have places of their own.
	edit(t, at("proxy.yaml"), "key_ml_dsa: log.ml-dsa.key", "key_ml_dsa: log.key")
	if out := run(ExitNot, "check", "--offline", "--config", at("proxy.yaml")); !strings.Contains(out, "has type 0x01, want 0x06") {
		t.Errorf("check of the proxy:\n%s", out)
	}
	edit(t, at("witness.yaml"), "key: witness.key", "key: witness.ml-dsa.key")
	if out := run(ExitNot, "check", "--config", at("witness.yaml")); !strings.Contains(out, "has type 0x06, want 0x04") {
		t.Errorf("check of the witness:\n%s", out)
	}
}
