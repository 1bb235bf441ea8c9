package mask

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"

	"github.com/jackc/pgx/v5/pgtype"
)

// PseudonymLength is how many characters stand for a text under mask hash: 80 bits.
const PseudonymLength = 16

const base32Digits = "abcdefghijklmnopqrstuvwxyz234567"

// pseudonyms is HMAC-SHA256 under one class's key. The two halves are kept with their padded key, so that a value costs no
// set-up.
type pseudonyms struct {
	inner, outer [sha256.BlockSize]byte
}

// newPseudonyms derives the key of a class. Nobody can compute a pseudonym without the secret, nor tell from pseudonyms of two
// classes that they stand for one value.
func newPseudonyms(secret []byte, class string) *pseudonyms {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte("shiguan mask hash 1\x00" + class))
	key := h.Sum(nil)
	p := &pseudonyms{}
	for i := range p.inner {
		var k byte
		if i < len(key) {
			k = key[i]
		}
		p.inner[i], p.outer[i] = k^0x36, k^0x5c
	}
	return p
}

// shortValue is how long a value may be to be hashed without allocation.
const shortValue = 448

func (p *pseudonyms) sum(value []byte) [sha256.Size]byte {
	var within [sha256.Size]byte
	if len(value) <= shortValue {
		var buf [sha256.BlockSize + shortValue]byte
		copy(buf[:], p.inner[:])
		n := copy(buf[sha256.BlockSize:], value)
		within = sha256.Sum256(buf[:sha256.BlockSize+n])
	} else {
		h := sha256.New()
		h.Write(p.inner[:])
		h.Write(value)
		h.Sum(within[:0])
	}
	var buf [sha256.BlockSize + sha256.Size]byte
	copy(buf[:], p.outer[:])
	copy(buf[sha256.BlockSize:], within[:])
	return sha256.Sum256(buf[:])
}

// appendText writes the pseudonym of a text: the same for the same characters, whatever the type and format.
func (p *pseudonyms) appendText(dst, value []byte) []byte {
	sum := p.sum(value)
	var bits uint64
	n := 0
	for i := 0; i < PseudonymLength*5/8; i++ {
		bits, n = bits<<8|uint64(sum[i]), n+8
		for ; n >= 5; n -= 5 {
			dst = append(dst, base32Digits[bits>>(n-5)&31])
		}
	}
	return dst
}

// appendUUID writes the pseudonym of a UUID as a UUID of version 8. It is false for what is no UUID.
func (p *pseudonyms) appendUUID(dst, value []byte, format int16) ([]byte, bool) {
	var id [16]byte
	if format == pgtype.BinaryFormatCode {
		if copy(id[:], value) != len(id) || len(value) != len(id) {
			return dst, false
		}
	} else if !parseUUID(&id, value) {
		return dst, false
	}
	sum := p.sum(id[:])
	copy(id[:], sum[:])
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80
	if format == pgtype.BinaryFormatCode {
		return append(dst, id[:]...), true
	}
	for i, part := range [][]byte{id[:4], id[4:6], id[6:8], id[8:10], id[10:]} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, part)
	}
	return dst, true
}

// parseUUID reads the form in which PostgreSQL writes UUIDs.
func parseUUID(id *[16]byte, text []byte) bool {
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return false
	}
	at := 0
	for i := 0; i < len(text); i += 2 {
		if text[i] == '-' {
			i++
		}
		if _, err := hex.Decode(id[at:at+1], text[i:i+2]); err != nil {
			return false
		}
		at++
	}
	return true
}
