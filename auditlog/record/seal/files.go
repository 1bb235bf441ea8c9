package seal

import (
	"errors"
	"fmt"
	"os"

	"filippo.io/age"
)

// NewIdentity makes a key pair for an investigator, as lines of text: the
// identity, which is secret, and the recipient, which proxies need. The pair is
// a hybrid of X25519 and ML-KEM-768, because what is sealed today must still be
// sealed when it is old. age refuses to mix hybrid and other recipients in one
// file: all investigators of a log use the same sort.
func NewIdentity() (identity, recipient string, err error) {
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		return "", "", err
	}
	return id.String(), id.Recipient().String(), nil
}

// ParseRecipients reads a file of age recipients (age1…, age1pq1…), one a line.
func ParseRecipients(file string) ([]age.Recipient, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	recipients, err := age.ParseRecipients(f)
	if err != nil {
		return nil, fmt.Errorf("%s: want one age recipient (age1…) a line: %w", file, err)
	}
	return recipients, nil
}

// ParseIdentities reads a file of age identities, one a line.
func ParseIdentities(file string) ([]age.Identity, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	ids, err := age.ParseIdentities(f)
	if err != nil {
		// age's message could quote a line of this file, which is secret.
		return nil, errors.New(file + ": not a file of age identities: want one AGE-SECRET-KEY-… a line, and lines that begin with #")
	}
	return ids, nil
}
