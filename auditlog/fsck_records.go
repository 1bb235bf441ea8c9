package auditlog

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"shiguan/auditlog/record"
	"shiguan/auditlog/record/seal"
)

// jobRecords is how many records a worker checks at once.
const jobRecords = 256

// checked is a record whose own bytes have been checked.
type checked struct {
	Stored
	record   *record.Record // nil if it was not opened
	unopened error          // why not: ErrErased, seal.ErrNoIdentity
}

// job is a run of records on its way through a worker, in its turn.
type job struct {
	records []checked
	err     error // of the record behind the last good one
	done    chan struct{}
}

// records streams the log through workers, which check each record by itself,
// and then in order through the tree and the sessions.
func (f *fsck) records(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	workers := runtime.GOMAXPROCS(0)
	work, ordered := make(chan *job), make(chan *job, 2*workers)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel() // before Wait, so that nobody is left blocked
	for range workers {
		wg.Go(func() {
			for j := range work {
				f.check(ctx, j)
				close(j.done)
			}
		})
	}
	var readErr error // read after ordered is closed
	wg.Go(func() {
		defer close(ordered)
		defer close(work)
		readErr = f.read(ctx, work, ordered)
	})
	for j := range ordered {
		<-j.done
		for i := range j.records {
			if err := f.one(ctx, &j.records[i]); err != nil {
				return err
			}
		}
		if j.err != nil {
			return j.err
		}
		if f.o.Progress != nil {
			f.o.Progress(f.report.Durable, max(f.total, f.report.Durable))
		}
	}
	return readErr
}

// read cuts the log into jobs.
func (f *fsck) read(ctx context.Context, work, ordered chan<- *job) error {
	var j *job
	send := func() error {
		if j == nil {
			return nil
		}
		next := j
		j = nil
		for _, c := range []chan<- *job{work, ordered} {
			select {
			case c <- next:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}
	err := f.src.Records(ctx, 0, func(st Stored) error {
		if j == nil {
			j = &job{records: make([]checked, 0, jobRecords), done: make(chan struct{})}
		}
		j.records = append(j.records, checked{Stored: st})
		if len(j.records) == jobRecords {
			return send()
		}
		return nil
	})
	return errors.Join(send(), err)
}

// check checks each record of a job by itself.
func (f *fsck) check(ctx context.Context, j *job) {
	for i := range j.records {
		if err := f.checkOne(ctx, &j.records[i]); err != nil {
			j.records, j.err = j.records[:i], err
			return
		}
	}
}

func (f *fsck) checkOne(ctx context.Context, c *checked) error {
	where := fmt.Sprintf("record %d", c.Index)
	leaf, err := record.ParseLeaf(c.LeafBytes)
	if err != nil {
		return &Contradiction{Where: where, What: "its leaf is not one", Err: err}
	}
	if f.report.PublicOnly {
		return nil
	}
	if sum := sha256.Sum256(c.Sealed); sum != leaf.Sealed {
		return &Contradiction{Where: where, What: "the sealed payload is not the leaf's",
			Want: fmt.Sprintf("the leaf states SHA-256 %x", leaf.Sealed), Have: fmt.Sprintf("its bytes give %x", sum)}
	}
	if len(f.o.Identities) == 0 {
		return nil
	}
	payload, opening, err := f.opener.Open(ctx, c.Stored)
	switch {
	case errors.Is(err, ErrErased), errors.Is(err, seal.ErrNoIdentity):
		c.unopened = err
		return nil
	case errors.Is(err, ErrKeyMissing):
		return &Contradiction{Where: fmt.Sprintf("key period %d", leaf.Period), What: "records are sealed in it", Err: ErrKeyMissing}
	case errors.Is(err, seal.ErrNotSealed), errors.Is(err, record.ErrCommitment):
		return &Contradiction{Where: where, What: "leaf, payload and key do not belong together", Err: err}
	case err != nil:
		return err
	}
	if err := record.CheckOpening(leaf, opening, payload); err != nil {
		return &Contradiction{Where: where, What: "the payload is not the record that its leaf states", Err: err}
	}
	c.record, err = record.Decode(payload)
	return err
}
