package tiles_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/mldsa"
	flog "github.com/transparency-dev/formats/log"
	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"shiguan/auditlog/tiles"
)

func newMLDSALog(name string) *tiles.LogSigner {
	skey, _ := must2(tiles.GenerateMLDSAKey(name))
	return must(tiles.NewMLDSALogSigner(skey))
}

func newMLDSAWitness(name string) *tiles.CosignatureSigner {
	skey, _ := must2(tiles.GenerateMLDSAKey(name))
	return must(tiles.NewMLDSACosigner(skey))
}

// line parses a signature line with its newline.
func line(text []byte) tiles.Signature {
	return must(tiles.ParseSignatureLine(strings.TrimSuffix(string(text), "\n")))
}

// TestMLDSALikeFormats has transparency-dev/formats read what we write with ML-DSA-44, and the other way round.
func TestMLDSALikeFormats(t *testing.T) {
	log, w := newMLDSALog(origin), newMLDSAWitness("audit-office.example/w")
	signed := must(tiles.SignCheckpoint(head(5), newLog(origin), log))
	signed = append(signed, must(w.Cosign(head(5).Marshal(), then))...)
	theirLog := must(fnote.NewMLDSAVerifier(log.VKey().String()))
	theirWitness := must(fnote.NewVerifierForCosignatureV1(w.VKey().String()))
	c, _, n, err := flog.ParseCheckpoint(signed, origin, theirLog, theirWitness)
	if err != nil || c.Size != 5 || len(n.Sigs) != 2 {
		t.Fatalf("formats reads %+v, %v", c, err)
	}
	if at, err := fnote.CoSigV1Timestamp(n.Sigs[1]); err != nil || !at.Equal(then) {
		t.Errorf("time %v, %v", at, err)
	}

	skey, vkey := must2(fnote.GenerateMLDSAKey(origin))
	ours := must(tiles.NewMLDSALogSigner(skey))
	if ours.VKey().String() != vkey {
		t.Errorf("another verifier key for the same private key: %v", ours.VKey())
	}
	before := time.Now().Unix()
	theirs := must(note.Sign(&note.Note{Text: string(head(5).Marshal())}, must(fnote.NewMLDSASigner(skey))))
	for _, v := range []note.Verifier{must(tiles.NewLogVerifier(vkey)), must(tiles.NewCosignatureVerifier(vkey))} {
		got, parsed, err := tiles.OpenCheckpoint(theirs, v)
		if err != nil || got != head(5) || !bytes.Equal(parsed.Marshal(), theirs) {
			t.Fatalf("we read %+v, %v", got, err)
		}
		if at, err := tiles.CosignatureTime(parsed.Signatures[0].Blob); err != nil || at.Unix() < before || at.Unix() > time.Now().Unix() {
			t.Errorf("time %v, %v", at, err)
		}
	}
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// mldsaVector is a file in testdata/ml-dsa-44. The seed is the private key; the signatures were made by transparency-dev/formats.
type mldsaVector struct {
	Name       string
	Seed       string
	VKeySHA256 string // of the verifier key's text, which is long
	KeyID      string
	Timestamp  uint64
	Checkpoint string // note body
	Message    string // what is signed, in hex
	Line       string // signature line
}

func TestMLDSAVectors(t *testing.T) {
	files := must(filepath.Glob("testdata/ml-dsa-44/*.json"))
	if len(files) != 4 {
		t.Fatalf("%d vectors, want 4", len(files))
	}
	for _, file := range files {
		var v mldsaVector
		if err := json.Unmarshal(must(os.ReadFile(file)), &v); err != nil {
			t.Fatal(err)
		}
		key := must(mldsa.NewPrivateKey(mldsa.MLDSA44(), must(hex.DecodeString(v.Seed))))
		vkey := v.Name + "+" + v.KeyID + "+" + b64(append([]byte{6}, key.PublicKey().Bytes()...))
		if sum := sha256.Sum256([]byte(vkey)); hex.EncodeToString(sum[:]) != v.VKeySHA256 {
			t.Errorf("%s: another verifier key", file)
		}
		sig := line([]byte(v.Line))
		if at, err := tiles.CosignatureTime(sig.Blob); err != nil || at.Unix() != int64(v.Timestamp) {
			t.Errorf("%s: time %v, %v", file, at, err)
		}
		if err := mldsa.Verify(key.PublicKey(), must(hex.DecodeString(v.Message)), sig.Blob[8:], nil); err != nil {
			t.Errorf("%s: the message is not what is signed: %v", file, err)
		}
		log, witness := must(tiles.NewLogVerifier(vkey)), must(tiles.NewCosignatureVerifier(vkey))
		if got := log.Verify([]byte(v.Checkpoint), sig.Blob); !got {
			t.Errorf("%s: refused as a log's", file)
		}
		if got := witness.Verify([]byte(v.Checkpoint), sig.Blob); got != (v.Timestamp > 0) {
			t.Errorf("%s: as a witness' accepted: %v", file, got)
		}
		// The signer of this package signs the same message.
		if v.Timestamp == 0 {
			continue
		}
		skey := "PRIVATE+KEY+" + v.Name + "+" + v.KeyID + "+" + b64(append([]byte{6}, must(hex.DecodeString(v.Seed))...))
		again := line(must(must(tiles.NewMLDSACosigner(skey)).Cosign([]byte(v.Checkpoint), time.Unix(int64(v.Timestamp), 0))))
		if err := mldsa.Verify(key.PublicKey(), must(hex.DecodeString(v.Message)), again.Blob[8:], nil); err != nil || again.Name != v.Name {
			t.Errorf("%s: signed something else: %v", file, err)
		}
	}
}

// TestMLDSAMessage binds a signature to each part of what it signs, by changing that part.
func TestMLDSAMessage(t *testing.T) {
	name := "audit-office.example/w"
	w := newMLDSAWitness(name)
	v := must(tiles.NewCosignatureVerifier(w.VKey().String()))
	body := head(5).Marshal()
	blob := line(must(w.Cosign(body, then))).Blob
	if !v.Verify(body, blob) || len(blob) != 8+mldsa.MLDSA44SignatureSize {
		t.Fatal("a good cosignature is refused")
	}
	change := func(at int, by byte) []byte {
		b := bytes.Clone(blob)
		b[at] ^= by
		return b
	}
	elsewhere := tiles.Checkpoint{Origin: origin, Size: 5, Root: tiles.LeafHash([]byte("other"))}
	for what, bad := range map[string]struct{ body, blob []byte }{
		"another time":        {body, change(7, 1)},
		"another signature":   {body, change(8, 1)},
		"its last byte":       {body, change(len(blob)-1, 1)},
		"cut":                 {body, blob[:len(blob)-1]},
		"longer":              {body, append(bytes.Clone(blob), 0)},
		"no time":             {body, blob[8:]},
		"nothing":             {body, nil},
		"another size":        {head(6).Marshal(), blob},
		"another root":        {elsewhere.Marshal(), blob},
		"another origin":      {tiles.Checkpoint{Origin: "x", Size: 5, Root: head(5).Root}.Marshal(), blob},
		"an extension line":   {append(bytes.Clone(body), "more\n"...), blob},
		"size with a zero":    {bytes.Replace(body, []byte("\n5\n"), []byte("\n05\n"), 1), blob},
		"no newline":          {body[:len(body)-1], blob},
		"an Ed25519 signer's": {body, line(must(newWitness(name).Cosign(body, then))).Blob},
		"another key's":       {body, line(must(newMLDSAWitness(name).Cosign(body, then))).Blob},
	} {
		if v.Verify(bad.body, bad.blob) {
			t.Errorf("%s: accepted", what)
		}
	}
	// The name in the message keeps one key from speaking for two witnesses.
	skey, _ := must2(tiles.GenerateMLDSAKey("a"))
	seed := strings.SplitN(skey, "+", 5)[4]
	a := must(tiles.NewMLDSACosigner(skey))
	pub := a.VKey().Key
	b := tiles.VKey{Name: "b", ID: id("b", 6, pub), Type: tiles.KeyMLDSA44, Key: pub}
	if must(tiles.NewMLDSACosigner(fmt.Sprintf("PRIVATE+KEY+b+%08x+%s", b.ID, seed))).VKey().String() != b.String() {
		t.Fatal("not the same key under another name")
	}
	sig := line(must(a.Cosign(body, then))).Blob
	if !must(tiles.NewCosignatureVerifier(a.VKey().String())).Verify(body, sig) || must(tiles.NewCosignatureVerifier(b.String())).Verify(body, sig) {
		t.Error("the cosigner's name is not signed")
	}
}

func id(name string, typ byte, key []byte) uint32 {
	sum := sha256.Sum256(append(append([]byte(name+"\n"), typ), key...))
	return binary.BigEndian.Uint32(sum[:])
}

func TestMLDSATimes(t *testing.T) {
	key := must(mldsa.GenerateKey(mldsa.MLDSA44()))
	pub := key.PublicKey().Bytes()
	vkey := tiles.VKey{Name: "w", ID: id("w", 6, pub), Type: tiles.KeyMLDSA44, Key: pub}.String()
	log, witness := must(tiles.NewLogVerifier(vkey)), must(tiles.NewCosignatureVerifier(vkey))
	body := head(5).Marshal()
	root := head(5).Root
	for sec, want := range map[uint64]struct{ log, witness bool }{
		0: {true, false}, 1: {true, true}, 253402300799: {true, true}, 253402300800: {}, 1 << 63: {},
	} {
		msg := append([]byte("subtree/v1\n\x00\x01w"), binary.BigEndian.AppendUint64(nil, sec)...)
		msg = append(append(msg, byte(len(origin))), origin...)
		msg = append(msg, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5)
		blob := append(binary.BigEndian.AppendUint64(nil, sec), must(key.Sign(nil, append(msg, root[:]...), nil))...)
		if got := log.Verify(body, blob); got != want.log {
			t.Errorf("time %d: as a log's accepted: %v", sec, got)
		}
		if got := witness.Verify(body, blob); got != want.witness {
			t.Errorf("time %d: as a witness' accepted: %v", sec, got)
		}
	}
	own := must(newMLDSALog(origin).Sign(body))
	if at, err := tiles.CosignatureTime(own); err != nil || at.Unix() != 0 {
		t.Errorf("a log states the time %v, %v", at, err)
	}
	for what, err := range map[string]error{
		"a blob without time":   second(tiles.CosignatureTime(make([]byte, mldsa.MLDSA44SignatureSize))),
		"a log's plain one":     second(tiles.CosignatureTime(make([]byte, 64))),
		"the year 10000":        second(tiles.CosignatureTime(append(binary.BigEndian.AppendUint64(nil, 253402300800), make([]byte, 2420)...))),
		"witness without clock": second(newMLDSAWitness("w").Cosign(body, time.Unix(0, 0))),
		"no checkpoint":         second(newMLDSALog(origin).Sign([]byte("hello\n"))),
		"another log's":         second(newMLDSALog("other.example").Sign(body)),
		"an extension":          second(newMLDSALog(origin).Sign(append(bytes.Clone(body), "x\n"...))),
	} {
		if err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

func TestMLDSAKeysStrict(t *testing.T) {
	skey, vkey := must2(tiles.GenerateMLDSAKey(origin))
	pub := must(tiles.NewMLDSALogSigner(skey + "\n")).VKey().Key
	text := func(typ byte, key []byte) string {
		return fmt.Sprintf("%s+%08x+%s", origin, id(origin, typ, key), b64(append([]byte{typ}, key...)))
	}
	if text(6, pub) != vkey {
		t.Fatal("another key")
	}
	for what, bad := range map[string]string{
		"a byte short":      text(6, pub[:1311]),
		"a byte long":       text(6, append(bytes.Clone(pub), 0)),
		"Ed25519 length":    text(6, pub[:32]),
		"as type 0x01":      text(1, pub),
		"as type 0x04":      text(4, pub),
		"as type 0x05":      text(5, pub),
		"another key ID":    strings.Replace(vkey, vkey[len(origin)+1:len(origin)+9], "00000000", 1),
		"key ID of 0x04":    strings.Replace(vkey, vkey[len(origin)+1:len(origin)+9], fmt.Sprintf("%08x", id(origin, 4, pub)), 1),
		"unpadded":          strings.TrimRight(vkey, "="),
		"the private key's": strings.TrimPrefix(skey, "PRIVATE+KEY+"),
	} {
		if _, err := tiles.NewLogVerifier(bad); err == nil {
			t.Errorf("%s: accepted for a log", what)
		}
		if _, err := tiles.NewCosignatureVerifier(bad); err == nil {
			t.Errorf("%s: accepted for a witness", what)
		}
	}
	ed, _ := must2(tiles.GenerateLogKey(origin))
	secret := strings.SplitN(skey, "+", 5)[4][4:]
	for what, err := range map[string]error{
		"ML-DSA-44 as a log's Ed25519 key":     second(tiles.NewLogSigner(skey)),
		"ML-DSA-44 as a witness' Ed25519 key":  second(tiles.NewCosigner(skey)),
		"Ed25519 as a log's ML-DSA-44 key":     second(tiles.NewMLDSALogSigner(ed)),
		"Ed25519 as a witness' ML-DSA-44 key":  second(tiles.NewMLDSACosigner(ed)),
		"another seed":                         second(tiles.NewMLDSALogSigner(skey[:len(skey)-8] + "AAAAAAA=")),
		"another name":                         second(tiles.NewMLDSACosigner(strings.Replace(skey, origin, "x", 1))),
		"a public key as the private":          second(tiles.NewMLDSALogSigner("PRIVATE+KEY+" + vkey)),
		"half a seed":                          second(tiles.NewMLDSALogSigner("PRIVATE+KEY+" + text(6, pub[:16]))),
		"a name that no note could carry":      func() error { _, _, err := tiles.GenerateMLDSAKey("a b"); return err }(),
		"a name of 256 bytes, one too many":    func() error { _, _, err := tiles.GenerateMLDSAKey(strings.Repeat("n", 256)); return err }(),
		"a log's ML-DSA-44 key of another log": second(tiles.SignCheckpoint(head(5), newLog(origin), newMLDSALog("x"))),
	} {
		if err == nil {
			t.Errorf("%s: accepted", what)
		} else if strings.Contains(err.Error(), secret[:16]) {
			t.Errorf("%s: the error tells the key: %v", what, err)
		}
	}
	// 255 bytes are the most that the one length byte of the message allows, and they must work.
	long := newMLDSAWitness(strings.Repeat("n", 255))
	body := tiles.Checkpoint{Origin: strings.Repeat("o", 255), Size: 1}.Marshal()
	if !must(tiles.NewCosignatureVerifier(long.VKey().String())).Verify(body, line(must(long.Cosign(body, then))).Blob) {
		t.Error("names of 255 bytes")
	}
}

// FuzzMLDSA: what we take for an ML-DSA-44 cosignature of a checkpoint, transparency-dev/formats takes for one too; and what it
// takes for one we refuse only for the time it states or because the checkpoint could be spelt otherwise.
func FuzzMLDSA(f *testing.F) {
	var v mldsaVector
	if err := json.Unmarshal(must(os.ReadFile("testdata/ml-dsa-44/witness.json")), &v); err != nil {
		f.Fatal(err)
	}
	key := must(mldsa.NewPrivateKey(mldsa.MLDSA44(), must(hex.DecodeString(v.Seed))))
	vkey := v.Name + "+" + v.KeyID + "+" + b64(append([]byte{6}, key.PublicKey().Bytes()...))
	ours, theirs := must(tiles.NewCosignatureVerifier(vkey)), must(fnote.NewMLDSAVerifier(vkey))
	f.Add([]byte(v.Checkpoint), line([]byte(v.Line)).Blob)
	f.Add([]byte(v.Checkpoint+"extension\n"), line([]byte(v.Line)).Blob)
	f.Fuzz(func(t *testing.T, body, blob []byte) {
		c, err := tiles.ParseCheckpoint(body)
		strict := err == nil && bytes.Equal(c.Marshal(), body) && len(blob) >= 8
		if strict {
			sec := binary.BigEndian.Uint64(blob)
			strict = sec > 0 && sec <= 253402300799
		}
		if got, want := ours.Verify(body, blob), strict && theirs.Verify(body, blob); got != want {
			t.Fatalf("%q with %x: we say %v, formats %v", body, blob, got, want)
		}
	})
}
