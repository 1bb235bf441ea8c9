package tiles_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	flog "github.com/transparency-dev/formats/log"

	"shiguan/auditlog/tiles"
)

const origin = "civil.example/audit"

var then = time.Unix(1_795_000_000, 0).UTC()

// must is for what cannot fail in a test's set-up.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func newLog(name string) *tiles.LogSigner {
	skey, _, err := tiles.GenerateLogKey(name)
	if err != nil {
		panic(err)
	}
	return must(tiles.NewLogSigner(skey))
}

func newWitness(name string) *tiles.CosignatureSigner {
	skey, _, err := tiles.GenerateWitnessKey(name)
	if err != nil {
		panic(err)
	}
	return must(tiles.NewCosigner(skey))
}

func head(size uint64) tiles.Checkpoint {
	return tiles.Checkpoint{Origin: origin, Size: size, Root: tiles.LeafHash([]byte("root"))}
}

// TestSpecificationExample is the example of signed-note.
func TestSpecificationExample(t *testing.T) {
	const vkey = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
	const msg = "This is an example message.\n\n" +
		"— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
	n := must(tiles.ParseNote([]byte(msg)))
	v := must(tiles.NewLogVerifier(vkey))
	if sigs, err := n.Verify(v); err != nil || len(sigs) != 1 {
		t.Errorf("%v, %v", sigs, err)
	}
	if v.VKey().String() != vkey || string(n.Marshal()) != msg {
		t.Error("not the same again")
	}
	n.Text[0] ^= 1
	var bad *tiles.SignatureError
	if _, err := n.Verify(v); !errors.As(err, &bad) || bad.Name != "example.com/foo" || bad.KeyID != 0x530d903a {
		t.Errorf("changed text: %v", err)
	}
}

// TestOtherImplementations has x/mod and transparency-dev/formats read what we write, and the other way round.
func TestOtherImplementations(t *testing.T) {
	log, w := newLog(origin), newWitness("audit-office.example/w")
	signed := must(tiles.SignCheckpoint(head(5), log))
	signed = append(signed, must(w.Cosign(head(5).Marshal(), then))...)

	theirLog := must(note.NewVerifier(log.VKey().String()))
	theirWitness := must(fnote.NewVerifierForCosignatureV1(w.VKey().String()))
	c, rest, n, err := flog.ParseCheckpoint(signed, origin, theirLog, theirWitness)
	if root := head(5).Root; err != nil || len(rest) != 0 || c.Size != 5 || !bytes.Equal(c.Hash, root[:]) || len(n.Sigs) != 2 {
		t.Fatalf("formats reads %+v, %d signatures, %v", c, len(n.Sigs), err)
	}
	if at, err := fnote.CoSigV1Timestamp(n.Sigs[1]); err != nil || !at.Equal(then) {
		t.Errorf("time %v, %v", at, err)
	}

	// The other way round, with our private keys in their hands.
	logSkey, logVkey := must2(tiles.GenerateLogKey(origin))
	witnessSkey, witnessVkey := must2(tiles.GenerateWitnessKey("w.example"))
	theirSigned := must(note.Sign(&note.Note{Text: string(head(5).Marshal())},
		must(note.NewSigner(logSkey)), must(fnote.NewSignerForCosignatureV1(witnessSkey))))
	got, parsed, err := tiles.OpenCheckpoint(theirSigned, must(tiles.NewLogVerifier(logVkey)), must(tiles.NewCosignatureVerifier(witnessVkey)))
	if err != nil || got != head(5) || len(parsed.Signatures) != 2 || !bytes.Equal(parsed.Marshal(), theirSigned) {
		t.Errorf("we read %+v, %v", got, err)
	}
	// And keys that x/mod made.
	skey, vkey, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		t.Fatal(err)
	}
	if must(tiles.NewLogSigner(skey+"\n")).VKey().String() != vkey {
		t.Error("another verifier key for the same private key")
	}
}

func must2(a, b string, err error) (string, string) {
	if err != nil {
		panic(err)
	}
	return a, b
}

// TestNoteStrict spoils a good signed note in every way that some parser somewhere forgives.
func TestNoteStrict(t *testing.T) {
	log, w := newLog(origin), newWitness("w.example")
	good := string(must(tiles.SignCheckpoint(head(5), log))) + string(must(w.Cosign(head(5).Marshal(), then)))
	lines := strings.SplitAfter(good, "\n") // origin, size, root, "", log, witness, ""
	if _, _, err := tiles.OpenCheckpoint([]byte(good), must(tiles.NewLogVerifier(log.VKey().String()))); err != nil {
		t.Fatal(err)
	}
	// A log signature is 4+64 bytes, base64 of which ends in one "=": its last digit has two bits that mean nothing.
	last := strings.LastIndex(lines[4], "=") - 1
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	trailing := lines[4][:last] + string(digits[strings.IndexByte(digits, lines[4][last])|1]) + lines[4][last+1:]

	for name, bad := range map[string]string{
		"nothing":                    "",
		"text only":                  strings.Join(lines[:3], ""),
		"no signature":               strings.Join(lines[:4], ""),
		"no newline at the end":      strings.TrimSuffix(good, "\n"),
		"an empty line more":         good + "\n",
		"text behind":                good + "x\n",
		"CRLF":                       strings.ReplaceAll(good, "\n", "\r\n"),
		"one CR in the signature":    good[:len(good)-20] + "\r" + good[len(good)-20:],
		"tab":                        strings.Replace(good, "— ", "—\t", 1),
		"hyphen":                     strings.Replace(good, "— ", "- ", 1),
		"two spaces":                 strings.Replace(good, "— ", "—  ", 1),
		"space behind":               strings.Replace(good, "=\n\n", "= \n\n", 1) + " ",
		"bits in the base64 padding": strings.Replace(good, lines[4], trailing, 1),
		"no base64 padding":          strings.Replace(good, lines[4], strings.ReplaceAll(lines[4], "=", ""), 1),
		"URL base64":                 strings.Replace(good, lines[4], lines[4][:len(lines[4])-4]+"-_=\n", 1),
		"signature twice":            good + lines[5],
		"log's signature twice":      good + lines[4],
		"key ID only":                good + "— x AAAAAA==\n",
		"name with plus":             good + "— a+b AAAAAAA=\n",
		"no name":                    good + "—  AAAAAAA=\n",
		"name with a wide space":     good + "— a\u3000b AAAAAAA=\n",
		"name of 256 bytes":          good + "— " + strings.Repeat("n", 256) + " AAAAAAA=\n",
		"not UTF-8":                  strings.Replace(good, "civil", "civ\xff", 1),
		"NUL":                        strings.Replace(good, "civil", "civ\x00", 1),
		"extension line":             strings.Replace(good, "=\n\n", "=\nmore\n\n", 1),
		"size with a zero before":    strings.Replace(good, "\n5\n", "\n05\n", 1),
		"size with a sign":           strings.Replace(good, "\n5\n", "\n+5\n", 1),
		"size 2^63":                  strings.Replace(good, "\n5\n", "\n9223372036854775808\n", 1),
		"size 2^64":                  strings.Replace(good, "\n5\n", "\n18446744073709551616\n", 1),
		"no size":                    strings.Replace(good, "\n5\n", "\n\n", 1),
		"root of 31 bytes":           strings.Replace(good, lines[2], "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\n", 1),
		"root of 33 bytes":           strings.Replace(good, lines[2], strings.Repeat("A", 44)+"\n", 1),
		"root with padding bits":     strings.Replace(good, lines[2], strings.Repeat("A", 42)+"B=\n", 1),
		"size 0 with a root":         strings.Replace(good, "\n5\n", "\n0\n", 1),
		"origin with a space":        strings.Replace(good, "civil", "ci vil", 1),
		"no origin":                  strings.Replace(good, origin, "", 1),
		"101 signatures":             good + manyLines(99),
		"too long":                   strings.Repeat("n", 1<<20) + good,
	} {
		if bad == good {
			t.Fatalf("%s: not spoiled", name)
		}
		_, _, err := tiles.OpenCheckpoint([]byte(bad), must(tiles.NewLogVerifier(log.VKey().String())))
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if len(err.Error()) > 300 {
			t.Errorf("%s: error of %d bytes", name, len(err.Error()))
		}
		// Signatures apart, the error must come from the parser, not from a signature that fits no more.
		if errors.Is(err, tiles.ErrUnsigned) || errors.As(err, new(*tiles.SignatureError)) {
			t.Errorf("%s: parsed; only its signature was missed: %v", name, err)
		}
	}
	if _, err := tiles.ParseNote([]byte(good + manyLines(98))); err != nil {
		t.Errorf("100 signatures: %v", err)
	}
}

func manyLines(n int) string {
	var b []byte
	for i := range n {
		b = tiles.Signature{Name: "stranger", KeyID: uint32(i), Blob: []byte{1}}.AppendLine(b)
	}
	return string(b)
}

func TestKnownKeysMustVerify(t *testing.T) {
	log, other := newLog(origin), newLog("other.example")
	signed := must(tiles.SignCheckpoint(head(5), log))
	n := must(tiles.ParseNote(signed))
	v, ov := must(tiles.NewLogVerifier(log.VKey().String())), must(tiles.NewLogVerifier(other.VKey().String()))

	stranger := tiles.Signature{Name: "stranger", KeyID: 7, Blob: []byte("whatever")}
	forged := tiles.Signature{Name: other.Name(), KeyID: other.KeyHash(), Blob: bytes.Repeat([]byte{1}, 64)}
	sameName := tiles.Signature{Name: log.Name(), KeyID: log.KeyHash() + 1, Blob: []byte("whatever")}
	genuine := tiles.Signature{Name: other.Name(), KeyID: other.KeyHash(), Blob: must(other.Sign(n.Text))}
	for name, tc := range map[string]struct {
		add   []tiles.Signature
		known []note.Verifier
		want  error // nil: accepted
	}{
		"its log":                             {nil, []note.Verifier{v}, nil},
		"with a stranger":                     {[]tiles.Signature{stranger}, []note.Verifier{v}, nil},
		"with a stranger of the log's name":   {[]tiles.Signature{sameName}, []note.Verifier{v}, nil},
		"with a forgery by an unknown key":    {[]tiles.Signature{forged}, []note.Verifier{v}, nil},
		"with a forgery by a known key":       {[]tiles.Signature{forged}, []note.Verifier{v, ov}, &tiles.SignatureError{}},
		"nobody known":                        {nil, nil, tiles.ErrUnsigned},
		"only another log known":              {[]tiles.Signature{genuine}, []note.Verifier{ov}, tiles.ErrUnsigned},
		"another log known, not in the note":  {nil, []note.Verifier{ov}, tiles.ErrUnsigned},
		"another log's signature beside ours": {[]tiles.Signature{genuine}, []note.Verifier{ov, v}, nil},
	} {
		msg := must(tiles.AddSignatures(signed, tc.add...))
		_, _, err := tiles.OpenCheckpoint(msg, tc.known...)
		var sig *tiles.SignatureError
		switch {
		case tc.want == nil && err != nil,
			tc.want == tiles.ErrUnsigned && !errors.Is(err, tiles.ErrUnsigned),
			tc.want != nil && tc.want != tiles.ErrUnsigned && !errors.As(err, &sig):
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
	twice := must(tiles.AddSignatures(signed, stranger, tiles.Signature{Name: "stranger", KeyID: 7, Blob: []byte("later")}))
	if n := must(tiles.ParseNote(twice)); len(n.Signatures) != 2 || string(n.Signatures[1].Blob) != "whatever" {
		t.Errorf("a second line by one key was added: %q", twice)
	}
}

func TestSignCheckpointRefuses(t *testing.T) {
	log := newLog(origin)
	empty := tiles.Checkpoint{Origin: origin, Root: tiles.EmptyRoot()}
	if _, err := tiles.SignCheckpoint(empty, log); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"no key":              second(tiles.SignCheckpoint(head(1))),
		"another log's key":   second(tiles.SignCheckpoint(head(1), newLog("other.example"))),
		"empty with a root":   second(tiles.SignCheckpoint(head(0), log)),
		"origin with a space": second(tiles.SignCheckpoint(tiles.Checkpoint{Origin: "a b", Size: 1}, log)),
		"size 2^63":           second(tiles.SignCheckpoint(head(1<<63), log)),
	} {
		if err == nil {
			t.Errorf("%s: signed", name)
		}
	}
}

func TestCosign(t *testing.T) {
	w := newWitness("w.example")
	v := must(tiles.NewCosignatureVerifier(w.VKey().String()))
	body := head(5).Marshal()
	line := must(w.Cosign(body, then.Add(900*time.Millisecond)))
	sig := must(tiles.ParseSignatureLine(strings.TrimSuffix(string(line), "\n")))
	if !v.Verify(body, sig.Blob) {
		t.Fatal("own cosignature refused")
	}
	if at := must(tiles.CosignatureTime(sig.Blob)); !at.Equal(then) {
		t.Errorf("time %v, want %v", at, then)
	}
	for i := range sig.Blob {
		bad := bytes.Clone(sig.Blob)
		if bad[i] ^= 1; v.Verify(body, bad) {
			t.Errorf("byte %d changed: accepted", i)
		}
	}
	for name, bad := range map[string][]byte{
		"empty": nil, "short": sig.Blob[:71], "long": append(bytes.Clone(sig.Blob), 0), "plain Ed25519": sig.Blob[8:],
	} {
		if v.Verify(body, bad) {
			t.Errorf("%s: accepted", name)
		}
		if _, err := tiles.CosignatureTime(bad); err == nil {
			t.Errorf("%s: has a time", name)
		}
	}
	if v.Verify(head(6).Marshal(), sig.Blob) {
		t.Error("another checkpoint accepted")
	}
	// Cosignatures that are genuine but state no time, or one that no report can show.
	skey, vkey := must2(tiles.GenerateWitnessKey("w.example"))
	seed := must(base64.StdEncoding.DecodeString(strings.SplitN(skey, "+", 5)[4]))[1:]
	handmade := must(tiles.NewCosignatureVerifier(vkey))
	for sec, want := range map[uint64]bool{0: false, 1: true, 253402300799: true, 253402300800: false, 1 << 63: false} {
		msg := fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", sec, body)
		blob := append(binary.BigEndian.AppendUint64(nil, sec), ed25519.Sign(ed25519.NewKeyFromSeed(seed), msg)...)
		if got := handmade.Verify(body, blob); got != want {
			t.Errorf("time %d: accepted %v", sec, got)
		}
	}
	for name, err := range map[string]error{
		"no checkpoint":    second(w.Cosign([]byte("hello\n"), then)),
		"a signed note":    second(w.Cosign(must(tiles.SignCheckpoint(head(5), newLog(origin))), then)),
		"time 0":           second(w.Cosign(body, time.Unix(0, 0))),
		"before 1970":      second(w.Cosign(body, time.Unix(-1, 0))),
		"after 9999":       second(w.Cosign(body, time.Unix(253402300800, 0))),
		"zero time.Time":   second(w.Cosign(body, time.Time{})),
		"extension behind": second(w.Cosign(append(bytes.Clone(body), "x\n"...), then)),
	} {
		if err == nil {
			t.Errorf("%s: co-signed", name)
		}
	}
}

func TestKeysStrict(t *testing.T) {
	skey, vkey := must2(tiles.GenerateLogKey(origin))
	wskey, wvkey := must2(tiles.GenerateWitnessKey("w.example"))
	parts := strings.SplitN(vkey, "+", 3)
	for name, bad := range map[string]string{
		"nothing":            "",
		"newline":            vkey + "\n",
		"CRLF":               vkey + "\r\n",
		"space":              " " + vkey,
		"upper-case key ID":  parts[0] + "+" + strings.ToUpper(parts[1]) + "A+" + parts[2],
		"short key ID":       parts[0] + "+" + parts[1][1:] + "+" + parts[2],
		"other key ID":       parts[0] + "+00000000+" + parts[2],
		"other name":         "x" + vkey,
		"no name":            "+" + parts[1] + "+" + parts[2],
		"cut":                vkey[:len(vkey)-4],
		"witness key":        wvkey,
		"unknown type":       parts[0] + "+" + parts[1] + "+/" + parts[2][1:],
		"private key":        skey,
		"name of 256 bytes":  strings.Repeat("n", 256) + "+" + parts[1] + "+" + parts[2],
		"name with a space":  "a b+" + parts[1] + "+" + parts[2],
		"name with a return": "a\rb+" + parts[1] + "+" + parts[2],
	} {
		if _, err := tiles.NewLogVerifier(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := tiles.NewCosignatureVerifier(vkey); err == nil {
		t.Error("a log's key accepted as a witness'")
	}
	secret := strings.SplitN(skey, "+", 5)[4]
	for name, bad := range map[string]string{
		"nothing": "", "verifier key": vkey, "witness key": wskey, "two newlines": skey + "\n\n",
		"other name": strings.Replace(skey, origin, "x"+origin, 1), "cut": skey[:len(skey)-4], "other seed": skey[:len(skey)-8] + "AAAAAAA=",
	} {
		_, err := tiles.NewLogSigner(bad)
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), secret[4:20]) {
			t.Errorf("%s: the error tells the key: %v", name, err)
		}
	}
	if _, err := tiles.NewCosigner(skey); err == nil {
		t.Error("a log's private key accepted as a witness'")
	}
	for _, name := range []string{"", "a b", "a+b", "a\nb", strings.Repeat("n", 256), "\xff"} {
		if _, _, err := tiles.GenerateLogKey(name); err == nil {
			t.Errorf("key named %q", name)
		}
	}
}
