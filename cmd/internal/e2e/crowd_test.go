package e2e

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"
	"github.com/jackc/pgx/v5/pgconn"

	"shiguan/auditlog/record"
)

// crowd opens n connections, some at a time, and closes them with the test.
func crowd[C interface{ Close() error }](t *testing.T, n int, open func() (C, error)) []C {
	t.Helper()
	all := make([]C, n)
	errs := make(chan error, n)
	next := make(chan int)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := range next {
				c, err := open()
				if err != nil {
					errs <- err
					continue
				}
				all[i] = c
				t.Cleanup(func() { c.Close() })
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	close(errs)
	if failed := len(errs); failed > 0 {
		t.Fatalf("%d of %d connections failed, one of them: %v", failed, n, <-errs)
	}
	return all
}

// Two thousand sessions that do nothing cost little, and each of them still works.
func TestTwoThousandIdleSessions(t *testing.T) {
	const n = 2000
	unharmed(t, 200, func(serves func()) {
		sessions := crowd(t, n, func() (*rawConn, error) { return tryRaw(t, dsn(t, "bench")) })
		serves()
		for i := 0; i < n; i += 50 {
			if got := values(sessions[i].ask("select 1")); len(got) != 1 {
				t.Errorf("session %d does not answer", i)
			}
		}
		for _, c := range sessions {
			c.send(&pgproto3.Terminate{})
			c.Close()
		}
		eventually(t, "their places are free again", func() error {
			var left int
			err := superuser(t).QueryRow(t.Context(), "select count(*) from pg_stat_activity where usename = $1", roles["bench"]).Scan(&left)
			if err == nil && left > 0 {
				err = fmt.Errorf("%d sessions are left", left)
			}
			return err
		})
	})
}

// Connections that do not log in, silent ones and those that stop half-way, shut nobody out.
func TestTwoThousandStrangers(t *testing.T) {
	unharmed(t, 200, func(serves func()) {
		strangers := crowd(t, 2000, func() (net.Conn, error) { return net.Dial("tcp", proxyAddress()) })
		serves()
		hello := startupPacket(3<<16, "user", "bench", "database", city.Database)
		for _, c := range strangers {
			if _, err := c.Write(hello); err != nil {
				t.Fatal(err)
			}
		}
		serves()
		crowd(t, 3000, func() (net.Conn, error) { return net.Dial("tcp", proxyAddress()) })
		serves()
	})
}

// Who guesses passwords is slowed down; the others are not, and neither is who has the right one for long.
func TestGuessedPasswords(t *testing.T) {
	from := logSize(t)
	u, err := url.Parse(dsn(t, "fund_clerk", "application_name=guesser"))
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("fund_clerk", "wrong")
	guess := func(ctx context.Context) error {
		c, err := pgconn.Connect(ctx, u.String())
		if err == nil {
			c.Close(ctx)
		}
		return err
	}
	unharmed(t, 64, func(serves func()) {
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		for range 20 {
			if guess(ctx) == nil {
				t.Fatal("a wrong password opens the door")
			}
		}
		for range 50 { // they hang, since too many have failed
			wg.Go(func() {
				if guess(ctx) == nil {
					t.Error("a wrong password opens the door")
				}
			})
		}
		serves()
		time.Sleep(2 * time.Second) // not for anything to become true: guesses go on meanwhile
		serves()
	})
	refused := 0
	for _, e := range recordsSince(t, from) {
		if e.Kind == record.KindLoginRefused && e.Application == "guesser" {
			if refused++; e.Person != "fund_clerk" || e.Reason != "wrong password" || e.Client == "" {
				t.Errorf("the record of a refused login is %+v", e.Record)
			}
		}
	}
	if refused < 20 || refused > 40 {
		t.Errorf("%d refused logins are on record: 20 were free, and since then one a second", refused)
	}
	c := raw(t, dsn(t, "fund_clerk"))
	if len(values(c.ask("select 1"))) != 1 {
		t.Error("the right password does not help")
	}
}
