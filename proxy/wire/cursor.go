package wire

import (
	"bytes"
	"encoding/binary"
)

// cursor walks a body. After the first thing that does not fit it is bad for good and everything it returns is zero, so a
// decoder reads all its fields and asks once, at the end.
type cursor struct {
	rest []byte
	bad  bool
}

func (c *cursor) fail() {
	c.rest, c.bad = nil, true
}

// bytes takes the next n bytes. The result is never nil unless the cursor is bad.
func (c *cursor) bytes(n int) []byte {
	if n < 0 || n > len(c.rest) || c.bad {
		c.fail()
		return nil
	}
	b := c.rest[:n:n]
	c.rest = c.rest[n:]
	return b
}

func (c *cursor) byte() byte {
	if len(c.rest) < 1 {
		c.fail()
		return 0
	}
	b := c.rest[0]
	c.rest = c.rest[1:]
	return b
}

func (c *cursor) uint16() uint16 {
	if len(c.rest) < 2 {
		c.fail()
		return 0
	}
	v := binary.BigEndian.Uint16(c.rest)
	c.rest = c.rest[2:]
	return v
}

func (c *cursor) uint32() uint32 {
	if len(c.rest) < 4 {
		c.fail()
		return 0
	}
	v := binary.BigEndian.Uint32(c.rest)
	c.rest = c.rest[4:]
	return v
}

// text takes a string up to its NUL, which is not part of the result.
func (c *cursor) text() []byte {
	n := bytes.IndexByte(c.rest, 0)
	if n < 0 {
		c.fail()
		return nil
	}
	s := c.rest[:n:n]
	c.rest = c.rest[n+1:]
	return s
}

// value takes a length-prefixed value; nil is NULL (length -1).
func (c *cursor) value() []byte {
	n := int32(c.uint32())
	if n == -1 {
		return nil
	}
	return c.bytes(int(n))
}

// values takes n values as one view.
func (c *cursor) values(n int) Values {
	all := c.rest
	for range n {
		c.value()
		if c.bad {
			return Values{}
		}
	}
	size := len(all) - len(c.rest)
	return Values{n: n, rest: all[:size:size]}
}

// formats takes a counted list of format codes.
func (c *cursor) formats() Formats { return Formats(c.bytes(2 * int(c.uint16()))) }

// end is the error of a decoder: nil if all fields fitted and nothing is left.
func (c *cursor) end(message string) error {
	if c.bad || len(c.rest) > 0 {
		return violation("invalid %s message", message)
	}
	return nil
}
