package logins

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"shiguan/auditlog/record"
	"shiguan/proxy"
	"shiguan/proxy/auth"
	"shiguan/proxy/certs"
)

// shown are the options of a client that shows a certificate.
func shown(f certs.Files) []string {
	return []string{"sslmode=require", "sslcert=" + f.Certificate, "sslkey=" + f.Key}
}

// withoutPassword is a DSN's without it.
func withoutPassword(dsn string) string {
	return regexp.MustCompile(`:[^:@]*@`).ReplaceAllString(dsn, "@")
}

func TestClientCertificates(t *testing.T) {
	ca := newAuthority(t)
	files := ca.issue(t, "proxy", local)
	files.CA = ca.file
	d := openDoor(t, func(o *proxy.Options) {
		withTLS(t, proxy.TLSAllow, files)(o)
		o.People = people(t, "ann", "cert login: certificate", `dept certificates: ["dn:CN=desk 7,OU=Civil Affairs,O=City", "cn:desk8"], login: certificate`,
			`mail certificates: ["email:mail@city.example"], login: certificate`, `host certificates: ["dns:app.city.example"], login: certificate`,
			`uri certificates: ["uri:spiffe://city/app"], login: certificate`, "both login: certificate+password", "former valid_until: 2020-01-01T00:00:00Z, login: certificate")
	})
	subject := func(name pkix.Name) func(*x509.Certificate) { return func(c *x509.Certificate) { c.Subject = name } }
	desk := ca.issue(t, "desk7", subject(pkix.Name{CommonName: "desk 7", OrganizationalUnit: []string{"Civil Affairs"}, Organization: []string{"City"}}))
	spiffe, err := url.Parse("spiffe://city/app")
	if err != nil {
		t.Fatal(err)
	}
	cert := ca.issue(t, "cert", nil)
	for user, f := range map[string]certs.Files{
		"cert": cert, "dept": desk,
		"mail": ca.issue(t, "m", func(c *x509.Certificate) { c.EmailAddresses = []string{"mail@city.example"} }),
		"host": ca.issue(t, "h", func(c *x509.Certificate) { c.DNSNames = []string{"other", "app.city.example"} }),
		"uri":  ca.issue(t, "u", func(c *x509.Certificate) { c.URIs = []*url.URL{spiffe} }),
	} {
		enters(t, withoutPassword(d.dsn(user, shown(f)...)))
		r := d.last(t, record.KindSessionOpened)
		if r.Person != user || r.Auth != "certificate" || !strings.HasPrefix(r.Detail["certificate"], "CN=") || len(r.Detail["certificate_sha256"]) != 64 {
			t.Errorf("on record: %+v", r)
		}
	}
	enters(t, d.dsn("dept", shown(ca.issue(t, "desk8", nil))...))
	if out := psql(t, d, "cert", "select 1", "PGPASSWORD=", "PGSSLMODE=require", "PGSSLCERT="+cert.Certificate, "PGSSLKEY="+cert.Key); out != "1" {
		t.Errorf("psql: %s", out)
	}

	// Both: neither alone will do.
	both := ca.issue(t, "both", nil)
	enters(t, d.dsn("both", shown(both)...))
	if r := d.last(t, record.KindSessionOpened); r.Auth != "certificate+scram-sha-256-plus" {
		t.Errorf("on record: %+v", r)
	}
	wrong := strings.Replace(d.dsn("both", shown(both)...), "42@", "43@", 1)

	// Whoever does not get in hears the same, whatever was missing.
	expired := ca.issue(t, "former", nil)
	for _, x := range []struct{ what, user, dsn, reason string }{
		{"no certificate", "cert", d.dsn("cert", "sslmode=require"), auth.ReasonUncertain},
		{"no TLS", "cert", d.dsn("cert", "sslmode=disable"), auth.ReasonUncertain},
		{"another's certificate", "cert", d.dsn("cert", shown(desk)...), auth.ReasonUncertain},
		{"no certificate beside the password", "both", d.dsn("both", "sslmode=require"), auth.ReasonUncertain},
		{"another's certificate beside the password", "both", d.dsn("both", shown(cert)...), auth.ReasonUncertain},
		{"a wrong password beside the certificate", "both", wrong, auth.ReasonPassword},
		{"a person whose time is over", "former", d.dsn("former", shown(expired)...), auth.ReasonUncertain},
		{"nobody", "nobody", d.dsn("nobody", shown(cert)...), auth.ReasonUnknown},
		{"a certificate in place of a password", "ann", strings.Replace(d.dsn("ann", shown(ca.issue(t, "ann", nil))...), "42@", "43@", 1), auth.ReasonPassword},
	} {
		refused(t, x.dsn, "28P01", `password authentication failed for user "`+x.user+`"`)
		if r := d.last(t, record.KindLoginRefused); r.Person != x.user || r.Reason != x.reason {
			t.Errorf("%s, on record: %+v", x.what, r)
		}
	}
	enters(t, d.dsn("ann", shown(cert)...)) // it does no harm
}

// Certificates that nobody vouches for end the handshake.
func TestForeignCertificates(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	files := ca.issue(t, "proxy", local)
	files.CA = ca.file
	d := openDoor(t, func(o *proxy.Options) {
		withTLS(t, proxy.TLSAllow, files)(o)
		o.People = people(t, "ann", "cert login: certificate")
	})
	for name, f := range map[string]certs.Files{
		"another authority's": other.issue(t, "cert", nil),
		"an expired one":      ca.issue(t, "cert", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }),
		"a server's":          ca.issue(t, "cert", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }),
	} {
		if err := try(t, d.dsn("cert", shown(f)...)); err == nil {
			t.Errorf("%s lets in", name)
		}
	}
	enters(t, d.dsn("ann", "sslmode=require"))
}

// A session ends when the people file says that its certificate stands for the person no longer.
func TestCertificateIsTakenAway(t *testing.T) {
	ca := newAuthority(t)
	files := ca.issue(t, "proxy", local)
	files.CA = ca.file
	d := openDoor(t, func(o *proxy.Options) {
		withTLS(t, proxy.TLSAllow, files)(o)
		o.People = people(t, `desk certificates: ["cn:desk"], login: certificate`, "ann")
	})
	c, err := pgx.Connect(t.Context(), d.dsn("desk", shown(ca.issue(t, "desk", nil))...))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	kept, err := pgx.Connect(t.Context(), d.dsn("ann", "sslmode=require"))
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close(t.Context())
	if err := d.SetPeople(people(t, `desk certificates: ["cn:desk 2"], login: certificate`, "ann"), "sha256:x"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the session ends", func() error {
		if _, err := c.Exec(t.Context(), "select 1"); err == nil {
			return errors.New("it goes on")
		} else if !strings.Contains(err.Error(), "57P01") && !c.IsClosed() {
			t.Fatal(err)
		}
		return nil
	})
	if _, err := kept.Exec(t.Context(), "select 1"); err != nil {
		t.Errorf("another session: %v", err)
	}
}
