package sql_test

import (
	"testing"

	"shiguan/policy/sql"
)

// city is the demo city as an in-memory catalogue, with a few things of users that a hostile text may reach for.
func city(t testing.TB) *sql.Catalogue {
	t.Helper()
	s, err := sql.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	s.Database = "civil"
	add := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	add(s.Table("civil", "citizens", "id_number text", "name text", "phone varchar", "address text", "birth_date date"))
	add(s.Table("civil", "households", "household_id int", "id_number text", "size int", "district text"))
	add(s.View("civil", "citizen_names", "SELECT citizens.id_number, citizens.name FROM civil.citizens", "id_number text", "name text"))
	add(s.View("civil", "old_citizens", "SELECT citizens.id_number, upper(citizens.name) AS card FROM civil.citizens WHERE citizens.phone::text ~~ '1%'::text",
		"id_number text", "card text"))
	add(s.View("civil", "sizes", "SELECT households.district, sum(households.size) AS people FROM civil.households GROUP BY households.district",
		"district text", "people int8"))
	add(s.View("civil", "broken", "SELECT nowhere.x FROM civil.nowhere", "x text"))
	add(s.Table("housing", "fund_accounts", "account_no text", "id_number text", "employer text", "balance numeric"))
	add(s.Table("welfare", "payments", "payment_id bigint", "id_number varchar", "amount numeric", "reason text", "paid_on date"))
	add(s.Table("public", "pgbench_branches", "bid int", "bbalance int", "filler char"))
	add(s.Table("public", "pgbench_tellers", "tid int", "bid int", "tbalance int", "filler char"))
	add(s.Table("public", "pgbench_accounts", "aid int", "bid int", "abalance int", "filler char"))
	add(s.Table("public", "pgbench_history", "tid int", "bid int", "aid int", "delta int", "mtime timestamp", "filler char"))
	add(s.Table("app", "people", "id bigint", "ssn text"))
	add(s.Table("app", "kids", "id bigint", "ssn text", "school text"))
	add(s.Table("app", "citizens", "id_number text", "hobby text"))
	add(s.Table("app", "ruled", "id int"))
	s.Relations[len(s.Relations)-1].Rules = true
	parent, child := oidOf(s, "people"), oidOf(s, "kids")
	s.Inherits = append(s.Inherits, sql.Inherit{Child: child, Parent: parent})
	app := s.Schema("app")
	s.Functions = append(s.Functions,
		sql.Function{OID: 90001, Namespace: app, Name: "peek", Kind: "f", Volatility: "s", Args: []uint32{25}, Result: 25},
		sql.Function{OID: 90002, Namespace: app, Name: "definer", Kind: "f", Volatility: "i", Definer: true, Result: 23},
		sql.Function{OID: 90003, Namespace: app, Name: "lower", Kind: "f", Volatility: "i", Args: []uint32{23}, Result: 25},
		sql.Function{OID: 90004, Namespace: app, Name: "eq", Kind: "f", Volatility: "i", Args: []uint32{25, 23}, Result: 16},
		sql.Function{OID: 90005, Namespace: app, Name: "rows", Kind: "f", Volatility: "s", Result: 25, Set: true})
	s.Operators = append(s.Operators, sql.Operator{OID: 90010, Namespace: app, Name: "=", Left: 25, Right: 23, Result: 16, Function: 90004})
	s.Casts = append(s.Casts, sql.Cast{OID: 90020, Source: 25, Target: 23, Function: 90003, Context: "e", Method: "f"})
	cat, err := sql.NewCatalogue(s)
	if err != nil {
		t.Fatal(err)
	}
	return cat
}

func oidOf(s sql.Snapshot, name string) uint32 {
	for _, r := range s.Relations {
		if r.Name == name {
			return r.OID
		}
	}
	return 0
}
