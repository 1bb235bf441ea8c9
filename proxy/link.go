package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"time"

	"shiguan/proxy/auth"
	"shiguan/proxy/certs"
	"shiguan/proxy/poll"
	"shiguan/proxy/wire"
)

// link is the connection with one peer: raw, or with TLS over it. What is read from it and written to it is what the peer
// means, whichever it is. During the login its calls wait for the peer; from enter on they do not: it is a stream.
type link struct {
	net.Conn          // what bytes go through: secure where there is TLS, below otherwise
	below    *carrier // what the peer is reached by
	secure   *tls.Conn
	binding  []byte            // tls-server-end-point of our certificate; nil where there is none
	peer     *x509.Certificate // the client's, verified; nil where there is none
	held     bool              // TLS may hold more of what was received
}

// carrier lies between TLS and the socket, so that the way to the socket can be exchanged while TLS goes on.
type carrier struct {
	net.Conn
	ahead  []byte       // what was read already and still is to be
	socket *poll.Socket // once the link is in a loop; Conn is closed then
	unsent []byte       // in a loop: what TLS has written and the socket has not taken
}

func (c *carrier) Read(b []byte) (int, error) {
	if len(c.ahead) > 0 {
		n := copy(b, c.ahead)
		c.ahead = c.ahead[n:]
		return n, nil
	}
	if c.socket != nil {
		return c.socket.Read(b)
	}
	return c.Conn.Read(b)
}

// Write is for TLS, which cannot go on after a write that was cut short: in a loop it takes everything.
func (c *carrier) Write(b []byte) (int, error) {
	if c.socket == nil {
		return c.Conn.Write(b)
	}
	c.unsent = append(c.unsent, b...)
	return len(b), nil
}

// flush has the socket take what TLS has written.
func (c *carrier) flush() error {
	n, err := c.socket.Write(c.unsent)
	if c.unsent = c.unsent[n:]; len(c.unsent) == 0 {
		c.unsent = nil
	}
	return err
}

// SetWriteDeadline is called by TLS. In a loop no call waits.
func (c *carrier) SetWriteDeadline(t time.Time) error {
	if c.socket != nil {
		return nil
	}
	return c.Conn.SetWriteDeadline(t)
}

func newLink(nc net.Conn) *link {
	below := &carrier{Conn: nc}
	return &link{Conn: below, below: below}
}

// enter takes the connection from package net: from now on no call waits. A loop must watch the socket.
func (l *link) enter() error {
	s, err := poll.Detach(l.below.Conn)
	l.below.socket = s
	l.held = l.secure != nil
	return err
}

// raw is the socket of a login.
func (l *link) raw() net.Conn { return l.below.Conn }

// Readable reports that Read may find something.
func (l *link) Readable() bool { return l.held || l.below.socket.Readable() }

// Read reads what there is.
func (l *link) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	l.held = l.secure != nil && err == nil
	return n, err
}

// discard reads what the peer sends, whatever it may mean.
func (l *link) discard(b []byte) (int, error) { return l.below.socket.Read(b) }

// tlsRecord is the largest piece written to a TLS peer at once. libpq waits for ever on a longer one that it has read in part
// (WIRE.md, O7).
const tlsRecord = 8 << 10

// Write writes all of b, or in a loop what is taken of it.
func (l *link) Write(b []byte) (written int, err error) {
	s := l.below.socket
	if l.secure == nil && s != nil {
		return s.Write(b)
	}
	if l.secure == nil {
		return l.below.Write(b)
	}
	if s != nil {
		if err := l.below.flush(); err != nil {
			return 0, err
		}
	}
	for len(b) > 0 {
		n, err := l.secure.Write(b[:min(len(b), tlsRecord)])
		if written += n; err != nil {
			return written, err
		}
		if b = b[n:]; s == nil || len(l.below.unsent) < 8*tlsRecord {
			continue
		}
		// Only a socket that refused more will be heard of again: until then it is given more.
		if err := l.below.flush(); err != nil {
			return written, err
		}
	}
	if s == nil {
		return written, nil
	}
	if err := l.below.flush(); err != nil && !errors.Is(err, poll.ErrAgain) {
		return written, err
	}
	return written, nil
}

// Unsent reports that Write took more than has left.
func (l *link) Unsent() bool { return len(l.below.unsent) > 0 }

// CloseWrite tells the peer that nothing more comes; it may still be sending.
func (l *link) CloseWrite() error {
	if l.secure != nil {
		if err := l.secure.CloseWrite(); err != nil {
			return err
		}
	}
	if l.below.socket != nil {
		if err := l.below.flush(); err != nil && !errors.Is(err, poll.ErrAgain) {
			return err
		}
		return l.below.socket.CloseWrite()
	}
	if t, ok := l.raw().(interface{ CloseWrite() error }); ok {
		return t.CloseWrite()
	}
	return nil
}

// Close closes the socket at once. A peer that should hear more is told by CloseWrite.
func (l *link) Close() error {
	if l.below.socket != nil {
		return l.below.socket.Close()
	}
	return l.raw().Close()
}

// version is how a TLS connection is named on record; empty without TLS.
func (l *link) version() string {
	if l.secure == nil {
		return ""
	}
	return tls.VersionName(l.secure.ConnectionState().Version)
}

// encrypt begins TLS with a server. What it says before, in clear, is one byte: more is never read, so that nobody can slip
// anything in.
func (l *link) encrypt(ctx context.Context, config *tls.Config, direct bool) error {
	if !direct {
		if _, err := l.below.Write(wire.AppendSSLRequest(nil)); err != nil {
			return err
		}
		var answer [1]byte
		if _, err := io.ReadFull(l.below, answer[:]); err != nil {
			return err
		}
		if answer[0] != 'S' {
			return errors.New("the server refuses TLS")
		}
	}
	t := tls.Client(l.below, config)
	if err := t.HandshakeContext(ctx); err != nil {
		return err
	}
	l.Conn, l.secure = t, t
	return nil
}

// channel is what TLS has established about the client.
func (l *link) channel() auth.Channel { return auth.Channel{Endpoint: l.binding, Certificate: l.peer} }

// certified is what the record says of the client's certificate; nil without one.
func (l *link) certified() map[string]string {
	if l.peer == nil {
		return nil
	}
	return map[string]string{"certificate": l.peer.Subject.String(), "certificate_sha256": certs.Fingerprint(l.peer)}
}
