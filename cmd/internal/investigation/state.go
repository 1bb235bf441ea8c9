package investigation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"shiguan/auditlog"
	"shiguan/auditlog/tiles"
)

// State says how far a record has come. Each state includes the ones before it.
type State int

// The three states, and Pending for a record that the log does not report as durable yet.
const (
	Pending    State = iota
	Durable          // on the disk of the proxy's machine
	Integrated       // in a tree whose head the log has signed
	Witnessed        // in a tree whose head the quorum of other departments has cosigned
)

// String returns the word that stands in the output's "state" field.
func (s State) String() string {
	switch s {
	case Durable:
		return "durable"
	case Integrated:
		return "integrated"
	case Witnessed:
		return "witnessed"
	default:
		return "pending"
	}
}

// MarshalText implements encoding.TextMarshaler.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Heads are the log's three sizes at one moment, with the signed heads that vouch for the last two. Their signatures
// were checked against the quorum policy when they were read.
type Heads struct {
	Durable    uint64
	Integrated tiles.Checkpoint // the newest head the log has signed; size 0 if none
	Witnessed  tiles.Checkpoint // the newest published head; size 0 if none
	Cosigned   []tiles.Cosigned // who cosigned Witnessed, and when
	Signed     []byte           // the signed note that Witnessed stands in
}

// State says how far the record with this index has come.
func (h *Heads) State(index uint64) State {
	switch {
	case index < h.Witnessed.Size:
		return Witnessed
	case index < h.Integrated.Size:
		return Integrated
	case index < h.Durable:
		return Durable
	default:
		return Pending
	}
}

// Behind returns the newest head that contains the record, and false while none does.
func (h *Heads) Behind(index uint64) (tiles.Checkpoint, bool) {
	switch h.State(index) {
	case Witnessed:
		return h.Witnessed, true
	case Integrated:
		return h.Integrated, true
	default:
		return tiles.Checkpoint{}, false
	}
}

// ContradictionError says that two things that must agree do not: the log was altered, or is not the one it claims to be.
type ContradictionError struct {
	What string
	Err  error
}

func (e *ContradictionError) Error() string { return fmt.Sprintf("%s: %v", e.What, e.Err) }

func (e *ContradictionError) Unwrap() error { return e.Err }

// CosignedAt is when the newest published head was last cosigned; the zero time if never.
func (h *Heads) CosignedAt() time.Time {
	var last time.Time
	for _, by := range h.Cosigned {
		if by.Time.After(last) {
			last = by.Time
		}
	}
	return last
}

// Heads reads the log's sizes and checks the signatures behind them. The order of reading matters: the published head
// comes first, since what is published is never newer than what is signed, and what is signed never beyond what is durable.
func (d *Desk) Heads(ctx context.Context) (*Heads, error) {
	h := &Heads{}
	published, err := d.Source.Checkpoint(ctx)
	switch {
	case err == nil:
		h.Signed = published
		if h.Witnessed, h.Cosigned, err = d.Quorum.Check(published); err != nil {
			return nil, &ContradictionError{"the log's published checkpoint", err}
		}
	case !errors.Is(err, auditlog.ErrNotPublished):
		return nil, fmt.Errorf("reading the log's checkpoint: %w", err)
	}
	signed, err := d.Source.Head(ctx)
	switch {
	case err == nil:
		if h.Integrated, err = d.Quorum.CheckLog(signed); err != nil {
			return nil, &ContradictionError{"the log's signed head", err}
		}
	case !errors.Is(err, auditlog.ErrNotPublished):
		return nil, fmt.Errorf("reading the log's head: %w", err)
	}
	status, err := d.Source.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the log's status: %w", err)
	}
	h.Durable = status.Durable
	return h, d.checkHeads(h)
}

// checkHeads checks that the heads are of the log we mean and can be of one and the same.
func (d *Desk) checkHeads(h *Heads) error {
	for _, head := range []tiles.Checkpoint{h.Witnessed, h.Integrated} {
		if head.Size > 0 && head.Origin != d.Origin {
			return &ContradictionError{"the log's name", fmt.Errorf("its head says %q, the configuration says %q", head.Origin, d.Origin)}
		}
	}
	if h.Integrated.Size < h.Witnessed.Size {
		return &ContradictionError{"the log's heads", fmt.Errorf("%d records are witnessed, but only %d are in the newest signed head", h.Witnessed.Size, h.Integrated.Size)}
	}
	if h.Durable < h.Integrated.Size {
		return &ContradictionError{"the log's sizes", fmt.Errorf("%d records are in a signed head, but only %d are said to be durable", h.Integrated.Size, h.Durable)}
	}
	return nil
}
