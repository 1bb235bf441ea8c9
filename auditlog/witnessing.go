package auditlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"shiguan/auditlog/tiles"
)

// Cosigner gets cosignatures. Cosign is called with the log's own signed
// checkpoint and its size; prove returns the consistency proof from a smaller
// size to it. It must return the checkpoint with the log's signature and all
// cosignatures gathered, and an error when they are no quorum (then what it
// returns may hold fewer). It must return a *RolledBackError, possibly wrapped,
// when a witness has proved that it has co-signed a larger size of this log, or
// the same with another root. It must return soon after ctx ends. It is called
// by one goroutine at a time.
type Cosigner interface {
	Cosign(ctx context.Context, signed []byte, size uint64, prove func(old uint64) ([]tiles.Hash, error)) (cosigned []byte, err error)
}

const (
	// cosignTimeout bounds one attempt to reach a quorum.
	cosignTimeout = 30 * time.Second
	// maxCosignPause bounds the pause after failed attempts.
	maxCosignPause = 30 * time.Second
)

// witnessing has signed heads co-signed and publishes them. It belongs to one
// goroutine, except for what it publishes in atomics.
type witnessing struct {
	fs       fileSystem
	cosigner Cosigner
	quorum   *tiles.Policy // may be nil: what the cosigner says is enough
	tiles    *tileStore
	head     *atomic.Pointer[signedHead]
	ages     *ages
	logger   *slog.Logger
	metrics  *metrics

	published atomic.Pointer[signedHead] // as the file checkpoint has it; nil: none
	witnessed atomic.Uint64              // its size
	last      atomic.Int64               // when the quorum last signed, Unix ms; 0: not in this process
}

// run has the newest head co-signed whenever there is a new one, until ctx
// ends. Failed attempts are repeated after a pause, always with the newest head.
// It returns an error only when the log must break.
func (w *witnessing) run(ctx context.Context, news <-chan struct{}, interval time.Duration) error {
	pause := interval
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-news:
		case <-again:
		}
		again = nil
		err := w.step(ctx)
		switch {
		case err == nil:
			pause = interval
		case breaks(err):
			return err
		case ctx.Err() != nil:
			return nil
		default:
			w.logger.Warn("audit log: head not witnessed", "error", err, "again_in", pause)
			again = time.After(pause)
			pause = min(2*pause, maxCosignPause)
		}
	}
}

// breaks says whether a failed step is more than a quorum not reached.
func breaks(err error) bool {
	return errors.As(err, new(*RolledBackError)) || errors.As(err, new(*publishError))
}

// publishError is a failure to store what was co-signed, an I/O error like any
// other.
type publishError struct{ err error }

func (e *publishError) Error() string { return "publishing a checkpoint: " + e.err.Error() }
func (e *publishError) Unwrap() error { return e.err }

// step has the newest head co-signed if it is not yet.
func (w *witnessing) step(ctx context.Context) error {
	head := w.head.Load()
	if head == nil || head.Size == w.witnessed.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, cosignTimeout)
	defer cancel()
	// 1. Witnesses check that the head extends the last one they signed. A crash
	// leaves some of them with a head that is larger than the one published; it
	// is in the file head, so the next life extends it.
	cosigned, err := w.cosigner.Cosign(ctx, head.signed, head.Size, func(old uint64) ([]tiles.Hash, error) {
		return tiles.ProveConsistency(ctx, w.tiles, old, head.Size)
	})
	if err != nil {
		w.metrics.cosignFailed()
		return fmt.Errorf("asking for cosignatures on size %d: %w", head.Size, err)
	}
	if err := w.check(head, cosigned); err != nil {
		w.metrics.cosignFailed()
		return err
	}
	// 2. The co-signed checkpoint replaces the published one. A crash leaves the
	// old one or the new, and every tile that either needs.
	if err := replaceFile(w.fs, checkpointFile, cosigned); err != nil {
		return &publishError{err}
	}
	w.published.Store(&signedHead{head.Checkpoint, cosigned})
	w.witnessed.Store(head.Size)
	w.last.Store(time.Now().UnixMilli())
	w.ages.forget(head.Size)
	return nil
}

// check makes sure that what a cosigner returned is our head under a quorum.
func (w *witnessing) check(head *signedHead, cosigned []byte) error {
	var c tiles.Checkpoint
	var err error
	if w.quorum != nil {
		c, _, err = w.quorum.Check(cosigned)
	} else {
		c, err = parseHead(cosigned, nil)
	}
	if err != nil {
		return fmt.Errorf("the co-signed checkpoint does not hold: %w", err)
	}
	if c != head.Checkpoint {
		return fmt.Errorf("asked for cosignatures on size %d, got a checkpoint of size %d with another content", head.Size, c.Size)
	}
	return nil
}
