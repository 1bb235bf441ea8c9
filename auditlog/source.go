package auditlog

import (
	"context"
	"time"

	"shiguan/auditlog/record"
	"shiguan/auditlog/tiles"
)

// Stored is one record as it stands in the store. Its slices are not reused and
// must not be changed.
type Stored struct {
	Index     uint64
	Leaf      record.Leaf
	LeafBytes []byte // 78 bytes, the tree's entry
	Sealed    []byte
}

// Source is a log to be read: a directory or a URL. Nothing it says is proved;
// who needs proof checks it against a checkpoint that a quorum has signed. It
// is safe for concurrent use.
type Source interface {
	tiles.Reader
	// Status says how far the log is.
	Status(ctx context.Context) (Status, error)
	// Checkpoint returns the published, co-signed checkpoint, or
	// ErrNotPublished.
	Checkpoint(ctx context.Context) ([]byte, error)
	// Head returns the last checkpoint that the log has signed, which nobody
	// need have co-signed, or ErrNotPublished if it has signed none.
	Head(ctx context.Context) ([]byte, error)
	// Records calls fn with each record from that index on, in order, until the
	// log's end as it is when asked. If fn returns ErrStop, Records ends and
	// returns nil; any other error it returns. Records have passed the store's
	// checksums; whether the sealed payload fits the leaf is checked by Opener.
	Records(ctx context.Context, from uint64, fn func(Stored) error) error
	// WrappedKey returns a key period's wrapped key, ErrErased if the period was
	// erased, or ErrKeyMissing.
	WrappedKey(ctx context.Context, period uint32) ([]byte, error)
}

// Status says how far a log is. Sizes are numbers of records.
type Status struct {
	Origin     string `json:"origin"`
	Durable    uint64 `json:"durable"`    // on stable storage of the machine
	Integrated uint64 `json:"integrated"` // in the last head signed by the log
	Witnessed  uint64 `json:"witnessed"`  // in the last checkpoint published

	// When the oldest record came that is not yet in the state; zero: none.
	OldestNotDurable    time.Time `json:"oldest_not_durable,omitzero"`
	OldestNotIntegrated time.Time `json:"oldest_not_integrated,omitzero"`
	OldestUnwitnessed   time.Time `json:"oldest_unwitnessed,omitzero"`

	LastWitnessed time.Time `json:"last_witnessed,omitzero"` // when the quorum last signed, as far as this process knows
	Period        uint32    `json:"period"`                  // the key period new records are sealed in
	Head          string    `json:"head,omitempty"`          // the last checkpoint the log has signed
	Broken        string    `json:"broken,omitempty"`        // why the log takes no more records
}

// State names what a record is, given the log's status.
func (s Status) State(index uint64) string {
	switch {
	case index < s.Witnessed:
		return "witnessed"
	case index < s.Integrated:
		return "integrated"
	case index < s.Durable:
		return "durable"
	}
	return "absent"
}
