package demo

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"shiguan/cmd/internal/demo/city"
	"shiguan/cmd/internal/pgtest"
)

//go:embed files/schema.sql
var schemaSQL string

//go:embed files/grants.sql
var grantsSQL string

// fill brings the database to where the city needs it, whether it is new or from an earlier run: roles with the given
// passwords, the citizens, the grants. The citizens are filled into a database of another name that is renamed at the
// end, so that a run that died half-way is recognised and begun again.
func fill(ctx context.Context, server *pgtest.Server, passwords map[string]string) error {
	admin, err := pgx.Connect(ctx, server.DSN("postgres"))
	if err != nil {
		return err
	}
	defer admin.Close(ctx)
	for role, password := range passwords {
		if err := setRole(ctx, admin, role, password); err != nil {
			return fmt.Errorf("role %s: %w", role, err)
		}
	}
	var exists bool
	err = admin.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", DatabaseName).Scan(&exists)
	if err == nil && !exists {
		err = build(ctx, server, admin)
	}
	if err != nil {
		return fmt.Errorf("fill the city's database: %w", err)
	}
	if err := server.Exec(ctx, DatabaseName, grantsSQL); err != nil {
		return fmt.Errorf("grants: %w", err)
	}
	return nil
}

// setRole makes a login role or gives it the password of this DIR again. Neither statement takes parameters; role is
// ours and the password is base32.
func setRole(ctx context.Context, admin *pgx.Conn, role, password string) error {
	var exists bool
	if err := admin.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role).Scan(&exists); err != nil {
		return err
	}
	verb := "CREATE"
	if exists {
		verb = "ALTER"
	}
	_, err := admin.Exec(ctx, fmt.Sprintf("%s ROLE %s LOGIN NOINHERIT PASSWORD '%s'", verb, pgx.Identifier{role}.Sanitize(), password))
	return err
}

func build(ctx context.Context, server *pgtest.Server, admin *pgx.Conn) error {
	const draft = DatabaseName + "_draft"
	if _, err := admin.Exec(ctx, "DROP DATABASE IF EXISTS "+draft); err != nil {
		return err
	}
	if err := server.CreateDatabase(ctx, draft, schemaSQL); err != nil {
		return err
	}
	if err := moveIn(ctx, server.DSN(draft), city.New()); err != nil {
		return err
	}
	_, err := admin.Exec(ctx, "ALTER DATABASE "+draft+" RENAME TO "+DatabaseName)
	return err
}

// moveIn copies the citizens and what is known of them into the tables.
func moveIn(ctx context.Context, dsn string, c *city.City) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return errors.Join(
		copyRows(ctx, conn, "civil.citizens", c.Citizens, func(p city.Citizen) []any {
			return []any{p.ID, p.Name, p.Phone, p.Address, p.Born}
		}),
		copyRows(ctx, conn, "civil.households", c.Households, func(h city.Household) []any {
			return []any{h.Number, h.ID, h.Size, h.District}
		}),
		copyRows(ctx, conn, "housing.fund_accounts", c.Accounts, func(a city.Account) []any {
			return []any{a.Number, a.ID, a.Employer, yuan(a.Balance)}
		}),
		copyRows(ctx, conn, "welfare.payments", c.Payments, func(p city.Payment) []any {
			return []any{p.Number, p.ID, yuan(p.Amount), p.Reason, p.PaidOn}
		}),
		analyse(ctx, conn),
	)
}

// copyRows fills all columns of a table in their order.
func copyRows[T any](ctx context.Context, conn *pgx.Conn, table string, rows []T, values func(T) []any) error {
	var columns []string
	err := conn.QueryRow(ctx, "SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped", table).Scan(&columns)
	if err != nil {
		return err
	}
	schema, name, _ := strings.Cut(table, ".")
	_, err = conn.CopyFrom(ctx, pgx.Identifier{schema, name}, columns, pgx.CopyFromSlice(len(rows), func(i int) ([]any, error) {
		return values(rows[i]), nil
	}))
	return err
}

func analyse(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, "VACUUM ANALYZE")
	return err
}

// yuan turns fen into numeric.
func yuan(fen int64) pgtype.Numeric {
	return pgtype.Numeric{Int: big.NewInt(fen), Exp: -2, Valid: true}
}
