package search_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"shiguan/auditlog"
	"shiguan/auditlog/record"
	"shiguan/auditlog/record/seal"
	"shiguan/auditlog/tiles"
)

const origin = "log.example/civil"

// fakeSource is a log in memory, sealed as a real one. Its head lags behind its records as the test says, and it serves
// partial tiles only of the sizes that were signed, as a log's files do.
type fakeSource struct {
	t        testing.TB
	origin   string
	signer   *tiles.LogSigner
	identity *age.X25519Identity
	period   uint32
	sealer   *seal.Sealer

	mu      sync.Mutex
	wrapped map[uint32][]byte
	erased  map[uint32]bool
	stored  []auditlog.Stored
	durable uint64
	signed  []byte
	size    uint64 // of signed
	shown   []byte // the published head
	remote  bool   // tiles can be had for the published head only, as over HTTP
	builder *tiles.Builder
	tiles   map[tiles.TileID][]byte
	public  map[tiles.TileID][]byte // tiles of the published head

	fail      error // of Records, before the record failBefore
	failAfter uint64
	broken    error // of WrappedKey
}

func newFakeSource(t testing.TB) *fakeSource {
	t.Helper()
	skey, _, err := tiles.GenerateLogKey(origin)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := tiles.NewLogSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	s := &fakeSource{t: t, origin: origin, signer: signer, identity: identity, wrapped: map[uint32][]byte{}, erased: map[uint32]bool{}}
	s.clearTree()
	s.nextPeriod()
	return s
}

func (s *fakeSource) clearTree() {
	s.tiles, s.size, s.signed, s.shown, s.public = map[tiles.TileID][]byte{}, 0, nil, nil, nil
	s.builder = tiles.NewBuilder(func(tile tiles.Tile) error {
		s.tiles[tile.TileID] = slices.Clone(tile.Data)
		return nil
	})
}

func (s *fakeSource) opener() *auditlog.Opener {
	return auditlog.NewOpener(s, []age.Identity{s.identity})
}

func (s *fakeSource) nextPeriod() {
	s.t.Helper()
	s.period++
	var err error
	if s.sealer, s.wrapped[s.period], err = seal.NewSealer(s.period, []age.Recipient{s.identity.Recipient()}); err != nil {
		s.t.Fatal(err)
	}
}

// add appends a durable record and returns its index.
func (s *fakeSource) add(r *record.Record) uint64 {
	s.t.Helper()
	payload, err := r.Append(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.addPayload(r.Kind, r.Time, payload)
}

func (s *fakeSource) addPayload(kind record.Kind, at time.Time, payload []byte) uint64 {
	s.t.Helper()
	leaf, sealed, err := s.sealer.Seal(nil, kind, at, payload)
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	index := uint64(len(s.stored))
	s.stored = append(s.stored, auditlog.Stored{Index: index, Leaf: leaf, LeafBytes: leaf.Append(nil), Sealed: sealed})
	s.durable = index + 1
	return index
}

// sign signs the head of the first size records.
func (s *fakeSource) sign(size uint64) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for ; s.size < size; s.size++ {
		if err := s.builder.Append(s.stored[s.size].LeafBytes); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := s.builder.Publish(); err != nil {
		s.t.Fatal(err)
	}
	var err error
	if s.signed, err = tiles.SignCheckpoint(tiles.Checkpoint{Origin: s.signer.Name(), Size: size, Root: s.builder.Root()}, s.signer); err != nil {
		s.t.Fatal(err)
	}
}

func (s *fakeSource) signAll() { s.sign(uint64(len(s.stored))) }

// publish publishes the head that was signed last.
func (s *fakeSource) publish() { s.shown, s.public = s.signed, maps.Clone(s.tiles) }

// cut sets the log back to its first n records, unsigned.
func (s *fakeSource) cut(n int) {
	s.stored, s.durable = s.stored[:n:n], uint64(n)
	s.clearTree()
}

func (s *fakeSource) Status(context.Context) (auditlog.Status, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return auditlog.Status{Origin: s.origin, Durable: s.durable, Integrated: s.size, Period: s.period}, nil
}

func (s *fakeSource) Checkpoint(ctx context.Context) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shown == nil {
		return nil, auditlog.ErrNotPublished
	}
	return s.shown, nil
}

func (s *fakeSource) Head(context.Context) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.signed == nil {
		return nil, auditlog.ErrNotPublished
	}
	return s.signed, nil
}

func (s *fakeSource) Records(ctx context.Context, from uint64, fn func(auditlog.Stored) error) error {
	s.mu.Lock()
	stored := s.stored[min(from, uint64(len(s.stored))):]
	s.mu.Unlock()
	for _, one := range stored {
		if err := ctx.Err(); err != nil {
			return err
		}
		if s.fail != nil && one.Index == s.failAfter {
			return s.fail
		}
		err := fn(one)
		if errors.Is(err, auditlog.ErrStop) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *fakeSource) ReadTile(_ context.Context, level, index uint64, width int) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	have := s.tiles
	if s.remote {
		have = s.public
	}
	for _, w := range []int{width, tiles.TileWidth} {
		if data, ok := have[tiles.TileID{Level: int(level), Index: index, Width: w}]; ok {
			return data, nil
		}
	}
	return nil, fmt.Errorf("tile %d/%d of width %d was never published", level, index, width)
}

func (s *fakeSource) WrappedKey(_ context.Context, period uint32) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.broken != nil:
		return nil, s.broken
	case s.erased[period]:
		return nil, auditlog.ErrErased
	case s.wrapped[period] == nil:
		return nil, auditlog.ErrKeyMissing
	}
	return s.wrapped[period], nil
}

var _ auditlog.Source = (*fakeSource)(nil)
