package cli

import (
	"fmt"

	"shiguan/configs"
	"shiguan/proxy"
	"shiguan/proxy/certs"
)

// database reads how a database is reached, and the secrets that it takes.
func database(d *configs.Database) (*proxy.Database, error) {
	db := &proxy.Database{
		Name: d.Name, DBName: d.DBName, Attributes: d.Attributes, Auth: d.Auth,
		TLS:           proxy.UpstreamTLS{Mode: certs.Mode(d.TLS.Mode), Direct: d.TLS.Direct},
		CatalogueUser: d.Catalogue.User, Roles: make(map[string]proxy.Secret, len(d.Roles)),
	}
	for _, a := range d.Addresses() {
		db.Addresses = append(db.Addresses, proxy.Address{Host: a.Host, Port: uint16(a.Port)})
	}
	var err error
	files := certs.Files{Certificate: d.TLS.Certificate.String(), Key: d.TLS.Key.String(), CA: d.TLS.CA.String()}
	if db.TLS.Keeper, err = openFiles(files); err != nil {
		return nil, fmt.Errorf("database %s: %w", d.Name, err)
	}
	if db.Catalogue, err = secret(d.Catalogue.Role()); err != nil {
		return nil, err
	}
	for _, r := range d.Roles {
		if db.Roles[r.Name], err = secret(r); err != nil {
			return nil, err
		}
	}
	return db, nil
}

// secret reads what a role is let in by.
func secret(r configs.Role) (s proxy.Secret, err error) {
	if r.PasswordFile != "" {
		if s.Password, err = readSecret(r.PasswordFile); err != nil {
			return s, err
		}
	}
	if s.Certificate, err = openFiles(certs.Files{Certificate: r.Certificate.String(), Key: r.Key.String()}); err != nil {
		err = fmt.Errorf("role %s: %w", r.Name, err)
	}
	return s, err
}

// openFiles is nil where there are none.
func openFiles(files certs.Files) (*certs.Keeper, error) {
	if files == (certs.Files{}) {
		return nil, nil
	}
	return certs.Open(files)
}
