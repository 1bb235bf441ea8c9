package auditlog

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/note"

	"shiguan/auditlog/tiles"
)

// signer turns durable records into signed heads. It belongs to one goroutine,
// except for what it publishes in atomics.
type signer struct {
	fs      fileSystem
	origin  string
	keys    []note.Signer // the first is the log's Ed25519 key
	reader  *reader
	tiles   *tileStore
	builder *tiles.Builder
	durable *atomic.Uint64
	logger  *slog.Logger
	buf     []byte // what is read of the store goes through it

	head       signedHead                 // as the file head has it
	current    atomic.Pointer[signedHead] // the same, for everybody; nil: none
	integrated atomic.Uint64              // its size
}

// run signs what is new, once an interval, until ctx ends; signed is called
// after each new head. An error ends it.
func (s *signer) run(ctx context.Context, interval time.Duration, signed func()) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		switch done, err := s.step(ctx); {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("signing a head: %w", err)
		case done:
			signed()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// step signs one new head if there are records without one. The order is what
// the log's promise rests on:
func (s *signer) step(ctx context.Context) (done bool, err error) {
	// 1. The records below n are durable. A crash leaves them, and no trace that
	// a head was intended.
	n := s.durable.Load()
	if n == s.builder.Size() {
		return false, nil
	}
	// 2. Leaves to tiles, and the root. What is signed is what is read back from
	// the store, checksums and all. A crash leaves some tiles beyond the signed
	// head, which nobody refers to and the next life writes again: the same bytes,
	// as far as the records survived.
	next, err := s.reader.pass(ctx, s.builder.Size(), n, &s.buf, func(st Stored) error { return s.builder.Append(st.LeafBytes) })
	if err != nil {
		return false, err
	}
	if next < n {
		return false, fmt.Errorf("the store ends before record %d, which was durable", next)
	}
	if err := s.builder.Publish(); err != nil {
		return false, err
	}
	root := s.builder.Root()
	// 3. The tiles become durable, data first and then names. A crash leaves some
	// or all tiles of a head that does not exist.
	if err := s.tiles.flush(); err != nil {
		return false, err
	}
	// 4. The signatures exist, in memory only. A crash takes them.
	c := tiles.Checkpoint{Origin: s.origin, Size: n, Root: root}
	signed, err := tiles.SignCheckpoint(c, s.keys...)
	if err != nil {
		return false, err
	}
	// 5. The head is stored, in the place of the one it was built on. A crash
	// leaves the old head or this one; this one has been shown to nobody. From
	// here on the log refuses to open with less.
	next1 := signedHead{c, signed}
	if err := swapHead(s.fs, s.head, next1); err != nil {
		return false, err
	}
	s.head = next1
	s.current.Store(&next1)
	s.integrated.Store(n)
	// 6. Witnesses see it, see witnessing. A crash before leaves a head that was
	// never co-signed; the next one includes it.
	if err := s.tiles.prune(); err != nil {
		s.logger.Warn("audit log: superfluous partial tiles could not be removed", "error", err)
	}
	return true, nil
}
