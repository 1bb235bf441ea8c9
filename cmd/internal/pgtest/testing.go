package pgtest

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// T is what Start needs of a *testing.T or *testing.B. It is declared here so that the demo's binary does not carry the
// testing package.
type T interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
	Cleanup(func())
}

// Start runs a temporary server for the length of a test. A machine without PostgreSQL fails the test.
func Start(t T) *Server {
	t.Helper()
	s, err := Run(context.Background(), Options{})
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
	return s
}

// CreateDatabase makes a database and runs SQL text in it; several statements may stand in one text.
func (s *Server) CreateDatabase(ctx context.Context, name string, texts ...string) error {
	if err := s.Exec(ctx, "postgres", "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return err
	}
	return s.Exec(ctx, name, texts...)
}

// Exec runs SQL texts in a database as the superuser, each by the simple protocol.
func (s *Server) Exec(ctx context.Context, database string, texts ...string) error {
	conn, err := pgx.Connect(ctx, s.DSN(database))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, text := range texts {
		if _, err := conn.PgConn().Exec(ctx, text).ReadAll(); err != nil {
			return err
		}
	}
	return nil
}
