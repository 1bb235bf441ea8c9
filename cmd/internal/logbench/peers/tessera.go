package main

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
)

// tesseraLog is Tessera's POSIX driver. A batch is closed after a millisecond, or when it is full. With as many places as there
// are writers it is full as soon as all of them wait, which is the quickest there is, for somebody who knows their number.
type tesseraLog struct {
	appender *tessera.Appender
	shutdown func(context.Context) error
}

func openTessera(dir string, batch uint) (system, error) {
	skey, _, err := note.GenerateKey(rand.Reader, "bench.example/log")
	if err != nil {
		return nil, err
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	driver, err := posix.New(ctx, posix.Config{Path: dir})
	if err != nil {
		return nil, err
	}
	appender, shutdown, _, err := tessera.NewAppender(ctx, driver, tessera.NewAppendOptions().
		WithCheckpointSigner(signer).WithBatching(batch, time.Millisecond).WithCheckpointInterval(time.Second))
	if err != nil {
		return nil, err
	}
	return &tesseraLog{appender, shutdown}, nil
}

// append waits until the entry has its index for good, not until a checkpoint covers it.
func (l *tesseraLog) append(entry []byte) error {
	_, err := l.appender.Add(context.Background(), tessera.NewEntry(append([]byte(nil), entry...)))()
	return err
}

func (l *tesseraLog) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return l.shutdown(ctx)
}
