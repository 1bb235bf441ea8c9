package cli

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"shiguan/cmd/internal/demo/city"
	"shiguan/cmd/internal/pgtest"
	"shiguan/policy"
)

// TestPolicyDiscover looks at citizens of the demo city in a real database, under names that tell and names that do not.
func TestPolicyDiscover(t *testing.T) {
	ctx := t.Context()
	server := pgtest.Start(t)
	if err := server.CreateDatabase(ctx, "civil", `CREATE SCHEMA civil; CREATE SCHEMA "Alt";
		CREATE DOMAIN civil.number AS varchar(18);
		CREATE TABLE civil.citizens (id_number civil.number, name text, phone text, address text, birth_date date, remark text, district text);
		CREATE TABLE civil.parts (a text, b bigint) PARTITION BY HASH (a);
		CREATE TABLE civil.parts_0 PARTITION OF civil.parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
		CREATE TABLE civil.parts_1 PARTITION OF civil.parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
		CREATE TABLE "Alt"."Firmen" ("Code" text, mail text, card numeric);
		CREATE TABLE civil.secret (phone text); CREATE TABLE civil.nothing (phone text);
		CREATE VIEW civil.v AS SELECT phone FROM civil.citizens;
		INSERT INTO "Alt"."Firmen" SELECT '91350100M000100Y43', 'a' || n || '@example.com', 4111111111111111 FROM generate_series(1, 50) n;
		CREATE ROLE looker LOGIN PASSWORD 'x'; GRANT USAGE ON SCHEMA civil, "Alt" TO looker;
		GRANT SELECT ON ALL TABLES IN SCHEMA civil, "Alt" TO looker; REVOKE ALL ON civil.secret FROM looker`); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(ctx, server.DSN("civil"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	var rows, parts [][]any
	people := city.New().Citizens
	for i, c := range people {
		remark := any(nil)
		if i%3 == 0 {
			remark = fmt.Sprintf("note %d", i)
		}
		rows = append(rows, []any{c.ID, c.Name, c.Phone, c.Address, c.Born, remark, "天元区"})
		parts = append(parts, []any{c.ID, 13800000000 + int64(i)})
	}
	for range 15 { // enough of them that pages are sampled
		if _, err := conn.CopyFrom(ctx, pgx.Identifier{"civil", "citizens"}, []string{"id_number", "name", "phone", "address", "birth_date", "remark", "district"}, pgx.CopyFromRows(rows)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.CopyFrom(ctx, pgx.Identifier{"civil", "parts"}, []string{"a", "b"}, pgx.CopyFromRows(parts)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(ctx, "ANALYZE"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(ctx, "ALTER ROLE looker SET search_path = ''"); err != nil {
		t.Fatal(err)
	}
	config := conn.Config()
	dsn := fmt.Sprintf("host=%s port=%d dbname=civil user=looker password=x", config.Host, config.Port)

	out := shiguan(t, "policy", "discover", dsn).must(t, ExitOK, "not looked at: civil.secret: the role may not read it", "Looked at")
	want := []string{"\n  '\"Alt\".\"Firmen\"':\n", "    Code: {class: credit_code} # 50 of 50 sampled values are unified social credit codes", "    mail: {class: email}", "    card: {class: bank_card}",
		"\n  civil.citizens:\n    id_number: {class: resident_id, subject: true} # ", "    name: {class: person_name} # ", "    phone: {class: phone} # 1000 of 1000 sampled values are mobile numbers",
		"    address: {class: address} # ", "\n  civil.parts:\n    a: {class: resident_id, subject: true} # ", "    b: {class: phone} # ", "  resident_id: {mask: keep, first: 6, last: 4, fill: 8}"}
	for _, w := range want {
		if !strings.Contains("\n"+out.out, w) {
			t.Errorf("no %q in\n%s", w, out.out)
		}
	}
	for _, not := range []string{"remark", "district", "parts_0", "civil.v:", "civil.nothing", "birth_date", people[0].ID, people[0].Name + " ", "138000", "91350100"} {
		if strings.Contains(out.out, not) {
			t.Errorf("%q in\n%s", not, out.out)
		}
	}
	// What is proposed is a policy, once there are rules.
	if _, err := policy.Parse("draft.yaml", []byte("version: 1\n"+out.out+"rules:\n  - {id: r, who: {user: a}, may: [select], on: [civil.citizens]}\n")); err != nil {
		t.Errorf("%v in\n%s", err, out.out)
	}
	for _, p := range objects(t, shiguan(t, "policy", "discover", "--json", dsn).must(t, ExitOK).out) {
		if p["sampled"].(float64) > 1000 || p["matched"].(float64) > p["sampled"].(float64) || p["sampled"].(float64) < 50 {
			t.Errorf("%v", p)
		}
	}
	shiguan(t, "policy", "discover", "host=127.0.0.1 port=1").must(t, ExitUsage, "the database cannot be reached")
}
