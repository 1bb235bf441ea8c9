package logins

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"shiguan/auditlog/record"
	"shiguan/proxy"
)

// Who is one too many is told so in PostgreSQL's words, on record, and nobody is once another has left.
func TestConnectionsAreLimited(t *testing.T) {
	for name, x := range map[string]struct {
		limit   func(*proxy.Limits)
		others  bool // may still come
		message string
	}{
		"in all":       {func(l *proxy.Limits) { l.Connections = 2 }, false, "sorry, too many clients already"},
		"per person":   {func(l *proxy.Limits) { l.PerPerson = 2 }, true, `too many connections for role "ann"`},
		"per database": {func(l *proxy.Limits) { l.PerDatabase = 2 }, false, `too many connections for database "civil"`},
	} {
		t.Run(name, func(t *testing.T) {
			d := openDoor(t, func(o *proxy.Options) { x.limit(&o.Limits) })
			var open []*pgx.Conn
			for range 2 {
				c, err := pgx.Connect(t.Context(), d.dsn("ann", "sslmode=disable"))
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close(t.Context())
				open = append(open, c)
			}
			for range 3 { // and being refused takes no place
				refused(t, d.dsn("ann", "sslmode=disable"), "53300", x.message)
			}
			if r := d.last(t, record.KindLoginRefused); r.Person != "ann" || r.Reason != x.message {
				t.Errorf("on record: %+v", r)
			}
			if err := try(t, d.dsn("bob", "sslmode=disable")); (err == nil) != x.others {
				t.Errorf("somebody else: %v", err)
			}
			open[0].Close(t.Context())
			eventually(t, "there is a place again", func() error { return try(t, d.dsn("ann", "sslmode=disable")) })
			eventually(t, "and again", func() error { return try(t, d.dsn("ann", "sslmode=disable")) })
		})
	}
}
