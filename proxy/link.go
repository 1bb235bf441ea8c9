package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"

	"shiguan/proxy/auth"
	"shiguan/proxy/certs"
	"shiguan/proxy/wire"
)

// link is the connection with one peer: raw, or with TLS over it. What is read from it and written to it is what the peer
// means, whichever it is.
type link struct {
	net.Conn          // what bytes go through: secure where there is TLS, below otherwise
	below    *carrier // what the peer is reached by
	secure   *tls.Conn
	binding  []byte            // tls-server-end-point of our certificate; nil where there is none
	peer     *x509.Certificate // the client's, verified; nil where there is none
}

// carrier lies between TLS and the socket, so that the way to the socket can be exchanged while TLS goes on. Nobody may
// read or write meanwhile.
type carrier struct {
	net.Conn
	ahead []byte // what was read already and still is to be
}

func (c *carrier) Read(b []byte) (int, error) {
	if len(c.ahead) > 0 {
		n := copy(b, c.ahead)
		c.ahead = c.ahead[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}

func newLink(nc net.Conn) *link {
	below := &carrier{Conn: nc}
	return &link{Conn: below, below: below}
}

// raw is the socket.
func (l *link) raw() net.Conn { return l.below.Conn }

// tlsRecord is the largest piece written to a TLS peer at once. libpq waits for ever on a longer one that it has read in part
// (WIRE.md, O7).
const tlsRecord = 8 << 10

// Write writes all of b.
func (l *link) Write(b []byte) (written int, err error) {
	if l.secure == nil {
		return l.below.Write(b)
	}
	for len(b) > 0 {
		n, err := l.secure.Write(b[:min(len(b), tlsRecord)])
		if written += n; err != nil {
			return written, err
		}
		b = b[n:]
	}
	return written, nil
}

// CloseWrite tells the peer that nothing more comes; it may still be sending.
func (l *link) CloseWrite() error {
	if l.secure != nil {
		if err := l.secure.CloseWrite(); err != nil {
			return err
		}
	}
	if t, ok := l.raw().(interface{ CloseWrite() error }); ok {
		return t.CloseWrite()
	}
	return nil
}

// Close closes the socket at once, whoever may be reading or writing. A peer that should hear more is told by CloseWrite.
func (l *link) Close() error { return l.raw().Close() }

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
