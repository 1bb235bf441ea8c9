package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"shiguan/configs"
	"shiguan/policy"
	"shiguan/policy/sql"
	"shiguan/proxy"
	"shiguan/proxy/certs"
)

// database logs in as every role, in the proxy's own way, and reads the catalogue as it would.
func (c *checklist) database(d *configs.Database, levels map[string]*policy.Policy) {
	what := "database " + d.Name
	db, err := database(d)
	err = errors.Join(err, closed(d))
	if err == nil {
		err = believable(db, time.Now())
	}
	if err != nil || c.offline {
		c.report(what, "passwords of "+count(len(d.Roles), "role", "roles"), err)
		return
	}
	for role, secret := range db.Roles {
		conn, err := c.connect(db, role, secret)
		if err == nil {
			err = conn.Close(c.ctx)
		}
		c.report(what+", role "+role, "logs in", err)
	}
	conn, err := c.connect(db, db.CatalogueUser, db.Catalogue)
	if err != nil {
		c.report(what+", catalogue", "", err)
		return
	}
	defer conn.Close(c.ctx)
	cat, err := sql.Load(c.ctx, conn)
	c.report(what+", catalogue", "read by "+db.CatalogueUser, err)
	if err != nil {
		return
	}
	for _, file := range slices.Sorted(maps.Keys(levels)) {
		c.fits(what+", "+filepath.Base(file), levels[file].Check(cat))
	}
}

func (c *checklist) connect(db *proxy.Database, role string, secret proxy.Secret) (*pgx.Conn, error) {
	to, err := db.ConfigFor(role, secret, 10*time.Second)
	if err != nil {
		return nil, err
	}
	to.RuntimeParams["application_name"] = "shiguan check"
	return pgx.ConnectConfig(c.ctx, to)
}

// closed wants every secret of a database closed to others.
func closed(d *configs.Database) (err error) {
	files := []configs.Path{d.TLS.Key}
	for _, r := range append([]configs.Role{d.Catalogue.Role()}, d.Roles...) {
		files = append(files, r.PasswordFile, r.Key)
	}
	for _, file := range files {
		if file == "" {
			continue
		}
		if open := private(file); open != nil && !errors.Is(open, fs.ErrNotExist) {
			err = errors.Join(err, open)
		}
	}
	return err
}

// believable wants certificates that servers will take.
func believable(db *proxy.Database, now time.Time) (err error) {
	judge := func(whose string, k *certs.Keeper) {
		if k == nil || k.Current().Certificate == nil {
			return
		}
		if _, wrong := judgeCertificate(k.Current().Certificate, now); wrong != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", whose, wrong))
		}
	}
	judge("tls.certificate", db.TLS.Keeper)
	judge("role "+db.CatalogueUser, db.Catalogue.Certificate)
	for role, secret := range db.Roles {
		judge("role "+role, secret.Certificate)
	}
	return err
}
