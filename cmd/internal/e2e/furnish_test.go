package e2e

import (
	"context"
	_ "embed"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// furniture are tables of many types and with rules of their own, which the load test's person may use since their names
// begin with pgbench_.
//
//go:embed testdata/furniture.sql
var furniture string

var furnished sync.Once

// furnish makes the furniture, once, and waits until the proxy knows of it.
func furnish(t testing.TB) {
	t.Helper()
	furnished.Do(func() {
		if _, err := superuser(t).Exec(t.Context(), furniture); err != nil {
			t.Fatal(err)
		}
	})
	if err := known(t.Context(), dsn(t, "bench"), "select 1 from pgbench_done"); err != nil {
		t.Fatal(err)
	}
}

// known waits until a statement that names new tables is no longer refused.
func known(ctx context.Context, dsn, statement string) error {
	c, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	for until := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if _, err = c.Exec(ctx, statement); err == nil {
			return nil
		}
		if time.Now().After(until) {
			return fmt.Errorf("the proxy does not see what was made: %w", err)
		}
	}
}
