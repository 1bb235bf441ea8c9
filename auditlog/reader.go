package auditlog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"sync"
)

const (
	// markEvery is how many records lie between two remembered offsets.
	markEvery = 256
	// maxMarked is of how many segments offsets are remembered: some 10 KiB each
	// with records of 300 bytes.
	maxMarked = 1024
)

// reader reads records from the segments of a directory, from any index on. It
// remembers where in each segment every 256th record begins once it has passed
// there; that is derived, and lost without harm. It is safe for concurrent use,
// also beside appenders.
type reader struct {
	fs fileSystem

	mu    sync.Mutex
	marks map[uint64][]mark // by the segment's first index
}

// mark is where record first+256·i of a segment begins.
type mark struct {
	offset int64
	batch  uint64 // of the record before
}

func newReader(fs fileSystem) *reader {
	return &reader{fs: fs, marks: make(map[uint64][]mark)}
}

// noLimit makes records read as far as there is something valid.
const noLimit = math.MaxUint64

// records calls fn for the records in [from, limit) in order and returns the
// index behind the last one. It ends early, without an error, when the written
// part ends or fn returns ErrStop. What is wrong in the store comes as a
// *CorruptError with the index where it is.
func (r *reader) records(ctx context.Context, from, limit uint64, fn func(Stored) error) (next uint64, err error) {
	return r.pass(ctx, from, limit, nil, fn)
}

// pass is records for who keeps none of them: what fn gets is valid until it
// returns, and is read into the buffer, which grows as needed. nil is records.
func (r *reader) pass(ctx context.Context, from, limit uint64, into *[]byte, fn func(Stored) error) (next uint64, err error) {
	next = from
	missing := false
	for next < limit {
		first, later, ok, err := r.segmentOf(next)
		if err != nil || !ok {
			return next, err
		}
		before := next
		next, err = r.segment(ctx, first, next, limit, into, fn)
		if errors.Is(err, ErrStop) {
			return next, nil
		}
		switch {
		case err != nil:
			return next, err
		case next > before:
			missing = false
		case later == 0:
			return next, nil // the last segment ends here
		case missing:
			return next, &CorruptError{File: segmentName(first), Index: next,
				What: fmt.Sprintf("its records end before record %d, but a segment that begins with record %d exists", next, later)}
		default:
			missing = true // perhaps the log went on in between: look again
		}
	}
	return next, nil
}

// segmentOf returns the segment in which the record is, or must be if it
// exists, and where the segment after it begins, 0 if there is none.
func (r *reader) segmentOf(index uint64) (first, later uint64, ok bool, err error) {
	firsts, err := listSegments(r.fs)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(firsts) == 0 {
		return 0, 0, false, nil
	}
	if err != nil {
		return 0, 0, false, err
	}
	i, exact := slices.BinarySearch(firsts, index)
	if !exact {
		i--
	}
	if i < 0 {
		return 0, 0, false, &CorruptError{File: segmentName(index), Index: index,
			What: fmt.Sprintf("the segment is missing; the first one begins with record %d", firsts[0])}
	}
	if i+1 < len(firsts) {
		later = firsts[i+1]
	}
	return firsts[i], later, true, nil
}

// segment reads on in one segment.
func (r *reader) segment(ctx context.Context, first, from, limit uint64, into *[]byte, fn func(Stored) error) (uint64, error) {
	f, err := r.fs.open(segmentName(first), false)
	if err != nil {
		return from, err
	}
	defer f.Close()
	s, err := r.seek(f, first, from, into)
	retried := false
	for err == nil && s.index < limit {
		if err = ctx.Err(); err != nil {
			break
		}
		r.note(first, s)
		var stored Stored
		stored, err = s.next()
		if err == errEnd && !retried {
			// Beside a running log there may be more by now than when this part
			// of the file was read, and records of the next segment are of no use
			// as long as this one goes on.
			retried, s.chunk, err = true, nil, nil
			continue
		}
		if err != nil {
			break
		}
		retried = false
		if err = fn(stored); err != nil {
			break
		}
	}
	if s == nil {
		return from, err
	}
	if err == errEnd {
		return s.index, nil
	}
	if isBadFrame(err) {
		err = &CorruptError{File: segmentName(first), Offset: s.offset, Index: s.index, What: err.Error()}
	}
	return s.index, err
}

// seek returns a scanner that stands before the record index.
func (r *reader) seek(f file, first, index uint64, into *[]byte) (*scanner, error) {
	s, err := newScanner(f, first)
	if err != nil {
		return nil, err
	}
	s.into = into
	r.mu.Lock()
	if marks := r.marks[first]; len(marks) > 0 {
		i := min(int((index-first)/markEvery), len(marks)-1)
		s.offset, s.batch, s.index = marks[i].offset, marks[i].batch, first+uint64(i)*markEvery
	}
	r.mu.Unlock()
	for s.index < index {
		r.note(first, s)
		if err := s.skip(); err != nil {
			if err == errEnd {
				err = &badFrame{fmt.Sprintf("the written part ends here, before record %d", index)}
			}
			return s, err
		}
	}
	return s, nil
}

// note remembers where the scanner stands if that is worth it.
func (r *reader) note(first uint64, s *scanner) {
	if (s.index-first)%markEvery != 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.marks[first]; !known && len(r.marks) == maxMarked {
		for other := range r.marks {
			delete(r.marks, other) // any: the one that is needed next is marked again
			break
		}
	}
	if uint64(len(r.marks[first])) == (s.index-first)/markEvery {
		r.marks[first] = append(r.marks[first], mark{s.offset, s.batch})
	}
}
