package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"filippo.io/age"
	"golang.org/x/sys/unix"

	"shiguan/auditlog"
	"shiguan/auditlog/record"
	"shiguan/auditlog/record/seal"
	"shiguan/auditlog/tiles"
)

// The systems that this binary measures itself, in a process of their own.
const (
	systemAuditLog = "shiguan"
	systemRaw      = "write+fdatasync"
)

func runWorker(dir string) error { return work(os.Stdin, os.Stdout, opener(dir)) }

func opener(dir string) func(system string, appenders int) (system, error) {
	return func(name string, appenders int) (system, error) {
		switch name {
		case systemAuditLog:
			return openAuditLog(filepath.Join(dir, fmt.Sprintf("log-%d", appenders)))
		case systemRaw:
			return openRaw(filepath.Join(dir, fmt.Sprintf("raw-%d", appenders)))
		}
		return nil, fmt.Errorf("no such system: %s", name)
	}
}

const origin = "bench.example/log"

// auditLog is the audit log as a proxy runs it: sealed to a hybrid recipient, a head signed and published every second.
type auditLog struct {
	*auditlog.Log
	signer    *tiles.LogSigner
	policy    *tiles.Policy
	recipient age.Recipient
}

func openAuditLog(dir string) (*auditLog, error) {
	skey, vkey, err := tiles.GenerateLogKey(origin)
	if err != nil {
		return nil, err
	}
	signer, err := tiles.NewLogSigner(skey)
	if err != nil {
		return nil, err
	}
	policy, err := tiles.ParsePolicy([]byte("log " + vkey + "\nquorum none\n"))
	if err != nil {
		return nil, err
	}
	identity, err := age.GenerateHybridIdentity()
	if err != nil {
		return nil, err
	}
	l := &auditLog{signer: signer, policy: policy, recipient: identity.Recipient()}
	return l, l.open(dir)
}

func (l *auditLog) open(dir string) (err error) {
	l.Log, err = auditlog.Open(context.Background(), auditlog.Options{Dir: dir, Origin: origin, Signer: l.signer,
		Recipients: []age.Recipient{l.recipient}, Cosigner: publish{}, Quorum: l.policy,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	return err
}

// publish is a Cosigner for a quorum of none: what witnesses cost is not what is measured.
type publish struct{}

func (publish) Cosign(_ context.Context, signed []byte, _ uint64, _ func(uint64) ([]tiles.Hash, error)) ([]byte, error) {
	return signed, nil
}

func (l *auditLog) append(entry []byte) error {
	r, err := l.Append(record.KindStatement, time.Now(), entry)
	if err != nil {
		return err
	}
	return r.Wait()
}

func (l *auditLog) close() error { return l.Close(context.Background()) }

const (
	// frameSize is what one entry takes in the audit log's store: header, leaf and sealed payload.
	frameSize = 24 + record.LeafSize + seal.Overhead + entrySize
	rawSize   = 64 << 20
)

// raw is the floor: as many bytes, written and synced in a file of zeroes, nothing sealed or hashed. Whoever finds the disk free
// writes and syncs what all have brought until then.
type raw struct {
	f      *os.File
	zeroes []byte
	disk   sync.Mutex // guards at
	at     int64
	mu     sync.Mutex // guards next
	next   *rawBatch
}

type rawBatch struct {
	entries int
	done    bool // guarded by disk
	err     error
}

func openRaw(file string) (system, error) {
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	zeroes := make([]byte, 1<<20)
	for range rawSize / len(zeroes) {
		if _, err := f.Write(zeroes); err != nil {
			return nil, err
		}
	}
	return &raw{f: f, zeroes: zeroes, next: new(rawBatch)}, f.Sync()
}

func (r *raw) append([]byte) error {
	r.mu.Lock()
	b := r.next
	b.entries++
	r.mu.Unlock()
	r.disk.Lock()
	defer r.disk.Unlock()
	if b.done {
		return b.err
	}
	r.mu.Lock()
	r.next = new(rawBatch)
	r.mu.Unlock()
	b.done, b.err = true, r.write(b.entries*frameSize)
	return b.err
}

func (r *raw) write(n int) error {
	if r.at+int64(n) > rawSize {
		r.at = 0
	}
	if _, err := r.f.WriteAt(r.zeroes[:n], r.at); err != nil {
		return err
	}
	r.at += int64(n)
	return unix.Fdatasync(int(r.f.Fd()))
}

func (r *raw) close() error { return errors.Join(r.f.Close(), os.Remove(r.f.Name())) }
