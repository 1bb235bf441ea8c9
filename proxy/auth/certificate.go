package auth

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"
)

// How a person logs in.
const (
	LoginPassword    = "password"             // by SCRAM
	LoginCertificate = "certificate"          // by a certificate that stands for the person, and nothing else
	LoginBoth        = "certificate+password" // by both
)

// names are the kinds of names that a certificate can have, as the people file writes them before a colon.
var names = map[string]func(*x509.Certificate) []string{
	"cn":    func(c *x509.Certificate) []string { return []string{c.Subject.CommonName} },
	"dn":    func(c *x509.Certificate) []string { return []string{c.Subject.String()} },
	"email": func(c *x509.Certificate) []string { return c.EmailAddresses },
	"dns":   func(c *x509.Certificate) []string { return c.DNSNames },
	"uri": func(c *x509.Certificate) (all []string) {
		for _, u := range c.URIs {
			all = append(all, u.String())
		}
		return all
	},
}

// checkCertificateName wants a kind that is known and a name behind it.
func checkCertificateName(text string) error {
	kind, name, _ := strings.Cut(text, ":")
	if names[kind] == nil || name == "" {
		return fmt.Errorf("%q names no certificate: write cn:, dn:, email:, dns: or uri: and the name behind it", text)
	}
	return nil
}

// named reports whether a certificate has one of the person's names; without any, its common name must be the user's.
func (e *entry) named(c *x509.Certificate) bool {
	if c == nil {
		return false
	}
	if len(e.certificates) == 0 {
		return c.Subject.CommonName == e.person.User
	}
	return slices.ContainsFunc(e.certificates, func(text string) bool {
		kind, name, _ := strings.Cut(text, ":")
		return slices.Contains(names[kind](c), name)
	})
}

// ByCertificate returns the person whom the channel's certificate lets in, without a password. Everybody else goes on with
// Begin, where nobody can tell whether a certificate was missing.
func (p *People) ByCertificate(user string, ch Channel) (Person, bool) {
	e, ok := p.entries[user]
	if !ok || e.person.Login != LoginCertificate || !e.named(ch.Certificate) || !e.person.ValidAt(time.Now()) {
		return Person{}, false
	}
	return e.person.clone(), true
}

// Names reports whether a certificate still stands for a user.
func (p *People) Names(user string, c *x509.Certificate) bool {
	e, ok := p.entries[user]
	return ok && e.named(c)
}

// byPassword reports that a password counts for this person on this channel.
func (e *entry) byPassword(ch Channel) bool {
	switch e.person.Login {
	case LoginPassword:
		return true
	case LoginBoth:
		return e.named(ch.Certificate)
	}
	return false
}

// login checks how the i-th person logs in.
func (d *decoded) login(r *reporter, i int, e *entry) {
	w := d.list.People[i]
	switch w.Login {
	case "":
		e.person.Login = LoginPassword
	case LoginPassword, LoginCertificate, LoginBoth:
		e.person.Login = w.Login
	default:
		r.add(d.line(i, "login"), "%q: login is none of %s, %s, %s", w.User, LoginPassword, LoginCertificate, LoginBoth)
	}
	e.certificates = w.Certificates
	if len(w.Certificates) > 0 && e.person.Login == LoginPassword {
		r.add(d.line(i, "certificates"), "%q: certificates count for nothing here: say login: %s or %s", w.User, LoginCertificate, LoginBoth)
	}
	for _, text := range w.Certificates {
		if err := checkCertificateName(text); err != nil {
			r.add(d.line(i, "certificates"), "%q: %v", w.User, err)
		}
	}
	if e.person.Login == LoginCertificate {
		if w.Verifier != "" {
			r.add(d.line(i, "verifier"), "%q logs in by certificate alone: remove the verifier, or say login: %s", w.User, LoginBoth)
		}
		return
	}
	d.verifier(r, i, e)
}

// verifier reads the i-th person's.
func (d *decoded) verifier(r *reporter, i int, e *entry) {
	w := d.list.People[i]
	var err error
	if w.Verifier == "" {
		r.add(d.line(i, "verifier"), "verifier of %q is missing: set it with `shiguan passwd --file %s %s`", w.User, r.file, w.User)
	} else if e.verifier, err = parseVerifier(w.Verifier); err != nil {
		r.add(d.line(i, "verifier"), "%q: %v", w.User, err)
	}
}
