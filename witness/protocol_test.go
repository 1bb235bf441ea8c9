package witness_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"shiguan/auditlog/tiles"
	"shiguan/witness"
)

func monitorPath(origin string) string {
	sum := sha256.Sum256([]byte(origin))
	return "/" + hex.EncodeToString(sum[:]) + "/checkpoint"
}

// The tests of this file are the rows of tlog-witness's table.

func TestUnknownOriginIs404(t *testing.T) {
	f := newFixture(t)
	other := newFakeLog(t, "log.example/housing")
	other.grow(5, "leaf")
	f.refused(f.post(other.submission(0, 5)), http.StatusNotFound)
}

func TestNoTrustedSignatureIs403(t *testing.T) {
	f := newFixture(t)
	stranger := newFakeLog(t, f.log.origin) // same name, another key
	f.refused(f.post(body("0", nil, f.log.sign(f.log.text(5), stranger.signer))), http.StatusForbidden)
	f.conflict(f.post(f.log.submission(7, 8)), 0) // nothing was stored
}

func TestFailingTrustedSignatureIs403(t *testing.T) {
	f := newFixture(t)
	good := f.log.checkpoint(5)
	other := f.log.checkpoint(6)
	text, _, _ := strings.Cut(good, "\n\n")
	_, wrong, _ := strings.Cut(other, "\n\n")
	f.refused(f.post(body("0", nil, text+"\n\n"+wrong)), http.StatusForbidden)
}

// A failing signature by one trusted key spoils a good one by another.
func TestOneOfTwoTrustedSignaturesFailsIs403(t *testing.T) {
	var second *fakeLog
	f := newFixture(t, func(o *witness.Options) {
		second = newFakeLog(t, "log.example/civil")
		o.Logs = append(o.Logs, witness.LogConfig{Origin: second.origin, VKey: second.vkey})
	})
	signed := f.log.sign(f.log.text(5), f.log.signer, second.signer)
	lines := strings.SplitAfter(signed, "\n")
	wrong := strings.SplitAfter(f.log.sign(f.log.text(6), f.log.signer, second.signer), "\n")
	lines[len(lines)-2] = wrong[len(wrong)-2]
	f.refused(f.post(body("0", nil, strings.Join(lines, ""))), http.StatusForbidden)
	f.checkCosigned(signed, f.post(body("0", nil, signed)))
}

func TestUnknownSignaturesAreIgnored(t *testing.T) {
	f := newFixture(t)
	stranger := newFakeLog(t, "stranger.example")
	signed := f.log.sign(f.log.text(5), stranger.signer, f.log.signer)
	lines := strings.SplitAfter(signed, "\n")
	wrong := strings.SplitAfter(f.log.sign(f.log.text(6), stranger.signer, f.log.signer), "\n")
	lines[4] = wrong[4] // the stranger's signature, of another text
	f.checkCosigned(f.log.checkpoint(5), f.post(body("0", nil, strings.Join(lines, ""))))
}

func TestOldAboveSizeIs400(t *testing.T) {
	f := newFixture(t)
	f.cosigned(0, 10)
	f.refused(f.post(body("10", nil, f.log.checkpoint(9))), http.StatusBadRequest)
}

func TestOldThatIsNotTheLatestIs409(t *testing.T) {
	f := newFixture(t)
	f.conflict(f.post(f.log.submission(3, 10)), 0)
	f.cosigned(0, 10)
	f.conflict(f.post(f.log.submission(0, 10)), 10)
	f.conflict(f.post(f.log.submission(9, 20)), 10)
	f.conflict(f.post(f.log.submission(15, 20)), 10)
	f.cosigned(10, 20)
	f.conflict(f.post(f.log.submission(10, 20)), 20)
}

func TestEmptyTreeWithAnotherRootIs422(t *testing.T) {
	f := newFixture(t)
	text := fmt.Sprintf("%s\n0\n%s\n", f.log.origin, base64.StdEncoding.EncodeToString(make([]byte, 32)))
	f.refused(f.post(body("0", nil, f.log.sign(text))), http.StatusUnprocessableEntity)
	f.cosigned(0, 0) // and the right one is fine
	f.cosigned(0, 0)
	f.cosigned(0, 4)
}

// The wrong root of an empty tree is no way past the signature.
func TestEmptyTreeWithAnotherRootNeedsASignature(t *testing.T) {
	f := newFixture(t)
	_, sig, _ := strings.Cut(f.log.checkpoint(0), "\n\n")
	text := fmt.Sprintf("%s\n0\n%s\n", f.log.origin, base64.StdEncoding.EncodeToString(make([]byte, 32)))
	f.refused(f.post(body("0", nil, text+"\n"+sig)), http.StatusForbidden)
}

func TestProofFromZeroIs422(t *testing.T) {
	f := newFixture(t)
	f.refused(f.post(body("0", []string{f.log.root(1).String()}, f.log.checkpoint(5))), http.StatusUnprocessableEntity)
	f.conflict(f.post(f.log.submission(1, 2)), 0)
}

func TestBadProofIs422(t *testing.T) {
	f := newFixture(t)
	f.cosigned(0, 10)
	good := f.log.prove(10, 20)
	for name, proof := range map[string][]string{
		"none":     nil,
		"short":    good[:len(good)-1],
		"long":     append(good[:len(good):len(good)], good[0]),
		"exchange": append([]string{good[1], good[0]}, good[2:]...),
		"other":    f.log.prove(11, 20),
	} {
		t.Run(name, func(t *testing.T) {
			f.refused(f.post(body("10", proof, f.log.checkpoint(20))), http.StatusUnprocessableEntity)
		})
	}
	f.cosigned(10, 20)
}

// A log that was altered cannot make a proof; with the honest proof or its own, the altered head is refused.
func TestForkIs422(t *testing.T) {
	f := newFixture(t)
	fork := f.log.fork()
	f.cosigned(0, 300)
	fork.grow(310, "another leaf")
	f.log.grow(310, "leaf")
	f.refused(f.post(body("300", f.log.prove(300, 310), fork.checkpoint(310))), http.StatusUnprocessableEntity)
	f.cosigned(300, 310)

	altered := newFakeLog(t, f.log.origin)
	altered.signer = f.log.signer
	altered.grow(320, "altered leaf")
	f.refused(f.post(altered.submission(310, 320)), http.StatusUnprocessableEntity)
}

func TestSameSizeOtherRootIs422(t *testing.T) {
	f := newFixture(t)
	f.cosigned(0, 10)
	fork := newFakeLog(t, f.log.origin)
	fork.signer = f.log.signer
	fork.grow(10, "altered leaf")
	f.refused(f.post(fork.submission(10, 10)), http.StatusUnprocessableEntity)
	f.refused(f.post(body("10", []string{f.log.root(3).String()}, f.log.checkpoint(10))), http.StatusUnprocessableEntity)
	if got := f.get(monitorPath(f.log.origin)).body; !strings.HasPrefix(got, f.log.text(10)) {
		t.Errorf("the refused checkpoint is shown: %q", got)
	}
}

func TestGoodIs200WithSignatureLines(t *testing.T) {
	f := newFixture(t)
	f.cosigned(0, 1)
	for old, size := uint64(1), uint64(2); size <= 300; old, size = size, size+size/2 {
		f.cosigned(old, size)
	}
}

func TestSameAgainIs200WithANewTime(t *testing.T) {
	f := newFixture(t)
	first := f.cosigned(0, 10)
	f.clock.advance(time.Hour)
	if again := f.cosigned(10, 10); again.Sub(first) != time.Hour {
		t.Errorf("co-signed at %v and an hour later at %v", first, again)
	}
}

func TestMalformedIs400(t *testing.T) {
	f := newFixture(t)
	f.cosigned(0, 10)
	ok := f.log.checkpoint(20)
	proof := f.log.prove(10, 20)
	join := strings.Join(proof, "\n")
	many := make([]string, 64)
	for i := range many {
		many[i] = proof[0]
	}
	text := f.log.text(20)
	for name, b := range map[string]string{
		"empty":               "",
		"no old line":         join + "\n\n" + ok,
		"old alone":           "old 10\n",
		"leading zero":        body("010", proof, ok),
		"plus":                body("+10", proof, ok),
		"two spaces":          body(" 10", proof, ok),
		"hexadecimal":         body("0xa", proof, ok),
		"no size":             body("", proof, ok),
		"negative":            body("-1", proof, ok),
		"64 bits":             body("18446744073709551615", proof, ok),
		"carriage returns":    strings.ReplaceAll(body("10", proof, ok), "\n", "\r\n"),
		"64 proof lines":      body("10", many, ok),
		"short hash":          body("10", []string{"AAAA"}, ok),
		"unpadded hash":       body("10", []string{strings.TrimRight(proof[0], "=")}, ok),
		"trailing bits":       body("10", []string{"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB="}, ok),
		"hash with CR":        body("10", []string{proof[0] + "\r"}, ok),
		"no empty line":       "old 10\n" + join + "\n" + ok,
		"two empty lines":     "old 10\n" + join + "\n\n\n" + ok,
		"no checkpoint":       "old 10\n" + join + "\n\n",
		"no signatures":       "old 10\n" + join + "\n\n" + text,
		"no final newline":    strings.TrimSuffix(body("10", proof, ok), "\n"),
		"text after":          body("10", proof, ok) + "more\n",
		"size with zeros":     body("10", proof, f.log.sign(strings.Replace(text, "\n20\n", "\n020\n", 1))),
		"size with sign":      body("10", proof, f.log.sign(strings.Replace(text, "\n20\n", "\n+20\n", 1))),
		"root of 31 bytes":    body("10", proof, f.log.sign(f.log.origin+"\n20\n"+base64.StdEncoding.EncodeToString(make([]byte, 31))+"\n")),
		"empty root 31 bytes": body("10", proof, f.log.sign(f.log.origin+"\n0\n"+base64.StdEncoding.EncodeToString(make([]byte, 31))+"\n")),
		"two lines only":      body("10", proof, f.log.sign(f.log.origin+"\n20\n")),
	} {
		t.Run(name, func(t *testing.T) {
			if b == f.log.submission(10, 20) {
				t.Fatal("the body is not malformed")
			}
			f.refused(f.post(b), http.StatusBadRequest)
		})
	}
	f.cosigned(10, 20)
}

func TestBodyAboveTheLimitIs413(t *testing.T) {
	f := newFixture(t)
	f.refused(f.post(f.log.submission(0, 5)+strings.Repeat("x", 17<<10)), http.StatusRequestEntityTooLarge)
}

func TestMethods(t *testing.T) {
	f := newFixture(t)
	f.refused(f.get("/add-checkpoint"), http.StatusMethodNotAllowed)
	resp, err := http.Post(f.srv.URL+monitorPath(f.log.origin), "text/plain", nil)
	f.refused(f.read(resp, err), http.StatusMethodNotAllowed)
}

func TestMonitoringShowsBothSignatures(t *testing.T) {
	f := newFixture(t)
	path := monitorPath(f.log.origin)
	f.refused(f.get(path), http.StatusNotFound)
	f.refused(f.get(monitorPath("log.example/nobody")), http.StatusNotFound)
	f.refused(f.get(strings.ToUpper(path[:20])+path[20:]), http.StatusNotFound)
	f.cosigned(0, 10)
	f.clock.advance(time.Minute)
	answered := f.post(f.log.submission(10, 12))
	shown := f.get(path)
	if shown.status != http.StatusOK || !strings.HasPrefix(shown.contentType, "text/plain") {
		t.Fatalf("answer %d %s", shown.status, shown.contentType)
	}
	v, err := note.NewVerifier(f.log.vkey)
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open([]byte(shown.body), note.VerifierList(v, f.verifier))
	if err != nil {
		t.Fatal(err)
	}
	if len(n.Sigs) != 2 || n.Text != f.log.text(12) {
		t.Errorf("shown %q with %d signatures that verify, want size 12 and 2", n.Text, len(n.Sigs))
	}
	if !strings.HasSuffix(shown.body, answered.body) {
		t.Errorf("shown %q, want the cosignature that was answered, %q", shown.body, answered.body)
	}
}

func TestOpenRefusesWrongOptions(t *testing.T) {
	f := newFixture(t)
	other := newFakeLog(t, "log.example/other")
	for name, change := range map[string]func(*witness.Options){
		"no key":         func(o *witness.Options) { o.Signer = nil },
		"another name":   func(o *witness.Options) { o.Name = "data-bureau.example" },
		"no logs":        func(o *witness.Options) { o.Logs = nil },
		"bad log key":    func(o *witness.Options) { o.Logs = []witness.LogConfig{{Origin: f.log.origin, VKey: "nonsense"}} },
		"another origin": func(o *witness.Options) { o.Logs = []witness.LogConfig{{Origin: f.log.origin, VKey: other.vkey}} },
		"same key twice": func(o *witness.Options) { o.Logs = append(o.Logs[:1:1], o.Logs[0]) },
		"a witness's key": func(o *witness.Options) {
			o.Logs = []witness.LogConfig{{Origin: f.verifier.Name(), VKey: f.verifier.VKey().String()}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := f.opts
			o.StateDir, o.Registerer = t.TempDir(), nil
			w, err := witness.Open(o)
			if err != nil {
				t.Fatalf("the options before the change: %v", err)
			}
			w.Close()
			change(&o)
			if w, err := witness.Open(o); err == nil {
				w.Close()
				t.Error("opened")
			}
		})
	}
}

// A clock that steps back a little must not make a cosignature older than the last; one that is wrong must stop signing.
func TestClockThatStepsBack(t *testing.T) {
	f := newFixture(t)
	first := f.cosigned(0, 10)
	f.clock.advance(-30 * time.Second)
	if again := f.cosigned(10, 11); again.Before(first) {
		t.Errorf("co-signed at %v after %v", again, first)
	}
	f.clock.advance(-time.Hour)
	f.refused(f.post(f.log.submission(11, 12)), http.StatusServiceUnavailable)
	f.restart()
	f.refused(f.post(f.log.submission(11, 12)), http.StatusServiceUnavailable)
	f.clock.advance(2 * time.Hour)
	f.cosigned(11, 12)
}

var _ note.Verifier = (*tiles.CosignatureVerifier)(nil)
