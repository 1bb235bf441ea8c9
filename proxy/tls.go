package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"shiguan/auditlog/record"
	"shiguan/proxy/certs"
	"shiguan/proxy/wire"
)

// TLSMode says what clients may do about TLS.
type TLSMode string

// Whether TLS is to be had, and whether one can do without.
const (
	TLSDisable TLSMode = "disable"
	TLSAllow   TLSMode = "allow"
	TLSRequire TLSMode = "require"
)

// ClientTLS is TLS as the proxy offers it to clients. The zero value offers none.
type ClientTLS struct {
	Mode       TLSMode
	MinVersion uint16 // such as tls.VersionTLS12
	Keeper     *certs.Keeper
}

// check refuses what would silently be no TLS at all.
func (t *ClientTLS) check() error {
	switch t.Mode {
	case "", TLSDisable:
		t.Mode = TLSDisable
		return nil
	case TLSAllow, TLSRequire:
	default:
		return fmt.Errorf("proxy: %q is no mode of TLS", t.Mode)
	}
	if t.Keeper == nil || t.Keeper.Current().Certificate == nil {
		return errors.New("proxy: TLS needs a certificate and its key")
	}
	if t.MinVersion < tls.VersionTLS12 {
		return errors.New("proxy: TLS before 1.2 is broken: ask for 1.2 or 1.3")
	}
	return nil
}

// errNoALPN ends a handshake that was not meant for us, or may not have been.
var errNoALPN = errors.New("TLS without a request, and without the protocol's name in it")

// secure takes a client's TLS handshake. direct is whether it came without having been asked for. Nothing read before it
// is kept but what the handshake itself begins with: bytes slipped in between, in clear, can only spoil it.
func (s *Server) secure(l *link, direct bool) error {
	m := s.opt.TLS.Keeper.Current()
	t := tls.Server(l.below, m.ServerConfig(s.opt.TLS.MinVersion))
	err := t.Handshake()
	if err == nil && direct && t.ConnectionState().NegotiatedProtocol != certs.ALPN {
		err = errNoALPN
	}
	if err != nil {
		s.metrics.handshakes.WithLabelValues("failed").Inc()
		s.log.Debug("a TLS handshake failed", "client", l.RemoteAddr(), "err", err)
		return err
	}
	s.metrics.handshakes.WithLabelValues("ok").Inc()
	l.Conn, l.secure, l.binding = t, t, certs.Endpoint(m.Certificate.Leaf)
	if shown := t.ConnectionState().VerifiedChains; len(shown) > 0 {
		l.peer = shown[0][0]
	}
	return nil
}

// readStartup answers encryption requests and cancel requests and returns the StartupMessage.
func (s *Server) readStartup(l *link) (*wire.StartupMessage, error) {
	ssl, gss := false, false
	for first := true; ; first = false {
		p, err := wire.ReadStartup(l)
		if err != nil {
			return nil, err
		}
		answer := byte('N')
		switch p := p.(type) {
		case wire.TLSRecord:
			if !first || s.opt.TLS.Mode == TLSDisable {
				return nil, &wire.ProtocolError{Code: "08P01", Message: "invalid length of startup packet"}
			}
			l.below.ahead = p.Head[:]
			if err := s.secure(l, true); err != nil {
				return nil, err
			}
			continue
		case wire.SSLRequest:
			if ssl || l.secure != nil {
				return nil, &wire.ProtocolError{Code: "08P01", Message: "a second request for TLS"}
			}
			if ssl = true; s.opt.TLS.Mode != TLSDisable {
				answer = 'S'
			}
		case wire.GSSENCRequest:
			if gss || l.secure != nil {
				return nil, &wire.ProtocolError{Code: "08P01", Message: "a second request for GSSAPI encryption"}
			}
			gss = true
		case wire.CancelRequest:
			s.cancelRequest(p)
			return nil, nil
		case wire.StartupMessage:
			if p.Version>>16 != 3 {
				return nil, &wire.ProtocolError{Code: "0A000", Message: "unsupported frontend protocol: the server supports 3.0"}
			}
			return &p, nil
		}
		if _, err := l.Write([]byte{answer}); err != nil {
			return nil, err
		}
		if answer == 'S' {
			if err := s.secure(l, false); err != nil {
				return nil, err
			}
		}
	}
}

// errPlaintext is what clients are told that came without TLS where there must be some.
func errPlaintext() *wire.Error {
	return &wire.Error{Code: "28000", Message: "connections without TLS are refused", Hint: "Set sslmode=verify-full, or sslmode=require at least."}
}

// RefreshTLS looks whether the files behind TLS, with clients and with servers, have changed, and uses them for connections
// from now on.
func (s *Server) RefreshTLS() error {
	var errs []error
	for what, k := range s.keepers() {
		changed, err := k.Refresh()
		if err == nil && changed {
			fingerprint := k.Current().Fingerprint()
			s.log.Info("TLS certificates reloaded", "of", what, "certificate", fingerprint)
			err = s.note(record.KindConfigChanged, func(r *record.Record) {
				r.Detail = map[string]string{"tls_of": what, "tls_certificate": fingerprint}
			})
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// keepers are all files behind TLS, by what they are for.
func (s *Server) keepers() map[string]*certs.Keeper {
	all := map[string]*certs.Keeper{}
	if s.opt.TLS.Mode != TLSDisable {
		all["clients"] = s.opt.TLS.Keeper
	}
	for name, d := range s.databases {
		if d.TLS.Keeper != nil {
			all["database "+name] = d.TLS.Keeper
		}
		for role, secret := range d.Roles {
			if secret.Certificate != nil {
				all["database "+name+", role "+role] = secret.Certificate
			}
		}
		if d.Catalogue.Certificate != nil {
			all["database "+name+", role "+d.CatalogueUser] = d.Catalogue.Certificate
		}
	}
	return all
}

// lookAtFiles is how often files that may be exchanged under a running proxy are looked at.
const lookAtFiles = 2 * time.Second

// watchFiles puts certificates in force that were exchanged, until ctx ends.
func (s *Server) watchFiles(ctx context.Context) {
	tick := time.NewTicker(lookAtFiles)
	defer tick.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := s.RefreshTLS()
		if err == nil {
			said = ""
		} else if said != err.Error() {
			said = err.Error()
			s.log.Error("TLS certificates cannot be reloaded: those in force stay in force", "err", err)
		}
	}
}
