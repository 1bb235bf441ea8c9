package tiles

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxNameLen bounds origins and cosigner names; the ML-DSA cosignature gives them one length byte.
const maxNameLen = 255

// strictBase64 refuses non-zero trailing bits. It still skips CR and LF, so decodeBase64 looks for those itself.
var strictBase64 = base64.StdEncoding.Strict()

func decodeBase64(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("line break inside base64")
	}
	b, err := strictBase64.DecodeString(s)
	if err != nil {
		return nil, errors.New("not canonical base64")
	}
	return b, nil
}

func encodeHash(h Hash) string { return base64.StdEncoding.EncodeToString(h[:]) }

// FormatHash is how checkpoints, proofs and witness requests write a hash: padded standard base64.
func FormatHash(h Hash) string { return encodeHash(h) }

// ParseHash is the inverse of FormatHash and accepts nothing else.
func ParseHash(s string) (Hash, error) {
	b, err := decodeBase64(s)
	if err != nil {
		return Hash{}, fmt.Errorf("hash: %w", err)
	}
	if len(b) != HashSize {
		return Hash{}, fmt.Errorf("hash has %d bytes, want %d", len(b), HashSize)
	}
	return Hash(b), nil
}

// ParseSize reads a tree size or leaf index: ASCII decimal, no sign, no leading zeros, at most MaxSize.
func ParseSize(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || strconv.FormatUint(n, 10) != s {
		return 0, fmt.Errorf("%q is not a canonical decimal number below 2^63", clip(s))
	}
	return n, nil
}

// validName says whether name may be a key name, and with it an origin: signed-note's rule (not empty, UTF-8, no Unicode
// space, no plus), no control characters (no note could carry them), and at most 255 bytes.
func validName(name string) bool {
	return name != "" && len(name) <= maxNameLen && utf8.ValidString(name) &&
		!strings.ContainsFunc(name, func(r rune) bool { return r == '+' || r < 0x20 || r == 0x7f || unicode.IsSpace(r) })
}

// clip keeps hostile input from filling an error message.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}
