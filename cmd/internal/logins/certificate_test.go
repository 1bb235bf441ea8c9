package logins

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"shiguan/proxy"
	"shiguan/proxy/certs"
)

// authority is a certification authority made for one test.
type authority struct {
	dir  string
	file string // its certificate
	cert *x509.Certificate
	key  crypto.Signer
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.key = newKey(t, "ecdsa")
	a.cert = &x509.Certificate{Subject: pkix.Name{CommonName: "City CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	a.file = filepath.Join(a.dir, "ca.crt")
	writePEM(t, a.file, "CERTIFICATE", der)
	return a
}

func newKey(t *testing.T, kind string) (key crypto.Signer) {
	t.Helper()
	var err error
	switch kind {
	case "rsa":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue writes NAME.crt and NAME.key. change may say more about the certificate.
func (a *authority) issue(t *testing.T, name string, change func(*x509.Certificate)) certs.Files {
	t.Helper()
	return a.issueFor(t, name, newKey(t, "ecdsa"), change)
}

func (a *authority) issueFor(t *testing.T, name string, key crypto.Signer, change func(*x509.Certificate)) certs.Files {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{Subject: pkix.Name{CommonName: name}, SerialNumber: serial, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	if change != nil {
		change(c)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	f := certs.Files{Certificate: filepath.Join(a.dir, name+".crt"), Key: filepath.Join(a.dir, name+".key")}
	writePEM(t, f.Certificate, "CERTIFICATE", der)
	writePEM(t, f.Key, "PRIVATE KEY", private)
	return f
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// local is what a certificate of a proxy on this machine says.
func local(c *x509.Certificate) {
	c.DNSNames, c.IPAddresses = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)}
}

// withTLS offers TLS with these files.
func withTLS(t *testing.T, mode proxy.TLSMode, files certs.Files) func(*proxy.Options) {
	t.Helper()
	k, err := certs.Open(files)
	if err != nil {
		t.Fatal(err)
	}
	return func(o *proxy.Options) { o.TLS = proxy.ClientTLS{Mode: mode, MinVersion: tls.VersionTLS12, Keeper: k} }
}
