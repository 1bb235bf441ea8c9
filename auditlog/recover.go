package auditlog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"shiguan/auditlog/tiles"
)

const tornDir = "torn"

// recovered is the store as recovery leaves it: a valid prefix, zeroes behind.
type recovered struct {
	next    uint64 // index of the next record
	segment file   // the last one, open for writing
	size    int64
	offset  int64  // where the next record goes
	last    Stored // the last record, if next > 0
	first   Stored // the first record not in the signed head, if there is one
	torn    int64  // bytes that were cut
}

// recoverStore finds the longest valid prefix of the segments and cuts what a
// crash left behind it. It reads only the segment in which the signed head
// ends, and what follows; that the head's records are those that were signed
// is for restoreTree to see.
//
// A crash leaves at most one batch torn, the last: the next one is not begun
// before a sync has returned. So an invalid record is torn only if no batch
// begun later stands behind it and it was never signed; all else is damage that
// no crash explains, and nothing is touched then.
func recoverStore(ctx context.Context, s fileSystem, head tiles.Checkpoint, segmentBytes int64) (*recovered, error) {
	if err := removeTemporary(s); err != nil {
		return nil, err
	}
	firsts, err := listSegments(s)
	if err != nil {
		return nil, err
	}
	if len(firsts) == 0 {
		if head.Size > 0 {
			return nil, &HeadError{File: headFile, SignedSize: head.Size, SignedRoot: head.Root}
		}
		return newStore(s, segmentBytes)
	}
	if firsts[0] != 0 {
		return nil, &CorruptError{File: segmentName(0), What: fmt.Sprintf("the segment is missing; the first one begins with record %d", firsts[0])}
	}
	rec := &recovered{}
	var bad *CorruptError
	start := segmentBefore(firsts, head.Size)
	rec.next, err = newReader(s).records(ctx, start, noLimit, func(st Stored) error {
		if st.Index == head.Size {
			rec.first = st
		}
		rec.last = st
		return nil
	})
	if err != nil && !errors.As(err, &bad) {
		return nil, err
	}
	if rec.next < head.Size && bad == nil {
		return nil, &HeadError{File: headFile, SignedSize: head.Size, SignedRoot: head.Root, Size: rec.next}
	}
	if bad != nil && (bad.Index < head.Size || bad.File != segmentName(firsts[len(firsts)-1])) {
		return nil, bad
	}
	if err := rec.openLast(s, firsts[len(firsts)-1], head.Size); err != nil {
		if rec.segment != nil {
			rec.segment.Close()
		}
		return nil, err
	}
	return rec, nil
}

// removeTemporary removes what a crash left half made.
func removeTemporary(s fileSystem) error {
	for _, dir := range []string{".", segmentDir, keyDir} {
		names, err := s.readDir(dir)
		if err != nil {
			return err
		}
		for _, name := range names {
			if tmpName(name) {
				if err := s.remove(dir + "/" + name); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// newStore makes the first segment of a new log.
func newStore(s fileSystem, segmentBytes int64) (*recovered, error) {
	f, err := makeZeroed(s, nextSegment, segmentBytes)
	if err != nil {
		return nil, err
	}
	if err := installSegment(s, nextSegment, 0); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &recovered{segment: f, size: segmentBytes}, nil
}

// segmentBefore returns the first index of the segment in which the record
// before size is.
func segmentBefore(firsts []uint64, size uint64) uint64 {
	start := firsts[0]
	for _, first := range firsts {
		if first < size {
			start = first
		}
	}
	return start
}

// openLast opens the last segment for writing, cuts a torn tail and makes sure
// that what is kept is on stable storage.
func (rec *recovered) openLast(s fileSystem, first, signed uint64) error {
	f, err := s.open(segmentName(first), true)
	if err != nil {
		return err
	}
	rec.segment = f
	if rec.size, err = f.size(); err != nil {
		return err
	}
	if rec.offset, err = offsetOf(f, first, rec.next); err != nil {
		return err
	}
	t, err := examineTail(f, rec.offset, rec.size, rec.next)
	if err != nil {
		return err
	}
	if t.later != nil {
		return &CorruptError{File: segmentName(first), Offset: rec.offset, Index: rec.next,
			What: fmt.Sprintf("there is no valid record here, but at offset %d stands record %d of a batch written later", t.at, t.later.Index)}
	}
	if t.end > rec.offset {
		// A crash before the copy is durable leaves the torn bytes where they are;
		// one after it leaves a copy, and another is made next time.
		if err := keepTorn(s, f, first, rec.offset, t.end, rec.next); err != nil {
			return err
		}
		// A crash here leaves part of the torn bytes, which is still a torn tail.
		if err := fillZero(f, rec.offset, t.end); err != nil {
			return err
		}
		rec.torn = t.end - rec.offset
	}
	return rec.rewriteUnsigned(f, first, signed)
}

// rewriteUnsigned writes the records that no head covers over themselves and
// syncs. They may stand in the page cache only: because the process was killed
// between write and sync, or because a sync failed, after which the kernel
// calls such pages clean and would not write them again.
func (rec *recovered) rewriteUnsigned(f file, first, signed uint64) error {
	from := int64(0)
	if signed > first {
		var err error
		if from, err = offsetOf(f, first, min(signed, rec.next)); err != nil {
			return err
		}
	}
	buf := make([]byte, 1<<20)
	for from < rec.offset {
		b := buf[:min(int64(len(buf)), rec.offset-from)]
		if _, err := f.ReadAt(b, from); err != nil {
			return err
		}
		if _, err := f.WriteAt(b, from); err != nil {
			return err
		}
		from += int64(len(b))
	}
	return f.sync()
}

// offsetOf walks the headers of valid records to the one with that index.
func offsetOf(f file, first, index uint64) (int64, error) {
	sc, err := newScanner(f, first)
	for err == nil && sc.index < index {
		err = sc.skip()
	}
	if err != nil {
		return 0, fmt.Errorf("%s, looking for record %d: %w", segmentName(first), index, err)
	}
	return sc.offset, nil
}

// keepTorn copies the bytes that are about to be cut to a file of their own.
func keepTorn(s fileSystem, f file, first uint64, from, to int64, index uint64) error {
	cut := make([]byte, to-from)
	if _, err := f.ReadAt(cut, from); err != nil {
		return err
	}
	for n := 1; ; n++ {
		name := fmt.Sprintf("%s/%020d-%d", tornDir, index, n)
		old, err := s.open(name, false)
		if err == nil {
			old.Close()
			continue
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := writeFile(s, name, cut); err != nil {
			return err
		}
		return s.syncDir(tornDir)
	}
}
