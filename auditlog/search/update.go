package search

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"

	"shiguan/auditlog"
	"shiguan/auditlog/record"
	"shiguan/auditlog/record/seal"
	"shiguan/auditlog/tiles"
)

// OtherLogError says that an index belongs to another log than the one it should be updated from.
type OtherLogError struct{ Indexed, Log string } // origins

func (e *OtherLogError) Error() string {
	return fmt.Sprintf("the search index is of the log %s, not of %s: name another index file for this log", e.Indexed, e.Log)
}

// DivergedError says that the log no longer is, or never was, what its signed heads and this index say: it was changed, set
// back, or is a copy that went its own way.
type DivergedError struct {
	Size    uint64     // of the part of the log in question
	Indexed tiles.Hash // root over these records as they were indexed
	Length  uint64     // of the log, or of the head that it contradicts
	Cause   error
}

func (e *DivergedError) Error() string {
	return fmt.Sprintf("the log and its search index contradict each other: the first %d records were indexed with root %s, the log now has %d: %v: "+
		"keep the index file and a copy of the log as evidence and run `shiguan fsck`; the index is built again once its file is moved away",
		e.Size, tiles.FormatHash(e.Indexed), e.Length, e.Cause)
}

func (e *DivergedError) Unwrap() error { return e.Cause }

// A batch is committed when it has so many records, or so many bytes of payload.
var batchRecords = 4096 // not constant for tests only

const batchBytes = 16 << 20

var ranges = compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}

// position is how far the index is; the row of the table of that name.
type position struct {
	origin string
	leaves *compact.Range   // over all leaves read
	signed tiles.Checkpoint // the last head that the leaves were checked under; size 0: none
}

func (p *position) size() uint64 { return p.leaves.End() }

func (p *position) root() (tiles.Hash, error) {
	if p.size() == 0 {
		return tiles.EmptyRoot(), nil
	}
	root, err := p.leaves.GetRootHash(nil)
	if err != nil {
		return tiles.Hash{}, fmt.Errorf("search index: %w", err)
	}
	return tiles.Hash(root), nil
}

// update is one run of Index.Update.
type update struct {
	ctx      context.Context
	w        *writer
	opener   *auditlog.Opener
	progress func(done, total uint64)
	applier  *applier
	at       position

	status    auditlog.Status
	published tiles.Checkpoint // the log's last published head, which witnesses have co-signed
	head      tiles.Checkpoint // the log's last signed head
	hold      uint64           // nothing is committed before the index has come so far

	records int // in the transaction
	bytes   int
}

// Update reads on from where the last update stopped until the log's end, and commits in batches. progress, which may be nil,
// is told how many of the log's records have been read. If Update fails, what was committed stays and is right.
//
// What is wrong with a single record is an [Anomaly] and does not stop the update, since whoever damaged one record would
// blind all investigation. It stops with an *OtherLogError, a *DivergedError, and with an error that wraps
// seal.ErrNoIdentity if the opener has no identity for a key period.
func (x *Index) Update(ctx context.Context, src auditlog.Source, op *auditlog.Opener, progress func(done, total uint64)) error {
	unlock, err := x.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	w, err := x.writer(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	if progress == nil {
		progress = func(uint64, uint64) {}
	}
	u := &update{ctx: ctx, w: w, opener: op, progress: progress}
	if err := u.load(); err != nil {
		return err
	}
	if err := u.compare(src); err != nil {
		return err
	}
	if err := src.Records(ctx, u.at.size(), u.add); err != nil {
		return fmt.Errorf("updating the search index: %w", err)
	}
	return u.flush()
}

// load reads the position that the last update left.
func (u *update) load() error {
	var size, signed, started int64
	var hashes, root []byte
	row := u.w.conn.QueryRowContext(u.ctx, "SELECT origin, size, hashes, signed, root, started FROM position")
	err := row.Scan(&u.at.origin, &size, &hashes, &signed, &root, &started)
	if errors.Is(err, sql.ErrNoRows) {
		u.at.leaves = ranges.NewEmptyRange(0)
		u.applier = newApplier(u.w, 0)
		return nil
	}
	if err != nil {
		return fmt.Errorf("search index: %w", err)
	}
	var list [][]byte
	for ; len(hashes) >= tiles.HashSize; hashes = hashes[tiles.HashSize:] {
		list = append(list, hashes[:tiles.HashSize:tiles.HashSize])
	}
	if u.at.leaves, err = ranges.NewRange(0, uint64(size), list); err != nil || len(root) != tiles.HashSize {
		return fmt.Errorf("the search index is damaged (%w): delete its file, it is built again from the log", errors.Join(err))
	}
	u.at.signed = tiles.Checkpoint{Size: uint64(signed), Root: tiles.Hash(root)}
	u.applier = newApplier(u.w, uint64(started))
	return nil
}

// compare makes sure that the log is the one that was indexed and still begins as it did, before anything is read from it.
func (u *update) compare(src auditlog.Source) (err error) {
	if u.status, err = src.Status(u.ctx); err != nil {
		return fmt.Errorf("updating the search index: %w", err)
	}
	if err := u.name(u.status.Origin); err != nil {
		return err
	}
	// In this order, so that the published head is the older one.
	if u.published, err = u.readHead(src.Checkpoint); err != nil {
		return err
	}
	if u.head, err = u.readHead(src.Head); err != nil {
		return err
	}
	root, err := u.at.root()
	if err != nil {
		return err
	}
	indexed := tiles.Checkpoint{Size: u.at.size(), Root: root}
	// A log may lose nothing that was durable, signed or not, nor go back to an older head.
	if length := max(u.status.Durable, u.head.Size); length < indexed.Size {
		return &DivergedError{Size: indexed.Size, Indexed: root, Length: length, Cause: errors.New("the log is shorter than it was")}
	}
	if u.at.signed.Size > u.head.Size {
		return &DivergedError{Size: u.at.signed.Size, Indexed: u.at.signed.Root, Length: u.head.Size,
			Cause: errors.New("the log's head is older than one that it has signed before")}
	}
	if indexed.Size <= u.head.Size {
		checked, err := u.begins(src, indexed)
		if checked || err != nil {
			return err
		}
		// Nothing is committed until the records are found to lead to the head.
		u.hold = u.head.Size
	}
	_, err = u.begins(src, u.at.signed)
	return err
}

// readHead reads one of the log's two heads. One that does not exist is the head of an empty log.
func (u *update) readHead(read func(context.Context) ([]byte, error)) (tiles.Checkpoint, error) {
	none := tiles.Checkpoint{Root: tiles.EmptyRoot()}
	signed, err := read(u.ctx)
	if errors.Is(err, auditlog.ErrNotPublished) {
		return none, nil
	}
	if err != nil {
		return none, fmt.Errorf("updating the search index: %w", err)
	}
	c, err := parseHead(signed)
	if err != nil {
		return none, err
	}
	return c, u.name(c.Origin)
}

// begins checks that the log begins with a tree that was indexed. Tiles that prove it may be had for the published head only,
// as over HTTP; if they cannot be had, checked is false. The tree MUST NOT be larger than the log's head.
func (u *update) begins(src auditlog.Source, tree tiles.Checkpoint) (checked bool, err error) {
	if tree.Size == 0 {
		return true, nil
	}
	under := u.published
	if tree.Size > under.Size {
		under = u.head
	}
	proof, err := tiles.ProveConsistency(u.ctx, src, tree.Size, under.Size)
	if err != nil && tree.Size > u.published.Size && u.ctx.Err() == nil {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("updating the search index: %w", err)
	}
	if err := tiles.CheckConsistency(tree.Size, under.Size, proof, tree.Root, under.Root); err != nil {
		return false, &DivergedError{Size: tree.Size, Indexed: tree.Root, Length: under.Size, Cause: err}
	}
	return true, nil
}

// name compares the origin with the index's. A log that has signed nothing yet may not know its own.
func (u *update) name(origin string) error {
	switch {
	case origin == "", origin == u.at.origin:
		return nil
	case u.at.origin != "":
		return &OtherLogError{Indexed: u.at.origin, Log: origin}
	}
	u.at.origin = origin
	return nil
}

func parseHead(signed []byte) (tiles.Checkpoint, error) {
	n, err := tiles.ParseNote(signed)
	if err != nil {
		return tiles.Checkpoint{}, fmt.Errorf("the log's head: %w", err)
	}
	c, err := tiles.ParseCheckpoint(n.Text)
	if err != nil {
		return tiles.Checkpoint{}, fmt.Errorf("the log's head: %w", err)
	}
	return c, nil
}

// add indexes the next record of the log.
func (u *update) add(s auditlog.Stored) error {
	if s.Index >= u.status.Durable {
		return auditlog.ErrStop // it may yet be lost in a crash and another one take its place
	}
	if s.Index != u.at.size() {
		return fmt.Errorf("the log gave record %d where %d was next", s.Index, u.at.size())
	}
	if !u.w.inTx {
		if err := u.w.begin(u.ctx); err != nil {
			return err
		}
	}
	payload, err := u.index(s)
	if err != nil {
		return err
	}
	hash := tiles.LeafHash(s.LeafBytes)
	if err := u.at.leaves.Append(hash[:], nil); err != nil {
		return fmt.Errorf("search index: %w", err)
	}
	if err := u.checkHead(); err != nil {
		return err
	}
	u.records++
	u.bytes += payload
	if (u.records >= batchRecords || u.bytes >= batchBytes) && u.at.size() >= u.hold {
		return u.flush()
	}
	return nil
}

// checkHead compares roots when the index has come just as far as the log's head. On a difference nothing of the batch is kept.
func (u *update) checkHead() error {
	if u.at.size() != u.head.Size {
		return nil
	}
	root, err := u.at.root()
	if err != nil {
		return err
	}
	if root != u.head.Root {
		return &DivergedError{Size: u.head.Size, Indexed: root, Length: u.head.Size,
			Cause: fmt.Errorf("its records are not those that its head was signed over, with root %s", tiles.FormatHash(u.head.Root))}
	}
	u.at.signed = u.head
	return nil
}

// index opens a record and puts it into the index. It returns the size of the payload.
func (u *update) index(s auditlog.Stored) (int, error) {
	leaf, err := record.ParseLeaf(s.LeafBytes)
	if err != nil {
		return 0, u.applier.anomaly(u.ctx, s.Index, err.Error())
	}
	payload, _, err := u.opener.Open(u.ctx, s)
	var r *record.Record
	if err == nil {
		r, err = record.Decode(payload)
		if err != nil {
			err = fmt.Errorf("%w: %w", errUnreadable, err)
		} else if r.Kind != leaf.Kind || r.Time.UnixMilli() != leaf.Time {
			err = fmt.Errorf("%w: its kind or time is not that of its leaf", errUnreadable)
		}
	}
	switch {
	case err == nil:
		return len(payload), u.applier.apply(u.ctx, s.Index, leaf, r)
	case errors.Is(err, auditlog.ErrErased):
		return 0, u.applier.addClosed(u.ctx, s.Index, leaf, contentErased)
	case unreadable(err):
		if err := u.applier.anomaly(u.ctx, s.Index, err.Error()); err != nil {
			return 0, err
		}
		return 0, u.applier.addClosed(u.ctx, s.Index, leaf, contentUnreadable)
	}
	return 0, err
}

var errUnreadable = errors.New("the record is not readable")

// unreadable tells what is wrong with one record for good from what went wrong in reading it now.
func unreadable(err error) bool {
	for _, lasting := range []error{errUnreadable, auditlog.ErrKeyMissing, seal.ErrSealedHash, seal.ErrNotSealed, record.ErrCommitment} {
		if errors.Is(err, lasting) {
			return true
		}
	}
	return false
}

// flush commits the records since the last flush, together with the position behind them.
func (u *update) flush() error {
	if u.w.inTx {
		if err := u.save(); err != nil {
			return err
		}
		if err := u.w.commit(u.ctx); err != nil {
			return err
		}
	}
	u.records, u.bytes = 0, 0
	u.progress(u.at.size(), max(u.at.size(), u.status.Durable))
	return nil
}

func (u *update) save() error {
	var hashes []byte
	for _, h := range u.at.leaves.Hashes() {
		hashes = append(hashes, h...)
	}
	signed := u.at.signed
	if signed.Size == 0 {
		signed.Root = tiles.EmptyRoot()
	}
	return u.w.exec(u.ctx, `INSERT OR REPLACE INTO position (one, origin, size, hashes, signed, root, started)
		VALUES (1, ?, ?, ?, ?, ?, ?)`, u.at.origin, int64(u.at.size()), hashes, int64(signed.Size), signed.Root[:],
		int64(u.applier.started))
}
