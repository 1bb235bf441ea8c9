package signed

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/note"

	"shiguan/auditlog/tiles"
	"shiguan/configs"
)

// verifiers are keys of which each stands for one person.
type verifiers []*tiles.LogVerifier

// parseKeys reads verifier keys. No two may have one name, or be one key under two names: it would count twice.
func parseKeys(vkeys []string) (verifiers, error) {
	var list verifiers
	for _, text := range vkeys {
		v, err := tiles.NewLogVerifier(text)
		if err != nil {
			return nil, err
		}
		if v.VKey().Type != tiles.KeyEd25519 {
			return nil, fmt.Errorf("the key of %s signs nothing but heads of logs: make one with `shiguan key new-signer`", v.Name())
		}
		for _, other := range list {
			if bytes.Equal(other.VKey().Key, v.VKey().Key) || other.Name() == v.Name() {
				return nil, fmt.Errorf("%s and %s are one key or one name: each signer has a key and a name of his own", other.Name(), v.Name())
			}
		}
		list = append(list, v)
	}
	return list, nil
}

// verify lists, sorted, whose signatures a note carries. Lines by others count for nothing; one that claims to be by one of
// these keys and is not makes it fail.
func (list verifiers) verify(n *tiles.Note) ([]string, error) {
	known := make([]note.Verifier, len(list))
	for i, v := range list {
		known[i] = v
	}
	signatures, err := n.Verify(known...)
	if err != nil && !errors.Is(err, tiles.ErrUnsigned) {
		return nil, err
	}
	var names []string
	for _, s := range signatures {
		names = append(names, s.Name)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Verify checks that enough of a level's signers have signed a policy as one for this level and name, and that it is valid
// at the time. by are the names of those who signed, also where that is not enough.
func Verify(level string, signers *configs.LevelSigners, policy, sig []byte, now time.Time) (s Statement, by []string, err error) {
	keys, err := parseKeys(signers.Keys)
	if err != nil {
		return s, nil, err
	}
	n, err := tiles.ParseNote(sig)
	if err != nil {
		return s, nil, err
	}
	if s, err = ParseStatement(n.Text); err != nil {
		return s, nil, err
	}
	by, err = keys.verify(n)
	switch {
	case err != nil:
		return s, nil, err
	case len(by) < max(signers.K, 1):
		return s, by, fmt.Errorf("it has %d signatures by the level's signers and needs %d: `shiguan policy sign` adds one", len(by), signers.K)
	case s.Level != level:
		return s, by, fmt.Errorf("it is signed as a policy of level %s, not %s", s.Level, level)
	case s.Name != signers.Name:
		return s, by, fmt.Errorf("it is signed as the policy of %s, not of %s", s.Name, signers.Name)
	case s.Digest != Digest(policy):
		return s, by, errors.New("its signatures are for another text: sign it again, with a higher serial")
	case now.Before(s.ValidFrom):
		return s, by, fmt.Errorf("it is valid from %s on, and not yet", s.ValidFrom.Format(time.RFC3339))
	}
	return s, by, nil
}
