package tiles

import (
	"context"
	"errors"
	"fmt"
)

// Tile is one file to be written: its name and its bytes. The bytes belong to the Builder and are valid only until the function
// they were handed to returns.
type Tile struct {
	TileID
	Data []byte
}

// Builder turns a growing list of entries into the tiles and entry bundles of tlog-tiles, and into roots. It is a pure
// function of the entries: fed the same ones it emits the same bytes, however often it was restarted in between.
//
// Every tile and bundle is handed to emit as soon as it is full, from within Append; Publish hands over the partial ones of
// the present size. Together, between two calls of Publish, these are exactly the files that tlog-tiles wants for the new
// size; none is ever empty, and the entries come before their hashes, a level before the one above it.
//
// It keeps one unfinished tile a level and one unfinished bundle, and allocates nothing for an entry. It belongs to one
// goroutine. After an error of emit it is broken for good: every later call returns that error, because its idea of what has
// been written no longer holds. Make another one with ResumeBuilder, or feed a new one from the start.
type Builder struct {
	emit   func(Tile) error
	size   uint64
	levels []*edge
	bundle []byte // entries of the unfinished bundle
	err    error
}

// edge is the unfinished, rightmost tile of one level.
type edge struct {
	data  [TileWidth * HashSize]byte
	width int
	index uint64
}

// NewBuilder returns a Builder for a log that is still empty.
func NewBuilder(emit func(Tile) error) *Builder { return &Builder{emit: emit} }

// ResumeBuilder returns a Builder that goes on behind the first size entries of a log, of which it reads the partial tiles of
// that size. bundle is the content of the partial entry bundle, nil when size is a multiple of 256; it must fit the tiles.
//
// The caller MUST compare Root with the root it has signed for that size: that is what shows the tiles read to be the right ones.
func ResumeBuilder(ctx context.Context, r Reader, size uint64, bundle []byte, emit func(Tile) error) (*Builder, error) {
	if size > MaxSize {
		return nil, fmt.Errorf("tree size %d is out of range", size)
	}
	b := &Builder{emit: emit, size: size}
	for n := size; n > 0; n >>= tileHeight {
		b.levels = append(b.levels, &edge{width: int(n % TileWidth), index: n >> tileHeight})
	}
	for _, id := range partialsOf(size) {
		data, err := readTile(ctx, r, id)
		if err != nil {
			return nil, err
		}
		copy(b.levels[id.Level].data[:], data)
	}
	if err := b.resumeBundle(bundle); err != nil {
		return nil, err
	}
	return b, nil
}

// resumeBundle takes over the unfinished bundle once each entry has been seen to hash to its place in the level-0 tile.
func (b *Builder) resumeBundle(bundle []byte) error {
	width := int(b.size % TileWidth)
	if width == 0 {
		if len(bundle) != 0 {
			return fmt.Errorf("size %d leaves no partial bundle, but one was given", b.size)
		}
		return nil
	}
	entries, err := ParseBundle(bundle)
	if err != nil {
		return err
	}
	if len(entries) != width {
		return fmt.Errorf("partial bundle holds %d entries, size %d wants %d", len(entries), b.size, width)
	}
	for i, e := range entries {
		if LeafHash(e) != Hash(b.levels[0].data[i*HashSize:][:HashSize]) {
			return fmt.Errorf("entry %d of the partial bundle does not hash to the leaf in %s",
				i, TileID{0, b.levels[0].index, width}.Path())
		}
	}
	b.bundle = append(b.bundle, bundle...)
	return nil
}

// Size is the number of entries so far.
func (b *Builder) Size() uint64 { return b.size }

// Append adds one entry. The entry is copied.
func (b *Builder) Append(entry []byte) error {
	if b.err != nil {
		return b.err
	}
	switch {
	case len(entry) > MaxEntry:
		return fmt.Errorf("entry of %d bytes is longer than a bundle can hold", len(entry))
	case b.size == MaxSize:
		return errors.New("the log is full")
	}
	b.bundle = AppendBundle(b.bundle, entry)
	if b.size%TileWidth == TileWidth-1 {
		if err := b.hand(TileID{LevelEntries, b.size / TileWidth, TileWidth}, b.bundle); err != nil {
			return err
		}
		b.bundle = b.bundle[:0]
	}
	h := LeafHash(entry)
	return b.push(&h)
}

// push adds a leaf hash and carries the roots of the tiles it completes upwards.
func (b *Builder) push(h *Hash) error {
	b.size++
	for level := 0; ; level++ {
		if level == len(b.levels) {
			b.levels = append(b.levels, new(edge))
		}
		e := b.levels[level]
		copy(e.data[e.width*HashSize:], h[:])
		e.width++
		if e.width < TileWidth {
			return nil
		}
		if err := b.hand(TileID{level, e.index, TileWidth}, e.data[:]); err != nil {
			return err
		}
		*h = perfectRoot(e.data[:])
		e.width = 0
		e.index++
	}
}

// Publish hands over the partial bundle and the partial tiles of the present size. Calling it again hands over the same.
func (b *Builder) Publish() error {
	if b.err != nil {
		return b.err
	}
	if len(b.bundle) > 0 {
		if err := b.hand(TileID{LevelEntries, b.size / TileWidth, int(b.size % TileWidth)}, b.bundle); err != nil {
			return err
		}
	}
	for level, e := range b.levels {
		if e.width == 0 {
			continue
		}
		if err := b.hand(TileID{level, e.index, e.width}, e.data[:e.width*HashSize]); err != nil {
			return err
		}
	}
	return nil
}

func (b *Builder) hand(id TileID, data []byte) error {
	if err := b.emit(Tile{id, data}); err != nil {
		b.err = fmt.Errorf("write %s: %w", id.Path(), err)
	}
	return b.err
}

// Root is the root of the tree over the entries so far. It costs at most one tile of hashing a level.
func (b *Builder) Root() Hash {
	var acc Hash
	empty := true
	for _, e := range b.levels {
		// The hashes of an unfinished tile are perfect subtrees, the widest on the left, as the binary digits of width say.
		// Fold from the right: what is below and to the right of them is already in acc.
		for end, bit := e.width, 1; end > 0; bit <<= 1 {
			if end&bit == 0 {
				continue
			}
			left := perfectRoot(e.data[(end-bit)*HashSize : end*HashSize])
			if end -= bit; empty {
				acc, empty = left, false
			} else {
				acc = NodeHash(left, acc)
			}
		}
	}
	if empty {
		return EmptyRoot()
	}
	return acc
}
