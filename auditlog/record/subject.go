package record

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"
)

// Subject names a person whom data is about without saying who it is: a keyed
// hash of an identifier such as a resident ID. Without the key about 10^11
// guesses would reverse it; with the key it says which records are about whom.
type Subject [16]byte

// String returns the subject as 32 lower-case hex digits.
func (s Subject) String() string { return hex.EncodeToString(s[:]) }

// MarshalText implements encoding.TextMarshaler.
func (s Subject) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, s[:]), nil }

// UnmarshalText implements encoding.TextUnmarshaler; it takes lower case only.
func (s *Subject) UnmarshalText(text []byte) error {
	parsed, err := ParseSubject(string(text))
	if err != nil {
		return err
	}
	*s = parsed
	return nil
}

// ParseSubject is the inverse of String.
func ParseSubject(text string) (s Subject, err error) {
	if len(text) != 2*len(s) || strings.ToLower(text) != text {
		return s, errors.New("a subject is 32 lower-case hex digits")
	}
	if _, err := hex.Decode(s[:], []byte(text)); err != nil {
		return s, errors.New("a subject is 32 lower-case hex digits")
	}
	return s, nil
}

// SubjectKey keys the hashes of subjects. Proxies and investigators hold it.
type SubjectKey [32]byte

const subjectKeyPrefix = "shiguan-subject-key-1:"

// NewSubjectKey returns a random key.
func NewSubjectKey() *SubjectKey {
	k := new(SubjectKey)
	rand.Read(k[:]) // never fails, see crypto/rand
	return k
}

// Encode returns the key as one line of text without a newline. It is secret.
func (k *SubjectKey) Encode() string {
	return subjectKeyPrefix + base64.StdEncoding.EncodeToString(k[:])
}

// ParseSubjectKey parses the contents of a key file: lines that are empty or
// begin with # and exactly one line as Encode writes it.
func ParseSubjectKey(text []byte) (*SubjectKey, error) {
	var key *SubjectKey
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		encoded, ok := strings.CutPrefix(line, subjectKeyPrefix)
		raw, err := base64.StdEncoding.Strict().DecodeString(encoded)
		if !ok || err != nil || len(raw) != len(SubjectKey{}) {
			return nil, fmt.Errorf("not a subject key: want a line %s<base64 of 32 bytes>", subjectKeyPrefix)
		}
		if key != nil {
			return nil, errors.New("the subject key file holds more than one key: keep one")
		}
		key = (*SubjectKey)(raw)
	}
	if key == nil {
		return nil, fmt.Errorf("no subject key found: want a line %s<base64 of 32 bytes>", subjectKeyPrefix)
	}
	return key, nil
}

// Hasher returns a hasher for one goroutine.
func (k *SubjectKey) Hasher() *SubjectHasher {
	return &SubjectHasher{mac: hmac.New(sha256.New, k[:])}
}

// SubjectHasher hashes subjects without allocating. It is not safe for
// concurrent use: each session has its own.
type SubjectHasher struct {
	mac hash.Hash
	buf []byte
	sum [sha256.Size]byte
}

// Subject returns HMAC-SHA256(key, namespace ‖ 0x00 ‖ normalised value)[:16].
// Normalised means: without Unicode white space at both ends, and with a to z
// in upper case (a resident ID may end in x or X). The namespace is the class
// of the identifier, so that equal numbers of different kinds are different
// subjects; it contains no 0x00.
func (h *SubjectHasher) Subject(namespace string, value []byte) (s Subject) {
	h.buf = append(append(h.buf[:0], namespace...), 0)
	from := len(h.buf)
	h.buf = append(h.buf, bytes.TrimSpace(value)...)
	for i, c := range h.buf[from:] {
		if 'a' <= c && c <= 'z' {
			h.buf[from+i] = c - 'a' + 'A'
		}
	}
	h.mac.Reset()
	h.mac.Write(h.buf)
	h.mac.Sum(h.sum[:0])
	copy(s[:], h.sum[:])
	return s
}

// SubjectString is Subject for a string.
func (h *SubjectHasher) SubjectString(namespace, value string) Subject {
	return h.Subject(namespace, []byte(value))
}
