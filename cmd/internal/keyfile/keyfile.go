package keyfile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"shiguan/auditlog/record"
	"shiguan/auditlog/record/seal"
	"shiguan/auditlog/tiles"
)

// ErrExists is returned, wrapped with the file's name, where a secret already stands.
var ErrExists = errors.New("already exists and is not overwritten: move it away if it is really not needed any more")

// Write creates a file that only its owner may read, durable before it returns, and refuses to replace one. It is
// written beside its place and linked there, so that a crash leaves no half a secret under the name.
func Write(file, text string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	draft, err := os.CreateTemp(filepath.Dir(file), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name())
	_, err = draft.WriteString(text)
	err = errors.Join(err, draft.Sync(), draft.Close())
	if err != nil {
		return err
	}
	// Unlike rename, link fails where the name is taken.
	if err := os.Link(draft.Name(), file); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s %w", file, ErrExists)
	} else if err != nil {
		return err
	}
	return syncDir(filepath.Dir(file))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// NewLog writes a log's signing key and returns the verifier key that belongs into quorum policies.
func NewLog(file, origin string) (vkey string, err error) {
	skey, vkey, err := tiles.GenerateLogKey(origin)
	if err != nil {
		return "", err
	}
	return vkey, Write(file, skey+"\n")
}

// NewMLDSA writes an ML-DSA-44 key, which a log of that origin or a witness of that name has beside its Ed25519 key, and
// returns the verifier key.
func NewMLDSA(file, name string) (vkey string, err error) {
	skey, vkey, err := tiles.GenerateMLDSAKey(name)
	if err != nil {
		return "", err
	}
	return vkey, Write(file, skey+"\n")
}

// NewWitness writes a witness's cosigning key and returns its verifier key.
func NewWitness(file, name string) (vkey string, err error) {
	skey, vkey, err := tiles.GenerateWitnessKey(name)
	if err != nil {
		return "", err
	}
	return vkey, Write(file, skey+"\n")
}

// NewIdentity writes an investigator's age identity and returns the recipient that proxies seal to.
func NewIdentity(file string) (recipient string, err error) {
	identity, recipient, err := seal.NewIdentity()
	if err != nil {
		return "", err
	}
	return recipient, Write(file, fmt.Sprintf("# public key: %s\n%s\n", recipient, identity))
}

// NewSubjectKey writes a subject key. There is no public part.
func NewSubjectKey(file string) error { return Write(file, record.NewSubjectKey().Encode()+"\n") }

// NewPassword writes a random password of 128 bits and returns it.
func NewPassword(file string) (password string, err error) {
	password = rand.Text()
	return password, Write(file, password+"\n")
}
