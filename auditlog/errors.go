package auditlog

import (
	"encoding/base64"
	"errors"
	"fmt"

	"shiguan/auditlog/tiles"
)

var (
	// ErrBroken is what every error of a log that broke for good wraps.
	ErrBroken = errors.New("the audit log is broken and takes no more records until the process is restarted")
	// ErrClosed is returned by Append after Close.
	ErrClosed = errors.New("the audit log is closed")
	// ErrLocked says that another process, or another Open of this one, has the log.
	ErrLocked = errors.New("another process has this audit log open: stop it first, or point this one at its own directory")
	// ErrTooLarge says that a record is beyond what the store takes. It does
	// not break the log.
	ErrTooLarge = errors.New("the record is too large for the audit log")
	// ErrErased says that a record's key period was erased: the record existed,
	// its content was lawfully erased.
	ErrErased = errors.New("the content was lawfully erased with its key period")
	// ErrKeyMissing says that a period's wrapped key is not where it should be
	// although nobody erased it.
	ErrKeyMissing = errors.New("the wrapped key of the period is missing and no erasure is noted: restore keys/ from a backup")
	// ErrNotPublished says that the log has not published a checkpoint yet.
	ErrNotPublished = errors.New("the log has not published a checkpoint yet: no quorum of witnesses has co-signed")
	// ErrStop, returned by the function given to Source.Records, ends the
	// iteration without an error.
	ErrStop = errors.New("stop")
)

// BrokenError is the error of a broken log. It wraps ErrBroken and the cause.
type BrokenError struct{ Cause error }

func (e *BrokenError) Error() string { return ErrBroken.Error() + ": " + e.Cause.Error() }

// Unwrap makes errors.Is and errors.As see ErrBroken and the cause.
func (e *BrokenError) Unwrap() []error { return []error{ErrBroken, e.Cause} }

// RolledBackError says that somebody who co-signs has proof of a head of this
// log that this log does not know: it was set back to an older state, or a
// second copy of it runs. A Cosigner returns it; the log then breaks.
type RolledBackError struct {
	Witness    string // who knows better
	Ours       uint64 // the size we asked to have co-signed
	Theirs     uint64 // the size they have co-signed
	Checkpoint []byte // their co-signed checkpoint, when they gave one
}

func (e *RolledBackError) Error() string {
	return fmt.Sprintf("the log was rolled back: witness %s has co-signed size %d, this log has only %d; "+
		"stop every other copy of this log, restore the newest state of its directory, and tell the witnesses' operators what happened",
		e.Witness, e.Theirs, e.Ours)
}

// CorruptError refuses to open a log in which something is wrong that no crash
// explains.
type CorruptError struct {
	File   string // relative to the log's directory
	Offset int64  // in the file
	Index  uint64 // of the record expected there
	What   string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("%s is corrupt at offset %d (record %d): %s; no crash leaves this behind: "+
		"keep the directory as evidence, restore it from a backup or a mirror, and run fsck", e.File, e.Offset, e.Index, e.What)
}

// HeadError refuses to open a log that does not hold what it has signed.
type HeadError struct {
	File       string // head or checkpoint
	SignedSize uint64
	SignedRoot tiles.Hash
	Size       uint64     // of the log found
	Root       tiles.Hash // of its first SignedSize records, when it has so many
}

func (e *HeadError) Error() string {
	const advice = "; this log was rolled back or changed: do not delete the file, restore the newest copy of the whole directory and start again"
	if e.Size < e.SignedSize {
		return fmt.Sprintf("%s says that %d records were signed, but the log has only %d", e.File, e.SignedSize, e.Size) + advice
	}
	return fmt.Sprintf("%s says that the first %d records were signed with root %s, but the log's records give %s",
		e.File, e.SignedSize, base64.StdEncoding.EncodeToString(e.SignedRoot[:]), base64.StdEncoding.EncodeToString(e.Root[:])) + advice
}

func isErased(err error) bool { return errors.Is(err, ErrErased) }
