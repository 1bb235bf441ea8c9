package auditlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"shiguan/auditlog/record"
	"shiguan/auditlog/record/seal"
)

// Open opens a log, or makes a new one in an empty or absent directory. It
// recovers from a crash, opens a key period and returns when the record that
// says so is durable.
//
// It refuses, and touches nothing: with ErrLocked when the log is open
// elsewhere, with a *HeadError when the log is shorter than what it has signed
// or another one, with a *CorruptError when something is wrong in it that no
// crash explains.
func Open(ctx context.Context, o Options) (_ *Log, err error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if err := makeLayout(o); err != nil {
		return nil, err
	}
	lock, err := o.fs.lock("lock")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Dir, err)
	}
	l := &Log{options: o, fs: o.fs, lock: lock, reader: newReader(o.fs), tiles: newTileStore(o.fs), ages: &ages{}, done: make(chan struct{})}
	last, err := l.recover(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", o.Dir, err), l.abandon())
	}
	background, stop := context.WithCancel(context.Background())
	l.stop = stop
	go l.committer.tend()
	if err := l.begin(last.Leaf.Period); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", o.Dir, err), l.Close(ctx))
	}
	l.start(background)
	return l, nil
}

// makeLayout makes the directories. Their names are durable before anything is
// in them, and so is every name in them that a killed process left: what this
// one reads it builds on.
func makeLayout(o Options) error {
	if _, ok := o.fs.(osFS); ok {
		if err := os.MkdirAll(o.Dir, 0o755); err != nil {
			return err
		}
	}
	for _, dir := range []string{segmentDir, keyDir, tornDir} {
		if err := o.fs.mkdir(dir); err != nil {
			return err
		}
		if err := o.fs.syncDir(dir); err != nil {
			return err
		}
	}
	return o.fs.syncDir(".")
}

// recover brings the log's parts to where the last life left them and returns
// the last record.
func (l *Log) recover(ctx context.Context) (last Stored, err error) {
	head, err := loadHead(l.fs, headFile, l.options.Origin, l.options.Quorum)
	if err != nil {
		return last, err
	}
	published, err := loadHead(l.fs, checkpointFile, l.options.Origin, l.options.Quorum)
	if err != nil {
		return last, err
	}
	rec, err := recoverStore(ctx, l.fs, head.Checkpoint, l.options.SegmentBytes)
	if err != nil {
		return last, err
	}
	if rec.torn > 0 {
		l.options.Logger.Warn("audit log: a crash left a torn write, which was cut; no record in it had been acknowledged, a copy is in "+tornDir+"/",
			"record", rec.next, "bytes", rec.torn)
	}
	l.assemble(rec, head, l.witnessedHead(published))
	l.signer.builder, err = restoreTree(ctx, l.reader, l.tiles, head.Checkpoint, published.Checkpoint, l.options.Logger)
	if err != nil {
		return last, err
	}
	if err := l.rememberAges(ctx, l.witnessing.witnessed.Load(), head.Size); err != nil {
		return last, err
	}
	if err := finishErasures(l.fs); err != nil {
		return last, err
	}
	l.metrics, err = newMetrics(l.options.Registerer, l.Status, func() bool { return l.Err() != nil })
	l.committer.metrics, l.witnessing.metrics = l.metrics, l.metrics
	return rec.last, err
}

// witnessedHead is the published head if the quorum has signed it, and none otherwise: whoever can write the file could
// put any signed head there, and a quorum that the policy no longer names says nothing.
func (l *Log) witnessedHead(published signedHead) signedHead {
	if published.signed == nil || l.options.Quorum == nil {
		return published
	}
	if _, _, err := l.options.Quorum.Check(published.signed); err != nil {
		l.options.Logger.Warn("audit log: the published checkpoint does not have its quorum; nothing counts as witnessed until it has", "size", published.Size, "reason", err)
		return signedHead{}
	}
	return published
}

// assemble makes the parts that share state.
func (l *Log) assemble(rec *recovered, head, published signedHead) {
	o := l.options
	l.committer = newCommitter(l.fs, rec.next)
	l.committer.ages, l.committer.fail = l.ages, l.fail
	l.committer.segment, l.committer.size, l.committer.offset = rec.segment, rec.size, rec.offset
	l.committer.preparer = preparer{fs: l.fs, bytes: o.SegmentBytes, logger: o.Logger}
	l.signer = &signer{fs: l.fs, origin: o.Origin, keys: o.signers(), reader: l.reader, tiles: l.tiles,
		durable: &l.committer.durable, logger: o.Logger, head: head}
	if head.signed != nil {
		l.signer.current.Store(&head)
		l.signer.integrated.Store(head.Size)
	}
	l.witnessing = &witnessing{fs: l.fs, cosigner: o.Cosigner, quorum: o.Quorum, tiles: l.tiles,
		head: &l.signer.current, ages: l.ages, logger: o.Logger}
	if published.signed != nil {
		l.witnessing.published.Store(&published)
		l.witnessing.witnessed.Store(published.Size)
	}
	l.sealer.Store(new(seal.Sealer)) // of no period, until begin
}

// rememberAges takes the ages of records that wait since the last life from
// their leaves.
func (l *Log) rememberAges(ctx context.Context, indexes ...uint64) error {
	for _, index := range indexes {
		_, err := l.reader.records(ctx, index, index+1, func(st Stored) error {
			l.ages.add(st.Index, st.Leaf.When())
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// abandon lets go of everything after a failed recovery.
func (l *Log) abandon() error {
	l.tiles.close()
	var segment io.Closer = nopCloser{}
	if l.committer != nil {
		segment = l.committer.segment
	}
	return errors.Join(segment.Close(), l.lock.Close())
}

type nopCloser struct{}

func (nopCloser) Close() error { return nil }

// start starts the goroutines other than the committer's.
func (l *Log) start(ctx context.Context) {
	if l.options.manual {
		return
	}
	news := make(chan struct{}, 1)
	signed := func() {
		select {
		case news <- struct{}{}:
		default: // the one that waits will see the newest head
		}
	}
	l.background.Go(func() {
		if err := l.signer.run(ctx, l.options.Interval, signed); err != nil {
			l.fail(err)
		}
	})
	l.background.Go(func() { l.housekeep(ctx) })
	if l.witnessing.cosigner == nil {
		return
	}
	signed() // a head of the last life may not be witnessed yet
	l.background.Go(func() {
		if err := l.witnessing.run(ctx, news, l.options.Interval); err != nil {
			l.fail(err)
		}
	})
}

// begin opens the first key period of this life: above every period that has a
// key, and above that of the last record in case its key was taken away.
func (l *Log) begin(lastPeriod uint32) error {
	newest, err := newestPeriod(l.fs)
	if err != nil {
		return err
	}
	return l.openPeriod(max(newest, lastPeriod)+1, l.options.now())
}

// openPeriod goes on to a new key period and waits until its record is durable.
func (l *Log) openPeriod(period uint32, now time.Time) error {
	// 1. The wrapped key is durable. A crash leaves a key without records.
	sealer, digest, err := newPeriod(l.fs, period, l.options.Recipients)
	if err != nil {
		return err
	}
	// 2. The period's first record, then everybody's. Records that were being
	// sealed under the old period may still come behind it.
	opened, err := periodOpened(l.fs, l.options.Origin, period, digest, l.options.Recipients, now)
	if err != nil {
		return err
	}
	r, err := l.appendRecord(sealer, opened)
	if err != nil {
		return err
	}
	l.sealer.Store(sealer)
	l.periodDay = now.YearDay()
	return r.Wait()
}

// appendRecord appends a record of the log's own.
func (l *Log) appendRecord(sealer *seal.Sealer, r *record.Record) (Receipt, error) {
	payload, err := r.Append(nil)
	if err != nil {
		return Receipt{}, err
	}
	return l.append(sealer, r.Kind, r.Time, payload)
}

// ErasePeriod puts on record that a key period's key is destroyed, by whom and
// why, and then destroys it: its records can never be read again, and every
// proof of them stays valid. The period that is in use cannot be erased.
func (l *Log) ErasePeriod(period uint32, person, reason string) (Receipt, error) {
	if period >= l.sealer.Load().Period() {
		return Receipt{}, fmt.Errorf("key period %d is in use or does not exist: only an earlier one can be erased", period)
	}
	if person == "" || reason == "" {
		return Receipt{}, errors.New("erasing a key period needs a person and a reason: they go on record")
	}
	if _, err := readWrappedKey(l.fs, period); err != nil {
		return Receipt{}, err
	}
	now := l.options.now()
	r, err := l.appendRecord(l.sealer.Load(), &record.Record{Kind: record.KindPeriodErased, Time: now, Person: person, Reason: reason,
		Origin: l.options.Origin, Detail: map[string]string{"period": strconv.FormatUint(uint64(period), 10)}})
	if err != nil {
		return Receipt{}, err
	}
	// A crash before the record is durable erases nothing.
	if err := r.Wait(); err != nil {
		return r, err
	}
	return r, eraseKey(l.fs, erasure{Period: period, Person: person, Reason: reason, Time: now.UTC(), Index: r.Index()})
}
