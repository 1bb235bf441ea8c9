package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// needsPurpose is allowed under a purpose that begins with case-, and only then.
const needsPurpose = "select name from civil.citizens limit 1"

func stated(t *testing.T, c *pgx.Conn) bool {
	t.Helper()
	_, err := c.PgConn().Exec(t.Context(), needsPurpose).ReadAll()
	var refusal *pgconn.PgError
	if err != nil && (!errors.As(err, &refusal) || refusal.Code != "42501") {
		t.Fatal(err)
	}
	return err == nil
}

// A purpose lasts as long as PostgreSQL keeps the setting: to the end of the transaction for SET LOCAL, and not beyond its
// rollback for SET.
func TestPurposeEndsWithItsTransaction(t *testing.T) {
	for _, x := range []struct {
		name    string
		strings []string
		want    bool
	}{
		{"set", []string{"set shiguan.purpose = 'case-1'"}, true},
		{"set local in a block", []string{"begin", "set local shiguan.purpose = 'case-1'"}, true},
		{"set local, committed", []string{"begin", "set local shiguan.purpose = 'case-1'", "commit"}, false},
		{"set local, ended", []string{"begin", "set local shiguan.purpose = 'case-1'", "end"}, false},
		{"set local, chained", []string{"begin", "set local shiguan.purpose = 'case-1'", "commit and chain"}, false},
		{"set local, no block", []string{"set local shiguan.purpose = 'case-1'"}, false},
		{"set local in a string", []string{"set local shiguan.purpose = 'case-1'; select 1"}, false},
		{"a block in a string", []string{"begin; set local shiguan.purpose = 'case-1'; " + needsPurpose + "; commit"}, false},
		{"set, committed", []string{"begin", "set shiguan.purpose = 'case-1'", "commit"}, true},
		{"set, rolled back", []string{"begin", "set shiguan.purpose = 'case-1'", "rollback"}, false},
		{"set, failed", []string{"begin", "set shiguan.purpose = 'case-1'", "select 1/0", "commit"}, false},
		{"set, the string fails", []string{"set shiguan.purpose = 'case-1'; select 1/0"}, false},
		{"set, the string is refused", []string{"set shiguan.purpose = 'case-1'; select pg_sleep(0)"}, false},
		{"reset, rolled back", []string{"set shiguan.purpose = 'case-1'", "begin", "reset shiguan.purpose", "rollback"}, true},
		{"reset all", []string{"set shiguan.purpose = 'case-1'", "reset all"}, false},
		{"discard all", []string{"set shiguan.purpose = 'case-1'", "discard all"}, false},
		{"back to a savepoint before", []string{"begin", "savepoint a", "set shiguan.purpose = 'case-1'", "rollback to a"}, false},
		{"back to a savepoint after", []string{"begin", "set shiguan.purpose = 'case-1'", "savepoint a",
			"set shiguan.purpose = 'none'", "rollback to a"}, true},
		{"back after a failure", []string{"begin", "set local shiguan.purpose = 'case-1'", "savepoint a", "select 1/0", "rollback to a"}, true},
		{"a savepoint released", []string{"begin", "set local shiguan.purpose = 'none'", "savepoint a",
			"set local shiguan.purpose = 'case-1'", "release a"}, true},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := connect(t, "civil_clerk")
			for _, text := range x.strings {
				c.PgConn().Exec(t.Context(), text).ReadAll() // some are meant to fail
			}
			if got := stated(t, c); got != x.want {
				t.Errorf("after %s a purpose is stated: %v, want %v", strings.Join(x.strings, " | "), got, x.want)
			}
		})
	}
}

// A statement that is only prepared states nothing.
func TestPurposeIsStatedByExecution(t *testing.T) {
	c := connect(t, "civil_clerk")
	if _, err := c.Prepare(t.Context(), "p", "set shiguan.purpose = 'case-1'"); err != nil {
		t.Fatal(err)
	}
	if stated(t, c) {
		t.Error("a purpose is stated by Parse")
	}
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec} {
		if _, err := c.Exec(t.Context(), "set shiguan.purpose = 'case-1'", mode); err != nil {
			t.Fatal(err)
		}
		if !stated(t, c) {
			t.Errorf("no purpose is stated in %v", mode)
		}
		if _, err := c.Exec(t.Context(), "reset shiguan.purpose", mode); err != nil || stated(t, c) {
			t.Errorf("still stated after RESET in %v: %v", mode, err)
		}
	}
}

// What the proxy takes for the purpose is what the server says, whatever was sent before, one by one, in strings and in
// pipelines. Where the proxy cannot know, it takes none.
func TestPurposeIsTheServers(t *testing.T) {
	const rounds, steps = 40, 25
	var kept int
	for seed := range uint64(rounds) {
		random := rand.New(rand.NewPCG(seed, 114))
		c := connect(t, "civil_clerk", "options=-c%20shiguan.purpose%3Dnone")
		var sent []string
		lost := false // the proxy may have lost the purpose
		for range steps {
			text, mixed := purposeStep(t, random, c)
			lost = lost || mixed
			if sent = append(sent, text); c.PgConn().TxStatus() == 'E' {
				continue
			}
			var is string
			if err := c.QueryRow(t.Context(), "show shiguan.purpose", pgx.QueryExecModeSimpleProtocol).Scan(&is); err != nil {
				t.Fatal(err)
			}
			if got := stated(t, c); got != strings.HasPrefix(is, "case-") && (got || !lost) {
				t.Fatalf("seed %d: the server's purpose is %q, the proxy says %v, after\n%s", seed, is, got, strings.Join(sent, "\n"))
			} else if got {
				kept++
				lost = false
			}
			if c.PgConn().TxStatus() == 'E' { // by the refusal
				c.PgConn().Exec(t.Context(), "rollback").ReadAll()
				sent = append(sent, "rollback")
			}
		}
	}
	if kept < rounds {
		t.Errorf("only %d comparisons were made under a purpose", kept)
	}
}

var purposeStatements = []string{
	"begin", "begin", "commit", "rollback", "commit and chain", "savepoint a", "savepoint b", "rollback to a", "rollback to b",
	"release a", "set shiguan.purpose = 'case-1'", "set shiguan.purpose = 'case-2'", "set shiguan.purpose = 'none'",
	"set local shiguan.purpose = 'case-3'", "set local shiguan.purpose = 'none'", "reset shiguan.purpose", "select 1", "select 1/0",
}

// purposeStep sends one to four statements and says how. mixed is a string or pipeline in which blocks end and something fails.
func purposeStep(t *testing.T, random *rand.Rand, c *pgx.Conn) (text string, mixed bool) {
	t.Helper()
	var list []string
	for range 1 + random.IntN(4) {
		list = append(list, purposeStatements[random.IntN(len(purposeStatements))])
	}
	switch random.IntN(3) {
	case 0:
		c.PgConn().Exec(t.Context(), list[0]).ReadAll()
		return list[0], false
	case 1:
		_, err := c.PgConn().Exec(t.Context(), strings.Join(list, "; ")).ReadAll()
		return fmt.Sprintf("string %q: %v", list, err), true
	}
	p := c.PgConn().StartPipeline(t.Context())
	for _, s := range list {
		p.SendQueryParams(s, nil, nil, nil, nil)
	}
	p.Sync()
	err := p.Close()
	return fmt.Sprintf("pipeline %q: %v", list, err), err != nil
}
