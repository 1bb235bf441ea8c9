package auth

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/xdg-go/scram"
)

// Mechanism is the SASL mechanism that is spoken here.
const Mechanism = "SCRAM-SHA-256"

const (
	// DefaultIterations is PostgreSQL's default, and what clients accept at least.
	DefaultIterations = 4096
	maxIterations     = 1_000_000 // about a second of a client's time

	saltSize = 16
	keySize  = 32
)

// verifier is what proves a password without telling it.
type verifier struct {
	iterations           int
	salt                 string // raw bytes
	storedKey, serverKey []byte
}

// NewVerifier makes the verifier of a password with a random salt, in the form in which PostgreSQL keeps it:
// SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>.
func NewVerifier(password string, iterations int) (string, error) {
	if password == "" {
		return "", errors.New("the password is empty: clients cannot log in with an empty one")
	}
	if iterations < DefaultIterations || iterations > maxIterations {
		return "", fmt.Errorf("%d iterations: give %d to %d", iterations, DefaultIterations, maxIterations)
	}
	salt := make([]byte, saltSize)
	rand.Read(salt) // never fails: crypto/rand ends the process instead
	v, err := derive(password, string(salt), iterations)
	if err != nil {
		return "", err
	}
	return v.String(), nil
}

// derive does the slow work of SCRAM. Like PostgreSQL and libpq it prepares the password with SASLprep, and takes it as it
// is where SASLprep refuses it.
func derive(password, salt string, iterations int) (verifier, error) {
	client, err := scram.SHA256.NewClient("", password, "")
	if err != nil {
		if client, err = scram.SHA256.NewClientUnprepped("", password, ""); err != nil {
			return verifier{}, err
		}
	}
	c, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: salt, Iters: iterations})
	if err != nil {
		return verifier{}, fmt.Errorf("deriving keys from a password: %w", err)
	}
	return verifier{iterations, salt, c.StoredKey, c.ServerKey}, nil
}

func (v verifier) String() string {
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("%s$%d:%s$%s:%s", Mechanism, v.iterations, b64([]byte(v.salt)), b64(v.storedKey), b64(v.serverKey))
}

func (v verifier) credentials() scram.StoredCredentials {
	return scram.StoredCredentials{
		KeyFactors: scram.KeyFactors{Salt: v.salt, Iters: v.iterations},
		StoredKey:  v.storedKey, ServerKey: v.serverKey,
	}
}

// parseVerifier reads a verifier strictly: what it accepts is written again as the same text. Its errors do not quote it.
func parseVerifier(text string) (verifier, error) {
	scheme, rest, _ := strings.Cut(text, "$")
	if scheme != Mechanism {
		return verifier{}, errors.New("the verifier does not begin with SCRAM-SHA-256$: make one with `shiguan passwd`")
	}
	factors, keys, _ := strings.Cut(rest, "$")
	iterations, salt, _ := strings.Cut(factors, ":")
	stored, server, _ := strings.Cut(keys, ":")
	n, err := strconv.Atoi(iterations)
	if err != nil || n < DefaultIterations || n > maxIterations {
		return verifier{}, fmt.Errorf("the verifier's iteration count is not a number from %d to %d", DefaultIterations, maxIterations)
	}
	v := verifier{iterations: n}
	rawSalt, err := rawBytes(salt, saltSize)
	if err != nil {
		return verifier{}, fmt.Errorf("the verifier's salt %w", err)
	}
	v.salt = string(rawSalt)
	if v.storedKey, err = rawBytes(stored, keySize); err != nil {
		return verifier{}, fmt.Errorf("the verifier's StoredKey %w", err)
	}
	if v.serverKey, err = rawBytes(server, keySize); err != nil {
		return verifier{}, fmt.Errorf("the verifier's ServerKey %w", err)
	}
	if v.String() != text {
		return verifier{}, errors.New("the verifier is not written as PostgreSQL writes it: make one with `shiguan passwd`")
	}
	return v, nil
}

func rawBytes(text string, size int) ([]byte, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != size {
		return nil, fmt.Errorf("is not %d bytes in base64", size)
	}
	return raw, nil
}
