package auditlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"shiguan/auditlog/record"
	"shiguan/auditlog/tiles"
)

// Period says what a log's directory holds of a key period.
type Period struct {
	Number uint32    `json:"period"`
	Opened time.Time `json:"opened,omitzero"` // as its first record in a signed head says; zero: it has none there
	First  uint64    `json:"first"`           // index of that record
	Erased *Erasure  `json:"erased,omitempty"`
}

// Erasure says who erased a key period. It is what the note in the place of the key says; the record at Index is the proof.
type Erasure struct {
	Person string    `json:"person"`
	Reason string    `json:"reason"`
	Time   time.Time `json:"time"`
	Index  uint64    `json:"index"`
}

// Periods lists the key periods of a log's directory, oldest first. It works beside a running log.
func Periods(ctx context.Context, dir string) ([]Period, error) {
	src, err := OpenDir(dir)
	if err != nil {
		return nil, err
	}
	d := src.(*dirSource)
	names, err := d.fs.readDir(keyDir)
	if err != nil {
		return nil, err
	}
	var numbers []uint32
	for _, name := range names {
		if number, ok := parseKeyName(name); ok {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	var all []Period
	for _, number := range slices.Compact(numbers) {
		p, err := d.period(ctx, number)
		if err != nil {
			return nil, fmt.Errorf("key period %d: %w", number, err)
		}
		all = append(all, p)
	}
	return all, nil
}

func (d *dirSource) period(ctx context.Context, number uint32) (Period, error) {
	p := Period{Number: number}
	text, err := readFile(d.fs, erasedName(number))
	switch {
	case err == nil:
		var note erasure
		if err := json.Unmarshal(text, &note); err != nil {
			return p, fmt.Errorf("%s: %w", erasedName(number), err)
		}
		p.Erased = &Erasure{note.Person, note.Reason, note.Time, note.Index}
	case !errors.Is(err, fs.ErrNotExist):
		return p, err
	}
	leaf, first, err := d.firstOf(ctx, number)
	if err != nil || leaf == nil {
		return p, err
	}
	p.Opened, p.First = leaf.When(), first
	return p, nil
}

// firstOf finds a period's first record in the bundles of the signed tree; nil if it has none there. Periods ascend, but for
// records that were being sealed when the next one opened: of these few the search may meet one, so it looks back a bundle.
func (d *dirSource) firstOf(ctx context.Context, number uint32) (*record.Leaf, uint64, error) {
	signed, err := d.Head(ctx)
	if errors.Is(err, ErrNotPublished) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	head, err := parseHead(signed, nil)
	if err != nil {
		return nil, 0, err
	}
	low, high := uint64(0), head.Size
	for low < high {
		middle := (low + high) / 2
		leaf, err := d.leafAt(ctx, middle, head.Size)
		if err != nil {
			return nil, 0, err
		}
		if leaf.Period >= number {
			high = middle
		} else {
			low = middle + 1
		}
	}
	for i := low - min(low, tiles.TileWidth); i <= low && i < head.Size; i++ {
		if leaf, err := d.leafAt(ctx, i, head.Size); err != nil || leaf.Period == number {
			return leaf, i, err
		}
	}
	return nil, 0, nil
}

// leafAt reads one leaf of the tree of that size.
func (d *dirSource) leafAt(ctx context.Context, index, size uint64) (*record.Leaf, error) {
	id := tiles.TileID{Level: tiles.LevelEntries, Index: index / tiles.TileWidth}
	id.Width = int(min(size-id.Index*tiles.TileWidth, tiles.TileWidth))
	b, err := d.readResource(ctx, id)
	if err != nil {
		return nil, err
	}
	entries, err := tiles.ParseBundle(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", id.Path(), err)
	}
	at := int(index % tiles.TileWidth)
	if at >= len(entries) {
		return nil, fmt.Errorf("%s has %d entries, want %d", id.Path(), len(entries), id.Width)
	}
	leaf, err := record.ParseLeaf(entries[at])
	return &leaf, err
}
