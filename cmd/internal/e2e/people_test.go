package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shiguan/cmd/internal/demo"
)

// protocols are the ways a statement can take from a driver to the server.
var protocols = map[string]pgx.QueryExecMode{
	"simple":    pgx.QueryExecModeSimpleProtocol,
	"exec":      pgx.QueryExecModeExec,
	"described": pgx.QueryExecModeDescribeExec,
	"prepared":  pgx.QueryExecModeCacheStatement,
}

// seen is the result of a statement as text, with NULL for nulls.
type seen [][]string

// ask runs a statement and returns the values of its rows, as text whatever the format they came in.
func ask(ctx context.Context, c *pgx.Conn, mode pgx.QueryExecMode, binary bool, statement string, args ...any) (seen, error) {
	params := append([]any{mode}, args...)
	if binary {
		params = append([]any{mode, pgx.QueryResultFormats{1}}, args...)
	}
	rows, err := c.Query(ctx, statement, params...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all seen
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return nil, fmt.Errorf("a value cannot be decoded: %w", err)
		}
		var row []string
		for _, v := range values {
			switch v := v.(type) {
			case nil:
				row = append(row, "NULL")
			case fmt.Stringer:
				row = append(row, v.String())
			default:
				row = append(row, fmt.Sprint(v))
			}
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

// expectation is what one person gets for one statement.
type expectation struct {
	person    string
	purpose   string
	statement string
	args      []any
	refused   bool
	check     func(t *testing.T, rows seen)
}

func masked(prefix, suffix string, hidden string) func(t *testing.T, value string) {
	return func(t *testing.T, value string) {
		t.Helper()
		if !strings.HasPrefix(value, prefix) || !strings.HasSuffix(value, suffix) || !strings.Contains(value, "*") || strings.Contains(value, hidden) {
			t.Errorf("%q is not masked as %s…%s", value, prefix, suffix)
		}
	}
}

func TestPeopleSeeWhatTheyMay(t *testing.T) {
	who := demo.Sample()
	id, phone, address := who.ID, who.Phone, who.Address
	maskedID := masked(id[:6], id[14:], id[6:14])
	maskedPhone := masked(phone[:3], phone[len(phone)-4:], phone[3:len(phone)-4])
	clear := func(want ...string) func(*testing.T, seen) {
		return func(t *testing.T, rows seen) {
			t.Helper()
			if len(rows) != 1 || strings.Join(rows[0], "|") != strings.Join(want, "|") {
				t.Errorf("got %v, want %v", rows, want)
			}
		}
	}
	count := func(n int) func(*testing.T, seen) {
		return func(t *testing.T, rows seen) {
			t.Helper()
			if len(rows) != n {
				t.Errorf("got %d rows, want %d", len(rows), n)
			}
		}
	}
	const purpose = "case-2026-114"
	cases := []expectation{
		{person: "civil_clerk", purpose: purpose, statement: "select id_number, name, phone, address from civil.citizens where id_number = '" + id + "'", check: func(t *testing.T, rows seen) {
			if len(rows) != 1 {
				t.Fatalf("got %d rows", len(rows))
			}
			maskedID(t, rows[0][0])
			if rows[0][1] != who.Name {
				t.Errorf("the name is %q, want it in clear", rows[0][1])
			}
			maskedPhone(t, rows[0][2])
			if rows[0][3] == address || !strings.Contains(rows[0][3], "*") {
				t.Errorf("the address is %q", rows[0][3])
			}
		}},
		{person: "civil_clerk", purpose: purpose, statement: "select name, birth_date from civil.citizens order by birth_date limit 7", check: count(7)},
		{person: "civil_clerk", purpose: purpose, statement: "select count(*) from civil.citizens", check: clear("2000")},
		{person: "auditor", statement: "select * from civil.citizen_names limit 3", check: func(t *testing.T, rows seen) {
			count(3)(t, rows)
			for _, row := range rows {
				if !strings.Contains(strings.Join(row, " "), "*") {
					t.Errorf("row %v of the view shows a number", row)
				}
			}
		}},
		{person: "civil_clerk", purpose: purpose, statement: "select h.district, h.size, c.name from civil.households h join civil.citizens c on c.id_number = h.id_number limit 4", check: count(4)},
		{person: "civil_clerk", purpose: purpose, statement: "select name, phone from civil.citizens where id_number = $1", args: []any{id}, check: func(t *testing.T, rows seen) {
			count(1)(t, rows)
			maskedPhone(t, rows[0][1])
		}},
		{person: "civil_clerk", purpose: purpose, statement: "select name from civil.citizens where id_number in ($1, 'x')", args: []any{id}, check: clear(who.Name)},
		{person: "civil_clerk", purpose: purpose, statement: "select amount from welfare.payments limit 1", refused: true},
		{person: "civil_clerk", purpose: purpose, statement: "select count(phone) from civil.citizens", refused: true},
		{person: "civil_clerk", purpose: purpose, statement: "select phone from civil.citizens where phone is not null", refused: true},
		{person: "civil_clerk", purpose: purpose, statement: "select name from civil.citizens group by name, phone", refused: true},
		{person: "civil_clerk", purpose: purpose, statement: "select case when phone like '1%' then 1 end from civil.citizens", refused: true},
		{person: "civil_clerk", purpose: purpose, statement: "select query_to_xml('select phone from civil.citizens', true, true, '')", refused: true},
		{person: "civil_clerk", purpose: purpose, statement: "select most_common_vals::text from pg_stats limit 1", refused: true},
		{person: "civil_clerk", purpose: purpose, statement: "select set_config('role', 'superuser', false)", refused: true},
		{person: "civil_clerk", purpose: purpose, statement: "set role superuser", refused: true},
		{person: "civil_clerk", purpose: purpose, statement: "set search_path = welfare", refused: true},
		{person: "civil_clerk", purpose: purpose, statement: "do $$ begin raise notice 'x'; end $$", refused: true},
		{person: "civil_clerk", statement: "select name from civil.citizens limit 1", refused: true},
		{person: "civil_clerk", purpose: "holiday", statement: "select name from civil.citizens limit 1", refused: true},
		{person: "civil_clerk", purpose: purpose, statement: "select name from civil.citizens where phone = '" + phone + "'", refused: true},
		{person: "civil_clerk", purpose: purpose, statement: "select name from civil.citizens where id_number like '43%'", refused: true},
		{person: "civil_clerk", purpose: purpose, statement: "select name from civil.citizens order by id_number limit 1", refused: true},
		{person: "civil_clerk", purpose: purpose, statement: "select upper(phone) from civil.citizens limit 1", refused: true},
		{person: "civil_clerk", purpose: purpose, statement: "select c from civil.citizens c limit 1", refused: true},
		{person: "civil_clerk", purpose: purpose, statement: "select phone::text || '' from civil.citizens limit 1", refused: true},
		{person: "civil_clerk", purpose: purpose, statement: "select phone from civil.citizens union all select 'x' limit 1", refused: true},
		{person: "civil_clerk", purpose: purpose, statement: "select balance from housing.fund_accounts limit 1", refused: true},
		{person: "civil_clerk", purpose: purpose, statement: "update civil.citizens set phone = '1' where id_number = '" + id + "'", refused: true},
		{person: "civil_clerk", purpose: purpose, statement: "delete from civil.citizens", refused: true},
		{person: "civil_clerk", purpose: purpose, statement: "select pg_read_file('/etc/passwd')", refused: true},
		{person: "civil_clerk", purpose: purpose, statement: "create table public.t (i int)", refused: true},

		{person: "civil_manager", statement: "select id_number, name, phone, address from civil.citizens where id_number = '" + id + "'", check: clear(id, who.Name, phone, address)},
		{person: "civil_manager", statement: "select name from civil.citizens where phone = '" + phone + "'", check: count(1)},
		{person: "civil_manager", statement: "update civil.citizens set phone = $1, address = $2 where id_number = $3", args: []any{phone, address, id}, check: count(0)},
		{person: "civil_manager", statement: "update civil.citizens set phone = phone where id_number = '" + id + "' returning name, phone", check: clear(who.Name, phone)},
		{person: "civil_manager", statement: "delete from civil.citizens where id_number = 'x'", refused: true},
		{person: "civil_manager", statement: "update civil.households set size = size", refused: true},
		{person: "civil_manager", statement: "update civil.citizens set name = 'x' where id_number = '" + id + "'", refused: true},
		{person: "civil_manager", statement: "select amount from welfare.payments limit 1", refused: true},

		{person: "fund_clerk", statement: "select account_no, employer, balance from housing.fund_accounts where id_number = '" + id + "'", check: func(t *testing.T, rows seen) {
			for _, row := range rows {
				if strings.Contains(strings.Join(row, " "), "*") {
					t.Errorf("an account is masked: %v", row)
				}
			}
		}},
		{person: "fund_clerk", statement: "select name from civil.citizens where id_number = '" + id + "'", check: clear(who.Name)},
		{person: "fund_clerk", statement: "select name from civil.citizens where id_number = $1", args: []any{id}, check: clear(who.Name)},
		{person: "fund_clerk", statement: "update housing.fund_accounts set employer = employer, balance = balance + 0 where id_number = $1", args: []any{id}, check: count(0)},
		{person: "fund_clerk", statement: "delete from housing.fund_accounts where id_number = 'x'", refused: true},
		{person: "fund_clerk", statement: "update civil.citizens set name = name where id_number = '" + id + "'", refused: true},
		{person: "fund_clerk", statement: "select name from civil.citizens", refused: true},
		{person: "fund_clerk", statement: "select phone from civil.citizens where id_number = '" + id + "'", refused: true},
		{person: "fund_clerk", statement: "select reason from welfare.payments limit 1", refused: true},

		{person: "auditor", statement: "select p.payment_id, p.id_number, p.amount, p.reason, p.paid_on from welfare.payments p limit 5", check: func(t *testing.T, rows seen) {
			count(5)(t, rows)
			for _, row := range rows {
				if row[2] != "NULL" || row[3] != "***" || !strings.Contains(row[1], "*") {
					t.Errorf("a payment is shown in clear: %v", row)
				}
			}
		}},
		{person: "auditor", statement: "select employer from housing.fund_accounts limit 2", check: count(2)},
		{person: "auditor", statement: "select sum(balance) from housing.fund_accounts", refused: true},
		{person: "auditor", statement: "select 1 from housing.fund_accounts where balance > 100", refused: true},
		{person: "auditor", statement: "update welfare.payments set reason = 'x'", refused: true},

		{person: "bench", statement: "select abalance from pgbench_accounts where aid = 7", check: count(1)},
		{person: "bench", statement: "select name from civil.citizens limit 1", refused: true},
		{person: "bench", statement: "select 1 + 1", check: clear("2")},
		{person: "bench", statement: "select current_user", check: clear(roles["bench"])},
		{person: "bench", statement: "insert into pgbench_history (tid, bid, aid, delta) select 1, 1, aid, 0 from pgbench_accounts where aid < 0", check: count(0)},
		{person: "bench", statement: "create table civil.mine (i int)", refused: true},
		{person: "bench", statement: "create table other (i int)", refused: true},
		{person: "bench", statement: "select pg_sleep(0)", refused: true},
	}
	for _, x := range cases {
		for name, mode := range protocols {
			for _, binary := range []bool{false, true} {
				if binary && name == "simple" {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s/%s/binary=%v", x.person, x.statement, name, binary), func(t *testing.T) {
					var options []string
					if x.purpose != "" {
						options = append(options, "shiguan.purpose="+x.purpose)
					}
					c := connect(t, x.person, options...)
					rows, err := ask(t.Context(), c, mode, binary, x.statement, x.args...)
					x.verify(t, rows, err)
				})
			}
		}
	}
}

func (x *expectation) verify(t *testing.T, rows seen, err error) {
	t.Helper()
	var refusal *pgconn.PgError
	switch {
	case x.refused && (!errors.As(err, &refusal) || refusal.Code != "42501"):
		t.Errorf("got %d rows and error %v, want it refused with 42501", len(rows), err)
	case x.refused && !strings.Contains(refusal.Detail, "record "):
		t.Errorf("the refusal does not name its record: %+v", refusal)
	case !x.refused && err != nil:
		t.Errorf("refused: %v", err)
	case !x.refused && x.check != nil:
		x.check(t, rows)
	}
}

// A purpose may be stated by SET, at the start of the session, or in a comment.
func TestPurposeIsStatedInThreeWays(t *testing.T) {
	const statement = "select name from civil.citizens limit 1"
	c := connect(t, "civil_clerk")
	if _, err := c.Exec(t.Context(), statement); err == nil {
		t.Fatal("allowed without a purpose")
	}
	if _, err := c.Exec(t.Context(), "/*purpose='case-7'*/ "+statement); err != nil {
		t.Errorf("with a comment: %v", err)
	}
	if _, err := c.Exec(t.Context(), statement); err == nil {
		t.Error("the purpose of one comment holds for the next statement")
	}
	if _, err := c.Exec(t.Context(), "SET shiguan.purpose = 'case-7'"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exec(t.Context(), statement); err != nil {
		t.Errorf("after SET: %v", err)
	}
	c = connect(t, "civil_clerk", "options=-c%20shiguan.purpose%3Dcase-7")
	if _, err := c.Exec(t.Context(), statement); err != nil {
		t.Errorf("with a startup option: %v", err)
	}
}
