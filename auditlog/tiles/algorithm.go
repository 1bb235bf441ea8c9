package tiles

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"filippo.io/mldsa"
)

// The two signature algorithms, over a message that is settled already. ML-DSA-44 is used without a context string and hedged:
// signing the same twice gives two signatures.

// privateKey signs. It is safe for concurrent use.
type privateKey interface {
	public() []byte
	sign(message []byte) ([]byte, error)
}

// publicKey verifies. It is safe for concurrent use.
type publicKey interface {
	verify(message, signature []byte) bool
}

func (t KeyType) publicSize() int {
	if t == KeyMLDSA44 {
		return mldsa.MLDSA44PublicKeySize
	}
	return ed25519.PublicKeySize
}

func (t KeyType) signatureSize() int {
	if t == KeyMLDSA44 {
		return mldsa.MLDSA44SignatureSize
	}
	return ed25519.SignatureSize
}

func newPrivateKey(typ KeyType, seed []byte) (privateKey, error) {
	if len(seed) != seedSize {
		return nil, fmt.Errorf("the key has %d bytes, want %d", len(seed), seedSize)
	}
	if typ != KeyMLDSA44 {
		return ed25519Private(ed25519.NewKeyFromSeed(seed)), nil
	}
	k, err := mldsa.NewPrivateKey(mldsa.MLDSA44(), seed)
	if err != nil {
		return nil, errors.New("not the seed of an ML-DSA-44 key")
	}
	return mldsaPrivate{k}, nil
}

// newPublicKey takes a key that ParseVKey has let pass.
func newPublicKey(k VKey) (publicKey, error) {
	if k.Type != KeyMLDSA44 {
		return ed25519Public(k.Key), nil
	}
	pub, err := mldsa.NewPublicKey(mldsa.MLDSA44(), k.Key)
	if err != nil {
		return nil, fmt.Errorf("key %s is not an ML-DSA-44 key: %w", k.ref(), err)
	}
	return mldsaPublic{pub}, nil
}

type ed25519Private ed25519.PrivateKey

func (k ed25519Private) public() []byte { return ed25519.PrivateKey(k).Public().(ed25519.PublicKey) }

func (k ed25519Private) sign(message []byte) ([]byte, error) {
	return ed25519.Sign(ed25519.PrivateKey(k), message), nil
}

type ed25519Public ed25519.PublicKey

func (k ed25519Public) verify(message, signature []byte) bool {
	return ed25519.Verify(ed25519.PublicKey(k), message, signature)
}

type mldsaPrivate struct{ *mldsa.PrivateKey }

func (k mldsaPrivate) public() []byte { return k.PublicKey().Bytes() }

func (k mldsaPrivate) sign(message []byte) ([]byte, error) { return k.Sign(nil, message, nil) }

type mldsaPublic struct{ *mldsa.PublicKey }

func (k mldsaPublic) verify(message, signature []byte) bool {
	return mldsa.Verify(k.PublicKey, message, signature, nil) == nil
}
