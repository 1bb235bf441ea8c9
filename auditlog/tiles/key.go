package tiles

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// KeyType is signed-note's signature type byte.
type KeyType byte

const (
	KeyEd25519     KeyType = 0x01 // a log's own signature
	KeyCosignature KeyType = 0x04 // a witness' timestamped Ed25519 cosignature
)

const skeyPrefix = "PRIVATE+KEY+"

// VKey is a parsed verifier key, "<name>+<8 hex digits>+<base64>".
type VKey struct {
	Name string
	ID   uint32
	Type KeyType
	Key  ed25519.PublicKey
}

func newVKey(name string, typ KeyType, key ed25519.PublicKey) VKey {
	return VKey{Name: name, ID: keyID(name, typ, key), Type: typ, Key: key}
}

func (k VKey) String() string { return formatKey(k.Name, k.ID, k.Type, k.Key) }

// ParseVKey parses a verifier key of one of the two types above.
func ParseVKey(text string) (VKey, error) {
	name, id, typ, key, err := splitKey(text)
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
	typ, key = KeyType(raw[0]), raw[1:]
	if typ != KeyEd25519 && typ != KeyCosignature {
		return "", 0, 0, nil, fmt.Errorf("key type 0x%02x is not supported", raw[0])
	}
	if len(key) != 32 {
		return "", 0, 0, nil, fmt.Errorf("an Ed25519 key has 32 bytes, this has %d", len(key))
	}
	return parts[0], uint32(n), typ, key, nil
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
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", "", fmt.Errorf("generate key: %w", err)
	}
	v := newVKey(name, typ, pub)
	return skeyPrefix + formatKey(name, v.ID, typ, priv.Seed()), v.String(), nil
}

// parseSKey parses a private key. It never repeats any of the text in an error.
func parseSKey(text string, want KeyType) (VKey, ed25519.PrivateKey, error) {
	rest, ok := strings.CutPrefix(strings.TrimSuffix(text, "\n"), skeyPrefix)
	if !ok {
		return VKey{}, nil, errors.New("private key does not begin with " + skeyPrefix)
	}
	name, id, typ, seed, err := splitKey(rest)
	if err != nil {
		return VKey{}, nil, fmt.Errorf("private key: %w", err)
	}
	if typ != want {
		return VKey{}, nil, fmt.Errorf("private key of %s has type 0x%02x, want 0x%02x (0x01 signs for a log, 0x04 for a witness)", name, byte(typ), byte(want))
	}
	priv := ed25519.NewKeyFromSeed(seed)
	v := newVKey(name, typ, priv.Public().(ed25519.PublicKey))
	if v.ID != id {
		return VKey{}, nil, fmt.Errorf("private key of %s: key ID does not belong to the key; was the line copied whole?", name)
	}
	return v, priv, nil
}

// GenerateLogKey makes a log's key pair. The origin is the name of the key. skey is secret and belongs into a file of its own.
func GenerateLogKey(origin string) (skey, vkey string, err error) {
	return generateKey(origin, KeyEd25519)
}

// LogSigner signs checkpoints for one log. It implements note.Signer.
type LogSigner struct {
	vkey VKey
	priv ed25519.PrivateKey
}

// NewLogSigner takes the text of a private key file as GenerateLogKey makes it; one newline at the end is allowed.
func NewLogSigner(skey string) (*LogSigner, error) {
	v, priv, err := parseSKey(skey, KeyEd25519)
	if err != nil {
		return nil, err
	}
	return &LogSigner{v, priv}, nil
}

func (s *LogSigner) Name() string    { return s.vkey.Name }
func (s *LogSigner) KeyHash() uint32 { return s.vkey.ID }
func (s *LogSigner) VKey() VKey      { return s.vkey }

func (s *LogSigner) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.priv, msg), nil }

// LogVerifier verifies the signatures of one log. It implements note.Verifier.
type LogVerifier struct{ vkey VKey }

// NewLogVerifier takes a verifier key of type 0x01.
func NewLogVerifier(vkey string) (*LogVerifier, error) {
	k, err := ParseVKey(vkey)
	if err != nil {
		return nil, err
	}
	if k.Type != KeyEd25519 {
		return nil, fmt.Errorf("key %s+%08x has type 0x%02x; a log's key has type 0x01", k.Name, k.ID, byte(k.Type))
	}
	return &LogVerifier{k}, nil
}

func (v *LogVerifier) Name() string    { return v.vkey.Name }
func (v *LogVerifier) KeyHash() uint32 { return v.vkey.ID }
func (v *LogVerifier) VKey() VKey      { return v.vkey }

func (v *LogVerifier) Verify(msg, sig []byte) bool { return ed25519.Verify(v.vkey.Key, msg, sig) }

var (
	_ note.Signer   = (*LogSigner)(nil)
	_ note.Verifier = (*LogVerifier)(nil)
)

// sameKey says whether two verifier keys wrap the same public key, which tlog-policy calls duplicate whatever their names.
func sameKey(a, b VKey) bool { return bytes.Equal(a.Key, b.Key) }
