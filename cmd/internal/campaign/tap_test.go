package campaign

import (
	"context"
	"encoding/binary"
	"net"
	"sync"
)

// tap is a client's connection that notes which messages of the server have begun to arrive, so that the ledger knows of
// every byte, also of those that a driver had no time to hand on.
type tap struct {
	net.Conn

	mu        sync.Mutex
	header    []byte // of the message that begins, up to five bytes
	left      int    // bytes still to come of the body
	completed int    // statements that completed since reset
	partial   bool   // something of a result came since the last of them
	described bool   // a RowDescription came since reset
}

func (t *tap) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	t.mu.Lock()
	defer t.mu.Unlock()
	for rest := b[:n]; len(rest) > 0; {
		rest = t.takeLocked(rest)
	}
	return n, err
}

// takeLocked follows the framing for some bytes and returns the others.
func (t *tap) takeLocked(b []byte) []byte {
	if t.left > 0 {
		n := min(t.left, len(b))
		t.left -= n
		return b[n:]
	}
	if len(t.header) == 0 {
		t.beginsLocked(b[0])
	}
	n := min(5-len(t.header), len(b))
	t.header = append(t.header, b[:n]...)
	if len(t.header) == 5 {
		t.left = int(binary.BigEndian.Uint32(t.header[1:])) - 4
		t.header = t.header[:0]
	}
	return b[n:]
}

// beginsLocked notes what a message is. What says how a statement ended comes after all else of its result.
func (t *tap) beginsLocked(message byte) {
	switch message {
	case 'C', 'I', 's': // CommandComplete, EmptyQueryResponse, PortalSuspended
		t.completed++
		t.partial = false
	case 'D', 'd', 'G', 'H', 'W', 'c': // DataRow and COPY
		t.partial = true
	case 'T':
		t.described = true
	}
}

// reset begins a new batch of statements.
func (t *tap) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.completed, t.partial, t.described = 0, false, false
}

// answered says how many statements of the batch completed and whether something of the next one's result arrived.
// In the simple protocol a RowDescription is a part of the result; in the other it may have been asked for by itself.
func (t *tap) answered(simple bool) (completed int, partial bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.completed, t.partial || simple && t.described && t.completed == 0
}

// dial makes a tap of a session's connection. The driver dials again to send a cancel request; that is none of ours.
func (t *tap) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil || t.Conn != nil {
		return conn, err
	}
	t.Conn = conn
	return t, nil
}
