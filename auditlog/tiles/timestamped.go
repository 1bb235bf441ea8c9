package tiles

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"
)

const (
	timestampSize = 8
	// maxTimestamp is the last second of the year 9999. tlog-cosignature allows up to 2^63-1 and lets verifiers refuse the
	// future; what lies beyond has no RFC 3339 form, so no report could show it.
	maxTimestamp = 253402300799
)

// cosignedMessage is what a timestamped signature of tlog-cosignature signs for a checkpoint's note body.
func cosignedMessage(k VKey, timestamp uint64, body []byte) ([]byte, error) {
	switch k.Type {
	case KeyCosignature:
		return cosignatureV1(timestamp, body), nil
	case KeyMLDSA44:
		// The message holds what the body says and not the body itself; so only a body that has no other spelling will do.
		c, err := ParseCheckpoint(body)
		if err != nil {
			return nil, err
		}
		return subtreeV1(k.Name, timestamp, c), nil
	}
	return nil, fmt.Errorf("keys of type 0x%02x make no timestamped signatures", byte(k.Type))
}

// cosignatureV1 is the message of type 0x04: the time and the whole note body.
func cosignatureV1(timestamp uint64, body []byte) []byte {
	msg := make([]byte, 0, 48+len(body))
	msg = append(msg, "cosignature/v1\ntime "...)
	msg = strconv.AppendUint(msg, timestamp, 10)
	msg = append(msg, '\n')
	return append(msg, body...)
}

// subtreeV1 is the message of type 0x06 for a whole tree: the leaves from 0 to its size. The lengths of both names fit into one
// byte, because validName has let them pass.
func subtreeV1(cosigner string, timestamp uint64, c Checkpoint) []byte {
	msg := make([]byte, 0, 78+len(cosigner)+len(c.Origin))
	msg = append(msg, "subtree/v1\n\x00"...)
	msg = append(append(msg, byte(len(cosigner))), cosigner...)
	msg = binary.BigEndian.AppendUint64(msg, timestamp)
	msg = append(append(msg, byte(len(c.Origin))), c.Origin...)
	msg = binary.BigEndian.AppendUint64(msg, 0)
	msg = binary.BigEndian.AppendUint64(msg, c.Size)
	return append(msg, c.Root[:]...)
}

// signTimestamped makes the blob of a signature line, timestamp ‖ signature.
func signTimestamped(k VKey, priv privateKey, timestamp uint64, body []byte) ([]byte, error) {
	msg, err := cosignedMessage(k, timestamp, body)
	if err != nil {
		return nil, err
	}
	sig, err := priv.sign(msg)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", k.ref(), err)
	}
	return append(binary.BigEndian.AppendUint64(nil, timestamp), sig...), nil
}

// verifyTimestamped is the inverse. The timestamp may be zero, for the caller to judge.
func verifyTimestamped(k VKey, pub publicKey, body, blob []byte) (timestamp uint64, ok bool) {
	if len(blob) != timestampSize+k.Type.signatureSize() {
		return 0, false
	}
	timestamp = binary.BigEndian.Uint64(blob)
	if timestamp > maxTimestamp {
		return 0, false
	}
	msg, err := cosignedMessage(k, timestamp, body)
	if err != nil || !pub.verify(msg, blob[timestampSize:]) {
		return 0, false
	}
	return timestamp, true
}

// CosignatureTime is the time that a cosignature of type 0x04 or 0x06 states. It means something only once Verify has said true.
func CosignatureTime(blob []byte) (time.Time, error) {
	switch len(blob) - timestampSize {
	case KeyCosignature.signatureSize(), KeyMLDSA44.signatureSize():
	default:
		return time.Time{}, errors.New("neither an Ed25519 nor an ML-DSA-44 cosignature")
	}
	sec := binary.BigEndian.Uint64(blob)
	if sec > maxTimestamp {
		return time.Time{}, errors.New("a cosignature from beyond the year 9999")
	}
	return time.Unix(int64(sec), 0).UTC(), nil
}
