package tiles

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
)

const (
	maxNote       = 1 << 20
	maxSignatures = 100 // signed-note asks for at least 16
	sigPrefix     = "— "
	keyIDSize     = 4
)

// Signature is one signature line of a signed note. Blob is what follows the key ID: for a cosignature the timestamp and the
// signature proper.
type Signature struct {
	Name  string
	KeyID uint32
	Blob  []byte
}

// AppendLine appends the line as it stands in a note, newline included.
func (s Signature) AppendLine(dst []byte) []byte {
	dst = append(dst, sigPrefix...)
	dst = append(dst, s.Name...)
	dst = append(dst, ' ')
	raw := binary.BigEndian.AppendUint32(make([]byte, 0, keyIDSize+len(s.Blob)), s.KeyID)
	dst = base64.StdEncoding.AppendEncode(dst, append(raw, s.Blob...))
	return append(dst, '\n')
}

// by says whether the line claims to be by v's key.
func (s Signature) by(v note.Verifier) bool { return s.Name == v.Name() && s.KeyID == v.KeyHash() }

// ParseSignatureLine parses one signature line without its newline.
func ParseSignatureLine(line string) (Signature, error) {
	rest, ok := strings.CutPrefix(line, sigPrefix)
	name, b64, found := strings.Cut(rest, " ")
	if !ok || !found || !validName(name) {
		return Signature{}, fmt.Errorf("%q is not a signature line", clip(line))
	}
	raw, err := decodeBase64(b64)
	if err != nil {
		return Signature{}, fmt.Errorf("signature line of %s: %w", name, err)
	}
	if len(raw) <= keyIDSize {
		return Signature{}, fmt.Errorf("signature line of %s is too short", name)
	}
	return Signature{Name: name, KeyID: binary.BigEndian.Uint32(raw), Blob: raw[keyIDSize:]}, nil
}

// ParseSignatureLines parses what a witness answers: signature lines and nothing else, each ended by a newline.
func ParseSignatureLines(lines []byte) ([]Signature, error) {
	if len(lines) > maxNote {
		return nil, errors.New("signature lines are too long")
	}
	if len(lines) == 0 || lines[len(lines)-1] != '\n' {
		return nil, errors.New("signature lines do not end in a newline")
	}
	var sigs []Signature
	seen := make(map[keyRef]bool)
	for _, line := range strings.Split(string(lines[:len(lines)-1]), "\n") {
		s, err := ParseSignatureLine(line)
		if err != nil {
			return nil, err
		}
		if len(sigs) == maxSignatures {
			return nil, fmt.Errorf("more than %d signature lines", maxSignatures)
		}
		if ref := (keyRef{s.Name, s.KeyID}); seen[ref] {
			return nil, fmt.Errorf("two signature lines by key %s", ref)
		} else {
			seen[ref] = true
		}
		sigs = append(sigs, s)
	}
	return sigs, nil
}

// keyRef is what a signature line says about its key; known keys are looked up by it.
type keyRef struct {
	name string
	id   uint32
}

func (k keyRef) String() string { return fmt.Sprintf("%s+%08x", k.name, k.id) }

// Note is a signed note: a text, which ends in a newline, and the signature lines below it. Nothing in it has been verified.
type Note struct {
	Text       []byte
	Signatures []Signature
}

// ParseNote parses a signed note. Two lines by one key are refused: signed-note would have the second ignored, but a note with
// such a line has a second spelling.
func ParseNote(msg []byte) (*Note, error) {
	if len(msg) > maxNote {
		return nil, fmt.Errorf("signed note of %d bytes is too long", len(msg))
	}
	if !utf8.Valid(msg) || bytes.ContainsFunc(msg, func(r rune) bool { return r < 0x20 && r != '\n' }) {
		return nil, errors.New("signed note is not plain UTF-8 text with Unix line ends")
	}
	split := bytes.LastIndex(msg, []byte("\n\n"))
	if split < 0 {
		return nil, errors.New("signed note has no empty line before its signatures")
	}
	sigs, err := ParseSignatureLines(msg[split+2:])
	if err != nil {
		return nil, fmt.Errorf("signed note: %w", err)
	}
	return &Note{Text: bytes.Clone(msg[:split+1]), Signatures: sigs}, nil
}

// Marshal is the inverse of ParseNote.
func (n *Note) Marshal() []byte {
	dst := append(bytes.Clone(n.Text), '\n')
	for _, s := range n.Signatures {
		dst = s.AppendLine(dst)
	}
	return dst
}

// ErrUnsigned says that a note carries no signature by any known key.
var ErrUnsigned = errors.New("not signed by a known key")

// SignatureError says that a line claims to be by a known key, and is not.
type SignatureError struct {
	Name  string
	KeyID uint32
}

func (e *SignatureError) Error() string {
	return fmt.Sprintf("signature by key %s does not verify", keyRef{e.Name, e.KeyID})
}

// Verify returns the signatures by the known keys, in the order of the note, having verified each. It fails with a
// *SignatureError if one does not verify and with ErrUnsigned if there is none. Lines by unknown keys count for nothing.
func (n *Note) Verify(known ...note.Verifier) ([]Signature, error) {
	var good []Signature
	for _, s := range n.Signatures {
		for _, v := range known {
			if !s.by(v) {
				continue
			}
			if !v.Verify(n.Text, s.Blob) {
				return nil, &SignatureError{s.Name, s.KeyID}
			}
			good = append(good, s)
			break
		}
	}
	if len(good) == 0 {
		return nil, ErrUnsigned
	}
	return good, nil
}
