package seal

import (
	"encoding/binary"

	"shiguan/auditlog/record"
)

// nonceSize is the length of a record's number within its period, which stands
// in clear at the start of the sealed payload.
const nonceSize = 8

// Overhead is how many bytes a sealed payload is longer than the payload.
const Overhead = nonceSize + 16

// The two things that are derived for each record, told apart by the first
// byte of the HMAC's message.
const (
	deriveKey     = 0x01
	deriveOpening = 0x02
)

// derive returns the AES key and the opening of the record with this nonce:
// HMAC-SHA256(period key, what ‖ nonce).
func derive(period *[32]byte, nonce uint64) (key, opening [32]byte) {
	var msg [1 + nonceSize]byte
	binary.BigEndian.PutUint64(msg[1:], nonce)
	msg[0] = deriveKey
	key = record.HMAC(period, msg[:])
	msg[0] = deriveOpening
	opening = record.HMAC(period, msg[:])
	return key, opening
}
