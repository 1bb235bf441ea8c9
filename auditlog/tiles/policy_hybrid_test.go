package tiles_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"shiguan/auditlog/tiles"
)

// hybrid is a log and two witnesses that each have both keys.
type hybrid struct {
	log         *tiles.LogSigner
	logPQ       *tiles.LogSigner
	witnesses   []*tiles.CosignatureSigner // a, b
	witnessesPQ []*tiles.CosignatureSigner
}

func newHybrid() *hybrid {
	h := &hybrid{log: newLog(origin), logPQ: newMLDSALog(origin)}
	for _, name := range []string{"a.example", "b.example"} {
		h.witnesses = append(h.witnesses, newWitness(name))
		h.witnessesPQ = append(h.witnessesPQ, newMLDSAWitness(name))
	}
	return h
}

// policy has the lines given, with the keys in the place of LOG, KA and KB (Ed25519) and of LPQ, PA and PB (ML-DSA-44).
func (h *hybrid) policy(lines string) *tiles.Policy {
	r := strings.NewReplacer("LOG", h.log.VKey().String(), "LPQ", h.logPQ.VKey().String(),
		"KA", h.witnesses[0].VKey().String(), "KB", h.witnesses[1].VKey().String(),
		"PA", h.witnessesPQ[0].VKey().String(), "PB", h.witnessesPQ[1].VKey().String())
	return must(tiles.ParsePolicy([]byte(r.Replace(lines))))
}

// signed has the head of size 5 signed by both keys of the log and co-signed by both of each witness.
func (h *hybrid) signed() []byte {
	msg := must(tiles.SignCheckpoint(head(5), h.log, h.logPQ))
	for i := range h.witnesses {
		msg = append(msg, must(h.witnesses[i].Cosign(head(5).Marshal(), then))...)
		msg = append(msg, must(h.witnessesPQ[i].Cosign(head(5).Marshal(), then))...)
	}
	return msg
}

func TestPolicyOfBothAlgorithms(t *testing.T) {
	h := newHybrid()
	classic := h.policy("log LOG\nwitness a KA\nwitness b KB\ngroup g all a b\nquorum g\n")
	pq := h.policy("log LPQ\nwitness a PA\nwitness b PB\ngroup g all a b\nquorum g\n")
	both := h.policy("log LOG\nlog LPQ\nwitness a KA\nwitness a-pq PA\nwitness b KB\nwitness b-pq PB\n" +
		"group a2 all a a-pq\ngroup b2 all b b-pq\ngroup g any a2 b2\nquorum g\n")
	signed := h.signed()
	for name, p := range map[string]*tiles.Policy{"classic": classic, "pq": pq, "both": both} {
		c, cosigned, err := p.Check(signed)
		if err != nil || c != head(5) || len(cosigned) != len(p.Witnesses) || !cosigned[0].Time.Equal(then) {
			t.Errorf("%s: %v, %v", name, cosigned, err)
		}
		canonical := must(p.Canonical(signed))
		if c, _, err := p.CheckStrict(canonical); err != nil || c != head(5) {
			t.Errorf("%s: canonical form: %v", name, err)
		}
		if err := second2(p.CheckStrict(signed)); (name == "both") != (err == nil) {
			t.Errorf("%s: lines that the policy does not name: %v", name, err)
		}
	}
	onlyClassic := must(classic.Canonical(signed))
	onlyPQ := must(pq.Canonical(signed))
	for name, err := range map[string]error{
		"a log without ML-DSA-44":       second(pq.CheckLog(onlyClassic)),
		"a log without Ed25519":         second(classic.CheckLog(onlyPQ)),
		"witnesses without either key":  second2(both.Check(onlyClassic)),
		"witnesses without the other":   second2(both.Check(onlyPQ)),
		"one line of the log suffices":  second(both.CheckLog(onlyPQ)),
		"whichever of the log's it is":  second(both.CheckLog(onlyClassic)),
		"lines by keys not in a policy": second2(h.policy("log LPQ\nquorum none\n").Check(signed)),
	} {
		switch good := strings.Contains(name, "suffices") || strings.Contains(name, "whichever") || strings.Contains(name, "not in"); {
		case good != (err == nil):
			t.Errorf("%s: %v", name, err)
		case !good && !errors.Is(err, tiles.ErrUnsigned) && !errors.As(err, new(*tiles.QuorumError)):
			t.Errorf("%s: %v", name, err)
		}
	}
	// A line by a key of the policy must verify, whatever is reached without it.
	n := must(tiles.ParseNote(signed))
	for i, s := range n.Signatures {
		bad := *n
		bad.Signatures = append([]tiles.Signature(nil), n.Signatures...)
		bad.Signatures[i].Blob = bytes.Clone(s.Blob)
		bad.Signatures[i].Blob[len(s.Blob)/2] ^= 4
		var e *tiles.SignatureError
		if err := second2(both.Check(bad.Marshal())); !errors.As(err, &e) || e.KeyID != s.KeyID {
			t.Errorf("line %d spoiled: %v", i, err)
		}
	}
}

// TestTwoKeysCountOnce: a witness with two keys is not two of three.
func TestTwoKeysCountOnce(t *testing.T) {
	h := newHybrid()
	four := "log LOG\nwitness a KA\nwitness a-pq PA\nwitness b KB\nwitness b-pq PB\n"
	parse := func(lines string) (err error) {
		defer func() {
			if e := recover(); e != nil {
				err = e.(error)
			}
		}()
		h.policy(four + lines)
		return nil
	}
	for lines, good := range map[string]bool{
		"group g 2 a a-pq b\nquorum g\n":                                              false,
		"group g 3 a b a-pq b-pq\nquorum g\n":                                         false,
		"group x any a-pq b-pq\ngroup g 2 a b x\nquorum g\n":                          false,
		"group x any a\ngroup y any a-pq\ngroup z any b\ngroup g 2 x y z\nquorum g\n": false,
		"group g all a a-pq b b-pq\nquorum g\n":                                       true,
		"group g any a a-pq b b-pq\nquorum g\n":                                       true,
		"group x all a a-pq\ngroup y any b b-pq\ngroup g all x y\nquorum g\n":         true,
	} {
		if err := parse(lines); good != (err == nil) || !good && !strings.Contains(err.Error(), "count twice") {
			t.Errorf("%q: %v", lines, err)
		}
	}
}
