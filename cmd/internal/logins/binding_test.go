package logins

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgproto3/v2"
	"github.com/jackc/pgx/v5/pgconn"

	"shiguan/auditlog/record"
	"shiguan/proxy"
	"shiguan/proxy/auth"
)

func TestChannelBinding(t *testing.T) {
	for _, kind := range []string{"ecdsa", "rsa"} {
		ca := newAuthority(t)
		d := openDoor(t, withTLS(t, proxy.TLSAllow, ca.issueFor(t, "proxy", newKey(t, kind), local)))
		root := "sslrootcert=" + ca.file
		enters(t, d.dsn("ann", "sslmode=verify-full", root, "channel_binding=require"))
		if r := d.last(t, record.KindSessionOpened); r.Auth != "scram-sha-256-plus" {
			t.Errorf("%s, on record: %s", kind, r.Auth)
		}
		if out := psql(t, d, "ann", "select 1", "PGSSLMODE=verify-full", "PGSSLROOTCERT="+ca.file, "PGCHANNELBINDING=require"); out != "1" {
			t.Errorf("%s, psql: %s", kind, out)
		}
		enters(t, d.dsn("ann", "sslmode=verify-full", root, "channel_binding=disable"))
		if r := d.last(t, record.KindSessionOpened); r.Auth != "scram-sha-256" {
			t.Errorf("%s, on record: %s", kind, r.Auth)
		}
	}
}

// A certificate whose signature has no hash function of its own has no channel binding, and is good for all else.
func TestEd25519HasNoChannelBinding(t *testing.T) {
	ca := newAuthority(t)
	ca.key = newKey(t, "ed25519")
	d := openDoor(t, withTLS(t, proxy.TLSAllow, ca.issue(t, "proxy", local)))
	enters(t, d.dsn("ann", "sslmode=require"))
	if r := d.last(t, record.KindSessionOpened); r.Auth != "scram-sha-256" {
		t.Errorf("on record: %s", r.Auth)
	}
	if out := psql(t, d, "ann", "select 1", "PGSSLMODE=require"); out != "1" {
		t.Errorf("psql: %s", out)
	}
	if err := try(t, d.dsn("ann", "sslmode=require", "channel_binding=require")); err == nil {
		t.Error("a client is content that requires channel binding")
	}
}

// between takes the client's TLS with a certificate of its own and passes what is inside on to the proxy in its own TLS.
func between(t *testing.T, d *door, pair tls.Certificate) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				client := tls.Server(nc, &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"postgresql"}})
				defer client.Close()
				up, err := tls.Dial("tcp", d.address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"postgresql"}})
				if err != nil {
					return
				}
				defer up.Close()
				go func() { io.Copy(up, client); up.CloseWrite() }()
				io.Copy(client, up)
			}()
		}
	}()
	return l.Addr().String()
}

// Somebody in between who has a certificate that the client believes cannot pass a password on.
func TestSomebodyInBetween(t *testing.T) {
	ca := newAuthority(t)
	d := openDoor(t, withTLS(t, proxy.TLSAllow, ca.issue(t, "proxy", local)))
	forged := ca.issue(t, "between", local)
	pair, err := tls.LoadX509KeyPair(forged.Certificate, forged.Key)
	if err != nil {
		t.Fatal(err)
	}
	dsn := strings.Replace(d.dsn("ann", "sslmode=verify-full", "sslrootcert="+ca.file, "sslnegotiation=direct"), d.address, between(t, d, pair), 1)
	refused(t, dsn, "28000", "SCRAM channel binding check failed")
	if r := d.last(t, record.KindLoginRefused); r.Reason != auth.ReasonBinding || r.Person != "ann" {
		t.Errorf("on record: %+v", r)
	}
}

// secureRaw is a connection inside TLS that has said who it is and been asked for a password.
func (d *door) secureRaw(t *testing.T, user string) (*pgproto3.Frontend, net.Conn, []string) {
	t.Helper()
	c := tls.Client(d.dial(t), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"postgresql"}})
	if _, err := c.Write(startup(3<<16, "user", user, "database", databaseName)); err != nil {
		t.Fatal(err)
	}
	f := pgproto3.NewFrontend(pgproto3.NewChunkReader(c), c)
	m, err := f.Receive()
	if err != nil {
		t.Fatal(err)
	}
	sasl, ok := m.(*pgproto3.AuthenticationSASL)
	if !ok {
		t.Fatalf("the client is asked for %#v", m)
	}
	return f, c, sasl.AuthMechanisms
}

// What a client's first message says about binding must fit the mechanism that it chose and the offer that it got.
func TestBindingFlags(t *testing.T) {
	ca := newAuthority(t)
	d := openDoor(t, withTLS(t, proxy.TLSAllow, ca.issue(t, "proxy", local)))
	const bare = "n=,r=abcdefghijklmnopqrstuvwx"
	for _, x := range []struct{ mechanism, first, code, message string }{
		{"SCRAM-SHA-256-PLUS", "p=tls-server-end-point,," + bare, "", ""},
		{"SCRAM-SHA-256", "n,," + bare, "", ""},
		{"SCRAM-SHA-256", "y,," + bare, "28000", "SCRAM channel binding negotiation error"},
		{"SCRAM-SHA-256", "p=tls-server-end-point,," + bare, "28P01", "password"},
		{"SCRAM-SHA-256-PLUS", "n,," + bare, "28P01", "password"},
		{"SCRAM-SHA-256-PLUS", "y,," + bare, "28P01", "password"},
		{"SCRAM-SHA-256-PLUS", "p=tls-unique,," + bare, "28P01", "password"},
		{"SCRAM-SHA-256-PLUS", "p=tls-exporter,," + bare, "28P01", "password"},
		{"SCRAM-SHA-1", "n,," + bare, "08P01", "not offered"},
	} {
		for _, user := range []string{"ann", "nobody"} {
			f, _, offered := d.secureRaw(t, user)
			if strings.Join(offered, " ") != "SCRAM-SHA-256-PLUS SCRAM-SHA-256" {
				t.Fatalf("offered are %v", offered)
			}
			if err := f.Send(&pgproto3.SASLInitialResponse{AuthMechanism: x.mechanism, Data: []byte(x.first)}); err != nil {
				t.Fatal(err)
			}
			m, err := f.Receive()
			if err != nil {
				t.Fatal(err)
			}
			e, isError := m.(*pgproto3.ErrorResponse)
			switch {
			case !isError && x.code != "", isError && (e.Code != x.code || !strings.Contains(e.Message, x.message)):
				t.Errorf("%s %q by %s: %#v", x.mechanism, x.first, user, m)
			}
		}
	}
	plain := openDoor(t, nil)
	f, err := pgconn.Connect(t.Context(), plain.dsn("ann", "sslmode=disable"))
	if err != nil {
		t.Fatal(err)
	}
	f.Close(t.Context())
	if err := try(t, plain.dsn("ann", "sslmode=disable", "channel_binding=require")); err == nil || errors.As(err, new(*pgconn.PgError)) {
		t.Errorf("channel binding without TLS: %v", err)
	}
}
