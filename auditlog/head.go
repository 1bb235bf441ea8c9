package auditlog

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"

	"shiguan/auditlog/tiles"
)

// The log's two state files: the last checkpoint it signed, and the last one
// it published with its cosignatures.
const (
	headFile       = "head"
	checkpointFile = "checkpoint"
)

// signedHead is a checkpoint as it was signed.
type signedHead struct {
	tiles.Checkpoint
	signed []byte
}

// loadHead reads a state file. No file is a zero signedHead with signed nil.
func loadHead(s fileSystem, name, origin string, policy *tiles.Policy) (signedHead, error) {
	signed, err := readFile(s, name)
	if errors.Is(err, fs.ErrNotExist) {
		return signedHead{}, nil
	}
	if err != nil {
		return signedHead{}, err
	}
	c, err := parseHead(signed, policy)
	if err != nil {
		return signedHead{}, fmt.Errorf("%s is damaged (%w): restore it together with the rest of the directory, do not delete it", name, err)
	}
	if c.Origin != origin {
		return signedHead{}, fmt.Errorf("the directory holds the log %s, the configuration says %s: point one at the other's place", c.Origin, origin)
	}
	return signedHead{c, signed}, nil
}

// parseHead parses a signed checkpoint and, where a policy names the log's key,
// verifies the log's signature.
func parseHead(signed []byte, policy *tiles.Policy) (tiles.Checkpoint, error) {
	if policy != nil {
		return policy.CheckLog(signed)
	}
	n, err := tiles.ParseNote(signed)
	if err != nil {
		return tiles.Checkpoint{}, err
	}
	return tiles.ParseCheckpoint(n.Text)
}

var errHeadChanged = errors.New("the file head was changed by somebody else while the log was running: another process writes into this directory")

// swapHead puts next in the place of old, durably, if old is what the file
// holds.
//
// A crash before it returns leaves the old head or the new one. With the old
// one the next life may sign another head of another size; the new one was
// shown to nobody yet, so that does not contradict anything. With the new one
// the next life goes on from it, and finds all tiles that belong to it.
func swapHead(s fileSystem, old, next signedHead) error {
	now, err := readFile(s, headFile)
	if errors.Is(err, fs.ErrNotExist) {
		now, err = nil, nil
	}
	if err != nil {
		return err
	}
	if !bytes.Equal(now, old.signed) {
		return errHeadChanged
	}
	return replaceFile(s, headFile, next.signed)
}
