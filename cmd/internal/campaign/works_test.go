package campaign

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

const (
	simple   = pgx.QueryExecModeSimpleProtocol
	unnamed  = pgx.QueryExecModeExec
	prepared = pgx.QueryExecModeCacheStatement
)

// benchWorks are what bench does to pgbench's tables: it reads and writes, in and out of transaction blocks.
func benchWorks() []work {
	return []work{readSimple, readPrepared, readPrepared, insertOne(simple), insertOne(unnamed), insertPrepared, insertPrepared,
		block(simple), block(unnamed), severalInOne, pipeline, copyIn, copyAccounts}
}

func readSimple(ctx context.Context, c *client) error {
	n := c.ledger.begin(c.person)
	return c.query(ctx, simple, n, ignoreRow, fmt.Sprintf("select abalance from pgbench_accounts where aid = %d /* %s */", 1+c.random.IntN(1000), n.token))
}

func readPrepared(ctx context.Context, c *client) error {
	n := c.ledger.begin(c.person)
	return c.query(ctx, prepared, n, ignoreRow, "select abalance, $2::text from pgbench_accounts where aid = $1", 1+c.random.IntN(1000), n.token)
}

// wrote notes that what was written is known to be committed.
func wrote(c *client, err error, statements ...*noted) error {
	if err == nil {
		c.ledger.note(func() {
			for _, n := range statements {
				n.applied = n.answered && !n.refused && !n.failed
			}
		})
	}
	return err
}

const insertInto = "insert into pgbench_history (tid, bid, aid, delta, mtime, filler) values (1, 1, %d, %d, now(), '%s')"

func insertText(c *client, n *noted) string {
	return fmt.Sprintf(insertInto, 1+c.random.IntN(1000), c.random.IntN(99), n.token)
}

// insertOne writes outside of a transaction block.
func insertOne(mode pgx.QueryExecMode) work {
	return func(ctx context.Context, c *client) error {
		n := c.ledger.begin(c.person)
		_, err := c.exec(ctx, mode, n, insertText(c, n))
		return wrote(c, err, n)
	}
}

func insertPrepared(ctx context.Context, c *client) error {
	n := c.ledger.begin(c.person)
	_, err := c.exec(ctx, prepared, n, "insert into pgbench_history (tid, bid, aid, delta, mtime, filler) values (1, 1, $1, $2, now(), $3)",
		1+c.random.IntN(1000), c.random.IntN(99), n.token)
	return wrote(c, err, n)
}

// block writes in a transaction block, which now and then is rolled back.
func block(mode pgx.QueryExecMode) work {
	return func(ctx context.Context, c *client) error {
		plain := func(text string) (string, error) {
			n := c.ledger.begin(c.person)
			tag, err := c.exec(ctx, mode, n, text+" /* "+n.token+" */")
			return tag.String(), err
		}
		if _, err := plain("begin"); err != nil {
			return err
		}
		var writes []*noted
		for range 1 + c.random.IntN(3) {
			n := c.ledger.begin(c.person)
			if _, err := c.exec(ctx, mode, n, insertText(c, n)); err != nil {
				return err
			}
			writes = append(writes, n)
			if _, err := plain(fmt.Sprintf("update pgbench_accounts set abalance = abalance + 1 where aid = %d", 1+c.random.IntN(100000))); err != nil {
				return err
			}
		}
		if c.random.IntN(4) == 0 {
			_, err := plain("rollback")
			return err
		}
		tag, err := plain("commit")
		if err == nil && tag == "COMMIT" {
			return wrote(c, err, writes...)
		}
		return err
	}
}

// severalInOne sends a string of statements, which the server runs as one transaction.
func severalInOne(ctx context.Context, c *client) error {
	a, b, read := c.ledger.begin(c.person), c.ledger.begin(c.person), c.ledger.begin(c.person)
	text := insertText(c, a) + "; " + insertText(c, b) + "; select count(*) from pgbench_tellers /* " + read.token + " */"
	err := c.send(true, []*noted{a, b, read}, func() error {
		_, err := c.conn.PgConn().Exec(ctx, text).ReadAll()
		return err
	})
	return wrote(c, err, a, b)
}

// pipeline sends several Executes before one Sync.
func pipeline(ctx context.Context, c *client) error {
	var batch pgx.Batch
	var all, writes []*noted
	for i := range 2 + c.random.IntN(4) {
		n := c.ledger.begin(c.person)
		all = append(all, n)
		if i%2 == 0 {
			writes = append(writes, n)
			batch.Queue("insert into pgbench_history (tid, bid, aid, delta, mtime, filler) values (2, 1, $1, 0, now(), $2)", 1+c.random.IntN(1000), n.token)
		} else {
			batch.Queue("select bbalance, $1::text from pgbench_branches", n.token)
		}
	}
	err := c.send(false, all, func() error { return c.conn.SendBatch(ctx, &batch).Close() })
	return wrote(c, err, writes...)
}

func copyIn(ctx context.Context, c *client) error {
	n := c.ledger.begin(c.person)
	row := fmt.Sprintf("3\t1\t%d\t0\t2026-01-01 00:00:00\t%s\n", 1+c.random.IntN(1000), n.token)
	err := c.send(true, []*noted{n}, func() error {
		_, err := c.conn.PgConn().CopyFrom(ctx, strings.NewReader(row),
			"copy pgbench_history (tid, bid, aid, delta, mtime, filler) from stdin /* "+n.token+" */")
		return err
	})
	return wrote(c, err, n)
}

func copyAccounts(ctx context.Context, c *client) error {
	n := c.ledger.begin(c.person)
	return c.copyOut(ctx, n, fmt.Sprintf("copy (select aid, bid, abalance from pgbench_accounts where aid < %d) to stdout /* %s */", c.random.IntN(3000), n.token), ignoreLine)
}

func ignoreLine(string) {}

// copyOut hands each line that arrived to line, also when the copy broke off.
func (c *client) copyOut(ctx context.Context, n *noted, text string, line func(string)) error {
	var got bytes.Buffer
	err := c.send(true, []*noted{n}, func() error {
		_, err := c.conn.PgConn().CopyTo(ctx, &got, text)
		return err
	})
	for l := range strings.Lines(got.String()) {
		line(strings.TrimSuffix(l, "\n"))
	}
	return err
}

// clerkWorks are reads of data about persons: what arrives is masked, and whom it is about is on record.
func clerkWorks() []work {
	return []work{lookUp(simple), lookUp(unnamed), copyCitizens, refusedRead}
}

// aMasked notes a row whose number is masked.
func aMasked(c *client, n *noted, number, name string) {
	if len(number) < 10 {
		c.ledger.surprise("%s: a resident ID came as %q", n.token, number)
		return
	}
	ids := lookAlikes()[name+number[:6]+number[len(number)-4:]]
	c.ledger.note(func() { n.about = append(n.about, ids) })
}

func lookUp(mode pgx.QueryExecMode) work {
	return func(ctx context.Context, c *client) error {
		n, who := c.ledger.begin(c.person), c.citizen()
		return c.query(ctx, mode, n, func(v [][]byte) { aMasked(c, n, string(v[0]), string(v[1])) },
			fmt.Sprintf("select id_number, name, phone from civil.citizens where id_number = '%s' /* %s */", who.ID, n.token))
	}
}

func copyCitizens(ctx context.Context, c *client) error {
	n := c.ledger.begin(c.person)
	return c.copyOut(ctx, n, fmt.Sprintf("copy (select id_number, name, address from civil.citizens limit %d) to stdout /* %s */", 1+c.random.IntN(2000), n.token),
		func(line string) {
			number, rest, _ := strings.Cut(line, "\t")
			name, _, _ := strings.Cut(rest, "\t")
			aMasked(c, n, number, name)
		})
}

func refusedRead(ctx context.Context, c *client) error {
	n := c.ledger.begin(c.person)
	err := c.query(ctx, simple, n, ignoreRow, "select name from civil.citizens where phone = '"+c.citizen().Phone+"' /* "+n.token+" */")
	if err == nil && !n.refused {
		c.ledger.surprise("%s was not refused", n.token)
	}
	return err
}

// managerWorks are reads in clear.
func managerWorks() []work {
	return []work{readSome(simple), readSome(unnamed), readMany(simple), readMany(unnamed)}
}

func aPerson(c *client, n *noted, id string) {
	c.ledger.note(func() { n.about = append(n.about, []string{id}) })
}

func readSome(mode pgx.QueryExecMode) work {
	return func(ctx context.Context, c *client) error {
		n := c.ledger.begin(c.person)
		return c.query(ctx, mode, n, func(v [][]byte) { aPerson(c, n, string(v[0])) },
			fmt.Sprintf("select id_number, phone, address from civil.citizens where id_number in ('%s', '%s', '%s') /* %s */",
				c.citizen().ID, c.citizen().ID, c.citizen().ID, n.token))
	}
}

func readMany(mode pgx.QueryExecMode) work {
	return func(ctx context.Context, c *client) error {
		n := c.ledger.begin(c.person)
		return c.query(ctx, mode, n, func(v [][]byte) { aPerson(c, n, string(v[0])) },
			fmt.Sprintf("select id_number, name, phone, address, birth_date from civil.citizens where birth_date > '%d-01-01' /* %s */", 1940+c.random.IntN(80), n.token))
	}
}
