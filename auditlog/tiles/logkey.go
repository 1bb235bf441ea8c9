package tiles

import (
	"fmt"

	"golang.org/x/mod/sumdb/note"
)

// GenerateLogKey makes a log's key pair, type 0x01. The origin is the name of the key. skey is secret and belongs into a file of
// its own.
func GenerateLogKey(origin string) (skey, vkey string, err error) {
	return generateKey(origin, KeyEd25519)
}

// GenerateMLDSAKey makes an ML-DSA-44 key pair, type 0x06, for a log or a witness to sign with beside its Ed25519 key. The name
// MUST be that of the other key. skey is secret and belongs into a file of its own.
func GenerateMLDSAKey(name string) (skey, vkey string, err error) {
	return generateKey(name, KeyMLDSA44)
}

// LogSigner signs checkpoints for one log with one key. It implements note.Signer.
type LogSigner struct {
	vkey VKey
	priv privateKey
}

// NewLogSigner takes the text of a private key file as GenerateLogKey makes it; one newline at the end is allowed.
func NewLogSigner(skey string) (*LogSigner, error) { return newLogSigner(skey, KeyEd25519) }

// NewMLDSALogSigner takes the text of a private key file as GenerateMLDSAKey makes it; one newline at the end is allowed.
func NewMLDSALogSigner(skey string) (*LogSigner, error) { return newLogSigner(skey, KeyMLDSA44) }

func newLogSigner(skey string, typ KeyType) (*LogSigner, error) {
	v, priv, err := parseSKey(skey, typ)
	if err != nil {
		return nil, err
	}
	return &LogSigner{v, priv}, nil
}

func (s *LogSigner) Name() string    { return s.vkey.Name }
func (s *LogSigner) KeyHash() uint32 { return s.vkey.ID }
func (s *LogSigner) VKey() VKey      { return s.vkey }

// Sign signs a note body. With ML-DSA-44 that must be a checkpoint of this log, and the signature states the time 0, which is
// to say none: what a log says of its head does not depend on when.
func (s *LogSigner) Sign(msg []byte) ([]byte, error) {
	if s.vkey.Type == KeyEd25519 {
		return s.priv.sign(msg)
	}
	if c, err := ParseCheckpoint(msg); err != nil || c.Origin != s.vkey.Name {
		return nil, fmt.Errorf("key %s signs nothing but checkpoints of %s", s.vkey.ref(), s.vkey.Name)
	}
	return signTimestamped(s.vkey, s.priv, 0, msg)
}

// LogVerifier verifies the signatures of one key of a log. It implements note.Verifier.
type LogVerifier struct {
	vkey VKey
	pub  publicKey
}

// NewLogVerifier takes a verifier key of type 0x01 or 0x06.
func NewLogVerifier(vkey string) (*LogVerifier, error) {
	k, err := ParseVKey(vkey)
	if err != nil {
		return nil, err
	}
	if k.Type != KeyEd25519 && k.Type != KeyMLDSA44 {
		return nil, fmt.Errorf("key %s has type 0x%02x; a log's key has type 0x01 or 0x06", k.ref(), byte(k.Type))
	}
	pub, err := newPublicKey(k)
	if err != nil {
		return nil, err
	}
	return &LogVerifier{k, pub}, nil
}

func (v *LogVerifier) Name() string    { return v.vkey.Name }
func (v *LogVerifier) KeyHash() uint32 { return v.vkey.ID }
func (v *LogVerifier) VKey() VKey      { return v.vkey }

// Verify checks a signature over a note body. One by ML-DSA-44 holds only for a checkpoint, and may state a time or none.
func (v *LogVerifier) Verify(msg, sig []byte) bool {
	if v.vkey.Type == KeyEd25519 {
		return v.pub.verify(msg, sig)
	}
	_, ok := verifyTimestamped(v.vkey, v.pub, msg, sig)
	return ok
}

var (
	_ note.Signer   = (*LogSigner)(nil)
	_ note.Verifier = (*LogVerifier)(nil)
)
