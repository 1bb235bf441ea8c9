package cli

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// certificate writes NAME.crt and NAME.key into dir.
func certificate(t *testing.T, dir, name string, from, until time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{Subject: pkix.Name{CommonName: name}, SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{name + ".crt": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCheckLooksAtTLS(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "x")
	if _, said, code := shiguan(t, "init", "--dir", dir, "--origin", "audit.example.gov.cn/x").parts(); code != 0 {
		t.Fatal(said)
	}
	config := filepath.Join(dir, "proxy.yaml")
	before, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	certificate(t, dir, "proxy", now.Add(-time.Hour), now.Add(time.Hour))
	certificate(t, dir, "old", now.Add(-2*time.Hour), now.Add(-time.Hour))
	certificate(t, dir, "early", now.Add(time.Hour), now.Add(2*time.Hour))
	certificate(t, dir, "open", now.Add(-time.Hour), now.Add(time.Hour))
	if err := os.Chmod(filepath.Join(dir, "open.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ name, key, ca, want string }{
		{"proxy", "proxy", `""`, "✓ tls: require, CN=proxy until"},
		{"proxy", "proxy", "proxy.crt", "✓ tls: require, CN=proxy until"},
		{"old", "old", `""`, "✗ tls: the certificate of CN=old expired"},
		{"early", "early", `""`, "✗ tls: the certificate of CN=early is not valid before"},
		{"open", "open", `""`, "open.key is open to others"},
		{"proxy", "old", `""`, "private key does not match"},
		{"none", "none", `""`, "no such file"},
		{"proxy", "proxy", "proxy.key", "no certificate in PEM form"},
	} {
		text := strings.NewReplacer("mode: disable", "mode: require", "proxy.crt", x.name+".crt", "proxy.key", x.key+".key", `client_ca: ""`, "client_ca: "+x.ca).Replace(string(before))
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, _, _ := shiguan(t, "check", "--offline", "--config", config).parts()
		if !strings.Contains(out, x.want) {
			t.Errorf("%+v: %s", x, out)
		}
	}
	people := "version: 1\npeople:\n  - {user: ann, login: certificate, department: d, position: p}\n"
	if err := os.WriteFile(filepath.Join(dir, "people.yaml"), []byte(people), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _, _ := shiguan(t, "check", "--offline", "--config", config).parts()
	if strings.Contains(out, "set tls.client_ca") {
		t.Errorf("client_ca is set: %s", out)
	}
	if err := os.WriteFile(config, before, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, _, _ = shiguan(t, "check", "--offline", "--config", config).parts(); !strings.Contains(out, "ann logs in by certificate") {
		t.Errorf("nobody can show a certificate, and nobody is told: %s", out)
	}
}
