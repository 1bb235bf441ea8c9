package auditlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strconv"

	"shiguan/auditlog/tiles"
)

// compareTile compares a recomputed tile with the source's, byte by byte. Tiles
// beyond what a head covers are not looked at: a crash may leave them.
func (f *fsck) compareTile(ctx context.Context, t tiles.Tile) error {
	if !covered(t.TileID, f.limit) {
		return nil
	}
	f.report.Tiles++
	r, ok := f.src.(resources)
	if !ok {
		return f.compareRead(ctx, t)
	}
	have, err := r.readResource(ctx, t.TileID)
	if errors.Is(err, fs.ErrNotExist) || isStatus(err, http.StatusNotFound) {
		return &Contradiction{Where: t.Path(), What: "the log has no such tile", Want: "recomputed " + digest(t.Data), Have: "nothing there"}
	}
	if err != nil {
		return err
	}
	// In the place of a partial one a wider one may stand, which begins with it.
	if err := differ(t.Path(), t.Data, have, t.Width < tiles.TileWidth); err != nil {
		return err
	}
	if d, ok := f.src.(*dirSource); ok {
		return d.comparePartials(t)
	}
	return nil
}

// compareRead is for a source that only gives hashes.
func (f *fsck) compareRead(ctx context.Context, t tiles.Tile) error {
	if t.Level == tiles.LevelEntries {
		return nil
	}
	have, err := f.src.ReadTile(ctx, uint64(t.Level), t.Index, t.Width)
	if err != nil {
		return err
	}
	return differ(t.Path(), t.Data, have, t.Width < tiles.TileWidth)
}

// differ reports the first byte at which two sides differ.
func differ(path string, want, have []byte, prefix bool) error {
	if bytes.Equal(want, have) || prefix && bytes.HasPrefix(have, want) {
		return nil
	}
	at := 0
	for at < len(want) && at < len(have) && want[at] == have[at] {
		at++
	}
	side := func(b []byte) string {
		return fmt.Sprintf("%d bytes, from there on %x", len(b), b[at:min(at+8, len(b))])
	}
	return &Contradiction{Where: path, What: fmt.Sprintf("the tile is not what the records give, first at byte %d", at),
		Want: "recomputed " + side(want), Have: "found " + side(have)}
}

func digest(b []byte) string { return fmt.Sprintf("%d bytes", len(b)) }

// comparePartials compares what is left of the narrower partials of a tile.
func (d *dirSource) comparePartials(t tiles.Tile) error {
	full := t.TileID
	full.Width = tiles.TileWidth
	names, err := d.fs.readDir(full.Path() + ".p")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range names {
		width, err := strconv.Atoi(name)
		if err != nil || width < 1 || width >= t.Width {
			continue // not a tile, or one beyond this size
		}
		part := full
		part.Width = width
		have, err := readFile(d.fs, part.Path())
		if errors.Is(err, fs.ErrNotExist) {
			continue // pruned meanwhile
		}
		if err != nil {
			return err
		}
		if err := differ(part.Path(), cutTile(t, width), have, false); err != nil {
			return err
		}
	}
	return nil
}

// cutTile returns the first width entries of a tile.
func cutTile(t tiles.Tile, width int) []byte {
	if t.Level != tiles.LevelEntries {
		return t.Data[:width*tiles.HashSize]
	}
	n := 0
	for range width {
		n += 2 + int(t.Data[n])<<8 + int(t.Data[n+1])
	}
	return t.Data[:n]
}

// checkTail implements tailChecker: behind the records of each segment stand
// zeroes, in the last one or else one torn batch; anything else is damage.
func (d *dirSource) checkTail(ctx context.Context, next uint64) (torn bool, err error) {
	for {
		more, invalid := d.reader.records(ctx, next, noLimit, func(Stored) error { return nil })
		if invalid != nil && !errors.As(invalid, new(*CorruptError)) {
			return false, invalid
		}
		if more > next {
			next = more // a running log has gone on
			continue
		}
		first, later, ok, err := d.reader.segmentOf(next)
		if err != nil || !ok {
			return false, err
		}
		if later != 0 && invalid != nil {
			return false, invalid
		}
		t, err := d.tail(first, next)
		if err != nil {
			return false, err
		}
		if t.later == nil {
			return t.end > 0, d.checkOldTails()
		}
		again, _ := d.reader.records(ctx, next, noLimit, func(Stored) error { return nil })
		if again > next {
			continue
		}
		return false, &CorruptError{File: segmentName(first), Offset: t.at, Index: next,
			What: fmt.Sprintf("record %d is not valid, but record %d of a batch written later stands behind it", next, t.later.Index)}
	}
}

// checkOldTails checks that nothing but zeroes stands behind the records of the
// segments before the last.
func (d *dirSource) checkOldTails() error {
	firsts, err := listSegments(d.fs)
	if err != nil {
		return err
	}
	for i := 1; i < len(firsts); i++ {
		t, err := d.tail(firsts[i-1], firsts[i])
		if err != nil {
			return err
		}
		if t.end > 0 {
			return &CorruptError{File: segmentName(firsts[i-1]), Offset: t.end - 1, Index: firsts[i],
				What: "something stands behind the segment's last record"}
		}
	}
	return nil
}

// tail examines what stands in a segment before the record next would; its end
// is 0 if only zeroes do.
func (d *dirSource) tail(first, next uint64) (tail, error) {
	f, err := d.fs.open(segmentName(first), false)
	if err != nil {
		return tail{}, err
	}
	defer f.Close()
	sc, err := d.reader.seek(f, first, next, nil)
	if err != nil {
		return tail{}, err
	}
	t, err := examineTail(f, sc.offset, sc.size, next)
	if t.end == sc.offset {
		t.end = 0
	}
	return t, err
}
