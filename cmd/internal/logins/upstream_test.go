package logins

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shiguan/auditlog/record"
	"shiguan/cmd/internal/pgtest"
	"shiguan/proxy"
	"shiguan/proxy/certs"
)

// secureServer gives the shared server TLS, with a certificate for 127.0.0.1 of this authority, and people who may log in
// only in one way each. It is undone with the test.
func secureServer(t *testing.T, ca *authority, names func(*x509.Certificate)) {
	t.Helper()
	f := ca.issue(t, "postgres", names)
	ctx := context.Background()
	undo := []string{"alter system set ssl = off", "copy (select '') to program 'cat > /dev/null; cat hba.before > pg_hba.conf'", "select pg_reload_conf()",
		"drop role if exists md5, plain, certified, trusted, sslonly"}
	t.Cleanup(func() {
		if err := server.Exec(ctx, "postgres", undo...); err != nil {
			t.Error(err)
		}
	})
	err := server.Exec(ctx, "postgres", undo[3],
		"copy (select '') to program 'cat > /dev/null; test -e hba.before || cat pg_hba.conf > hba.before'",
		"copy (select '') to program 'cat > /dev/null; umask 077; base64 -d > x <<E\n"+encoded(t, f.Certificate)+"E\ncat x > server.crt'",
		"copy (select '') to program 'cat > /dev/null; umask 077; base64 -d > x <<E\n"+encoded(t, f.Key)+"E\ncat x > server.key'",
		"copy (select '') to program 'cat > /dev/null; umask 077; base64 -d > x <<E\n"+encoded(t, ca.file)+"E\ncat x > root.crt'",
		"copy (select '') to program 'cat > /dev/null; umask 077; { echo host all md5 all md5; echo host all plain all password; echo hostssl all certified all cert; echo host all trusted all trust; "+
			"echo hostssl all sslonly all scram-sha-256; echo host all sslonly all reject; cat hba.before; } > pg_hba.conf'",
		"alter system set ssl_ca_file = 'root.crt'", "alter system set ssl = on",
		"select pg_reload_conf()",
		"set password_encryption = md5; create role md5 login password '"+password+"'; reset password_encryption",
		"create role plain login password '"+password+"'", "create role certified login", "create role trusted login", "create role sslonly login password '"+password+"'")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the server speaks TLS", func() error {
		c, err := pgx.Connect(ctx, strings.Replace(server.DSNAs("sslonly", password, databaseName), "sslmode=disable", "sslmode=verify-ca&sslrootcert="+ca.file, 1))
		if err != nil {
			return err
		}
		return c.Close(ctx)
	})
}

// encoded is a file in base64, as a here-document takes it.
func encoded(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(text) + "\n"
}

// behind is a proxy whose only database is reached in this way, as this role.
func behind(t *testing.T, role string, change func(*proxy.Database)) *door {
	t.Helper()
	return openDoor(t, func(o *proxy.Options) {
		d := &o.Databases[0]
		d.Roles = map[string]proxy.Secret{role: {Password: password}}
		d.CatalogueUser, d.Catalogue = role, d.Roles[role]
		o.People = peopleAs(t, role, "ann")
		change(d)
	})
}

// transport asks the server how the session reached it.
func (d *door) transport(t *testing.T) (ssl bool, err error) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), d.dsn("ann", "sslmode=disable"))
	if err != nil {
		return false, err
	}
	defer c.Close(t.Context())
	err = c.QueryRow(t.Context(), "select ssl from pg_stat_ssl where pid = pg_backend_pid()").Scan(&ssl)
	return ssl, err
}

func open(t *testing.T, files certs.Files) *certs.Keeper {
	t.Helper()
	k, err := certs.Open(files)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestUpstreamTLS(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	secureServer(t, ca, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} })
	mine, others := open(t, certs.Files{CA: ca.file}), open(t, certs.Files{CA: other.file})
	remote := func(d *proxy.Database) { d.Addresses[0].Host = "localhost" } // which the certificate does not name
	for name, x := range map[string]struct {
		role   string
		change func(*proxy.Database)
		ssl    bool
		fails  bool
	}{
		"on this machine":        {"clerk", func(*proxy.Database) {}, false, false},
		"verify-full":            {"sslonly", func(d *proxy.Database) { d.TLS.Mode, d.TLS.Keeper = certs.VerifyFull, mine }, true, false},
		"verify-full, name":      {"sslonly", func(d *proxy.Database) { d.TLS.Mode, d.TLS.Keeper = certs.VerifyFull, mine; remote(d) }, false, true},
		"verify-ca, name":        {"sslonly", func(d *proxy.Database) { d.TLS.Mode, d.TLS.Keeper = certs.VerifyCA, mine; remote(d) }, true, false},
		"verify-full, authority": {"sslonly", func(d *proxy.Database) { d.TLS.Mode, d.TLS.Keeper = certs.VerifyFull, others }, false, true},
		"verify-ca, authority":   {"sslonly", func(d *proxy.Database) { d.TLS.Mode, d.TLS.Keeper = certs.VerifyCA, others }, false, true},
		"verify-full, system's":  {"sslonly", func(d *proxy.Database) { d.TLS.Mode = certs.VerifyFull }, false, true},
		"require":                {"sslonly", func(d *proxy.Database) { d.TLS.Mode = certs.Require }, true, false},
		"disable":                {"sslonly", func(d *proxy.Database) { d.TLS.Mode = certs.Disable }, false, true},
		"Unix socket":            {"clerk", func(d *proxy.Database) { d.TLS.Mode = certs.VerifyFull; d.Addresses[0].Host = server.Socket }, false, false},
		"direct, too old":        {"sslonly", func(d *proxy.Database) { d.TLS = proxy.UpstreamTLS{Mode: certs.Require, Direct: true} }, false, true},
		"certificate": {"certified", func(d *proxy.Database) {
			f := ca.issue(t, "certified", nil)
			f.CA = ca.file
			d.TLS = proxy.UpstreamTLS{Mode: certs.VerifyFull, Keeper: open(t, f)}
		}, true, false},
		"role's certificate": {"certified", func(d *proxy.Database) {
			own := proxy.Secret{Certificate: open(t, ca.issue(t, "certified", nil))}
			d.TLS, d.Roles["certified"], d.Catalogue = proxy.UpstreamTLS{Mode: certs.VerifyFull, Keeper: mine}, own, own
		}, true, false},
		"another's certificate": {"certified", func(d *proxy.Database) {
			f := ca.issue(t, "somebody", nil)
			d.TLS = proxy.UpstreamTLS{Mode: certs.Require, Keeper: open(t, f)}
		}, false, true},
		"no certificate": {"certified", func(d *proxy.Database) { d.TLS = proxy.UpstreamTLS{Mode: certs.VerifyFull, Keeper: mine} }, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			d := behind(t, x.role, x.change)
			ssl, err := d.transport(t)
			if x.fails {
				var e *pgconn.PgError
				if !errors.As(err, &e) || e.Code != "08001" || strings.Contains(err.Error(), "x509") {
					t.Errorf("got %v, %v", ssl, err)
				}
				if r := d.last(t, record.KindLoginRefused); r.Person != "ann" || r.Database != databaseName {
					t.Errorf("on record: %+v", r)
				}
			} else if err != nil || ssl != x.ssl {
				t.Errorf("TLS %v, %v\n%s", ssl, err, d.said)
			}
		})
	}
}

// A password is sent in clear, or in a form that can be tried, only where nobody can listen, or where that was said.
func TestHowServersMayAsk(t *testing.T) {
	ca := newAuthority(t)
	secureServer(t, ca, local)
	away := outward(t)
	mine := open(t, certs.Files{CA: ca.file})
	for name, x := range map[string]struct {
		role   string
		change func(*proxy.Database)
		ok     bool
	}{
		"md5 here":                     {"md5", func(*proxy.Database) {}, true},
		"password here":                {"plain", func(*proxy.Database) {}, true},
		"md5 in clear":                 {"md5", func(d *proxy.Database) { d.Addresses = away; d.TLS.Mode = certs.Disable }, false},
		"password in clear":            {"plain", func(d *proxy.Database) { d.Addresses = away; d.TLS.Mode = certs.Disable }, false},
		"scram in clear":               {"clerk", func(d *proxy.Database) { d.Addresses = away; d.TLS.Mode = certs.Disable }, true},
		"password in clear, as asked":  {"plain", func(d *proxy.Database) { d.Addresses = away; d.TLS.Mode = certs.Disable; d.Auth = []string{"password"} }, true},
		"password in TLS":              {"plain", func(d *proxy.Database) { d.TLS = proxy.UpstreamTLS{Mode: certs.VerifyFull, Keeper: mine} }, true},
		"md5, where only scram may be": {"md5", func(d *proxy.Database) { d.Auth = []string{"scram-sha-256"} }, false},
		"nothing, to nobody known":     {"trusted", func(*proxy.Database) {}, false},
		"nothing, as asked":            {"trusted", func(d *proxy.Database) { d.Auth = []string{"none"} }, true},
		"TLS is the default elsewhere": {"sslonly", func(d *proxy.Database) { d.Addresses = away; d.TLS.Keeper = mine }, false}, // not by that name
	} {
		t.Run(name, func(t *testing.T) {
			_, err := behind(t, x.role, x.change).transport(t)
			var e *pgconn.PgError
			if x.ok != (err == nil) || err != nil && (!errors.As(err, &e) || e.Code != "08001") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// outward is the server by an address of this machine that is not a loopback one, as far as the proxy can see.
func outward(t *testing.T) []proxy.Address {
	t.Helper()
	return []proxy.Address{{Host: "0.0.0.0", Port: uint16(server.Port)}}
}

// A cancel request goes the way of its session, to the same server, and no part of it in clear.
func TestCancelUpstreamGoesThroughTLS(t *testing.T) {
	ca := newAuthority(t)
	secureServer(t, ca, local)
	tap := newRelay(t, net.JoinHostPort(server.Host, fmt.Sprint(server.Port)))
	d := behind(t, "sslonly", func(d *proxy.Database) {
		d.Addresses = []proxy.Address{{Host: "127.0.0.1", Port: closedPort(t)}, {Host: "127.0.0.1", Port: tap.port()}}
		d.TLS = proxy.UpstreamTLS{Mode: certs.VerifyFull, Keeper: open(t, certs.Files{CA: ca.file})}
	})
	c, err := pgx.Connect(t.Context(), d.dsn("ann", "sslmode=disable"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := c.Exec(t.Context(), "select pg_sleep(600)")
		ended <- err
	}()
	eventually(t, "the statement is cancelled", func() error {
		if err := c.PgConn().CancelRequest(t.Context()); err != nil {
			return err
		}
		select {
		case err := <-ended:
			if err == nil || !strings.Contains(err.Error(), "57014") {
				t.Fatalf("ended with %v", err)
			}
			return nil
		case <-time.After(50 * time.Millisecond):
			return errors.New("it runs")
		}
	})
	if _, err := c.Exec(t.Context(), "select 1"); err != nil {
		t.Error(err)
	}
	for i, said := range tap.all() {
		if !bytes.HasPrefix(said, sslRequest) || bytes.Contains(said, []byte{4, 210, 22, 46}) || len(said) > 8 && said[8] != 22 {
			t.Errorf("connection %d begins with %x", i, said[:min(len(said), 24)])
		}
	}
	if n := len(tap.all()); n < 2 { // session and cancel
		t.Errorf("%d connections", n)
	}
}

// relay passes connections on to the server and keeps what was sent to it.
type relay struct {
	net.Listener
	mu   sync.Mutex
	said []*bytes.Buffer
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{Listener: l}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", to)
			if err != nil {
				from.Close()
				continue
			}
			b := &bytes.Buffer{}
			r.mu.Lock()
			r.said = append(r.said, b)
			r.mu.Unlock()
			go func() { io.Copy(from, up); from.Close() }()
			go func() {
				buf := make([]byte, 32<<10)
				for {
					n, err := from.Read(buf)
					r.mu.Lock()
					b.Write(buf[:n])
					r.mu.Unlock()
					if _, failed := up.Write(buf[:n]); err != nil || failed != nil {
						up.Close()
						return
					}
				}
			}()
		}
	}()
	return r
}

func (r *relay) port() uint16 { return uint16(r.Addr().(*net.TCPAddr).Port) }

func (r *relay) all() (all [][]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.said {
		all = append(all, bytes.Clone(b.Bytes()))
	}
	return all
}

// closedPort is one that nobody listens on.
func closedPort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

// Of several servers the first that will do is taken.
func TestSeveralServers(t *testing.T) {
	readOnly, err := pgtest.Run(context.Background(), pgtest.Options{Settings: map[string]string{"default_transaction_read_only": "on"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := readOnly.Stop(); err != nil {
			t.Error(err)
		}
	})
	err = readOnly.Exec(context.Background(), "postgres", "set default_transaction_read_only = off", "create role clerk login password '"+password+"'", "create database "+databaseName)
	if err != nil {
		t.Fatal(err)
	}
	first, second := proxy.Address{Host: readOnly.Host, Port: uint16(readOnly.Port)}, proxy.Address{Host: server.Host, Port: uint16(server.Port)}
	dead := proxy.Address{Host: "127.0.0.1", Port: closedPort(t)}
	for _, x := range []struct {
		addresses  []proxy.Address
		attributes string
		port       uint16 // 0: none will do
	}{
		{[]proxy.Address{first, second}, "", first.Port},
		{[]proxy.Address{first, second}, "any", first.Port},
		{[]proxy.Address{first, second}, "read-write", second.Port},
		{[]proxy.Address{second, first}, "read-only", first.Port},
		{[]proxy.Address{dead, second}, "primary", second.Port},
		{[]proxy.Address{dead, first, second}, "read-write", second.Port},
		{[]proxy.Address{first, second}, "standby", 0},
		{[]proxy.Address{dead, second}, "prefer-standby", second.Port},
		{[]proxy.Address{first}, "read-write", 0},
		{[]proxy.Address{dead}, "any", 0},
	} {
		d := behind(t, "clerk", func(d *proxy.Database) { d.Addresses, d.Attributes = x.addresses, x.attributes })
		c, err := pgx.Connect(t.Context(), d.dsn("ann", "sslmode=disable"))
		if x.port == 0 {
			if err == nil || !strings.Contains(err.Error(), "08001") {
				t.Errorf("%+v: %v", x, err)
			}
			continue
		}
		var port int
		if err == nil {
			err = c.QueryRow(t.Context(), "select inet_server_port()").Scan(&port)
			c.Close(t.Context())
		}
		if err != nil || uint16(port) != x.port {
			t.Errorf("%+v: %d, %v", x, port, err)
		}
	}
}

// What the server has to say about itself, clients hear by its own name.
func TestServersAreUnavailable(t *testing.T) {
	d := openDoor(t, func(o *proxy.Options) {
		o.Limits.Idle, o.Limits.IdleInBlock = 700*time.Millisecond, 300*time.Millisecond
	})
	enters(t, d.dsn("ann", "sslmode=disable"))
	if err := server.Exec(t.Context(), "postgres", "alter role clerk connection limit 0"); err != nil {
		t.Fatal(err)
	}
	refused(t, d.dsn("ann", "sslmode=disable"), "53300", "sorry, too many clients already")
	if err := server.Exec(t.Context(), "postgres", "alter role clerk connection limit -1"); err != nil {
		t.Fatal(err)
	}
	for code, before := range map[string]string{"57P05": "select 1", "25P03": "begin", "57P01": ""} {
		c, err := pgconn.Connect(t.Context(), d.dsn("ann", "sslmode=disable"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(t.Context())
		if before == "" {
			err = server.Exec(t.Context(), "postgres", "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'clerk'")
		} else {
			_, err = c.Exec(t.Context(), before).ReadAll()
		}
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.ReceiveMessage(t.Context())
		var e *pgconn.PgError
		if !errors.As(err, &e) || e.Code != code || e.Severity != "FATAL" {
			t.Errorf("%s: %v", code, err)
		}
	}
}
