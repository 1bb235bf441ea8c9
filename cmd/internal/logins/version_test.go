package logins

import (
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"shiguan/proxy"
	"shiguan/proxy/certs"
)

// A session of protocol 3.2 has a long key, one of 3.0 a short one, and either cancels what it belongs to and nothing else.
func TestCancelKeys(t *testing.T) {
	d := openDoor(t, nil)
	for version, size := range map[string]int{"3.0": 4, "3.2": 32, "latest": 32} {
		c, err := pgx.Connect(t.Context(), d.dsn("ann", "sslmode=disable", "max_protocol_version="+version))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(t.Context())
		key := c.PgConn().SecretKey()
		if len(key) != size {
			t.Fatalf("%s: the key has %d bytes, want %d", version, len(key), size)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := c.Exec(t.Context(), "select pg_sleep(600)")
			ended <- err
		}()
		eventually(t, "the statement runs", func() error {
			if d.counted(t, "shiguan_statements_total", "allowed") == 0 {
				return errors.New("it does not")
			}
			return nil
		})
		wrong := [][]byte{key[:size-1], append(append([]byte{}, key...), 0), make([]byte, size), make([]byte, 256), key[:4]}
		for _, k := range wrong {
			if string(k) != string(key) && len(k) >= 4 {
				d.cancel(t, c.PgConn().PID(), k)
			}
		}
		select {
		case err := <-ended:
			t.Fatalf("%s: a wrong key cancels: %v", version, err)
		case <-time.After(50 * time.Millisecond):
		}
		eventually(t, "the statement is cancelled", func() error {
			d.cancel(t, c.PgConn().PID(), key)
			select {
			case err := <-ended:
				if err == nil || !strings.Contains(err.Error(), "57014") {
					t.Fatalf("%s: ended with %v", version, err)
				}
				return nil
			case <-time.After(50 * time.Millisecond):
				return errors.New("it runs")
			}
		})
	}
}

// cancel sends a cancel request, which is never answered, and waits for the proxy to hang up.
func (d *door) cancel(t *testing.T, pid uint32, key []byte) {
	t.Helper()
	b := binary.BigEndian.AppendUint32(nil, uint32(12+len(key)))
	b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, 80877102), pid)
	nc := d.dial(t)
	if _, err := nc.Write(append(b, key...)); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(nc); len(got) > 0 || err != nil {
		t.Errorf("a cancel request is answered: %q, %v", got, err)
	}
}

// A proxy may stand before a proxy: the second speaks protocol 3.2, direct TLS and SCRAM-SHA-256-PLUS to the first, as it
// would to a PostgreSQL 18, and cancels with a long key.
func TestServersOfTheNewestKind(t *testing.T) {
	ca := newAuthority(t)
	first := openDoor(t, func(o *proxy.Options) {
		withTLS(t, proxy.TLSRequire, ca.issue(t, "proxy", local))(o)
		o.People = people(t, "clerk")
	})
	keeper := open(t, certs.Files{CA: ca.file})
	second := openDoor(t, func(o *proxy.Options) {
		db := &o.Databases[0]
		db.Addresses = []proxy.Address{addressOf(t, first)}
		db.TLS = proxy.UpstreamTLS{Mode: certs.VerifyFull, Direct: true, Keeper: keeper}
		db.CatalogueUser, db.Catalogue = "clerk", proxy.Secret{Password: password}
	})
	c, err := pgx.Connect(t.Context(), second.dsn("ann", "sslmode=disable", "max_protocol_version=3.2"))
	if err != nil {
		t.Fatalf("%v\n%s", err, second.said)
	}
	defer c.Close(t.Context())
	opened := first.records(t)
	found := false
	for _, r := range opened {
		found = found || r.Auth == "scram-sha-256-plus" && r.TLS == "TLS 1.3" && r.Person == "clerk"
	}
	if !found {
		t.Error("the first proxy has no session with TLS and channel binding on record")
	}
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
	if n := first.counted(t, "shiguan_cancel_requests_total", "delivered"); n < 1 {
		t.Errorf("%v cancel requests were delivered by the first proxy", n)
	}
}
