package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shiguan/proxy/certs"
)

// route is the way to the servers of one database as one role. A connection that was made by it remembers which server it
// reached, so that a cancel request can go the same way.
type route struct {
	*pgx.ConnConfig

	// Of the newest attempt; pgconn makes one at a time.
	network, address string
	secure           *tls.Config // nil: without TLS
	direct           bool
	below            *carrier
}

// route says how to reach the servers as one of the database's roles. Nothing of it comes from the environment.
func (d *Database) route(role string, secret Secret, timeout time.Duration) (*route, error) {
	cfg, err := pgx.ParseConfig("host=/ sslmode=disable sslnegotiation=postgres target_session_attrs=any channel_binding=prefer " +
		"require_auth=scram-sha-256 min_protocol_version=3.0 max_protocol_version=latest")
	if err != nil {
		return nil, err
	}
	r := &route{ConnConfig: cfg, direct: d.TLS.Direct}
	material := d.material(secret)
	cfg.Database, cfg.User, cfg.Password, cfg.ConnectTimeout = d.DBName, role, secret.Password, timeout
	cfg.RuntimeParams = map[string]string{}
	cfg.Fallbacks = nil
	for i, a := range d.Addresses {
		fallback := &pgconn.FallbackConfig{Host: a.Host, Port: a.Port, TLSConfig: r.tls(material, d.mode(a), a.Host)}
		if i == 0 {
			cfg.Host, cfg.Port, cfg.TLSConfig = fallback.Host, fallback.Port, fallback.TLSConfig
		} else {
			cfg.Fallbacks = append(cfg.Fallbacks, fallback)
		}
	}
	if d.TLS.Direct {
		cfg.SSLNegotiation = "direct"
	}
	cfg.SSLCertMode = "allow"
	cfg.RequireAuth = d.methods(material.Certificate != nil)
	cfg.ValidateConnect = targets[d.Attributes]
	cfg.DialFunc = r.dial
	return r, nil
}

// ConfigFor is how the proxy reaches the servers as a role, for those who check that it can.
func (d *Database) ConfigFor(role string, secret Secret, timeout time.Duration) (*pgx.ConnConfig, error) {
	r, err := d.route(role, secret, timeout)
	if err != nil {
		return nil, err
	}
	return r.ConnConfig, nil
}

// material is what the role shows, and whom it believes.
func (d *Database) material(secret Secret) *certs.Material {
	m := &certs.Material{}
	if d.TLS.Keeper != nil {
		*m = *d.TLS.Keeper.Current()
	}
	if secret.Certificate != nil {
		m.Certificate = secret.Certificate.Current().Certificate
	}
	return m
}

// tls notes which configuration the handshake that succeeded was made with.
func (r *route) tls(m *certs.Material, mode certs.Mode, host string) *tls.Config {
	if mode == certs.Disable {
		return nil
	}
	return m.ClientConfig(mode, host, func(*x509.Certificate) { r.secure = m.ClientConfig(mode, host, nil) })
}

// dial is where every attempt to reach a server begins.
func (r *route) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	tune(nc)
	r.network, r.address, r.secure, r.below = network, address, nil, &carrier{Conn: nc}
	return r.below, nil
}

// link is the connection that pgconn has made.
func (r *route) link(nc net.Conn) *link {
	l := &link{Conn: nc, below: r.below}
	l.secure, _ = nc.(*tls.Conn)
	return l
}

// again connects to the same server in the same way, up to where the first packet of the protocol goes.
func (r *route) again(ctx context.Context) (*link, error) {
	once := &route{}
	nc, err := once.dial(ctx, r.network, r.address)
	if err != nil {
		return nil, err
	}
	l := newLink(once.below.Conn)
	if deadline, ok := ctx.Deadline(); ok {
		nc.SetDeadline(deadline)
	}
	if r.secure == nil {
		return l, nil
	}
	if err := l.encrypt(ctx, r.secure, r.direct); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}
