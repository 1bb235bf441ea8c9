package tiles

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// MaxEntry is the length of the longest entry a bundle can hold.
const MaxEntry = math.MaxUint16

// AppendBundle appends entry to the bundle dst: its length as 16 bits big-endian, then itself. The entry must not be longer
// than MaxEntry; a longer one panics, because cutting it silently would publish a lie.
func AppendBundle(dst, entry []byte) []byte {
	if len(entry) > MaxEntry {
		panic(fmt.Sprintf("tiles: entry of %d bytes in a bundle", len(entry)))
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(entry)))
	return append(dst, entry...)
}

// ParseBundle splits a bundle into its entries, which alias b. At most 256 entries, no empty bundle, nothing left over.
func ParseBundle(b []byte) ([][]byte, error) {
	entries := make([][]byte, 0, TileWidth)
	for len(b) > 0 {
		if len(entries) == TileWidth {
			return nil, errors.New("bundle holds more than 256 entries")
		}
		if len(b) < 2 {
			return nil, fmt.Errorf("bundle is cut short in the length of entry %d", len(entries))
		}
		n := int(binary.BigEndian.Uint16(b))
		if len(b)-2 < n {
			return nil, fmt.Errorf("bundle is cut short in entry %d: %d bytes of %d", len(entries), len(b)-2, n)
		}
		entries = append(entries, b[2:2+n:2+n])
		b = b[2+n:]
	}
	if len(entries) == 0 {
		return nil, errors.New("bundle is empty, which no log may serve")
	}
	return entries, nil
}
