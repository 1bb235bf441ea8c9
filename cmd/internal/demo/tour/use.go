package tour

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"shiguan/cmd/internal/demo"
)

// use walks through what people may see and do, and what they may not.
func (w *walker) use() {
	id := demo.Sample().ID
	citizen := "select id_number, name, phone, address, birth_date from civil.citizens where id_number = '" + id + "'"
	account := "select account_no, id_number, employer, balance from housing.fund_accounts where id_number = '" + id + "'"

	w.chapter("People use the database, each as far as the policy says")
	w.step("a clerk with a case sees a citizen's name and birth date; number, phone and address are masked, in text and binary", func() error {
		return w.shown("civil_clerk", true, citizen, "id_number", "phone", "address")
	})
	w.step("masks keep what helps and hide the rest: 6 first and 4 last of a resident ID, 3 and 4 of a phone number", w.maskShapes)
	w.step("households: size and district are nobody's secret, the head's number is", func() error {
		return w.shown("civil_clerk", true, "select household_id, id_number, size, district from civil.households order by household_id limit 20", "id_number")
	})
	w.step("without a purpose the same clerk is refused", func() error {
		return w.refused("civil_clerk", false, citizen, "select size from civil.households")
	})
	w.step("what is masked cannot be inferred: not filtered, ordered, grouped, cast, computed with, counted by or united", func() error {
		return w.refused("civil_clerk", true,
			"select name from civil.citizens where phone like '154%'",
			"select name from civil.citizens order by phone",
			"select phone, count(*) from civil.citizens group by phone",
			"select phone::bigint from civil.citizens",
			"select substr(phone, 1, 5) from civil.citizens",
			"select name from civil.citizens where id_number > '99'",
			"select c from civil.citizens c",
			"select phone from civil.citizens union all select 'x'")
	})
	w.step("and nothing outside his department, nor the roads around: other tables, DDL, programs, functions that run SQL, statistics", func() error {
		return w.refused("civil_clerk", true, account, "select * from welfare.payments", "update civil.citizens set phone = '1'",
			"create table t (a int)", "copy civil.citizens to program 'cat'", "select query_to_xml('select 1', true, false, '')",
			"select relname, most_common_vals from pg_stats, pg_class limit 1")
	})
	w.step("his manager sees civil in clear, byte for byte what the server sends", func() error {
		return errors.Join(w.shown("civil_manager", false, citizen), w.shown("civil_manager", false, "select * from civil.citizen_names order by id_number limit 50"))
	})
	w.step("she may change a telephone number and an address, and nothing else", w.managerUpdates)
	w.step("the housing fund's clerk sees accounts in clear and of a citizen only the name, by number", func() error {
		return errors.Join(w.shown("fund_clerk", false, account),
			w.shown("fund_clerk", false, "select name from civil.citizens where id_number = '"+id+"'"),
			w.refused("fund_clerk", false, citizen, "select phone from civil.citizens", "select * from welfare.payments", "delete from housing.fund_accounts"))
	})
	w.step("the auditor reads everything and nothing sensitive in clear", func() error {
		return errors.Join(
			w.shown("auditor", false, "select * from civil.citizens where birth_date = '"+demo.Sample().Born.Format("2006-01-02")+"'", "id_number", "name", "phone", "address"),
			w.shown("auditor", false, "select * from housing.fund_accounts limit 20", "account_no", "id_number", "balance"),
			w.shown("auditor", false, "select * from welfare.payments order by payment_id limit 20", "id_number", "amount", "reason"),
			w.refused("auditor", false, citizen, "update housing.fund_accounts set balance = 0"))
	})
	w.step("the load tester has pgbench's tables and nothing else", func() error {
		return errors.Join(w.shown("bench", false, "select aid, bid, abalance, filler from pgbench_accounts where aid = 4711"),
			w.refused("bench", false, citizen, "select employer from housing.fund_accounts"))
	})
	w.step("a wrong password and an unknown user look the same, and are refused", w.logins)
}

// maskShapes compares masked values with the truth, character by character.
func (w *walker) maskShapes() error {
	text := "select id_number, phone from civil.citizens where id_number = '" + demo.Sample().ID + "'"
	truth, err := query(w.ctx, w.direct.conn, modes[1], text)
	if err != nil {
		return err
	}
	return w.in("civil_clerk", true, func(conn *pgconn.PgConn, m mode) error {
		got, err := query(w.ctx, conn, m, text)
		if err != nil {
			return err
		}
		if len(got.rows) != 1 {
			return fmt.Errorf("%d rows", len(got.rows))
		}
		return errors.Join(keeps(got.rows[0][0], truth.rows[0][0], 6, 4), keeps(got.rows[0][1], truth.rows[0][1], 3, 4))
	})
}

// keeps checks a mask of the sort "keep": the ends are those of the truth and nothing between them is.
func keeps(masked, truth []byte, first, last int) error {
	m, t := string(masked), string(truth)
	if len(t) < first+last || !strings.HasPrefix(m, t[:first]) || !strings.HasSuffix(m, t[len(t)-last:]) {
		return fmt.Errorf("%q does not keep %d first and %d last", m, first, last)
	}
	if strings.ContainsAny(strings.TrimSuffix(strings.TrimPrefix(m, t[:first]), t[len(t)-last:]), "0123456789X") {
		return fmt.Errorf("%q shows more than %d first and %d last", m, first, last)
	}
	return nil
}

func (w *walker) managerUpdates() error {
	who := demo.Sample()
	where := " where id_number = '" + who.ID + "'"
	conn, err := w.as("civil_manager", false)
	if err != nil {
		return err
	}
	defer conn.Close(w.ctx)
	for _, phone := range []string{"15400000000", who.Phone} { // the second one puts it back
		results, err := conn.Exec(w.ctx, "update civil.citizens set phone = '"+phone+"'"+where).ReadAll()
		if err != nil {
			return err
		}
		if n := results[0].CommandTag.RowsAffected(); n != 1 {
			return fmt.Errorf("%d rows changed", n)
		}
		now, err := w.direct.one(w.ctx, "select phone from civil.citizens"+where)
		if err != nil {
			return err
		}
		if now != phone {
			return errors.New("the change did not arrive at the server")
		}
	}
	return w.refused("civil_manager", false, "update civil.citizens set name = 'x'"+where, "delete from civil.citizens"+where,
		"select * from housing.fund_accounts", "insert into civil.households values (1, '"+who.ID+"', 1, 'x')")
}

func (w *walker) logins() error {
	var said []string
	for _, user := range []string{"civil_clerk", "nobody_at_all"} {
		_, err := pgconn.Connect(w.ctx, fmt.Sprintf("host=%s port=%d user=%s password=wrong dbname=%s sslmode=disable",
			w.m.Proxy.Host, w.m.Proxy.Port, user, w.m.Database))
		var pgErr *pgconn.PgError
		if !errors.As(err, &pgErr) || pgErr.Code != "28P01" {
			return fmt.Errorf("%s: want SQLSTATE 28P01, got %w", user, err)
		}
		said = append(said, strings.ReplaceAll(pgErr.Message, user, "USER"))
	}
	if said[0] != said[1] {
		return fmt.Errorf("the answers differ: %q and %q", said[0], said[1])
	}
	return nil
}
