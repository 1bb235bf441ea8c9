package signed

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"shiguan/auditlog/tiles"
)

// The levels of policy.
const (
	Ceiling    = "ceiling"
	Department = "department"
)

// maxSerial is the largest serial number: all are exact in every language that reads JSON.
const maxSerial = 1 << 53

// Statement is what security administrators sign about a policy file. Its form is described in policy/FORMAT.md.
type Statement struct {
	Level     string
	Name      string // of the city or department
	Serial    uint64
	ValidFrom time.Time
	Digest    string
}

const statementTitle = "shiguan policy v1"

// Digest identifies the bytes of a file.
func Digest(text []byte) string {
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Text is what is signed.
func (s Statement) Text() []byte {
	return fmt.Appendf(nil, "%s\nlevel %s\nname %s\nserial %d\nvalid-from %s\ndigest %s\n",
		statementTitle, s.Level, s.Name, s.Serial, s.ValidFrom.UTC().Format(time.RFC3339), s.Digest)
}

var errNoStatement = errors.New("the signed text says nothing about a policy: it is six lines, " + statementTitle + ", level, name, serial, valid-from and digest")

// ParseStatement is the inverse of Text, and accepts nothing that Text does not write.
func ParseStatement(text []byte) (Statement, error) {
	var s Statement
	lines := strings.Split(string(text), "\n")
	if len(lines) != 7 || lines[0] != statementTitle {
		return s, errNoStatement
	}
	var values [5]string
	for i, key := range []string{"level", "name", "serial", "valid-from", "digest"} {
		value, ok := strings.CutPrefix(lines[i+1], key+" ")
		if !ok || value == "" {
			return s, errNoStatement
		}
		values[i] = value
	}
	serial, err := strconv.ParseUint(values[2], 10, 64)
	from, timeErr := time.Parse(time.RFC3339, values[3])
	s = Statement{values[0], values[1], serial, from, values[4]}
	if err = errors.Join(err, timeErr, s.check()); err != nil {
		return Statement{}, err
	}
	if string(s.Text()) != string(text) {
		return Statement{}, errNoStatement
	}
	return s, nil
}

func (s Statement) check() error {
	switch {
	case s.Level != Ceiling && s.Level != Department:
		return fmt.Errorf("level %q is none: write %s or %s", s.Level, Ceiling, Department)
	case s.Name == "" || len(s.Name) > 200 || strings.ContainsFunc(s.Name, func(r rune) bool { return r <= ' ' }):
		return fmt.Errorf("name %q: write the city's or department's name without blanks", s.Name)
	case s.Serial < 1 || s.Serial > maxSerial:
		return fmt.Errorf("serial %d: write a number from 1 on, larger than that of the policy before", s.Serial)
	}
	return nil
}

// Sign signs a statement, or adds a signature to a note of the same text. note is nil for the first.
func Sign(text []byte, note *tiles.Note, key *tiles.LogSigner) (*tiles.Note, error) {
	signature, err := key.Sign(text)
	if err != nil {
		return nil, err
	}
	signed := &tiles.Note{Text: text}
	if note != nil {
		signed.Signatures = append(signed.Signatures, note.Signatures...)
	}
	signed.Signatures = append(signed.Signatures, tiles.Signature{Name: key.Name(), KeyID: key.KeyHash(), Blob: signature})
	if _, err := tiles.ParseNote(signed.Marshal()); err != nil { // signed by this key already, or no text for a note
		return nil, err
	}
	return signed, nil
}
