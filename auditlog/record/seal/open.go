package seal

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"

	"shiguan/auditlog/record"
)

// What can be wrong with a sealed payload, in the order in which it is checked.
var (
	// ErrSealedHash: these are not the bytes whose hash is in the leaf.
	ErrSealedHash = errors.New("the sealed payload does not have the hash that its leaf states")
	// ErrNotSealed: the bytes are the leaf's, but the period's key does not open
	// them. Whoever wrote the log sealed with another key.
	ErrNotSealed = errors.New("the sealed payload does not open with its period's key")
	// ErrNoIdentity: the wrapped key is not for any of the identities given.
	ErrNoIdentity = errors.New("none of the identities is a recipient of this period's key")
)

// PeriodKey is the key of one period, unwrapped. It is safe for concurrent use.
type PeriodKey struct {
	period uint32
	keys   *deriver
}

// OpenPeriod unwraps a period's key with an investigator's identities. The
// error is ErrNoIdentity when the file is whole but meant for somebody else.
func OpenPeriod(wrapped []byte, ids []age.Identity) (*PeriodKey, error) {
	if len(ids) == 0 {
		return nil, ErrNoIdentity
	}
	period, key, err := unwrap(wrapped, ids)
	if err != nil {
		return nil, err
	}
	return &PeriodKey{period: period, keys: newDeriver(key)}, nil
}

// Period returns the number of the key period.
func (k *PeriodKey) Period() uint32 { return k.period }

// Open opens the sealed payload of the leaf's record and checks all that binds
// them: hash, seal and commitment. The payload is as the writer gave it; whether
// it is a record that fits its leaf is for record.CheckOpening to say.
func (k *PeriodKey) Open(leaf record.Leaf, sealed []byte) (payload []byte, opening [32]byte, err error) {
	if leaf.Period != k.period {
		return nil, opening, fmt.Errorf("the record is of key period %d, this is the key of period %d", leaf.Period, k.period)
	}
	if sha256.Sum256(sealed) != leaf.Sealed {
		return nil, opening, ErrSealedHash
	}
	if len(sealed) < Overhead {
		return nil, opening, ErrNotSealed
	}
	key, opening := k.keys.derive(binary.BigEndian.Uint64(sealed))
	aead, err := newAEAD(key)
	if err != nil {
		return nil, opening, err
	}
	var aad [14]byte
	payload, err = aead.Open(nil, zeroNonce[:], sealed[nonceSize:], record.AppendHeader(aad[:0], leaf.Kind, leaf.Time, leaf.Period))
	if err != nil {
		return nil, opening, ErrNotSealed
	}
	if c := record.Commit(opening, payload); !hmac.Equal(c[:], leaf.Commitment[:]) {
		return nil, opening, record.ErrCommitment
	}
	return payload, opening, nil
}

// wrapMagic begins the plaintext of a wrapped key; period (u32) and key follow.
const wrapMagic = "shiguan-period-key-1\n"

func wrap(period uint32, key [32]byte, recipients []age.Recipient) ([]byte, error) {
	if len(recipients) == 0 {
		return nil, errors.New("no recipients for the key period: name at least one investigator's public key, or nobody can ever read the log")
	}
	plain := binary.BigEndian.AppendUint32([]byte(wrapMagic), period)
	plain = append(plain, key[:]...)
	var out bytes.Buffer
	w, err := age.Encrypt(&out, recipients...)
	if err == nil {
		_, err = w.Write(plain)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("wrapping the key of period %d: %w", period, err)
	}
	return out.Bytes(), nil
}

func unwrap(wrapped []byte, ids []age.Identity) (period uint32, key [32]byte, err error) {
	r, err := age.Decrypt(bytes.NewReader(wrapped), ids...)
	if noMatch := new(age.NoIdentityMatchError); errors.As(err, &noMatch) {
		return 0, key, ErrNoIdentity
	}
	if err != nil {
		return 0, key, fmt.Errorf("the wrapped key is damaged: %w", err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return 0, key, fmt.Errorf("the wrapped key is damaged: %w", err)
	}
	rest, ok := bytes.CutPrefix(plain, []byte(wrapMagic))
	if !ok || len(rest) != 4+len(key) {
		return 0, key, errors.New("the wrapped key is not the key of a shiguan key period")
	}
	copy(key[:], rest[4:])
	return binary.BigEndian.Uint32(rest), key, nil
}
