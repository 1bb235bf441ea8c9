package logins

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"shiguan/auditlog/record"
	"shiguan/proxy"
)

var sslRequest = []byte{0, 0, 0, 8, 4, 210, 22, 47}

func TestClientTLS(t *testing.T) {
	ca := newAuthority(t)
	d := openDoor(t, withTLS(t, proxy.TLSAllow, ca.issue(t, "proxy", local)))
	root := "sslrootcert=" + ca.file
	enters(t, d.dsn("ann", "sslmode=verify-full", root))
	if r := d.last(t, record.KindSessionOpened); r.TLS != "TLS 1.3" || r.Person != "ann" {
		t.Errorf("on record: %+v", r)
	}
	enters(t, d.dsn("ann", "sslmode=verify-full", root, "sslnegotiation=direct"))
	if r := d.last(t, record.KindSessionOpened); r.TLS != "TLS 1.3" {
		t.Errorf("on record: %+v", r)
	}
	enters(t, d.dsn("ann", "sslmode=disable"))
	if r := d.last(t, record.KindSessionOpened); r.TLS != "" {
		t.Errorf("on record: %+v", r)
	}
	refused(t, strings.Replace(d.dsn("ann", "sslmode=require"), "42@", "43@", 1), "28P01", "password authentication failed")
	if r := d.last(t, record.KindLoginRefused); r.TLS != "TLS 1.3" || r.Reason != "wrong password" {
		t.Errorf("on record: %+v", r)
	}
	other := newAuthority(t)
	if err := try(t, d.dsn("ann", "sslmode=verify-full", "sslrootcert="+other.file)); err == nil {
		t.Error("a client is content with a certificate of another authority")
	}
}

// psql, that is libpq, in each of its modes.
func TestClientTLSWithPsql(t *testing.T) {
	ca := newAuthority(t)
	d := openDoor(t, withTLS(t, proxy.TLSAllow, ca.issueFor(t, "proxy", newKey(t, "rsa"), local)))
	for _, mode := range []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"} {
		out := psql(t, d, "ann", "select 6*7", "PGSSLMODE="+mode, "PGSSLROOTCERT="+ca.file)
		if out != "42" {
			t.Errorf("%s: %s", mode, out)
		}
		if got, want := d.last(t, record.KindSessionOpened).TLS != "", mode != "disable" && mode != "allow"; got != want {
			t.Errorf("%s: TLS %v, want %v", mode, got, want)
		}
	}
}

// psql runs a statement and returns what it prints, errors too.
func psql(t *testing.T, d *door, user, statement string, env ...string) string {
	t.Helper()
	path, err := server.Binaries.Path("psql")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	host, port, _ := strings.Cut(d.address, ":")
	c := exec.CommandContext(ctx, path, "-XAtq", "-c", statement)
	c.Env = append(append(os.Environ(), "PGHOST="+host, "PGPORT="+port, "PGUSER="+user, "PGPASSWORD="+password, "PGDATABASE="+databaseName,
		"HOME="+t.TempDir()), env...)
	out, _ := c.CombinedOutput() // an error is in what it prints
	return strings.TrimSpace(string(out))
}

// Rows and statements of many sizes come through TLS unharmed, both ways.
func TestLargeThroughTLS(t *testing.T) {
	ca := newAuthority(t)
	d := openDoor(t, withTLS(t, proxy.TLSAllow, ca.issue(t, "proxy", local)))
	c, err := pgx.Connect(t.Context(), d.dsn("ann", "sslmode=require"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	for _, n := range []int{1, 8191, 8192, 8193, 16 << 10, 100_000, 3 << 20} {
		sent := strings.Repeat("史", n/3)
		var got string
		if err := c.QueryRow(t.Context(), "select $1::text || $1::text", sent).Scan(&got); err != nil || got != sent+sent {
			t.Errorf("%d bytes: %v, %d came back", n, err, len(got))
		}
	}
}

// No record of TLS with a client is longer than libpq can take.
func TestRecordsOfTLSAreShort(t *testing.T) {
	ca := newAuthority(t)
	d := openDoor(t, withTLS(t, proxy.TLSAllow, ca.issue(t, "proxy", local)))
	cfg, err := pgx.ParseConfig(d.dsn("ann", "sslmode=require"))
	if err != nil {
		t.Fatal(err)
	}
	tap := &recordTap{}
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		tap.Conn = nc
		return tap, err
	}
	c, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	var got string
	for range 4 { // crypto/tls begins with short ones
		if err := c.QueryRow(t.Context(), "select repeat('x', 300000)").Scan(&got); err != nil || len(got) != 300000 {
			t.Fatal(err)
		}
	}
	if longest := tap.longest(); longest > 8192+256 || longest < 4096 {
		t.Errorf("the longest record has %d bytes", longest)
	}
}

// recordTap keeps what comes and finds the records in it.
type recordTap struct {
	net.Conn
	got bytes.Buffer
}

func (r *recordTap) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	r.got.Write(b[:n])
	return n, err
}

func (r *recordTap) longest() (longest int) {
	b := r.got.Bytes()[1:] // the answer to SSLRequest
	for len(b) >= 5 {
		n := int(binary.BigEndian.Uint16(b[3:]))
		if b[0] == 23 {
			longest = max(longest, n)
		}
		if b = b[5:]; n > len(b) {
			break
		}
		b = b[n:]
	}
	return longest
}

func TestTLSCanBeRequired(t *testing.T) {
	ca := newAuthority(t)
	d := openDoor(t, withTLS(t, proxy.TLSRequire, ca.issue(t, "proxy", local)))
	refused(t, d.dsn("ann", "sslmode=disable"), "28000", "connections without TLS are refused")
	refused(t, d.dsn("nobody", "sslmode=disable"), "28000", "connections without TLS are refused")
	enters(t, d.dsn("ann", "sslmode=require"))
	if out := psql(t, d, "ann", "select 1", "PGSSLMODE=disable"); !strings.Contains(out, "sslmode=verify-full") {
		t.Errorf("psql is not told what to do: %s", out)
	}
}

func TestTLSCanBeDisabled(t *testing.T) {
	d := openDoor(t, nil)
	if err := try(t, d.dsn("ann", "sslmode=require")); err == nil || !strings.Contains(err.Error(), "refused TLS") {
		t.Errorf("got %v", err)
	}
	if err := try(t, d.dsn("ann", "sslmode=require", "sslnegotiation=direct")); err == nil {
		t.Error("direct TLS where there is none")
	}
	enters(t, d.dsn("ann", "sslmode=prefer"))
}

// dial connects without a word.
func (d *door) dial(t *testing.T) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", d.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	return nc
}

func startup(version uint32, params ...string) []byte {
	b := binary.BigEndian.AppendUint32([]byte{0, 0, 0, 0}, version)
	for _, p := range params {
		b = append(append(b, p...), 0)
	}
	b = append(b, 0)
	binary.BigEndian.PutUint32(b, uint32(len(b)))
	return b
}

// What somebody slips in between the request for TLS and its beginning, in clear, is never taken for what the client says.
func TestNothingPassesTheBeginningOfTLS(t *testing.T) {
	ca := newAuthority(t)
	d := openDoor(t, withTLS(t, proxy.TLSAllow, ca.issue(t, "proxy", local)))
	injected := startup(3<<16, "user", "ann", "database", databaseName)
	for name, first := range map[string][]byte{
		"a startup packet":  append(bytes.Clone(sslRequest), injected...),
		"one byte":          append(bytes.Clone(sslRequest), 0),
		"a second request":  append(bytes.Clone(sslRequest), sslRequest...),
		"a cancel request":  append(bytes.Clone(sslRequest), 0, 0, 0, 16, 4, 210, 22, 46, 0, 0, 0, 1, 0, 0, 0, 1),
		"a GSSENC request":  append(bytes.Clone(sslRequest), 0, 0, 0, 8, 4, 210, 22, 48),
		"half a TLS record": append(bytes.Clone(sslRequest), 22, 3, 1, 0, 5),
	} {
		nc := d.dial(t)
		nc.Write(first)
		if b := make([]byte, 1); read(t, nc, b) != "S" {
			t.Errorf("%s: answered with %q", name, b)
			continue
		}
		client := tls.Client(nc, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"postgresql"}})
		if err := client.Handshake(); err == nil {
			t.Errorf("%s in clear, and TLS begins all the same", name)
		}
	}
	if n := d.counted(t, "shiguan_tls_handshakes_total", "failed"); n < 6 {
		t.Errorf("%v failed handshakes are counted", n)
	}
}

func read(t *testing.T, r io.Reader, b []byte) string {
	t.Helper()
	if _, err := io.ReadFull(r, b); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Inside TLS there is no asking for TLS, and before it nothing is taken for TLS that does not say which protocol it is for.
func TestTLSOutOfTurn(t *testing.T) {
	ca := newAuthority(t)
	d := openDoor(t, withTLS(t, proxy.TLSAllow, ca.issue(t, "proxy", local)))
	config := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"postgresql"}}
	for name, packet := range map[string][]byte{"SSLRequest": sslRequest, "GSSENCRequest": {0, 0, 0, 8, 4, 210, 22, 48}, "TLS": {22, 3, 1, 0, 5}} {
		c := tls.Client(d.dial(t), config)
		if _, err := c.Write(packet); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(c); err != nil || !bytes.Contains(got, []byte("08P01")) {
			t.Errorf("%s in TLS: %q, %v", name, got, err)
		}
	}
	for name, protocols := range map[string][]string{"none": nil, "HTTP": {"h2", "http/1.1"}} {
		c := tls.Client(d.dial(t), &tls.Config{InsecureSkipVerify: true, NextProtos: protocols})
		c.Write(startup(3<<16, "user", "ann"))
		if got, err := io.ReadAll(c); len(got) > 0 {
			t.Errorf("direct TLS for %s: %q, %v", name, got, err)
		}
	}
	nc := d.dial(t) // asked for, it needs no name, as ever
	nc.Write(sslRequest)
	read(t, nc, make([]byte, 1))
	c := tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
	c.Write(startup(3<<16, "user", "ann"))
	if read(t, c, make([]byte, 1)) != "R" {
		t.Error("TLS without the protocol's name is not served")
	}
	old := tls.Client(d.dial(t), &tls.Config{InsecureSkipVerify: true, NextProtos: config.NextProtos, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	if err := old.Handshake(); err == nil {
		t.Error("TLS 1.1 is taken")
	}
}

// A cancel request is taken in clear, within TLS and in direct TLS.
func TestCancelThroughTLS(t *testing.T) {
	ca := newAuthority(t)
	d := openDoor(t, withTLS(t, proxy.TLSRequire, ca.issue(t, "proxy", local)))
	for _, options := range [][]string{{"sslmode=require"}, {"sslmode=require", "sslnegotiation=direct"}} {
		c, err := pgx.Connect(t.Context(), d.dsn("ann", options...))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(t.Context())
		cancelled := make(chan error, 1)
		go func() {
			_, err := c.Exec(t.Context(), "select pg_sleep(600)")
			cancelled <- err
		}()
		eventually(t, "the statement is cancelled", func() error {
			if err := c.PgConn().CancelRequest(t.Context()); err != nil {
				return err
			}
			select {
			case err := <-cancelled:
				if err == nil || !strings.Contains(err.Error(), "57014") {
					t.Fatalf("ended with %v", err)
				}
				return nil
			case <-time.After(100 * time.Millisecond):
				return errors.New("it runs")
			}
		})
	}
}

// Certificates are exchanged under a running proxy; a half-written pair changes nothing.
func TestCertificatesAreReloaded(t *testing.T) {
	ca := newAuthority(t)
	files := ca.issue(t, "proxy", local)
	d := openDoor(t, withTLS(t, proxy.TLSAllow, files))
	shown := func() *x509.Certificate {
		c := tls.Client(d.dial(t), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"postgresql"}})
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		return c.ConnectionState().PeerCertificates[0]
	}
	first := shown()
	session, err := pgx.Connect(t.Context(), d.dsn("ann", "sslmode=require"))
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close(t.Context())
	if err := os.WriteFile(files.Key, []byte("half a k"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.RefreshTLS(); err == nil {
		t.Error("a spoilt key is no error")
	}
	if !shown().Equal(first) {
		t.Error("a spoilt key changed what is shown")
	}
	expiry := func() int64 {
		return int64(d.counted(t, "shiguan_tls_certificate_expiry_timestamp_seconds", "clients"))
	}
	if expiry() != first.NotAfter.Unix() {
		t.Errorf("the metric says that the certificate expires at %d", expiry())
	}
	later := time.Now().Add(2 * time.Hour)
	ca.issue(t, "proxy", func(c *x509.Certificate) { local(c); c.NotAfter = later })
	eventually(t, "the new certificate is shown", func() error {
		if shown().Equal(first) {
			return errors.New("it is the old one")
		}
		return nil
	})
	if expiry() != later.Unix() {
		t.Errorf("the metric says that the new certificate expires at %d", expiry())
	}
	if detail := d.last(t, record.KindConfigChanged).Detail["tls_certificate"]; len(detail) != 64 {
		t.Errorf("on record: %q", detail)
	}
	if _, err := session.Exec(t.Context(), "select 1"); err != nil {
		t.Errorf("a session that began with the old certificate: %v", err)
	}
	enters(t, d.dsn("ann", "sslmode=verify-full", "sslrootcert="+ca.file))
}

// What would be no TLS at all does not start.
func TestTLSIsNotSwitchedOffSilently(t *testing.T) {
	ca := newAuthority(t)
	for name, change := range map[string]func(*proxy.Options){
		"no certificate":  func(o *proxy.Options) { o.TLS = proxy.ClientTLS{Mode: proxy.TLSRequire, MinVersion: tls.VersionTLS12} },
		"an unknown mode": func(o *proxy.Options) { o.TLS.Mode = "requird" },
		"TLS 1.0": func(o *proxy.Options) {
			withTLS(t, proxy.TLSAllow, ca.issue(t, "proxy", local))(o)
			o.TLS.MinVersion = tls.VersionTLS10
		},
	} {
		if _, err := newDoor(t, change); err == nil {
			t.Errorf("a proxy with %s starts", name)
		}
	}
}

// A TLS library that is not ours is content too, and verifies the certificate.
func TestOpenSSL(t *testing.T) {
	ca := newAuthority(t)
	d := openDoor(t, withTLS(t, proxy.TLSRequire, ca.issue(t, "proxy", local)))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, "openssl", "s_client", "-connect", d.address, "-starttls", "postgres", "-CAfile", ca.file, "-verify_return_error", "-alpn", "postgresql", "-brief")
	c.Stdin = strings.NewReader("")
	out, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "TLSv1.3") || !strings.Contains(string(out), "Verification: OK") {
		t.Errorf("%v: %s", err, out)
	}
}
