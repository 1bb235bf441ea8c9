package tiles

import (
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// GenerateWitnessKey makes a witness' key pair, type 0x04. skey is secret and belongs into a file of its own.
func GenerateWitnessKey(name string) (skey, vkey string, err error) {
	return generateKey(name, KeyCosignature)
}

// CosignatureSigner co-signs checkpoints for one witness with one key. It is safe for concurrent use.
type CosignatureSigner struct {
	vkey VKey
	priv privateKey
}

// NewCosigner takes the text of a private key file as GenerateWitnessKey makes it; one newline at the end is allowed.
func NewCosigner(skey string) (*CosignatureSigner, error) { return newCosigner(skey, KeyCosignature) }

// NewMLDSACosigner takes the text of a private key file as GenerateMLDSAKey makes it; one newline at the end is allowed.
func NewMLDSACosigner(skey string) (*CosignatureSigner, error) { return newCosigner(skey, KeyMLDSA44) }

func newCosigner(skey string, typ KeyType) (*CosignatureSigner, error) {
	v, priv, err := parseSKey(skey, typ)
	if err != nil {
		return nil, err
	}
	return &CosignatureSigner{v, priv}, nil
}

func (s *CosignatureSigner) Name() string    { return s.vkey.Name }
func (s *CosignatureSigner) KeyHash() uint32 { return s.vkey.ID }
func (s *CosignatureSigner) VKey() VKey      { return s.vkey }

// Cosign makes the signature line, newline included, for a checkpoint's note body. It says: at time t, which is taken in whole
// seconds, this was the largest consistent head of the log that I had seen. The caller MUST have checked and stored that. A
// body that is no checkpoint is refused, so that the key cannot be had to sign anything else.
func (s *CosignatureSigner) Cosign(body []byte, t time.Time) (line []byte, err error) {
	if _, err := ParseCheckpoint(body); err != nil {
		return nil, fmt.Errorf("refuse to cosign: %w", err)
	}
	sec := t.Unix()
	if sec <= 0 || sec > maxTimestamp {
		return nil, fmt.Errorf("refuse to cosign: the clock says %d seconds since 1970", sec)
	}
	blob, err := signTimestamped(s.vkey, s.priv, uint64(sec), body)
	if err != nil {
		return nil, err
	}
	return Signature{Name: s.vkey.Name, KeyID: s.vkey.ID, Blob: blob}.AppendLine(nil), nil
}

// CosignatureVerifier verifies the cosignatures of one key of a witness. It implements note.Verifier.
type CosignatureVerifier struct {
	vkey VKey
	pub  publicKey
}

// NewCosignatureVerifier takes a verifier key of type 0x04 or 0x06.
func NewCosignatureVerifier(vkey string) (*CosignatureVerifier, error) {
	k, err := ParseVKey(vkey)
	if err != nil {
		return nil, err
	}
	if k.Type != KeyCosignature && k.Type != KeyMLDSA44 {
		return nil, fmt.Errorf("key %s has type 0x%02x; a witness' key has type 0x04 or 0x06", k.ref(), byte(k.Type))
	}
	pub, err := newPublicKey(k)
	if err != nil {
		return nil, err
	}
	return &CosignatureVerifier{k, pub}, nil
}

func (v *CosignatureVerifier) Name() string    { return v.vkey.Name }
func (v *CosignatureVerifier) KeyHash() uint32 { return v.vkey.ID }
func (v *CosignatureVerifier) VKey() VKey      { return v.vkey }

// Verify checks timestamp ‖ signature over a note body. A timestamp of zero, which would state no time, is refused.
func (v *CosignatureVerifier) Verify(msg, sig []byte) bool {
	sec, ok := verifyTimestamped(v.vkey, v.pub, msg, sig)
	return ok && sec > 0
}

var _ note.Verifier = (*CosignatureVerifier)(nil)
