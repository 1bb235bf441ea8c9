package tiles

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

const (
	maxPolicy  = 1 << 20
	quorumNone = "none"
)

// PolicyLog is one key of a log that a policy trusts. Name is its origin.
type PolicyLog struct {
	Name     string
	VKey     string
	URL      string // may be empty
	Verifier *LogVerifier
}

// PolicyWitness is one key of a witness of a policy. Name is what the policy calls it; its key has a name of its own.
type PolicyWitness struct {
	Name     string
	VKey     string
	URL      string // submission prefix of tlog-witness; may be empty
	Verifier *CosignatureVerifier
}

// Policy is a tlog-policy: which logs are trusted, which witnesses, and which sets of them are enough. It is immutable and safe
// for concurrent use; its fields must not be changed.
type Policy struct {
	Logs      []PolicyLog
	Witnesses []PolicyWitness
	Quorum    string // a witness, a group, or "none"

	text   []byte
	groups map[string]group
}

// group has witnessed a checkpoint when k of its members have; a member is a witness or a group defined earlier.
type group struct {
	k       int
	members []string
}

// Text is the policy exactly as it was parsed, comments and all.
func (p *Policy) Text() []byte { return bytes.Clone(p.text) }

// LineError says which line of a policy is wrong.
type LineError struct {
	Line int
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }
func (e *LineError) Unwrap() error { return e.Err }

// ParsePolicy parses a tlog-policy. Beyond the specification it wants at least one log to be named (a checkpoint of an unnamed
// log proves nothing here), no key to stand for a log and a witness at once, and no witness with two keys to count twice.
//
// A log or witness with an Ed25519 and an ML-DSA-44 key has a line for each. Of a log's lines one suffices, as the specification
// has it, so a policy demands ML-DSA-44 by naming that key alone; of a witness' lines the groups say what is enough.
func ParsePolicy(text []byte) (*Policy, error) {
	if len(text) > maxPolicy {
		return nil, fmt.Errorf("policy of %d bytes is too long", len(text))
	}
	if len(text) == 0 || text[len(text)-1] != '\n' {
		return nil, errors.New("policy does not end in a newline")
	}
	b := policyBuilder{p: &Policy{text: bytes.Clone(text), groups: make(map[string]group)}, member: make(map[string]bool)}
	for i, line := range strings.Split(string(text[:len(text)-1]), "\n") {
		if err := b.line(line); err != nil {
			return nil, &LineError{i + 1, err}
		}
	}
	switch p := b.p; {
	case p.Quorum == "":
		return nil, errors.New("policy has no quorum line; write \"quorum none\" if none is wanted")
	case len(p.Logs) == 0:
		return nil, errors.New("policy names no log")
	default:
		return p, nil
	}
}

// policyBuilder collects a policy line by line.
type policyBuilder struct {
	p      *Policy
	member map[string]bool // names that are members of some group already
}

func (b *policyBuilder) line(line string) error {
	for _, c := range []byte(line) {
		if c == '\r' {
			return errors.New("carriage return; save the file with Unix line ends")
		}
		if c < 0x20 && c != '\t' || c == 0x7f {
			return fmt.Errorf("control character 0x%02x", c)
		}
	}
	words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
	if len(words) == 0 || words[0][0] == '#' {
		return nil
	}
	args := words[1:]
	switch words[0] {
	case "log":
		return b.log(args)
	case "witness":
		return b.witness(args)
	case "group":
		return b.group(args)
	case "quorum":
		return b.quorum(args)
	}
	return fmt.Errorf("unknown word %q; a line begins with log, witness, group, quorum or #", clip(words[0]))
}

func (b *policyBuilder) log(args []string) error {
	if len(args) != 1 && len(args) != 2 {
		return errors.New("want log <vkey> [<url>]")
	}
	v, err := NewLogVerifier(args[0])
	if err != nil {
		return err
	}
	if err := b.unused(v.vkey); err != nil {
		return err
	}
	b.p.Logs = append(b.p.Logs, PolicyLog{Name: v.Name(), VKey: args[0], URL: strings.Join(args[1:], ""), Verifier: v})
	return nil
}

func (b *policyBuilder) witness(args []string) error {
	if len(args) != 2 && len(args) != 3 {
		return errors.New("want witness <name> <vkey> [<url>]")
	}
	if err := b.free(args[0]); err != nil {
		return err
	}
	v, err := NewCosignatureVerifier(args[1])
	if err != nil {
		return err
	}
	if err := b.unused(v.vkey); err != nil {
		return err
	}
	b.p.Witnesses = append(b.p.Witnesses, PolicyWitness{Name: args[0], VKey: args[1], URL: strings.Join(args[2:], ""), Verifier: v})
	return nil
}

func (b *policyBuilder) group(args []string) error {
	if len(args) < 3 {
		return errors.New("want group <name> all|any|<k> <member>…")
	}
	name, members := args[0], args[2:]
	if err := b.free(name); err != nil {
		return err
	}
	g := group{members: members}
	switch args[1] {
	case "all":
		g.k = len(members)
	case "any":
		g.k = 1
	default:
		k, err := ParseSize(args[1])
		if err != nil || k < 1 || k > uint64(len(members)) {
			return fmt.Errorf("threshold %q of group %s: want all, any or a number from 1 to %d", clip(args[1]), name, len(members))
		}
		g.k = int(k)
	}
	for _, m := range members {
		if !b.defined(m) {
			return fmt.Errorf("group %s: no witness or group %q above this line", name, clip(m))
		}
		if b.member[m] {
			return fmt.Errorf("group %s: %s is in a group already and would count twice", name, m)
		}
		b.member[m] = true
	}
	if g.k > 1 && g.k < len(members) {
		if err := b.countsOnce(members); err != nil {
			return fmt.Errorf("group %s: %w", name, err)
		}
	}
	b.p.groups[name] = g
	return nil
}

// countsOnce refuses members among which one witness, known by the name of its keys, stands more than once: with two keys it
// would be two of the k that a group wants. Where all or any must sign there is nothing to count.
func (b *policyBuilder) countsOnce(members []string) error {
	of := make(map[string]string) // witness key name to member
	for _, m := range members {
		for _, key := range b.keyNames(m) {
			if other, ok := of[key]; ok && other != m {
				return fmt.Errorf("%s and %s have keys of the same witness %s, which would count twice; put them into a group of their own", other, m, key)
			}
			of[key] = m
		}
	}
	return nil
}

// keyNames are the names of the witness keys in a member, which is defined.
func (b *policyBuilder) keyNames(member string) []string {
	if g, ok := b.p.groups[member]; ok {
		var names []string
		for _, m := range g.members {
			names = append(names, b.keyNames(m)...)
		}
		return names
	}
	for _, w := range b.p.Witnesses {
		if w.Name == member {
			return []string{w.Verifier.Name()}
		}
	}
	return nil
}

func (b *policyBuilder) quorum(args []string) error {
	if len(args) != 1 {
		return errors.New("want quorum <name>, or quorum none")
	}
	if b.p.Quorum != "" {
		return errors.New("second quorum line")
	}
	if args[0] != quorumNone && !b.defined(args[0]) {
		return fmt.Errorf("quorum: no witness or group %q above this line", clip(args[0]))
	}
	b.p.Quorum = args[0]
	return nil
}

func (b *policyBuilder) defined(name string) bool {
	if _, ok := b.p.groups[name]; ok {
		return true
	}
	for _, w := range b.p.Witnesses {
		if w.Name == name {
			return true
		}
	}
	return false
}

func (b *policyBuilder) free(name string) error {
	switch {
	case name == quorumNone:
		return errors.New(`the name "none" is taken`)
	case b.defined(name):
		return fmt.Errorf("second definition of %q", clip(name))
	}
	return nil
}

// unused refuses a public key that the policy has already, under whatever name, and a key that signature lines could not
// tell from another.
func (b *policyBuilder) unused(k VKey) error {
	taken := func(other VKey) bool {
		return sameKey(k, other) || k.Name == other.Name && k.ID == other.ID
	}
	for _, l := range b.p.Logs {
		if taken(l.Verifier.vkey) {
			return fmt.Errorf("key %s is the key of log %s already", k.ref(), l.Name)
		}
	}
	for _, w := range b.p.Witnesses {
		if taken(w.Verifier.vkey) {
			return fmt.Errorf("key %s is the key of witness %s already", k.ref(), w.Name)
		}
	}
	return nil
}
