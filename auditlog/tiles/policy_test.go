package tiles_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"shiguan/auditlog/tiles"
)

// TestPolicyFiles parses testdata/policies: good-* must parse, bad-* must fail with what their first line wants.
func TestPolicyFiles(t *testing.T) {
	files := must(filepath.Glob("testdata/policies/*.policy"))
	good, bad := 0, 0
	for _, file := range files {
		name := filepath.Base(file)
		text := must(os.ReadFile(file))
		p, err := tiles.ParsePolicy(text)
		if strings.HasPrefix(name, "good-") {
			good++
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else if !bytes.Equal(p.Text(), text) {
				t.Errorf("%s: Text is another", name)
			}
			continue
		}
		bad++
		first, _, _ := strings.Cut(string(text), "\n")
		want, ok := strings.CutPrefix(first, "# want: ")
		if len(text) == 0 {
			want, ok = "does not end in a newline", true
		}
		if !ok {
			t.Fatalf("%s does not say what error it wants", name)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", name, err, want)
		}
	}
	if good < 6 || bad < 30 {
		t.Errorf("only %d good and %d bad files", good, bad)
	}
	if _, err := tiles.ParsePolicy(append(bytes.Repeat([]byte("#"), 1<<20), '\n')); err == nil {
		t.Error("a policy beyond 1 MiB")
	}
}

func TestPolicyFields(t *testing.T) {
	p := must(tiles.ParsePolicy(must(os.ReadFile("testdata/policies/good-spacing.policy"))))
	if len(p.Logs) != 1 || p.Logs[0].Name != origin || p.Logs[0].URL != "https://log.example/" || p.Logs[0].Verifier.VKey().String() != p.Logs[0].VKey {
		t.Errorf("logs %+v", p.Logs)
	}
	if w := p.Witnesses; len(w) != 1 || w[0].Name != "a" || w[0].URL != "https://a.example/submit" || w[0].Verifier.Name() != "witness-0.example" {
		t.Errorf("witnesses %+v", w)
	}
	if p.Quorum != "a" || p.Rule() != "a" {
		t.Errorf("quorum %q, %q", p.Quorum, p.Rule())
	}
	nested := must(tiles.ParsePolicy(must(os.ReadFile("testdata/policies/good-nested.policy"))))
	if want := "2 of (1 of (a, b), 2 of (c, d))"; nested.Rule() != want {
		t.Errorf("rule %q, want %q", nested.Rule(), want)
	}
	if none := must(tiles.ParsePolicy(must(os.ReadFile("testdata/policies/good-none.policy")))); none.Rule() != "no witness" {
		t.Errorf("rule %q", none.Rule())
	}
}

// TestSatisfied goes through all sets of witnesses.
func TestSatisfied(t *testing.T) {
	for name, enough := range map[string]func(a, b, c, d bool) bool{
		"good-two-of-three": func(a, b, c, _ bool) bool { return a && b || a && c || b && c },
		"good-spacing":      func(a, _, _, _ bool) bool { return a },
		"good-nested":       func(a, b, c, d bool) bool { return (a || b) && c && d },
		"good-none":         func(_, _, _, _ bool) bool { return true },
		"good-quorum-first": func(a, _, _, _ bool) bool { return a },
	} {
		p := must(tiles.ParsePolicy(must(os.ReadFile("testdata/policies/" + name + ".policy"))))
		for set := range 16 {
			have := func(w string) bool { return set>>(w[0]-'a')&1 == 1 }
			if got, want := p.Satisfied(have), enough(have("a"), have("b"), have("c"), have("d")); got != want {
				t.Errorf("%s with set %04b: %v", name, set, got)
			}
		}
	}
}

// council is a log, five witnesses and a policy over the first four of them.
type council struct {
	log       *tiles.LogSigner
	otherLog  *tiles.LogSigner
	witnesses []*tiles.CosignatureSigner
	policy    *tiles.Policy
}

func newCouncil(quorum string) *council {
	c := &council{log: newLog(origin), otherLog: newLog("housing.example/audit")}
	text := "log " + c.log.VKey().String() + "\nlog " + c.otherLog.VKey().String() + "\n"
	for i := range 5 {
		w := newWitness(fmt.Sprintf("witness-%d.example", i))
		c.witnesses = append(c.witnesses, w)
		if i < 4 {
			text += fmt.Sprintf("witness w%d %s\n", i, w.VKey())
		}
	}
	c.policy = must(tiles.ParsePolicy([]byte(text + quorum)))
	return c
}

// signed is the checkpoint of size 5, co-signed in the given order, witness i at then + i minutes.
func (c *council) signed(witnesses ...int) []byte {
	msg := must(tiles.SignCheckpoint(head(5), c.log))
	for _, i := range witnesses {
		msg = append(msg, must(c.witnesses[i].Cosign(head(5).Marshal(), then.Add(time.Duration(i)*time.Minute)))...)
	}
	return msg
}

func TestPolicyCheck(t *testing.T) {
	c := newCouncil("group g 2 w0 w1 w2\nquorum g\n")
	check, cosigned, err := c.policy.Check(c.signed(2, 4, 3, 0))
	if err != nil || check != head(5) {
		t.Fatalf("%+v, %v", check, err)
	}
	want := []tiles.Cosigned{{Name: "w0", Time: then}, {Name: "w2", Time: then.Add(2 * time.Minute)}, {Name: "w3", Time: then.Add(3 * time.Minute)}}
	if fmt.Sprint(cosigned) != fmt.Sprint(want) {
		t.Errorf("cosigned %v, want %v", cosigned, want)
	}
	var q *tiles.QuorumError
	if _, _, err := c.policy.Check(c.signed(1, 3, 4)); !errors.As(err, &q) || fmt.Sprint(q.Have, q.Missing) != "[w1 w3] [w0 w2]" {
		t.Fatalf("one of two: %v", err)
	}
	if want := "quorum not reached: signed by w1, w3; needed: 2 of (w0, w1, w2)"; !strings.Contains(q.Error(), want) {
		t.Errorf("error %q", q)
	}
	if got, err := c.policy.CheckLog(c.signed()); err != nil || got != head(5) {
		t.Errorf("CheckLog: %v", err)
	}
	if _, _, err := newCouncil("quorum none\n").policy.Check(c.signed(0, 1)); !errors.Is(err, tiles.ErrUnsigned) {
		t.Errorf("a stranger's log: %v", err)
	}
	if none := newCouncil("quorum none\n"); second2(none.policy.Check(none.signed())) != nil {
		t.Error("quorum none refused without witnesses")
	}
}

func second2[A, B any](_ A, _ B, err error) error { return err }

// TestPolicyCheckForgeries: whatever claims to be a key of the policy must verify, even where it is not needed.
func TestPolicyCheckForgeries(t *testing.T) {
	c := newCouncil("group g 2 w0 w1 w2\nquorum g\n")
	forge := func(name string, id uint32, length int) tiles.Signature {
		return tiles.Signature{Name: name, KeyID: id, Blob: bytes.Repeat([]byte{1}, length)}
	}
	w3 := c.witnesses[3]
	elsewhere := must(tiles.ParseSignatureLine(strings.TrimSuffix(string(must(c.witnesses[1].Cosign(head(6).Marshal(), then))), "\n")))
	for name, sig := range map[string]tiles.Signature{
		"a witness not needed":         forge(w3.Name(), w3.KeyHash(), 72),
		"of another length":            forge(w3.Name(), w3.KeyHash(), 64),
		"the other log":                forge(c.otherLog.Name(), c.otherLog.KeyHash(), 64),
		"a witness, of another size":   elsewhere,
		"a plain signature by witness": {Name: w3.Name(), KeyID: w3.KeyHash(), Blob: must(c.otherLog.Sign(head(5).Marshal()))},
	} {
		msg := must(tiles.AddSignatures(c.signed(0, 2), sig))
		var bad *tiles.SignatureError
		if _, _, err := c.policy.Check(msg); !errors.As(err, &bad) || bad.Name != sig.Name {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The other log of the policy cannot speak for this one, nor a witness for a log.
	other := tiles.Signature{Name: c.otherLog.Name(), KeyID: c.otherLog.KeyHash(), Blob: must(c.otherLog.Sign(head(5).Marshal()))}
	n := must(tiles.ParseNote(c.signed(0, 1, 2)))
	n.Signatures[0] = other
	if _, _, err := c.policy.Check(n.Marshal()); !errors.Is(err, tiles.ErrUnsigned) {
		t.Errorf("the other log's signature: %v", err)
	}
	if _, err := c.policy.CheckLog(n.Marshal()); !errors.Is(err, tiles.ErrUnsigned) {
		t.Errorf("the other log's signature, log only: %v", err)
	}
}

func TestCheckStrict(t *testing.T) {
	c := newCouncil("group g 2 w0 w1 w2\nquorum g\n")
	both := must(tiles.AddSignatures(must(tiles.SignCheckpoint(head(5), c.log)),
		tiles.Signature{Name: c.otherLog.Name(), KeyID: c.otherLog.KeyHash(), Blob: must(c.otherLog.Sign(head(5).Marshal()))}))
	both = append(both, c.signed(0, 1)[len(c.signed()):]...)
	for name, tc := range map[string]struct {
		msg    []byte
		strict bool
	}{
		"in order":             {c.signed(0, 1), true},
		"all":                  {c.signed(0, 1, 2, 3), true},
		"out of order":         {c.signed(1, 0), false},
		"with a stranger":      {c.signed(0, 1, 4), false},
		"with the other log's": {both, false},
	} {
		if err := second2(c.policy.Check(tc.msg)); err != nil {
			t.Errorf("%s: Check: %v", name, err)
		}
		err := second2(c.policy.CheckStrict(tc.msg))
		if tc.strict && err != nil || !tc.strict && !errors.Is(err, tiles.ErrNotCanonical) {
			t.Errorf("%s: CheckStrict: %v", name, err)
		}
		canonical := must(c.policy.Canonical(tc.msg))
		if err := second2(c.policy.CheckStrict(canonical)); err != nil {
			t.Errorf("%s: canonical form refused: %v", name, err)
		}
		if tc.strict != bytes.Equal(canonical, tc.msg) {
			t.Errorf("%s: canonical form is the same: %v", name, !tc.strict)
		}
	}
	if err := second2(c.policy.CheckStrict(c.signed(0))); !errors.As(err, new(*tiles.QuorumError)) {
		t.Errorf("one witness: %v", err)
	}
	if _, err := newCouncil("quorum none\n").policy.Canonical(c.signed(0)); !errors.Is(err, tiles.ErrUnsigned) {
		t.Errorf("nothing of ours: %v", err)
	}
}

// TestAnyQuorum: with any subset of witnesses in any order, Check agrees with counting.
func TestAnyQuorum(t *testing.T) {
	c := newCouncil("group g 3 w0 w1 w2 w3\nquorum g\n")
	rapid.Check(t, func(t *rapid.T) {
		set := rapid.SliceOfNDistinct(rapid.IntRange(0, 4), 0, 5, rapid.ID).Draw(t, "witnesses")
		n := 0
		for _, w := range set {
			if w < 4 {
				n++
			}
		}
		if err := second2(c.policy.Check(c.signed(set...))); (err == nil) != (n >= 3) {
			t.Fatalf("%v: %v", set, err)
		}
	})
}
