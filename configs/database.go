package configs

import (
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Database is one database that clients reach through the proxy.
type Database struct {
	Name       string      `yaml:"name"`                 // what clients ask for
	Host       string      `yaml:"host"`                 // host names, addresses, or directories of Unix sockets, each with :port where it has its own
	Port       int         `yaml:"port"`                 // of those that say none; 5432 when left out
	DBName     string      `yaml:"dbname"`               // the database's name at the server; as Name when left out
	Attributes string      `yaml:"target_session_attrs"` // which of the hosts will do, as libpq says it; any when left out
	TLS        UpstreamTLS `yaml:"tls"`
	Auth       []string    `yaml:"auth"` // how servers may ask for the password, as libpq's require_auth
	Catalogue  Catalogue   `yaml:"catalogue"`
	Roles      []Role      `yaml:"roles"` // the roles that people become; the people file says who becomes which
}

// UpstreamTLS is TLS with a database's servers. Its files may be exchanged while the proxy runs.
type UpstreamTLS struct {
	Mode        string `yaml:"mode"`        // disable, require, verify-ca or verify-full; left out: verify-full to other machines
	CA          Path   `yaml:"ca"`          // PEM: who vouches for the servers; left out: the system's authorities
	Certificate Path   `yaml:"certificate"` // PEM: what to show to servers that ask; optional
	Key         Path   `yaml:"key"`         // its private key
	Direct      bool   `yaml:"direct"`      // TLS from the first byte, for PostgreSQL 17 and newer
}

// Catalogue is the role with which the proxy itself reads pg_catalog to resolve names. It needs no other right.
type Catalogue struct {
	User         string `yaml:"user"`
	PasswordFile Path   `yaml:"password_file"`
	Certificate  Path   `yaml:"certificate"` // PEM, beside a password or in place of one; optional
	Key          Path   `yaml:"key"`
}

// Role is the catalogue's as one of the others.
func (c Catalogue) Role() Role { return Role{c.User, c.PasswordFile, c.Certificate, c.Key} }

// Role is an upstream role whose password or certificate only the proxy has, so that the direct way to the database is
// closed.
type Role struct {
	Name         string `yaml:"name"`
	PasswordFile Path   `yaml:"password_file"`
	Certificate  Path   `yaml:"certificate"` // PEM, beside a password or in place of one; optional
	Key          Path   `yaml:"key"`
}

// Address is one server of a database.
type Address struct {
	Host string // host name, address, or the directory of a Unix socket
	Port int
}

// Addresses are the servers in the order in which they are tried.
func (d *Database) Addresses() []Address {
	var all []Address
	for text := range strings.SplitSeq(d.Host, ",") {
		a := Address{strings.TrimSpace(text), d.Port}
		if host, port, err := net.SplitHostPort(a.Host); err == nil && !strings.HasPrefix(a.Host, "/") {
			a.Host = host
			a.Port, _ = strconv.Atoi(port) // 0, and so refused by check, when it is no number
		} else if dir, port, ok := cutPort(a.Host); ok {
			a.Host, a.Port = dir, port
		}
		a.Host = strings.Trim(a.Host, "[]")
		all = append(all, a)
	}
	return all
}

// cutPort takes the port off the directory of a Unix socket.
func cutPort(text string) (dir string, port int, ok bool) {
	i := strings.LastIndexByte(text, ':')
	if i < 0 || !strings.HasPrefix(text, "/") {
		return "", 0, false
	}
	port, err := strconv.Atoi(text[i+1:])
	return text[:i], port, err == nil
}

func (c *Proxy) checkDatabases(r *reporter) {
	if len(c.Databases) == 0 {
		r.add("databases is missing: name at least one database that clients may reach", "databases")
	}
	seen := map[string]bool{}
	for i := range c.Databases {
		d := &c.Databases[i]
		d.fill()
		d.check(r, i)
		if seen[d.Name] {
			r.addf([]any{"databases", i, "name"}, "database %q is named twice", d.Name)
		}
		seen[d.Name] = true
	}
}

// fill supplies what a list entry leaves out.
func (d *Database) fill() {
	if d.Port == 0 {
		d.Port = 5432
	}
	if d.DBName == "" {
		d.DBName = d.Name
	}
	if d.Attributes == "" {
		d.Attributes = "any"
	}
}

func (d *Database) check(r *reporter, i int) {
	at := func(way ...any) []any { return append([]any{"databases", i}, way...) }
	r.required(d.Name, "the name clients ask for", at("name")...)
	r.required(d.Host, "a host, or the directory of the server's Unix socket", at("host")...)
	for _, a := range d.Addresses() {
		if a.Port < 1 || a.Port > 65535 {
			r.addf(at("port"), "%s: %d is no port", name(at("port")), a.Port)
		}
		if strings.HasPrefix(a.Host, ".") && !filepath.IsAbs(a.Host) {
			r.addf(at("host"), "%s: the directory of a Unix socket must be absolute", name(at("host")))
		}
		if a.Host == "" && d.Host != "" {
			r.addf(at("host"), "%s: a host without a name: write them with a comma between", name(at("host")))
		}
	}
	d.checkTLS(r, at)
	r.required(d.Catalogue.User, "the role that reads the catalogue", at("catalogue", "user")...)
	d.Catalogue.Role().check(r, d.TLS, at, "catalogue")
	if len(d.Roles) == 0 {
		r.addf(at("roles"), "%s is missing: name the roles that people become", name(at("roles")))
	}
	for j, role := range d.Roles {
		r.required(role.Name, "the upstream role", at("roles", j, "name")...)
		role.check(r, d.TLS, at, "roles", j)
	}
}

// check wants a way to be let in.
func (role Role) check(r *reporter, tls UpstreamTLS, at func(...any) []any, way ...any) {
	in := func(key string) []any { return at(append(slices.Clone(way), key)...) }
	if role.Certificate == "" && tls.Certificate == "" {
		r.required(role.PasswordFile.String(), "a file with the role's password", in("password_file")...)
	}
	if (role.Certificate == "") != (role.Key == "") {
		r.addf(in("certificate"), "%s and key go together: name both or neither", name(in("certificate")))
	}
}

func (d *Database) checkTLS(r *reporter, at func(...any) []any) {
	way := func(key string) []any { return at("tls", key) }
	switch d.TLS.Mode {
	case "", "disable", "require", "verify-ca", "verify-full":
	default:
		r.addf(way("mode"), "%s: %q is none of disable, require, verify-ca, verify-full", name(way("mode")), d.TLS.Mode)
	}
	if (d.TLS.Certificate == "") != (d.TLS.Key == "") {
		r.addf(way("certificate"), "%s and key go together: name both or neither", name(way("certificate")))
	}
	for i, word := range d.Auth {
		if !slices.Contains([]string{"scram-sha-256", "md5", "password", "none"}, word) {
			r.addf(at("auth", i), "%s: %q is none of scram-sha-256, md5, password, none", name(at("auth", i)), word)
		}
	}
	attributes := []string{"any", "read-write", "read-only", "primary", "standby", "prefer-standby"}
	if !slices.Contains(attributes, d.Attributes) {
		way := at("target_session_attrs")
		r.addf(way, "%s: %q is none of %s", name(way), d.Attributes, strings.Join(attributes, ", "))
	}
}
