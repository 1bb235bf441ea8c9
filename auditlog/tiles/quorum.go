package tiles

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// Cosigned is a cosignature that has been verified: which witness, by the name the policy gives it, and when.
type Cosigned struct {
	Name string    `json:"name"`
	Time time.Time `json:"time"`
}

// QuorumError says that a checkpoint is signed by its log but not by enough witnesses.
type QuorumError struct {
	Need    string   // the rule in words
	Have    []string // witnesses that have signed
	Missing []string // witnesses of the policy that have not
}

func (e *QuorumError) Error() string {
	have := "nobody"
	if len(e.Have) > 0 {
		have = strings.Join(e.Have, ", ")
	}
	return fmt.Sprintf("quorum not reached: signed by %s; needed: %s", have, e.Need)
}

// Satisfied says whether the quorum is reached when exactly the witnesses for which have says true have signed.
func (p *Policy) Satisfied(have func(witness string) bool) bool {
	return p.Quorum == quorumNone || p.met(p.Quorum, have)
}

func (p *Policy) met(name string, have func(string) bool) bool {
	g, ok := p.groups[name]
	if !ok {
		return have(name)
	}
	n := 0
	for _, m := range g.members {
		if p.met(m, have) {
			n++
		}
	}
	return n >= g.k
}

// Rule is the quorum in words: "2 of (audit-office, data-bureau, discipline-inspection)".
func (p *Policy) Rule() string {
	if p.Quorum == quorumNone {
		return "no witness"
	}
	return p.rule(p.Quorum)
}

func (p *Policy) rule(name string) string {
	g, ok := p.groups[name]
	if !ok {
		return name
	}
	members := make([]string, len(g.members))
	for i, m := range g.members {
		members[i] = p.rule(m)
	}
	return fmt.Sprintf("%d of (%s)", g.k, strings.Join(members, ", "))
}

// CheckLog checks only the log's own signature: one by a log of the policy that has the checkpoint's origin as its name. A line
// that claims such a key and does not verify fails the whole. Errors are those of OpenCheckpoint.
func (p *Policy) CheckLog(signed []byte) (Checkpoint, error) {
	c, _, err := p.openLog(signed)
	return c, err
}

func (p *Policy) openLog(signed []byte) (Checkpoint, *Note, error) {
	logs := make([]note.Verifier, len(p.Logs))
	for i, l := range p.Logs {
		logs[i] = l.Verifier
	}
	return OpenCheckpoint(signed, logs...)
}

// Check checks the log's signature and the quorum, and returns the cosignatures in the order of the policy. It fails with a
// *QuorumError when witnesses are missing, and with a *SignatureError when any line claims a key of the policy and does not
// verify, even if the quorum were reached without it. Lines by unknown keys count for nothing.
func (p *Policy) Check(signed []byte) (Checkpoint, []Cosigned, error) {
	c, n, err := p.openLog(signed)
	if err != nil {
		return Checkpoint{}, nil, err
	}
	cosigned, err := p.cosignatures(n)
	if err != nil {
		return Checkpoint{}, nil, fmt.Errorf("checkpoint of %s: %w", c.Origin, err)
	}
	have := make(map[string]bool)
	for _, s := range cosigned {
		have[s.Name] = true
	}
	if p.Satisfied(func(w string) bool { return have[w] }) {
		return c, cosigned, nil
	}
	e := &QuorumError{Need: p.Rule()}
	for _, w := range p.Witnesses {
		if have[w.Name] {
			e.Have = append(e.Have, w.Name)
		} else {
			e.Missing = append(e.Missing, w.Name)
		}
	}
	return Checkpoint{}, nil, fmt.Errorf("checkpoint of %s: %w", c.Origin, e)
}

func (p *Policy) cosignatures(n *Note) ([]Cosigned, error) {
	var cosigned []Cosigned
	for _, w := range p.Witnesses {
		sigs, err := n.Verify(w.Verifier)
		if errors.Is(err, ErrUnsigned) {
			continue
		}
		if err != nil {
			return nil, err
		}
		t, err := CosignatureTime(sigs[0].Blob)
		if err != nil {
			return nil, err
		}
		cosigned = append(cosigned, Cosigned{Name: w.Name, Time: t})
	}
	return cosigned, nil
}

// Canonical is the one form of a signed checkpoint for this policy: only the lines by keys of the log it names and of the
// policy's witnesses, logs first, each in the order of the policy. It verifies nothing.
func (p *Policy) Canonical(signed []byte) ([]byte, error) {
	n, err := ParseNote(signed)
	if err != nil {
		return nil, err
	}
	c, err := ParseCheckpoint(n.Text)
	if err != nil {
		return nil, err
	}
	out := Note{Text: n.Text}
	keep := func(v note.Verifier) {
		for _, s := range n.Signatures {
			if s.by(v) {
				out.Signatures = append(out.Signatures, s)
			}
		}
	}
	for _, l := range p.Logs {
		if l.Name == c.Origin {
			keep(l.Verifier)
		}
	}
	for _, w := range p.Witnesses {
		keep(w.Verifier)
	}
	if len(out.Signatures) == 0 {
		return nil, ErrUnsigned
	}
	return out.Marshal(), nil
}

// ErrNotCanonical says that a signed checkpoint holds lines that its policy does not vouch for, or has them out of order.
var ErrNotCanonical = errors.New("checkpoint carries signature lines that are not the policy's, or not in the policy's order")

// CheckStrict is Check for evidence: the signed checkpoint must also be in the form that Canonical gives, so that there is no
// line in it that nobody has verified.
func (p *Policy) CheckStrict(signed []byte) (Checkpoint, []Cosigned, error) {
	c, cosigned, err := p.Check(signed)
	if err != nil {
		return Checkpoint{}, nil, err
	}
	canonical, err := p.Canonical(signed)
	if err != nil {
		return Checkpoint{}, nil, err
	}
	if !bytes.Equal(canonical, signed) {
		return Checkpoint{}, nil, ErrNotCanonical
	}
	return c, cosigned, nil
}
