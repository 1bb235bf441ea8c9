package tiles

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/mod/sumdb/note"
)

const (
	timestampSize = 8
	// maxTimestamp is the last second of the year 9999. tlog-cosignature allows up to 2^63-1 and lets verifiers refuse the
	// future; what lies beyond has no RFC 3339 form, so no report could show it.
	maxTimestamp = 253402300799
)

// cosignedMessage is what a cosignature/v1 signs: the time and the whole note body.
func cosignedMessage(timestamp uint64, body []byte) []byte {
	msg := make([]byte, 0, 48+len(body))
	msg = append(msg, "cosignature/v1\ntime "...)
	msg = strconv.AppendUint(msg, timestamp, 10)
	msg = append(msg, '\n')
	return append(msg, body...)
}

// GenerateWitnessKey makes a witness' key pair, type 0x04. skey is secret and belongs into a file of its own.
func GenerateWitnessKey(name string) (skey, vkey string, err error) {
	return generateKey(name, KeyCosignature)
}

// CosignatureSigner co-signs checkpoints for one witness. It is safe for concurrent use.
type CosignatureSigner struct {
	vkey VKey
	priv ed25519.PrivateKey
}

// NewCosigner takes the text of a private key file as GenerateWitnessKey makes it; one newline at the end is allowed.
func NewCosigner(skey string) (*CosignatureSigner, error) {
	v, priv, err := parseSKey(skey, KeyCosignature)
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
	blob := binary.BigEndian.AppendUint64(nil, uint64(sec))
	blob = append(blob, ed25519.Sign(s.priv, cosignedMessage(uint64(sec), body))...)
	return Signature{Name: s.vkey.Name, KeyID: s.vkey.ID, Blob: blob}.AppendLine(nil), nil
}

// CosignatureVerifier verifies the cosignatures of one witness. It implements note.Verifier.
type CosignatureVerifier struct{ vkey VKey }

// NewCosignatureVerifier takes a verifier key of type 0x04.
func NewCosignatureVerifier(vkey string) (*CosignatureVerifier, error) {
	k, err := ParseVKey(vkey)
	if err != nil {
		return nil, err
	}
	if k.Type != KeyCosignature {
		return nil, fmt.Errorf("key %s+%08x has type 0x%02x; a witness' key has type 0x04", k.Name, k.ID, byte(k.Type))
	}
	return &CosignatureVerifier{k}, nil
}

func (v *CosignatureVerifier) Name() string    { return v.vkey.Name }
func (v *CosignatureVerifier) KeyHash() uint32 { return v.vkey.ID }
func (v *CosignatureVerifier) VKey() VKey      { return v.vkey }

// Verify checks timestamp ‖ signature over a note body. A timestamp of zero, which would state no time, is refused.
func (v *CosignatureVerifier) Verify(msg, sig []byte) bool {
	if len(sig) != timestampSize+ed25519.SignatureSize {
		return false
	}
	sec := binary.BigEndian.Uint64(sig)
	return sec > 0 && sec <= maxTimestamp && ed25519.Verify(v.vkey.Key, cosignedMessage(sec, msg), sig[timestampSize:])
}

// CosignatureTime is the time that a cosignature of type 0x04 states. It means something only once Verify has said true.
func CosignatureTime(blob []byte) (time.Time, error) {
	if len(blob) != timestampSize+ed25519.SignatureSize || binary.BigEndian.Uint64(blob) > maxTimestamp {
		return time.Time{}, errors.New("not an Ed25519 cosignature")
	}
	return time.Unix(int64(binary.BigEndian.Uint64(blob)), 0).UTC(), nil
}

var _ note.Verifier = (*CosignatureVerifier)(nil)
