package auditlog

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"filippo.io/age"

	"shiguan/auditlog/record/seal"
)

// Opener opens sealed payloads with an investigator's identities. It fetches
// and unwraps each period's key once. It is safe for concurrent use.
type Opener struct {
	source Source
	ids    []age.Identity

	mu     sync.Mutex
	keys   map[uint32]*seal.PeriodKey
	erased map[uint32]bool // an erased key never comes back
}

// NewOpener returns an Opener for the records of a source.
func NewOpener(src Source, ids []age.Identity) *Opener {
	return &Opener{source: src, ids: ids, keys: make(map[uint32]*seal.PeriodKey), erased: make(map[uint32]bool)}
}

// Open returns a record's payload and the opening of its leaf's commitment. It
// checks that payload, seal and commitment belong together, not that the leaf
// is in the tree. The error wraps ErrErased for a record of an erased period,
// ErrKeyMissing, seal.ErrNoIdentity, or says what does not fit.
func (o *Opener) Open(ctx context.Context, s Stored) (payload []byte, opening [32]byte, err error) {
	key, err := o.key(ctx, s.Leaf.Period)
	if err == nil {
		payload, opening, err = key.Open(s.Leaf, s.Sealed)
	}
	if err != nil {
		return nil, opening, fmt.Errorf("record %d, key period %d (%s): %w", s.Index, s.Leaf.Period, keyName(s.Leaf.Period), err)
	}
	return payload, opening, nil
}

// key returns a period's key. Other failures than an erasure are not kept: what
// was missing may be restored. A period that is erased while this process runs can still be opened
// by it until Forget.
func (o *Opener) key(ctx context.Context, period uint32) (*seal.PeriodKey, error) {
	o.mu.Lock()
	key, erased := o.keys[period], o.erased[period]
	o.mu.Unlock()
	switch {
	case erased:
		return nil, ErrErased
	case key != nil:
		return key, nil
	}
	wrapped, err := o.source.WrappedKey(ctx, period)
	if err != nil {
		if errors.Is(err, ErrErased) {
			o.mu.Lock()
			o.erased[period] = true
			o.mu.Unlock()
		}
		return nil, err
	}
	if key, err = seal.OpenPeriod(wrapped, o.ids); err != nil {
		return nil, err
	}
	if key.Period() != period {
		return nil, fmt.Errorf("the wrapped key is that of period %d", key.Period())
	}
	o.mu.Lock()
	o.keys[period] = key
	o.mu.Unlock()
	return key, nil
}

// Forget drops all keys held in memory.
func (o *Opener) Forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.keys)
}
