package certs

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
)

// Files are PEM files of one side of TLS; what is not needed is empty.
type Files struct {
	Certificate string // our certificate, the chain up to its authority behind it
	Key         string // its private key
	CA          string // the authorities that may vouch for the other side
}

// Material is what was in Files at one moment. It is immutable.
type Material struct {
	Certificate *tls.Certificate // nil: none
	CA          *x509.CertPool   // nil: none
}

// Fingerprint is the SHA-256 of our certificate as `openssl x509 -fingerprint -sha256` means it; empty without one.
func (m *Material) Fingerprint() string {
	if m.Certificate == nil {
		return ""
	}
	return Fingerprint(m.Certificate.Leaf)
}

// Fingerprint is the SHA-256 of a certificate in hex.
func Fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// Keeper keeps the newest usable content of Files. It is safe for concurrent use.
type Keeper struct {
	files   Files
	current atomic.Pointer[Material]

	mu   sync.Mutex
	seen [3][]byte // contents at the last look, whether they were usable or not
}

// Open reads the files. All problems with them are errors here; later ones are Refresh's.
func Open(files Files) (*Keeper, error) {
	k := &Keeper{files: files}
	if _, err := k.Refresh(); err != nil {
		return nil, err
	}
	return k, nil
}

// Current is what is in force.
func (k *Keeper) Current() *Material { return k.current.Load() }

// Refresh looks at the files and puts them in force where they have changed. What is wrong with them is reported once,
// until they change again.
func (k *Keeper) Refresh() (changed bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	contents, err := k.files.read()
	if err != nil {
		return false, err
	}
	same := k.current.Load() != nil
	for i := range contents {
		same = same && bytes.Equal(contents[i], k.seen[i])
	}
	if same {
		return false, nil
	}
	k.seen = contents
	m, err := k.files.parse(contents)
	if err != nil {
		return false, err
	}
	k.current.Store(m)
	return true, nil
}

// maxFile bounds what is read of a file: hundreds of certificates fit.
const maxFile = 4 << 20

func (f Files) read() (contents [3][]byte, err error) {
	for i, name := range []string{f.Certificate, f.Key, f.CA} {
		if name == "" {
			continue
		}
		info, err := os.Stat(name)
		if err != nil {
			return contents, err
		}
		if info.Size() > maxFile {
			return contents, fmt.Errorf("%s: %d bytes are no certificate or key: give PEM files", name, info.Size())
		}
		if contents[i], err = os.ReadFile(name); err != nil {
			return contents, err
		}
	}
	return contents, nil
}

func (f Files) parse(contents [3][]byte) (*Material, error) {
	m := &Material{}
	if f.Certificate != "" || f.Key != "" {
		pair, err := tls.X509KeyPair(contents[0], contents[1])
		if err != nil {
			return nil, fmt.Errorf("%s with %s: %w", f.Certificate, f.Key, plain(err))
		}
		m.Certificate = &pair
	}
	if f.CA != "" {
		m.CA = x509.NewCertPool()
		if !m.CA.AppendCertsFromPEM(contents[2]) {
			return nil, fmt.Errorf("%s: no certificate in PEM form is in it", f.CA)
		}
	}
	return m, nil
}

// plain leaves out of an error which library found it.
func plain(err error) error {
	return errors.New(string(bytes.TrimPrefix([]byte(err.Error()), []byte("tls: "))))
}
