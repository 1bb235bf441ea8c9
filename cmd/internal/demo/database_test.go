package demo

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shiguan/cmd/internal/demo/city"
	"shiguan/cmd/internal/pgtest"
)

func TestRolesCanDoWhatTheirPositionNeedsAndNothingElse(t *testing.T) {
	server := pgtest.Start(t)
	ctx := context.Background()
	passwords := map[string]string{catalogueRole: "first"}
	for _, p := range people {
		passwords[p.role] = "first"
	}
	if err := fill(ctx, server, passwords); err != nil {
		t.Fatal(err)
	}
	for role := range passwords {
		passwords[role] = "second" // as in a later run, which finds the database filled
	}
	if err := fill(ctx, server, passwords); err != nil {
		t.Fatal(err)
	}

	const denied = "42501"
	for _, tt := range []struct{ role, text, state string }{
		{catalogueRole, "select count(*) from pg_attribute", ""},
		{catalogueRole, "select id_number from civil.citizens", denied},
		{catalogueRole, "create temp table t (a int)", denied},
		{"civil_affairs_clerk", "select * from civil.citizens, civil.households, civil.citizen_names limit 1", ""},
		{"civil_affairs_clerk", "update civil.citizens set phone = phone", denied},
		{"civil_affairs_clerk", "select * from housing.fund_accounts", denied},
		{"civil_affairs_clerk", "create table public.t (a int)", denied},
		{"civil_affairs_clerk", "create temp table t (a int)", denied},
		{"civil_affairs_manager", "select * from civil.citizen_names limit 1", ""},
		{"civil_affairs_manager", "update civil.citizens set phone = phone, address = address", ""},
		{"civil_affairs_manager", "update civil.citizens set name = name", denied},
		{"housing_fund_clerk", "update housing.fund_accounts set balance = balance", ""},
		{"housing_fund_clerk", "select name from civil.citizens where id_number = '1'", ""},
		{"housing_fund_clerk", "select phone from civil.citizens", denied},
		{"audit_office_auditor", "select * from welfare.payments, housing.fund_accounts limit 1", ""},
		{"audit_office_auditor", "select * from public.pgbench_tellers", ""},
		{"audit_office_auditor", "update welfare.payments set amount = amount", denied},
		{"it_centre_load_test", "drop table public.pgbench_history", ""},
		{"it_centre_load_test", "create table public.pgbench_history (a int)", ""},
		{"it_centre_load_test", "select * from civil.citizens", denied},
		{"audit_office_auditor", "select * from public.pgbench_history", ""},
	} {
		conn, err := pgx.Connect(ctx, server.DSNAs(tt.role, "second", DatabaseName))
		if err != nil {
			t.Fatal(err)
		}
		_, err = conn.Exec(ctx, tt.text)
		conn.Close(ctx)
		var pgErr *pgconn.PgError
		switch {
		case tt.state == "" && err != nil:
			t.Errorf("%s: %s: %v", tt.role, tt.text, err)
		case tt.state != "" && (!errors.As(err, &pgErr) || pgErr.Code != tt.state):
			t.Errorf("%s: %s: got %v, want SQLSTATE %s", tt.role, tt.text, err, tt.state)
		}
	}
	if _, err := pgx.Connect(ctx, server.DSNAs("civil_affairs_clerk", "second", "postgres")); err == nil {
		t.Error("a clerk's role may connect to another database")
	}
	checkContent(t, server)
}

func checkContent(t *testing.T, server *pgtest.Server) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, server.DSN(DatabaseName))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	c := city.New()
	for table, want := range map[string]int{"civil.citizens": city.Citizens, "civil.households": len(c.Households),
		"housing.fund_accounts": len(c.Accounts), "welfare.payments": len(c.Payments), "public.pgbench_accounts": 100000} {
		var got int
		if err := conn.QueryRow(ctx, "select count(*) from "+table).Scan(&got); err != nil || got != want {
			t.Errorf("%s has %d rows, want %d (%v)", table, got, want, err)
		}
	}
	var balance string
	if err := conn.QueryRow(ctx, "select balance::text from housing.fund_accounts where account_no = $1", c.Accounts[0].Number).Scan(&balance); err != nil {
		t.Fatal(err)
	}
	if want := yuanText(c.Accounts[0].Balance); balance != want {
		t.Errorf("balance %s, want %s", balance, want)
	}
}

func yuanText(fen int64) string {
	value, err := yuan(fen).Value()
	if err != nil {
		return err.Error()
	}
	return value.(string)
}
