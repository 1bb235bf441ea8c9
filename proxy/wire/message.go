package wire

import (
	"encoding/binary"
	"fmt"
)

// headerSize is the type byte and the length word. The length word counts itself but not the type byte.
const headerSize = 5

// maxLength bounds the length word: PostgreSQL builds and takes no message of 1 GiB or more.
const maxLength = 1<<30 - 1

// Message is one whole message as received: type ‖ length ‖ body. It aliases its Reader's buffer.
type Message []byte

// Type is the message type; what it means depends on the direction.
func (m Message) Type() byte { return m[0] }

// Body is what follows the length word.
func (m Message) Body() []byte { return m[headerSize:] }

// CodeProtocolViolation is the SQLSTATE of nearly every error here.
const CodeProtocolViolation = "08P01"

// ProtocolError says that a peer sent what the protocol does not allow. Its text never quotes content of the message, so it
// may be logged and shown.
type ProtocolError struct {
	Code    string // SQLSTATE
	Message string
}

func (e *ProtocolError) Error() string { return e.Message }

func violation(format string, args ...any) *ProtocolError {
	return &ProtocolError{Code: CodeProtocolViolation, Message: fmt.Sprintf(format, args...)}
}

// TooLongError says that the next message is longer than the Reader takes whole. The message is still there: Stream passes
// it on, Skip discards it, and Next keeps returning this error until one of them has.
type TooLongError struct {
	Type   byte
	Length int // of the whole message in bytes, header included
	Limit  int
}

func (e *TooLongError) Error() string {
	return fmt.Sprintf("message %q of %d bytes is longer than the limit of %d", e.Type, e.Length, e.Limit)
}

// messageLength decodes the header in b and returns the length of the whole message in bytes.
func messageLength(b []byte) (int, error) {
	n := binary.BigEndian.Uint32(b[1:headerSize])
	if n < 4 || n > maxLength {
		return 0, violation("invalid message length %d", n)
	}
	return int(n) + 1, nil
}
