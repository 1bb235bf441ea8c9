package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
)

// Mode is how much of a server's certificate must be right, in libpq's words. There is none that falls back to plaintext.
type Mode string

// The modes. VerifyFull is the only one that keeps out whoever has a certificate of the same authority.
const (
	Disable    Mode = "disable"
	Require    Mode = "require"     // encrypted, with whomever
	VerifyCA   Mode = "verify-ca"   // the authority vouches for the server
	VerifyFull Mode = "verify-full" // and for its name
)

// Known reports whether m is a mode.
func (m Mode) Known() bool { return m == Disable || m == Require || m == VerifyCA || m == VerifyFull }

// ClientConfig is what TLS with a server is made of; host is the name that it is known by. Without a CA the system's
// authorities count. reached, when not nil, is called with the server's certificate once it has been found good.
func (m *Material) ClientConfig(mode Mode, host string, reached func(*x509.Certificate)) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host, RootCAs: m.CA, NextProtos: []string{ALPN}}
	if m.Certificate != nil {
		c.Certificates = []tls.Certificate{*m.Certificate}
	}
	c.InsecureSkipVerify = mode != VerifyFull // then what there is to verify is below
	c.VerifyConnection = func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return errors.New("the server showed no certificate")
		}
		if mode == VerifyCA {
			if err := vouchedFor(state.PeerCertificates, m.CA); err != nil {
				return err
			}
		}
		if reached != nil {
			reached(state.PeerCertificates[0])
		}
		return nil
	}
	return c
}

// vouchedFor verifies a chain, whatever name stands in it.
func vouchedFor(chain []*x509.Certificate, roots *x509.CertPool) error {
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
	return err
}
