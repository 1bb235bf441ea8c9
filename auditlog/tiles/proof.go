package tiles

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const (
	proofHeader    = "c2sp.org/tlog-proof@v1"
	maxProofHashes = 63
	maxProof       = 2 * maxNote
)

// Proof is a tlog-proof: where an entry stands, the path to the root, and the signed checkpoint as the log published it. Extra
// is nil when the file has none; nothing vouches for it. The entry itself is not in it.
type Proof struct {
	Index      uint64
	Hashes     []Hash
	Checkpoint []byte
	Extra      []byte
}

// Marshal is the content of a .tlog-proof file.
func (p *Proof) Marshal() []byte {
	dst := append([]byte(proofHeader), '\n')
	if p.Extra != nil {
		dst = append(dst, "extra "...)
		dst = base64.StdEncoding.AppendEncode(dst, p.Extra)
		dst = append(dst, '\n')
	}
	dst = append(dst, "index "...)
	dst = strconv.AppendUint(dst, p.Index, 10)
	dst = append(dst, '\n')
	for _, h := range p.Hashes {
		dst = append(dst, encodeHash(h)...)
		dst = append(dst, '\n')
	}
	dst = append(dst, '\n')
	return append(dst, p.Checkpoint...)
}

// ParseProof parses a .tlog-proof file down to the last byte, the signed checkpoint included. It verifies nothing.
func ParseProof(file []byte) (*Proof, error) {
	if len(file) > maxProof {
		return nil, fmt.Errorf("tlog-proof of %d bytes is too long", len(file))
	}
	head, checkpoint, ok := bytes.Cut(file, []byte("\n\n"))
	if !ok {
		return nil, errors.New("tlog-proof has no empty line before its checkpoint")
	}
	lines := strings.Split(string(head), "\n")
	if lines[0] != proofHeader {
		return nil, fmt.Errorf("tlog-proof does not begin with %q", proofHeader)
	}
	p, lines := &Proof{Checkpoint: bytes.Clone(checkpoint)}, lines[1:]
	var err error
	if len(lines) > 0 && strings.HasPrefix(lines[0], "extra ") {
		if p.Extra, err = decodeBase64(lines[0][len("extra "):]); err != nil || len(p.Extra) == 0 {
			return nil, errors.New("tlog-proof: extra line is empty or not canonical base64")
		}
		lines = lines[1:]
	}
	if len(lines) == 0 || !strings.HasPrefix(lines[0], "index ") {
		return nil, errors.New("tlog-proof has no index line")
	}
	if p.Index, err = ParseSize(lines[0][len("index "):]); err != nil {
		return nil, fmt.Errorf("tlog-proof index: %w", err)
	}
	if lines = lines[1:]; len(lines) > maxProofHashes {
		return nil, fmt.Errorf("tlog-proof has more than %d hashes", maxProofHashes)
	}
	for i, line := range lines {
		h, err := ParseHash(line)
		if err != nil {
			return nil, fmt.Errorf("tlog-proof hash %d: %w", i, err)
		}
		p.Hashes = append(p.Hashes, h)
	}
	n, err := ParseNote(p.Checkpoint)
	if err != nil {
		return nil, fmt.Errorf("tlog-proof checkpoint: %w", err)
	}
	if _, err := ParseCheckpoint(n.Text); err != nil {
		return nil, fmt.Errorf("tlog-proof checkpoint: %w", err)
	}
	return p, nil
}
