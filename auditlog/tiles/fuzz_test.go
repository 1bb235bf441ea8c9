package tiles_test

import (
	"bytes"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"shiguan/auditlog/tiles"
)

// FuzzNote: what we take for a signed note is spelt the way we would spell it, and x/mod takes it for the same.
func FuzzNote(f *testing.F) {
	log := newLog(origin)
	f.Add(must(tiles.SignCheckpoint(head(5), log)))
	f.Add([]byte("text\n\nmore\n\n— a AAAAAAA=\n— b AAAAAAA=\n"))
	f.Fuzz(func(t *testing.T, msg []byte) {
		n, err := tiles.ParseNote(msg)
		if err != nil {
			return
		}
		if !bytes.Equal(n.Marshal(), msg) {
			t.Fatalf("%q has another spelling: %q", msg, n.Marshal())
		}
		_, err = note.Open(msg, note.VerifierList())
		theirs, ok := err.(*note.UnverifiedNoteError)
		if !ok {
			t.Fatalf("x/mod refuses %q: %v", msg, err)
		}
		if theirs.Note.Text != string(n.Text) || len(theirs.Note.UnverifiedSigs) != len(n.Signatures) {
			t.Fatalf("x/mod reads %q otherwise", msg)
		}
		if c, err := tiles.ParseCheckpoint(n.Text); err == nil && !bytes.Equal(c.Marshal(), n.Text) {
			t.Fatalf("checkpoint %q has another spelling", n.Text)
		}
	})
}

func FuzzProof(f *testing.F) {
	f.Add(goodProof().Marshal())
	extra := goodProof()
	extra.Extra = []byte{0}
	f.Add(extra.Marshal())
	f.Fuzz(func(t *testing.T, file []byte) {
		if p, err := tiles.ParseProof(file); err == nil && !bytes.Equal(p.Marshal(), file) {
			t.Fatalf("%q has another spelling: %q", file, p.Marshal())
		}
	})
}

func FuzzTilePath(f *testing.F) {
	f.Add("tile/0/x001/x234/067.p/1")
	f.Add("tile/entries/000")
	f.Fuzz(func(t *testing.T, path string) {
		id, err := tiles.ParseTilePath(path)
		if err == nil && (id.Path() != path || id.Width < 1 || id.Width > 256 || id.Level < -1 || id.Level > 63) {
			t.Fatalf("%q is %+v", path, id)
		}
	})
}

func FuzzBundle(f *testing.F) {
	f.Add(tiles.AppendBundle(tiles.AppendBundle(nil, []byte("a")), nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := tiles.ParseBundle(b)
		if err != nil {
			return
		}
		var again []byte
		for _, e := range entries {
			again = tiles.AppendBundle(again, e)
		}
		if !bytes.Equal(again, b) {
			t.Fatalf("%x has another spelling: %x", b, again)
		}
	})
}

func FuzzVKey(f *testing.F) {
	_, vkey := must2(tiles.GenerateWitnessKey("w"))
	f.Add(vkey)
	f.Add("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
	_, pq := must2(tiles.GenerateMLDSAKey("w"))
	f.Add(pq)
	f.Fuzz(func(t *testing.T, text string) {
		k, err := tiles.ParseVKey(text)
		if err != nil {
			return
		}
		if k.String() != text {
			t.Fatalf("%q has another spelling: %q", text, k)
		}
		if k.Type == tiles.KeyEd25519 {
			if v, err := note.NewVerifier(text); err != nil || v.Name() != k.Name || v.KeyHash() != k.ID {
				t.Fatalf("x/mod reads %q otherwise: %v", text, err)
			}
		}
	})
}

// FuzzPolicy: a policy that parses keeps its text, and no witness alone can satisfy what two are needed for: the quorum is
// monotonic, met by all if by any set, and by nobody only if it is "none".
func FuzzPolicy(f *testing.F) {
	c := newCouncil("group g 2 w0 w1\ngroup h any g w2\nquorum h\n")
	f.Add(c.policy.Text())
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := tiles.ParsePolicy(text)
		if err != nil {
			return
		}
		all, nobody := p.Satisfied(func(string) bool { return true }), p.Satisfied(func(string) bool { return false })
		if !bytes.Equal(p.Text(), text) || !all || nobody != (p.Quorum == "none") || len(p.Logs) == 0 {
			t.Fatalf("%q: all %v, nobody %v", text, all, nobody)
		}
	})
}
