package tiles

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// KeyType is signed-note's signature type byte.
type KeyType byte

const (
	KeyEd25519     KeyType = 0x01 // a log's own signature
	KeyCosignature KeyType = 0x04 // a witness' timestamped Ed25519 cosignature
	KeyMLDSA44     KeyType = 0x06 // a timestamped ML-DSA-44 signature, a log's own or a witness' cosignature
)

const (
	skeyPrefix = "PRIVATE+KEY+"
	seedSize   = 32 // of both algorithms
)

// VKey is a parsed verifier key, "<name>+<8 hex digits>+<base64>".
type VKey struct {
	Name string
	ID   uint32
	Type KeyType
	Key  []byte // 32 bytes of Ed25519 or 1,312 of ML-DSA-44
}

func newVKey(name string, typ KeyType, key []byte) VKey {
	return VKey{Name: name, ID: keyID(name, typ, key), Type: typ, Key: key}
}

func (k VKey) String() string { return formatKey(k.Name, k.ID, k.Type, k.Key) }

// ref is how messages name the key; its text would fill the screen where it is of ML-DSA-44.
func (k VKey) ref() keyRef { return keyRef{k.Name, k.ID} }

// ParseVKey parses a verifier key of one of the three types above.
func ParseVKey(text string) (VKey, error) {
	name, id, typ, key, err := splitKey(text)
	if err == nil && len(key) != typ.publicSize() {
		err = fmt.Errorf("a key of type 0x%02x has %d bytes, this has %d", byte(typ), typ.publicSize(), len(key))
	}
	if err != nil {
		return VKey{}, fmt.Errorf("verifier key %q: %w", clip(text), err)
	}
	k := VKey{Name: name, ID: id, Type: typ, Key: key}
	if id != keyID(name, typ, key) {
		return VKey{}, fmt.Errorf("verifier key %q: key ID does not belong to name and key; was the line copied whole?", clip(text))
	}
	return k, nil
}

// splitKey parses name, key ID and key, which verifier keys and private keys write alike.
func splitKey(text string) (name string, id uint32, typ KeyType, key []byte, err error) {
	parts := strings.SplitN(text, "+", 3)
	if len(parts) != 3 || !validName(parts[0]) {
		return "", 0, 0, nil, errors.New("want <name>+<key ID>+<key>")
	}
	n, err := strconv.ParseUint(parts[1], 16, 32)
	if err != nil || fmt.Sprintf("%08x", n) != parts[1] {
		return "", 0, 0, nil, errors.New("key ID is not 8 lower-case hex digits")
	}
	raw, err := decodeBase64(parts[2])
	if err != nil || len(raw) == 0 {
		return "", 0, 0, nil, errors.New("key is not canonical base64")
	}
	switch typ = KeyType(raw[0]); typ {
	case KeyEd25519, KeyCosignature, KeyMLDSA44:
		return parts[0], uint32(n), typ, raw[1:], nil
	}
	return "", 0, 0, nil, fmt.Errorf("key type 0x%02x is not supported", raw[0])
}

func keyID(name string, typ KeyType, key []byte) uint32 {
	sum := sha256.Sum256(append([]byte(name+"\n"+string([]byte{byte(typ)})), key...))
	return binary.BigEndian.Uint32(sum[:])
}

func formatKey(name string, id uint32, typ KeyType, key []byte) string {
	return fmt.Sprintf("%s+%08x+%s", name, id, base64.StdEncoding.EncodeToString(append([]byte{byte(typ)}, key...)))
}

func generateKey(name string, typ KeyType) (skey, vkey string, err error) {
	if !validName(name) {
		return "", "", fmt.Errorf("%q cannot name a key: no spaces, no plus, at most %d bytes", clip(name), maxNameLen)
	}
	seed := make([]byte, seedSize)
	rand.Read(seed)
	priv, err := newPrivateKey(typ, seed)
	if err != nil {
		return "", "", fmt.Errorf("generate key: %w", err)
	}
	v := newVKey(name, typ, priv.public())
	return skeyPrefix + formatKey(name, v.ID, typ, seed), v.String(), nil
}

// parseSKey parses a private key. It never repeats any of the text in an error.
func parseSKey(text string, want KeyType) (VKey, privateKey, error) {
	rest, ok := strings.CutPrefix(strings.TrimSuffix(text, "\n"), skeyPrefix)
	if !ok {
		return VKey{}, nil, errors.New("private key does not begin with " + skeyPrefix)
	}
	name, id, typ, seed, err := splitKey(rest)
	if err != nil {
		return VKey{}, nil, fmt.Errorf("private key: %w", err)
	}
	if typ != want {
		return VKey{}, nil, fmt.Errorf("private key of %s has type 0x%02x, want 0x%02x (0x01 signs for a log, 0x04 for a witness, "+
			"0x06 is ML-DSA-44 for either)", name, byte(typ), byte(want))
	}
	priv, err := newPrivateKey(typ, seed)
	if err != nil {
		return VKey{}, nil, fmt.Errorf("private key of %s: %w", name, err)
	}
	v := newVKey(name, typ, priv.public())
	if v.ID != id {
		return VKey{}, nil, fmt.Errorf("private key of %s: key ID does not belong to the key; was the line copied whole?", name)
	}
	return v, priv, nil
}

// sameKey says whether two verifier keys wrap the same public key, which tlog-policy calls duplicate whatever their names.
func sameKey(a, b VKey) bool { return bytes.Equal(a.Key, b.Key) }
