package sql_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"shiguan/policy/sql"
)

var update = flag.Bool("update", false, "write builtin.json.gz from the server found (which must be version 15)")

// The embedded catalogue must be what a fresh server of its version has: same functions, same safety.
func TestBuiltinIsAFreshDatabase(t *testing.T) {
	conn := connect(t)
	ctx := context.Background()
	if _, err := conn.Exec(ctx, `CREATE DATABASE fresh TEMPLATE template0`); err != nil {
		t.Fatal(err)
	}
	defer conn.Exec(ctx, `DROP DATABASE fresh`)
	cfg := conn.Config().Copy()
	cfg.Database = "fresh"
	other, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(ctx)
	cat, err := sql.Load(ctx, other)
	if err != nil {
		t.Fatal(err)
	}
	s := cat.Snapshot()
	if *update {
		s.Database = "postgres"
		if err := writeSnapshot("builtin.json.gz", s); err != nil {
			t.Fatal(err)
		}
	}
	built, err := sql.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	if s.ServerVersion/10000 != built.ServerVersion/10000 {
		t.Logf("the server is version %d, the built-in catalogue %d: only the decoding is tested", s.ServerVersion/10000, built.ServerVersion/10000)
	} else if len(s.Functions) != len(built.Functions) || len(s.Types) != len(built.Types) || len(s.Operators) != len(built.Operators) {
		t.Errorf("built-in catalogue has %d functions, %d types, %d operators; a fresh server %d, %d, %d", len(built.Functions),
			len(built.Types), len(built.Operators), len(s.Functions), len(s.Types), len(s.Operators))
	}
	if _, err := sql.NewCatalogue(built); err != nil {
		t.Error(err)
	}
}

func writeSnapshot(file string, s sql.Snapshot) error {
	var buf bytes.Buffer
	z, err := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(z).Encode(s); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(file, buf.Bytes(), 0o644)
}
