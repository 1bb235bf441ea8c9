package investigation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"shiguan/auditlog"
	"shiguan/auditlog/record"
	"shiguan/auditlog/record/seal"
	"shiguan/auditlog/tiles"
)

// Entry is one record, read back from the log, opened, and proved as far as its state allows: its payload opens its
// leaf's commitment, and from Integrated on its leaf is in the tree under the head that the state names.
type Entry struct {
	auditlog.Stored
	State   State
	Erased  bool           // the key of its period was destroyed; the three fields below are empty
	Record  *record.Record // what it says
	Payload []byte         // the same, byte for byte
	Opening [32]byte       // opens the commitment of this one record
	Path    []tiles.Hash   // its audit path under Heads.Behind; nil before Integrated
}

// Time is when the record was written down, as its leaf says.
func (e *Entry) Time() time.Time { return e.Leaf.When() }

// Entry reads a record back from the log and proves it. A record that contradicts its leaf, or a leaf that is not in the
// tree, is a *ContradictionError.
func (d *Desk) Entry(ctx context.Context, heads *Heads, index uint64) (*Entry, error) {
	stored, err := d.stored(ctx, index)
	if err != nil {
		return nil, err
	}
	return d.prove(ctx, heads, stored)
}

func (d *Desk) stored(ctx context.Context, index uint64) (auditlog.Stored, error) {
	var one auditlog.Stored
	var corrupt *auditlog.CorruptError
	found := false
	err := d.Source.Records(ctx, index, func(s auditlog.Stored) error {
		one, found = s, true
		return auditlog.ErrStop
	})
	switch {
	case errors.As(err, &corrupt):
		return one, contradiction(index, err)
	case err != nil:
		return one, fmt.Errorf("reading record %d: %w", index, err)
	case !found:
		return one, ErrNoRecord
	case one.Index != index:
		return one, contradiction(index, fmt.Errorf("asked for it, the log returned record %d", one.Index))
	}
	return one, nil
}

// prove opens a stored record and checks everything that can be checked of it by now.
func (d *Desk) prove(ctx context.Context, heads *Heads, s auditlog.Stored) (*Entry, error) {
	e := &Entry{Stored: s, State: heads.State(s.Index)}
	leaf, err := record.ParseLeaf(s.LeafBytes)
	if err != nil {
		return nil, contradiction(s.Index, err)
	}
	if leaf != s.Leaf {
		return nil, contradiction(s.Index, errors.New("its parsed leaf is not the one that its bytes state"))
	}
	if err := d.open(ctx, e); err != nil {
		return nil, err
	}
	head, ok := heads.Behind(s.Index)
	if !ok {
		return e, nil
	}
	if e.Path, err = tiles.ProveInclusion(ctx, d.tiles, head.Size, s.Index); err != nil {
		return nil, fmt.Errorf("proving record %d: %w", s.Index, err)
	}
	if err := tiles.CheckInclusion(tiles.LeafHash(s.LeafBytes), s.Index, head.Size, e.Path, head.Root); err != nil {
		d.tiles.forget()
		return nil, contradiction(s.Index, err)
	}
	return e, nil
}

// open decrypts the record and holds it against the leaf. Only an erasure leaves it closed.
func (d *Desk) open(ctx context.Context, e *Entry) error {
	payload, opening, err := d.Opener.Open(ctx, e.Stored)
	if errors.Is(err, auditlog.ErrErased) {
		e.Erased = true
		return nil
	}
	if err != nil {
		return openError(e.Index, err)
	}
	// The opener has checked it too. Here it is checked where the promise is made.
	if err := record.CheckOpening(e.Leaf, opening, payload); err != nil {
		return contradiction(e.Index, err)
	}
	if e.Record, err = record.Decode(payload); err != nil {
		return contradiction(e.Index, err)
	}
	e.Payload, e.Opening = payload, opening
	return nil
}

func contradiction(index uint64, err error) error {
	return &ContradictionError{fmt.Sprintf("record %d does not hold", index), err}
}

// openError tells what does not fit from what merely could not be read.
func openError(index uint64, err error) error {
	for _, wrong := range []error{seal.ErrSealedHash, seal.ErrNotSealed, record.ErrCommitment, record.ErrNotCanonical} {
		if errors.Is(err, wrong) {
			return contradiction(index, err)
		}
	}
	if errors.Is(err, seal.ErrNoIdentity) {
		return fmt.Errorf("%w: the identity in the configuration is not one this log is sealed to", err)
	}
	return err
}
