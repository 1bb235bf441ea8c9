package witness

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"shiguan/auditlog/tiles"
)

const (
	maxBody       = 16 << 10 // 63 hashes take 2.8 KiB, a checkpoint with 16 signatures about as much
	maxProofLines = 63
)

// request is the parsed body of an add-checkpoint call. Nothing in it is verified yet.
type request struct {
	old   uint64
	proof []tiles.Hash
	note  *tiles.Note
	head  tiles.Checkpoint
	// wrongEmpty says that the checkpoint has size 0 and another root than an empty tree has. Such a checkpoint can be signed
	// by its log all the same, and then the answer is not that it is malformed.
	wrongEmpty bool
}

// parseRequest parses "old <size>", up to 63 hashes, an empty line, and a signed checkpoint. It accepts no other spelling.
func parseRequest(body []byte) (*request, error) {
	head, signed, ok := bytes.Cut(body, []byte("\n\n"))
	if !ok {
		return nil, errors.New("no empty line between proof and checkpoint")
	}
	lines := strings.Split(string(head), "\n")
	size, ok := strings.CutPrefix(lines[0], "old ")
	if !ok {
		return nil, errors.New(`the body does not begin with "old <size>"`)
	}
	r := new(request)
	var err error
	if r.old, err = tiles.ParseSize(size); err != nil {
		return nil, fmt.Errorf("old size: %w", err)
	}
	if r.proof, err = parseProof(lines[1:]); err != nil {
		return nil, err
	}
	if r.note, err = tiles.ParseNote(signed); err != nil {
		return nil, err
	}
	if err := r.parseHead(); err != nil {
		return nil, err
	}
	return r, nil
}

func parseProof(lines []string) ([]tiles.Hash, error) {
	if len(lines) > maxProofLines {
		return nil, fmt.Errorf("the proof has %d lines, at most %d are allowed", len(lines), maxProofLines)
	}
	proof := make([]tiles.Hash, len(lines))
	for i, line := range lines {
		var err error
		if proof[i], err = tiles.ParseHash(line); err != nil {
			return nil, fmt.Errorf("proof line %d: %w", i+1, err)
		}
	}
	return proof, nil
}

// parseHead parses the note's text. tiles refuses an empty tree with a root that is not its own, so the right root stands
// in for it while parsing.
func (r *request) parseHead() (err error) {
	text := r.note.Text
	if lines := strings.Split(string(text), "\n"); len(lines) == 4 && lines[1] == "0" {
		root, err := tiles.ParseHash(lines[2])
		if err != nil {
			return fmt.Errorf("checkpoint root: %w", err)
		}
		r.wrongEmpty = root != tiles.EmptyRoot()
		lines[2] = tiles.FormatHash(tiles.EmptyRoot())
		text = []byte(strings.Join(lines, "\n"))
	}
	r.head, err = tiles.ParseCheckpoint(text)
	return err
}
