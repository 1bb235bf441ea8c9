package certs

import (
	"crypto"
	_ "crypto/sha256" // hash functions of certificates, looked up by number
	_ "crypto/sha512"
	"crypto/tls"
	"crypto/x509"
)

// ALPN is the protocol's name in TLS. Who begins with TLS at once must say it, so that TLS meant for another protocol
// cannot be led here.
const ALPN = "postgresql"

// ServerConfig is what TLS with a client is made of. With a CA a client may show a certificate, which the CA must vouch
// for; whose it is, and whether one is needed, is decided afterwards.
func (m *Material) ServerConfig(minVersion uint16) *tls.Config {
	c := &tls.Config{
		Certificates: []tls.Certificate{*m.Certificate},
		MinVersion:   minVersion,
		NextProtos:   []string{ALPN},
		// As in PostgreSQL: a session that is taken up again would name a channel whose certificate may be another by now,
		// and carry a client's certificate past its revocation.
		SessionTicketsDisabled: true,
	}
	if m.CA != nil {
		c.ClientAuth, c.ClientCAs = tls.VerifyClientCertIfGiven, m.CA
	}
	return c
}

// Endpoint is the channel binding data tls-server-end-point of a server's certificate (RFC 5929, section 4.1): its hash
// by the function that its signature uses, with SHA-256 in place of MD5 and SHA-1. It is nil where the signature uses
// none of its own, as Ed25519: then there is no channel binding of this type.
func Endpoint(c *x509.Certificate) []byte {
	var h crypto.Hash
	switch c.SignatureAlgorithm {
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1,
		x509.SHA256WithRSA, x509.SHA256WithRSAPSS, x509.DSAWithSHA256, x509.ECDSAWithSHA256:
		h = crypto.SHA256
	case x509.SHA384WithRSA, x509.SHA384WithRSAPSS, x509.ECDSAWithSHA384:
		h = crypto.SHA384
	case x509.SHA512WithRSA, x509.SHA512WithRSAPSS, x509.ECDSAWithSHA512:
		h = crypto.SHA512
	default:
		return nil
	}
	sum := h.New()
	sum.Write(c.Raw)
	return sum.Sum(nil)
}
