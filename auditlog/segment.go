package auditlog

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
)

// Segments are files of zeroes into which records are written one after the
// other: a sync of a file that neither grows nor has holes costs half. A batch
// never spans two segments; one that is larger than a segment gets a segment of
// its own size. A segment is named after the index of its first record.
const (
	segmentDir = "segments"
	segmentExt = ".seg"
	// nextSegment is where a segment waits, zeroed, until it is needed; a
	// leftover is removed when the log is opened.
	nextSegment = segmentDir + "/next.tmp"
	// ownSegment is the same for a batch larger than a segment.
	ownSegment = segmentDir + "/own.tmp"

	defaultSegmentBytes = 64 << 20
)

func segmentName(first uint64) string {
	return fmt.Sprintf("%s/%020d%s", segmentDir, first, segmentExt)
}

// parseSegmentName is the inverse of segmentName for a name in segmentDir.
func parseSegmentName(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, segmentExt)
	if !ok || len(digits) != 20 {
		return 0, false
	}
	first, err := strconv.ParseUint(digits, 10, 64)
	return first, err == nil && segmentName(first) == segmentDir+"/"+name
}

// listSegments returns the first indexes of all segments in order. A file of
// any other name except our own temporary ones is an error: somebody put it
// there, and ignoring it could hide a segment with a damaged name.
func listSegments(s fileSystem) ([]uint64, error) {
	names, err := s.readDir(segmentDir)
	if err != nil {
		return nil, err
	}
	var firsts []uint64
	for _, name := range names {
		if tmpName(name) {
			continue
		}
		first, ok := parseSegmentName(name)
		if !ok {
			return nil, fmt.Errorf("%s/%s is not a segment of this log: move it out of the directory", segmentDir, name)
		}
		firsts = append(firsts, first)
	}
	return firsts, nil
}

// makeZeroed creates a file of n zero bytes and syncs it. On error no file
// stays behind, so that a full disk has room again for what matters.
func makeZeroed(s fileSystem, name string, n int64) (file, error) {
	f, err := s.create(name)
	if err != nil {
		return nil, err
	}
	if err = fillZero(f, 0, n); err == nil {
		err = f.sync()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), s.remove(name))
	}
	return f, nil
}

// fillZero writes zeroes over [from, to).
func fillZero(f file, from, to int64) error {
	zeroes := make([]byte, min(1<<20, to-from))
	for from < to {
		n := min(int64(len(zeroes)), to-from)
		if _, err := f.WriteAt(zeroes[:n], from); err != nil {
			return err
		}
		from += n
	}
	return nil
}

// prepared is a zeroed segment under its temporary name, or why there is none.
type prepared struct {
	f   file
	err error
}

// preparer makes the next segment in the background, one at a time. It belongs
// to the leader.
type preparer struct {
	fs      fileSystem
	bytes   int64
	logger  *slog.Logger
	pending chan prepared // nil when nothing was asked for
}

// start begins to make the next segment unless that was done already.
func (p *preparer) start() {
	if p.pending != nil {
		return
	}
	result := make(chan prepared, 1)
	p.pending = result
	go func() {
		f, err := makeZeroed(p.fs, nextSegment, p.bytes)
		if err != nil {
			p.logger.Warn("audit log: the next segment could not be prepared; when the present one is full the log will stop: make room on its disk", "error", err)
		}
		result <- prepared{f, err}
	}()
}

// take waits for the next segment. A disk that was full while it was prepared
// may have room now that the space is really needed, and no record was at stake
// in the file that failed: it is tried once more. Any other error stands.
func (p *preparer) take() (file, error) {
	p.start()
	got := <-p.pending
	p.pending = nil
	if outOfSpace(got.err) {
		return makeZeroed(p.fs, nextSegment, p.bytes)
	}
	return got.f, got.err
}

// stop waits for the background to end and lets go of what it made.
func (p *preparer) stop() {
	if p.pending == nil {
		return
	}
	if got := <-p.pending; got.f != nil {
		got.f.Close()
		p.fs.remove(nextSegment) // a leftover does no harm: Open removes it
	}
	p.pending = nil
}
