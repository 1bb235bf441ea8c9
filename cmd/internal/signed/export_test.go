package signed

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
)

// VKeyNamed writes an Ed25519 verifier key under another name.
func VKeyNamed(name string, key []byte) (string, error) {
	raw := append([]byte{1}, key...)
	sum := sha256.Sum256(append([]byte(name+"\n"), raw...))
	return name + "+" + hex.EncodeToString(sum[:4]) + "+" + base64.StdEncoding.EncodeToString(raw), nil
}
