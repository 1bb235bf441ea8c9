package tiles

import (
	"fmt"
	"strconv"
	"strings"
)

const (
	// TileWidth is the number of hashes in a full tile and of entries in a full bundle.
	TileWidth = 256
	// LevelEntries is the Level of an entry bundle in a TileID.
	LevelEntries = -1

	tileHeight   = 8 // log2(TileWidth)
	maxLevel     = 63
	pathGroups   = 6 // 10^18 tiles: more than 2^63 leaves can fill below level 0
	entriesLevel = "entries"
)

// TileID names one resource of a log: a hash tile, or an entry bundle when Level is LevelEntries. Width is 1 to 256.
type TileID struct {
	Level int
	Index uint64
	Width int
}

// Path is the resource's path below the log's prefix, as tlog-tiles has it: no leading slash.
func (t TileID) Path() string {
	level := entriesLevel
	if t.Level != LevelEntries {
		level = strconv.Itoa(t.Level)
	}
	return tilePath(level, t.Index, t.Width)
}

// TilePath is the path of a hash tile: "tile/0/x001/x234/067", with ".p/<width>" behind it when width is below 256.
func TilePath(level, index uint64, width int) string {
	return tilePath(strconv.FormatUint(level, 10), index, width)
}

// EntriesPath is the path of an entry bundle: "tile/entries/x001/x234/067.p/8".
func EntriesPath(index uint64, width int) string { return tilePath(entriesLevel, index, width) }

func tilePath(level string, index uint64, width int) string {
	buf := make([]byte, 0, 48)
	buf = append(buf, "tile/"...)
	buf = append(buf, level...)
	groups := 1
	for n := index; n >= 1000; n /= 1000 {
		groups++
	}
	for g := groups - 1; g >= 0; g-- {
		n := index
		for range g {
			n /= 1000
		}
		n %= 1000
		buf = append(buf, '/')
		if g > 0 {
			buf = append(buf, 'x')
		}
		buf = append(buf, byte('0'+n/100), byte('0'+n/10%10), byte('0'+n%10))
	}
	if width < TileWidth {
		buf = append(buf, ".p/"...)
		buf = strconv.AppendInt(buf, int64(width), 10)
	}
	return string(buf)
}

// ParseTilePath is the inverse of TilePath and EntriesPath. Whatever it accepts, Path spells in the same way, so it is safe to
// use the path of a request as the name of a file.
func ParseTilePath(path string) (TileID, error) {
	id, ok := parseTilePath(path)
	if !ok || id.Path() != path {
		return TileID{}, fmt.Errorf("%q is not the path of a tile; want tile/<level>/<index>[.p/<width>]", clip(path))
	}
	return id, nil
}

func parseTilePath(path string) (TileID, bool) {
	id := TileID{Width: TileWidth}
	rest, ok := strings.CutPrefix(path, "tile/")
	if !ok {
		return id, false
	}
	level, rest, ok := strings.Cut(rest, "/")
	if !ok {
		return id, false
	}
	if level == entriesLevel {
		id.Level = LevelEntries
	} else {
		n, err := strconv.ParseUint(level, 10, 8)
		if err != nil || n > maxLevel {
			return id, false
		}
		id.Level = int(n)
	}
	if index, width, partial := strings.Cut(rest, ".p/"); partial {
		n, err := strconv.ParseUint(width, 10, 8)
		if err != nil || n == 0 || n >= TileWidth {
			return id, false
		}
		id.Width, rest = int(n), index
	}
	groups := strings.Split(rest, "/")
	if len(groups) > pathGroups {
		return id, false
	}
	for i, g := range groups {
		if i < len(groups)-1 {
			if g, ok = strings.CutPrefix(g, "x"); !ok {
				return id, false
			}
		}
		n, err := strconv.ParseUint(g, 10, 16)
		if err != nil || len(g) != 3 {
			return id, false
		}
		id.Index = id.Index*1000 + n
	}
	return id, true
}

// partialsOf lists, lowest level first, the partial tiles of a tree of the given size: the right edge that C2SP wants beside the
// full ones. A level whose width is a multiple of 256 has none.
func partialsOf(size uint64) []TileID {
	var ids []TileID
	for level, n := 0, size; n > 0; level, n = level+1, n>>tileHeight {
		if w := int(n % TileWidth); w > 0 {
			ids = append(ids, TileID{Level: level, Index: n >> tileHeight, Width: w})
		}
	}
	return ids
}
