package campaign

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shiguan/cmd/internal/demo/city"
	"shiguan/cmd/internal/e2e/citytest"
)

// client is one person at work. Whenever the connection is lost it logs in again and goes on.
type client struct {
	person string
	dsn    string
	ledger *ledger
	random *rand.Rand
	works  []work
	pause  time.Duration // at most so long between statements
	// retry is whether to go on after a refusal because the log cannot be written.
	retry bool

	tap  *tap
	conn *pgx.Conn
	told bool // in the middle of a session, that nothing can be recorded any more
}

// work is something a client does: one statement, or a few that belong together. An error ends the session.
type work func(ctx context.Context, c *client) error

// run works until ctx ends, or unless told to retry until the proxy says that nothing can be recorded any more.
func (c *client) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := c.session(ctx)
		if unrecorded(err) && !c.retry {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(10+c.random.IntN(30)) * time.Millisecond):
		}
	}
}

// unrecorded reports that the proxy refuses because it cannot record.
func unrecorded(err error) bool {
	var refusal *pgconn.PgError
	return errors.As(err, &refusal) && refusal.Code == "58030"
}

func (c *client) session(ctx context.Context) error {
	config, err := pgx.ParseConfig(c.dsn)
	if err != nil {
		return err
	}
	c.tap = new(tap)
	config.DialFunc = c.tap.dial
	config.ConnectTimeout = 10 * time.Second
	if c.conn, err = pgx.ConnectConfig(ctx, config); err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		c.conn.Close(closing)
	}()
	for ctx.Err() == nil {
		if err := c.works[c.random.IntN(len(c.works))](ctx, c); err != nil {
			c.told = unrecorded(err)
			return err
		}
		if c.conn.IsClosed() {
			return errors.New("the connection is closed")
		}
		if c.pause > 0 {
			time.Sleep(rand.N(c.pause))
		}
	}
	return nil
}

// send does what do does for the given statements, in their order, and notes what came of each. The error is nil where the
// session can go on.
func (c *client) send(simple bool, statements []*noted, do func() error) error {
	c.tap.reset()
	err := do()
	completed, partial := c.tap.answered(simple)
	var refusal *pgconn.PgError
	told := errors.As(err, &refusal) && refusal.Severity != "FATAL" && refusal.Code != "58030"
	c.ledger.note(func() {
		for i, n := range statements {
			n.answered = i < completed || i == completed && (partial || told)
			if n.answered {
				c.ledger.answered++
			}
			if i == completed && told {
				n.refused, n.failed = refusal.Code == "42501", refusal.Code != "42501"
			}
		}
	})
	switch {
	case err == nil && completed != len(statements):
		c.ledger.surprise("%d of %d statements from %s on completed, and there was no error", completed, len(statements), statements[0].token)
	case told && !expected(refusal):
		c.ledger.surprise("%s by %s: %s %s (%s)", statements[0].token, c.person, refusal.Code, refusal.Message, refusal.Detail)
	case told:
		return nil
	}
	return err
}

// expected are the errors that can come without anything being wrong: refusals that a client provoked, and updates of the
// same row at the same time.
func expected(e *pgconn.PgError) bool {
	return e.Code == "42501" && strings.Contains(e.Detail, "record ") || e.Code == "40P01" || e.Code == "57014"
}

// exec sends one statement that returns no rows.
func (c *client) exec(ctx context.Context, mode pgx.QueryExecMode, n *noted, statement string, args ...any) (pgconn.CommandTag, error) {
	var tag pgconn.CommandTag
	err := c.send(mode == pgx.QueryExecModeSimpleProtocol, []*noted{n}, func() (err error) {
		tag, err = c.conn.Exec(ctx, statement, append([]any{mode}, args...)...)
		return err
	})
	return tag, err
}

// query sends one statement and hands each row that arrives to row.
func (c *client) query(ctx context.Context, mode pgx.QueryExecMode, n *noted, row func(values [][]byte), statement string, args ...any) error {
	return c.send(mode == pgx.QueryExecModeSimpleProtocol, []*noted{n}, func() error {
		rows, err := c.conn.Query(ctx, statement, append([]any{mode}, args...)...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			row(rows.RawValues())
		}
		return rows.Err()
	})
}

func ignoreRow([][]byte) {}

// crew is the people of a campaign.
type crew struct {
	ledger  *ledger
	clients []*client
}

// hire makes n clients of one person.
func (w *crew) hire(n int, person, dsn string, works ...work) {
	for range n {
		w.clients = append(w.clients, &client{person: person, dsn: dsn, ledger: w.ledger, works: works, retry: true, pause: 10 * time.Millisecond,
			random: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))})
	}
}

// hireAll makes everybody who works in a campaign, at a proxy of the city.
func (w *crew) hireAll(t *testing.T, c *citytest.City, address string) {
	t.Helper()
	for person, hired := range map[string]struct {
		n     int
		works []work
	}{"bench": {5, benchWorks()}, "civil_clerk": {2, clerkWorks()}, "civil_manager": {1, managerWorks()}} {
		dsn, err := c.DSNAt(address, person, "options=-c%20shiguan.purpose%3Dcase-2026-114")
		if err != nil {
			t.Fatal(err)
		}
		w.hire(hired.n, person, dsn, hired.works...)
	}
}

// address is where the city's own proxy listens.
func address(c *citytest.City) string { return fmt.Sprintf("%s:%d", c.Proxy.Host, c.Proxy.Port) }

// start sets everybody to work and returns how to end that.
func (w *crew) start(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, c := range w.clients {
		wg.Go(func() { c.run(ctx) })
	}
	return sync.OnceFunc(func() { cancel(); wg.Wait() })
}

// wait waits until the crew has got n more answers.
func (w *crew) wait(t *testing.T, n int) {
	t.Helper()
	from := w.ledger.progress()
	for until := time.Now().Add(time.Minute); w.ledger.progress() < from+n; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("only %d of %d answers in a minute", w.ledger.progress()-from, n)
		}
	}
}

// citizens are the people whose data is read.
var citizens = sync.OnceValue(func() []city.Citizen { return city.New().Citizens })

// lookAlikes are the resident IDs by name and what a clerk sees of the number.
var lookAlikes = sync.OnceValue(func() map[string][]string {
	m := map[string][]string{}
	for _, p := range citizens() {
		key := p.Name + p.ID[:6] + p.ID[14:]
		m[key] = append(m[key], p.ID)
	}
	return m
})

func (c *client) citizen() city.Citizen { return citizens()[c.random.IntN(len(citizens()))] }
