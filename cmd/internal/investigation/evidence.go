package investigation

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"shiguan/auditlog/evidence"
)

// ErrErased says that a record's content was lawfully erased: there is nothing left to hand over.
var ErrErased = errors.New("content lawfully erased")

// NotWitnessedError says that a record exists but no published head contains it yet.
type NotWitnessedError struct {
	Index     uint64
	State     State
	Witnessed uint64 // records that are witnessed
}

func (e *NotWitnessedError) Error() string {
	return fmt.Sprintf("record %d is %s but not witnessed yet: the quorum has cosigned %d records", e.Index, e.State, e.Witnessed)
}

// Evidence makes the evidence file of a record from the published, cosigned checkpoint, and verifies the very bytes it
// returns. A record that is not witnessed yet is a *NotWitnessedError, an erased one ErrErased.
func (d *Desk) Evidence(ctx context.Context, index uint64) ([]byte, error) {
	heads, err := d.Heads(ctx)
	if err != nil {
		return nil, err
	}
	entry, err := d.Entry(ctx, heads, index)
	if err != nil {
		return nil, err
	}
	return d.EvidenceOf(heads, entry)
}

// EvidenceOf is Evidence for an entry that has been read already.
func (d *Desk) EvidenceOf(heads *Heads, entry *Entry) ([]byte, error) {
	switch {
	case entry.Erased:
		return nil, ErrErased
	case entry.State != Witnessed:
		return nil, &NotWitnessedError{entry.Index, entry.State, heads.Witnessed.Size}
	}
	made, _, err := evidence.New(evidence.Parts{Policy: d.Quorum, Checkpoint: heads.Signed, Index: entry.Index, Hashes: entry.Path,
		Leaf: entry.LeafBytes, Payload: entry.Payload, Opening: entry.Opening})
	if err != nil {
		return nil, contradiction(entry.Index, err)
	}
	var file bytes.Buffer
	if err := made.Write(&file); err != nil {
		return nil, err
	}
	if _, err := evidence.VerifyWith(file.Bytes(), d.Quorum); err != nil {
		return nil, contradiction(entry.Index, err)
	}
	return file.Bytes(), nil
}
