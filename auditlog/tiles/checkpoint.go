package tiles

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Checkpoint is the head of a log: so many leaves, this root. Unsigned, it is a claim.
type Checkpoint struct {
	Origin string
	Size   uint64
	Root   Hash
}

// Marshal is the note body: three lines.
func (c Checkpoint) Marshal() []byte {
	dst := make([]byte, 0, len(c.Origin)+80)
	dst = append(dst, c.Origin...)
	dst = append(dst, '\n')
	dst = strconv.AppendUint(dst, c.Size, 10)
	dst = append(dst, '\n')
	dst = append(dst, encodeHash(c.Root)...)
	return append(dst, '\n')
}

// ParseCheckpoint parses a note body. Stricter than tlog-checkpoint in two points: no extension lines, which nobody could
// audit; and the origin must be fit to name a key, because it names the log's.
func ParseCheckpoint(body []byte) (Checkpoint, error) {
	lines := strings.Split(string(body), "\n")
	if len(lines) != 4 || lines[3] != "" {
		return Checkpoint{}, fmt.Errorf("checkpoint has %d lines, want origin, size, root and nothing more", len(lines)-1)
	}
	c := Checkpoint{Origin: lines[0]}
	if !validName(c.Origin) {
		return Checkpoint{}, fmt.Errorf("checkpoint origin %q: want no spaces, no plus, at most %d bytes", clip(c.Origin), maxNameLen)
	}
	var err error
	if c.Size, err = ParseSize(lines[1]); err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint size: %w", err)
	}
	if c.Root, err = ParseHash(lines[2]); err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint root: %w", err)
	}
	if c.Size == 0 && c.Root != EmptyRoot() {
		return Checkpoint{}, fmt.Errorf("checkpoint of an empty log: %w", errEmptyRoot)
	}
	return c, nil
}

// SignCheckpoint makes a signed checkpoint. The signers are the log's, so each must be named like the origin. The caller MUST
// have made sure that c is consistent with everything signed before.
func SignCheckpoint(c Checkpoint, signers ...note.Signer) ([]byte, error) {
	n := Note{Text: c.Marshal()}
	if _, err := ParseCheckpoint(n.Text); err != nil {
		return nil, fmt.Errorf("refuse to sign: %w", err)
	}
	if len(signers) == 0 {
		return nil, fmt.Errorf("no key to sign the checkpoint of %s with", c.Origin)
	}
	for _, s := range signers {
		if s.Name() != c.Origin {
			return nil, fmt.Errorf("key %s cannot sign for the log %s: the key must be named like the log", s.Name(), c.Origin)
		}
		blob, err := s.Sign(n.Text)
		if err != nil {
			return nil, fmt.Errorf("sign checkpoint: %w", err)
		}
		n.Signatures = append(n.Signatures, Signature{Name: s.Name(), KeyID: s.KeyHash(), Blob: blob})
	}
	return n.Marshal(), nil
}

// OpenCheckpoint parses a signed checkpoint and verifies the signatures by the keys given. At least one must be there and be
// named like the origin. The errors of Note.Verify pass through; any other error means that it is no checkpoint.
func OpenCheckpoint(signed []byte, known ...note.Verifier) (Checkpoint, *Note, error) {
	n, err := ParseNote(signed)
	if err != nil {
		return Checkpoint{}, nil, err
	}
	c, err := ParseCheckpoint(n.Text)
	if err != nil {
		return Checkpoint{}, nil, err
	}
	sigs, err := n.Verify(known...)
	if err != nil {
		return Checkpoint{}, nil, fmt.Errorf("checkpoint of %s: %w", c.Origin, err)
	}
	for _, s := range sigs {
		if s.Name == c.Origin {
			return c, n, nil
		}
	}
	return Checkpoint{}, nil, fmt.Errorf("checkpoint of %s: %w", c.Origin, ErrUnsigned)
}

// AddSignatures appends signature lines to a signed note. Lines by a key that has signed already are left out, so the first
// cosignature of a witness stays.
func AddSignatures(signed []byte, sigs ...Signature) ([]byte, error) {
	n, err := ParseNote(signed)
	if err != nil {
		return nil, err
	}
	have := make(map[keyRef]bool)
	for _, s := range n.Signatures {
		have[keyRef{s.Name, s.KeyID}] = true
	}
	for _, s := range sigs {
		if ref := (keyRef{s.Name, s.KeyID}); !have[ref] {
			have[ref] = true
			n.Signatures = append(n.Signatures, s)
		}
	}
	return n.Marshal(), nil
}
