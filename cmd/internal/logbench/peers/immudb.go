package main

import (
	"context"
	"time"

	"github.com/codenotary/immudb/embedded/logger"
	"github.com/codenotary/immudb/embedded/store"
)

// immudbStore is immudb's embedded store, synced every millisecond, one transaction an entry. Its index is left out, because a log
// has none, and nothing waits for it.
type immudbStore struct{ store *store.ImmuStore }

func openImmudb(dir string, appenders int) (system, error) {
	s, err := store.Open(dir, store.DefaultOptions().WithSynced(true).WithSyncFrequency(time.Millisecond).
		WithMaxConcurrency(max(store.DefaultMaxConcurrency, 2*appenders)).WithMultiIndexing(true).
		WithLogger(logger.NewMemoryLoggerWithLevel(logger.LogError)))
	if err != nil {
		return nil, err
	}
	return &immudbStore{s}, nil
}

func (s *immudbStore) append(entry []byte) error {
	ctx := context.Background()
	tx, err := s.store.NewWriteOnlyTx(ctx)
	if err != nil {
		return err
	}
	if err := tx.Set(entry[:8], nil, entry); err != nil {
		return err
	}
	_, err = tx.AsyncCommit(ctx)
	return err
}

func (s *immudbStore) close() error { return s.store.Close() }
