package proxy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"shiguan/proxy/certs"
)

// Database is one database that clients may name, and how its servers are reached.
type Database struct {
	Name       string    // as clients say it
	DBName     string    // as the servers say it
	Addresses  []Address // tried in this order
	Attributes string    // which of them will do: one of libpq's target_session_attrs; empty: any
	TLS        UpstreamTLS
	Auth       []string // how servers may ask for the password: libpq's require_auth; empty: what is safe on that way

	CatalogueUser string // a role of the proxy's own that may read pg_catalog and nothing else
	Catalogue     Secret
	Roles         map[string]Secret // by the role that people become
}

// Address is where a server listens.
type Address struct {
	Host string // host name, address or directory of a Unix socket
	Port uint16
}

// Secret is what the proxy is let in by as a role.
type Secret struct {
	Password    string
	Certificate *certs.Keeper // nil: the database's own, if it has one
}

// UpstreamTLS is TLS with servers. Over Unix sockets there is none.
type UpstreamTLS struct {
	Mode   certs.Mode    // empty: none on this machine, verify-full to others
	Direct bool          // TLS from the first byte, as PostgreSQL 17 and newer take it
	Keeper *certs.Keeper // the authorities, and the certificate to show; nil: the system's, and none
}

// socket reports that the address is the directory of a Unix socket.
func (a Address) socket() bool { return strings.HasPrefix(a.Host, "/") }

// Local reports that what goes there does not leave the machine.
func (a Address) Local() bool {
	ip, err := netip.ParseAddr(a.Host)
	return a.socket() || a.Host == "localhost" || err == nil && ip.IsLoopback()
}

// mode is how TLS is done with one server.
func (d *Database) mode(a Address) certs.Mode {
	switch {
	case a.socket(), d.TLS.Mode == "" && a.Local():
		return certs.Disable
	case d.TLS.Mode == "":
		return certs.VerifyFull
	}
	return d.TLS.Mode
}

// targets are the words of target_session_attrs.
var targets = map[string]pgconn.ValidateConnectFunc{
	"":               nil,
	"any":            nil,
	"read-write":     pgconn.ValidateConnectTargetSessionAttrsReadWrite,
	"read-only":      pgconn.ValidateConnectTargetSessionAttrsReadOnly,
	"primary":        pgconn.ValidateConnectTargetSessionAttrsPrimary,
	"standby":        pgconn.ValidateConnectTargetSessionAttrsStandby,
	"prefer-standby": pgconn.ValidateConnectTargetSessionAttrsPreferStandby,
}

// check refuses what could not work, or would work otherwise than was meant.
func (d *Database) check() error {
	if len(d.Addresses) == 0 {
		return fmt.Errorf("proxy: database %s has no address", d.Name)
	}
	if _, ok := targets[d.Attributes]; !ok {
		return fmt.Errorf("proxy: database %s: %q is none of target_session_attrs", d.Name, d.Attributes)
	}
	if d.TLS.Mode != "" && !d.TLS.Mode.Known() {
		return fmt.Errorf("proxy: database %s: %q is no mode of TLS", d.Name, d.TLS.Mode)
	}
	for _, word := range d.Auth {
		if !slices.Contains([]string{"scram-sha-256", "md5", "password", "none"}, word) {
			return fmt.Errorf("proxy: database %s: %q is no way to log in", d.Name, word)
		}
	}
	return nil
}

// methods are the ways in which a server may ask who we are. What somebody on the way could read or try passwords against
// is taken where nobody is on the way.
func (d *Database) methods(certified bool) string {
	if len(d.Auth) > 0 {
		return strings.Join(d.Auth, ",")
	}
	ways := []string{"scram-sha-256"}
	open := func(a Address) bool { return !a.Local() && d.mode(a) == certs.Disable }
	if !slices.ContainsFunc(d.Addresses, open) {
		ways = append(ways, "md5", "password")
	}
	if certified {
		ways = append(ways, "none") // the certificate says it all
	}
	return strings.Join(ways, ",")
}
