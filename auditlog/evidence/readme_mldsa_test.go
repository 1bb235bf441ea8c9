package evidence_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/mldsa"
	"filippo.io/mldsa/x509"

	"shiguan/auditlog/evidence"
	"shiguan/auditlog/tiles"
)

// openSSLEnv makes the test binary behave as `openssl pkeyutl -verify` of a version that knows ML-DSA-44.
const openSSLEnv = "SHIGUAN_EVIDENCE_PKEYUTL"

func TestMain(m *testing.M) {
	if os.Getenv(openSSLEnv) != "" {
		if err := pkeyutl(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// pkeyutl reads the key with another parser than ours and verifies the bytes that the script has put together.
func pkeyutl(args []string) error {
	file := map[string][]byte{}
	for i, arg := range args {
		switch arg {
		case "-inkey", "-in", "-sigfile":
			b, err := os.ReadFile(args[i+1])
			if err != nil {
				return err
			}
			file[arg] = b
		}
	}
	key, err := x509.ParsePKIXPublicKey(file["-inkey"])
	if err != nil {
		return err
	}
	pub, ok := key.(*mldsa.PublicKey)
	if !ok || pub.Parameters() != mldsa.MLDSA44() {
		return errors.New("not an ML-DSA-44 key")
	}
	return mldsa.Verify(pub, file["-in"], file["-sigfile"], nil)
}

// newerOpenSSL puts an openssl first on PATH that has ML-DSA-44 and otherwise is the one of this machine. Its name for the
// algorithm is that of OpenSSL 3.5.
func newerOpenSSL(t *testing.T) {
	t.Helper()
	real, err := exec.LookPath("openssl")
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	script := fmt.Sprintf(`#!/bin/sh
pub=
for a in "$@"; do [ "$last" = -inkey ] && pub=$a; last=$a; done
case $1 in
  list) echo "  { 2.16.840.1.101.3.4.3.17, id-ml-dsa-44, ML-DSA-44, MLDSA44 } @ default"; exit 0 ;;
  pkeyutl) [ "$(wc -c < "$pub")" -gt 1000 ] && %s=1 exec %q "$@" ;;
esac
exec %q "$@"
`, openSSLEnv, self, real)
	if err := os.WriteFile(filepath.Join(dir, "openssl"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// mldsaCity gives the log and the first and last witness an ML-DSA-44 key instead of the old one.
func mldsaCity(t *testing.T) *city {
	c := newCity(t)
	skey, vkey, err := tiles.GenerateMLDSAKey(origin)
	c.must(err)
	c.logKey, err = tiles.NewMLDSALogSigner(skey)
	c.must(err)
	text := "log " + vkey + "\n"
	for i, name := range witnessNames {
		if i != 1 {
			skey, _, err := tiles.GenerateMLDSAKey(name + ".example/witness")
			c.must(err)
			c.witnesses[i], err = tiles.NewMLDSACosigner(skey)
			c.must(err)
		}
		text += "witness " + name + " " + c.witnesses[i].VKey().String() + "\n"
	}
	c.policy, err = tiles.ParsePolicy([]byte(text + "group city 2 discipline-inspection audit-office data-bureau\nquorum city\n"))
	c.must(err)
	return c
}

// TestReadmeOfMLDSA runs the script with an OpenSSL that has ML-DSA-44, on good and on bad evidence.
func TestReadmeOfMLDSA(t *testing.T) {
	newerOpenSSL(t)
	c := mldsaCity(t)
	e, _, err := evidence.New(c.evidence(index, c.checkpoint(0, 1, 2)))
	c.must(err)
	file := c.write(e)
	if _, err := evidence.Verify(file, c.policy.Text()); err != nil {
		t.Fatal(err)
	}
	good, err := evidence.Unzip(file)
	c.must(err)
	out, err := runReadme(t, good)
	const want = "signed by log civil.example/audit\nsigned by witness discipline-inspection\nsigned by witness audit-office\n" +
		"signed by witness data-bureau\nleaf.bin is in the log\nrecord.json is what leaf.bin stands for\n"
	if err != nil || out != want {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, tc := range []struct{ old, new, say string }{
		{"\n300\n", "\n301\n", "signature of log civil.example/audit"},
		{origin + "\n300\n", "civil.example/audi_\n300\n", "signature of log civil.example/audit"},
		{"— discipline-inspection.example/witness ", "", "signature of witness discipline-inspection"}, // its line is spoilt below
	} {
		bad := good
		bad[0] = bytes.Replace(good[0], []byte(tc.old), []byte(tc.new), 1)
		if tc.new == "" {
			at := bytes.Index(good[0], []byte(tc.old)) + len(tc.old) + 2000
			bad[0] = bytes.Clone(good[0])
			bad[0][at] = 'A' + (bad[0][at]+1)%16
		}
		if out, err := runReadme(t, bad); err == nil || !strings.Contains(out, "DOES NOT HOLD: "+tc.say) {
			t.Errorf("%q: %v\n%s", tc.new, err, out)
		}
	}
}

// TestReadmeWithoutMLDSA: an OpenSSL that is too old says so for each such key, and says nothing of them being good or bad.
func TestReadmeWithoutMLDSA(t *testing.T) {
	algorithms, err := exec.Command("openssl", "list", "-signature-algorithms").Output()
	if err != nil {
		t.Fatal(err)
	}
	line := "NOT CHECKED, because it takes OpenSSL 3.5: "
	if bytes.Contains(bytes.ToUpper(algorithms), []byte("ML-DSA-44")) {
		line = "signed by "
	}
	c := mldsaCity(t)
	e, _, err := evidence.New(c.evidence(index, c.checkpoint(0, 1)))
	c.must(err)
	raw, err := evidence.Unzip(c.write(e))
	c.must(err)
	out, err := runReadme(t, raw)
	want := line + "log civil.example/audit\n" + line + "witness discipline-inspection\nsigned by witness audit-office\n" +
		"leaf.bin is in the log\nrecord.json is what leaf.bin stands for\n"
	if err != nil || out != want {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestReadmeOfEd25519 keeps ML-DSA-44 out of evidence that has nothing to do with it: what was given out before it verifies.
func TestReadmeOfEd25519(t *testing.T) {
	c := newCity(t)
	_, report, err := evidence.New(c.evidence(index, c.checkpoint(0, 1)))
	c.must(err)
	if text := evidence.Readme(report); strings.Contains(text, "ML-DSA") || strings.Contains(text, "{{") || !strings.Contains(text, "OpenSSL 3, and") {
		t.Errorf("the text is another:\n%s", text)
	}
}
