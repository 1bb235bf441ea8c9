package tiles_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	fproof "github.com/transparency-dev/formats/proof"
	"pgregory.net/rapid"

	"golang.org/x/mod/sumdb/tlog"

	"shiguan/auditlog/tiles"
)

func TestPaths(t *testing.T) {
	for want, id := range map[string]tiles.TileID{
		"tile/0/000":                                {Level: 0, Index: 0, Width: 256},
		"tile/0/x001/x234/067":                      {Level: 0, Index: 1234067, Width: 256},
		"tile/0/x001/x234/067.p/1":                  {Level: 0, Index: 1234067, Width: 1},
		"tile/7/999.p/255":                          {Level: 7, Index: 999, Width: 255},
		"tile/1/x001/000":                           {Level: 1, Index: 1000, Width: 256},
		"tile/entries/000.p/8":                      {Level: tiles.LevelEntries, Index: 0, Width: 8},
		"tile/entries/x001/x234/067":                {Level: tiles.LevelEntries, Index: 1234067, Width: 256},
		"tile/63/000":                               {Level: 63, Index: 0, Width: 256},
		"tile/0/x999/x999/x999/x999/x999/999":       {Level: 0, Index: 1e18 - 1, Width: 256},
		"tile/0/x036/x028/x797/x018/x963/967":       {Level: 0, Index: (1<<63 - 1) / 256, Width: 256},
		"tile/0/x036/x028/x797/x018/x963/967.p/255": {Level: 0, Index: (1<<63 - 1) / 256, Width: 255},
	} {
		if got := id.Path(); got != want {
			t.Errorf("%+v is %s, want %s", id, got, want)
		}
		if got, err := tiles.ParseTilePath(want); err != nil || got != id {
			t.Errorf("%s is %+v (%v), want %+v", want, got, err, id)
		}
		if id.Level >= 0 && tiles.TilePath(uint64(id.Level), id.Index, id.Width) != want {
			t.Errorf("TilePath differs for %s", want)
		}
		if id.Level < 0 && tiles.EntriesPath(id.Index, id.Width) != want {
			t.Errorf("EntriesPath differs for %s", want)
		}
	}
	for _, bad := range []string{
		"", "tile", "tile/", "tile/0", "tile/0/", "/tile/0/000", "tile/0/000/", "tile//000", "tile/0//000", "checkpoint", "tiles/0/000",
		"tile/00/000", "tile/01/000", "tile/64/000", "tile/256/000", "tile/-1/000", "tile/+1/000", "tile/data/000", "tile/Entries/000",
		"tile/0/0", "tile/0/00", "tile/0/0000", "tile/0/x000/000", "tile/0/x000/x001/000", "tile/0/001/000", "tile/0/x001", "tile/0/x001/x000",
		"tile/0/X001/000", "tile/0/x01/000", "tile/0/+12", "tile/0/-12", "tile/0/ 12", "tile/0/１２３",
		"tile/0/000.p", "tile/0/000.p/", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/257", "tile/0/000.p/01", "tile/0/000.p/+1", "tile/0/000.p/1/",
		"tile/0/000.p/1.p/1", "tile/0/x001.p/1/000", "tile/0/../000", "tile/0/..", "tile/0/x../000", "tile/0/000\x00", "tile/0/000\n", "tile/0/%30%30%30",
		"tile/0/x001/x000/x000/x000/x000/x000/000", strings.Repeat("tile/", 1000),
	} {
		if id, err := tiles.ParseTilePath(bad); err == nil {
			t.Errorf("%q accepted as %+v", bad, id)
		}
	}
}

// TestPathsLikeSumDB compares with x/mod, whose paths have the tile height as one element more.
func TestPathsLikeSumDB(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := tiles.TileID{Level: rapid.IntRange(0, 63).Draw(t, "level"), Index: rapid.Uint64Range(0, 1e18-1).Draw(t, "index"), Width: rapid.IntRange(1, 256).Draw(t, "width")}
		theirs := tlog.Tile{H: 8, L: id.Level, N: int64(id.Index), W: id.Width}.Path()
		if got := strings.Replace(id.Path(), "tile/", "tile/8/", 1); got != theirs {
			t.Fatalf("%s, x/mod says %s", got, theirs)
		}
		if back, err := tiles.ParseTilePath(id.Path()); err != nil || back != id {
			t.Fatalf("%s: %+v, %v", id.Path(), back, err)
		}
	})
}

func TestBundles(t *testing.T) {
	long := bytes.Repeat([]byte{7}, tiles.MaxEntry)
	var b []byte
	for _, e := range [][]byte{{}, []byte("a"), long} {
		b = tiles.AppendBundle(b, e)
	}
	entries, err := tiles.ParseBundle(b)
	if err != nil || len(entries) != 3 || len(entries[0]) != 0 || string(entries[1]) != "a" || !bytes.Equal(entries[2], long) {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	if entries[1] = append(entries[1], 'x'); !bytes.Equal(b[4:6], []byte{'a', 0xff}) {
		t.Error("appending to an entry wrote into the next")
	}
	for name, bad := range map[string][]byte{
		"empty": {}, "half a length": {0}, "length alone": {0, 1}, "cut": b[:len(b)-1], "a byte more": append(bytes.Clone(b), 0),
		"257 entries": bytes.Repeat([]byte{0, 0}, 257),
	} {
		if _, err := tiles.ParseBundle(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if entries, err := tiles.ParseBundle(bytes.Repeat([]byte{0, 0}, 256)); err != nil || len(entries) != 256 {
		t.Errorf("256 empty entries: %v", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("an entry of 64 KiB went into a bundle")
		}
	}()
	tiles.AppendBundle(nil, make([]byte, tiles.MaxEntry+1))
}

func goodProof() *tiles.Proof {
	return &tiles.Proof{Index: 3, Hashes: []tiles.Hash{{1}, {2}, {3}}, Checkpoint: must(tiles.SignCheckpoint(head(5), newLog(origin)))}
}

func TestProofFile(t *testing.T) {
	withExtra := goodProof()
	withExtra.Extra = []byte("more")
	alone := goodProof()
	alone.Hashes, alone.Index = nil, 0
	for name, p := range map[string]*tiles.Proof{"plain": goodProof(), "extra": withExtra, "one leaf": alone} {
		file := p.Marshal()
		got, err := tiles.ParseProof(file)
		if err != nil || got.Index != p.Index || fmt.Sprint(got.Hashes) != fmt.Sprint(p.Hashes) || !bytes.Equal(got.Marshal(), file) ||
			!bytes.Equal(got.Checkpoint, p.Checkpoint) || string(got.Extra) != string(p.Extra) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		var theirs fproof.TLogProof
		if err := theirs.Unmarshal(file); err != nil || theirs.Index != p.Index || len(theirs.Hashes) != len(p.Hashes) || !bytes.Equal(theirs.Marshal(), file) {
			t.Errorf("%s: formats reads %+v, %v", name, theirs, err)
		}
	}
	good := string(withExtra.Marshal())
	hash := tiles.FormatHash(tiles.Hash{1}) + "\n"
	for name, bad := range map[string]string{
		"nothing":             "",
		"other version":       strings.Replace(good, "@v1", "@v2", 1),
		"CRLF":                strings.ReplaceAll(good, "\n", "\r\n"),
		"CR behind a hash":    strings.Replace(good, hash, hash[:44]+"\r\n", 1),
		"no index":            strings.Replace(good, "index 3\n", "", 1),
		"index twice":         strings.Replace(good, "index 3\n", "index 3\nindex 3\n", 1),
		"index first":         strings.Replace(strings.Replace(good, "index 3\n", "", 1), "extra", "index 3\nextra", 1),
		"index 03":            strings.Replace(good, "index 3", "index 03", 1),
		"index -3":            strings.Replace(good, "index 3", "index -3", 1),
		"index with a space":  strings.Replace(good, "index 3", "index  3", 1),
		"index 2^63":          strings.Replace(good, "index 3", "index 9223372036854775808", 1),
		"extra empty":         strings.Replace(good, "extra bW9yZQ==", "extra ", 1),
		"extra with bits":     strings.Replace(good, "extra bW9yZQ==", "extra bW9yZR==", 1),
		"extra twice":         strings.Replace(good, "extra bW9yZQ==\n", "extra bW9yZQ==\nextra bW9yZQ==\n", 1),
		"hash of 31 bytes":    strings.Replace(good, hash, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\n", 1),
		"hash with bits":      strings.Replace(good, hash, strings.Repeat("A", 42)+"B=\n", 1),
		"64 hashes":           strings.Replace(good, hash, strings.Repeat(hash, 62), 1),
		"space behind a hash": strings.Replace(good, hash, hash[:44]+" \n", 1),
		"two empty lines":     strings.Replace(good, "\n\n", "\n\n\n", 1),
		"no checkpoint":       good[:strings.Index(good, "\n\n")+2],
		"checkpoint cut":      good[:len(good)-5],
		"text behind":         good + "x\n",
		"too long":            good + strings.Repeat("x", 3<<20),
	} {
		if bad == good {
			t.Fatalf("%s: not spoiled", name)
		}
		if p, err := tiles.ParseProof([]byte(bad)); err == nil {
			t.Errorf("%s: accepted as %+v", name, p)
		}
	}
	most := goodProof()
	most.Hashes = make([]tiles.Hash, 63)
	if _, err := tiles.ParseProof(most.Marshal()); err != nil {
		t.Errorf("63 hashes: %v", err)
	}
}

// TestHashing compares with x/mod, around the length from which LeafHash works otherwise.
func TestHashing(t *testing.T) {
	for _, n := range []int{0, 1, 78, 254, 255, 256, 257, 1000, 65535} {
		e := bytes.Repeat([]byte{byte(n)}, n)
		if tiles.LeafHash(e) != tiles.Hash(tlog.RecordHash(e)) {
			t.Errorf("leaf of %d bytes", n)
		}
	}
	if a, b := (tiles.Hash{1}), (tiles.Hash{2}); tiles.NodeHash(a, b) != tiles.Hash(tlog.NodeHash(tlog.Hash(a), tlog.Hash(b))) {
		t.Error("node")
	}
}
