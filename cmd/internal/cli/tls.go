package cli

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"shiguan/configs"
	"shiguan/proxy"
	"shiguan/proxy/certs"
)

// clientTLS reads what clients' TLS is made of.
func clientTLS(t *configs.TLS) (proxy.ClientTLS, error) {
	o := proxy.ClientTLS{Mode: proxy.TLSMode(t.Mode), MinVersion: tls.VersionTLS12}
	if t.MinVersion == "1.3" {
		o.MinVersion = tls.VersionTLS13
	}
	if t.Mode == configs.TLSDisable {
		return o, nil
	}
	var err error
	o.Keeper, err = certs.Open(certs.Files{Certificate: t.Certificate.String(), Key: t.Key.String(), CA: t.ClientCA.String()})
	if err != nil {
		err = fmt.Errorf("tls: %w", err)
	}
	return o, err
}

// clientTLS reports whether clients that check would be content.
func (c *checklist) clientTLS(cfg *configs.TLS) {
	if cfg.Mode == configs.TLSDisable {
		c.report("tls", "none with clients: they must be on this machine or a private network", nil)
		return
	}
	o, err := clientTLS(cfg)
	if err != nil {
		c.report("tls", "", err)
		return
	}
	detail, err := judgeCertificate(o.Keeper.Current().Certificate, time.Now())
	c.report("tls", cfg.Mode+", "+detail, errors.Join(err, private(cfg.Key)))
}

// judgeCertificate says what of a certificate would keep it from being believed.
func judgeCertificate(pair *tls.Certificate, now time.Time) (detail string, err error) {
	leaf := pair.Leaf
	detail = fmt.Sprintf("%s until %s", leaf.Subject, leaf.NotAfter.Format(time.RFC3339))
	switch {
	case now.After(leaf.NotAfter):
		err = fmt.Errorf("the certificate of %s expired at %s: put a new one in its place", leaf.Subject, leaf.NotAfter.Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		err = fmt.Errorf("the certificate of %s is not valid before %s: is this machine's clock right?", leaf.Subject, leaf.NotBefore.Format(time.RFC3339))
	}
	if certs.Endpoint(leaf) == nil {
		detail += ", without channel binding: its signature has no hash function"
	}
	return detail, err
}
