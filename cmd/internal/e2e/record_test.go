package e2e

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"

	"shiguan/auditlog/record"
)

// onRecord is what the log must say about one statement.
type onRecord struct {
	text     string
	params   string
	decision string
	rows     int64
	state    string // SQLSTATE, "" = completed
	tag      string
}

func (s *statement) summary() onRecord {
	var params []string
	for _, p := range s.Params {
		switch {
		case p.Null:
			params = append(params, "null")
		case p.Text != nil:
			params = append(params, "t"+*p.Text)
		default:
			params = append(params, fmt.Sprintf("%d:%s", p.Format, base64.StdEncoding.EncodeToString(p.Binary)))
		}
	}
	return onRecord{s.Statement, strings.Join(params, " "), s.Decision, s.outcome.Rows, s.outcome.SQLState, s.outcome.Tag}
}

// conversations are scripts (see testdata/transcripts) with what the log must say afterwards.
var conversations = []struct {
	script string
	want   []onRecord
}{
	{`Query "select 1"
< Z`, []onRecord{{"select 1", "", "allowed", 1, "", "SELECT 1"}}},
	{`Query "select aid from pgbench_accounts where aid < 6; select 2"
< Z`, []onRecord{{"select aid from pgbench_accounts where aid < 6", "", "allowed", 5, "", "SELECT 5"}, {"select 2", "", "allowed", 1, "", "SELECT 1"}}},
	{`Query ""
< Z`, []onRecord{{"", "", "allowed", 0, "", ""}}},
	{`Parse s "select aid, $2::text, $3::text from pgbench_accounts where aid < $1"
Bind "" s t"4" b"\xe5\x8f\xb2" null -> 1
Execute ""
Sync
< Z
Bind "" s b"\x00\x00\x00\x03" t"" t"x"
Execute ""
Sync
< Z`, []onRecord{
		{"select aid, $2::text, $3::text from pgbench_accounts where aid < $1", "t4 1:5Y+y null", "allowed", 3, "", "SELECT 3"},
		{"select aid, $2::text, $3::text from pgbench_accounts where aid < $1", "1:AAAAAw== t tx", "allowed", 2, "", "SELECT 2"}}},
	{`Parse s "select aid from pgbench_accounts where aid < 6"
Bind "" s
Execute "" 3
Execute "" 3
Sync
< Z`, []onRecord{
		{"select aid from pgbench_accounts where aid < 6", "", "allowed", 3, "", ""},
		{"select aid from pgbench_accounts where aid < 6", "", "allowed", 2, "", "SELECT 2"}}},
	{`Query "select 1/0"
< Z`, []onRecord{{"select 1/0", "", "allowed", 0, "22012", ""}}},
	{`Query "select 1; select 1/0; select 3"
< Z`, []onRecord{{"select 1", "", "allowed", 1, "", "SELECT 1"}, {"select 1/0", "", "allowed", 0, "22012", ""}, {"select 3", "", "allowed", 0, "skipped", ""}}},
	{`Parse "" "select 'x'::int"
Bind "" ""
Execute ""
Sync
< Z`, []onRecord{{"select 'x'::int", "", "allowed", 0, "skipped", ""}, {"select 'x'::int", "", "failed", 0, "22P02", ""}}},
	{`Parse s "select $1::int"
Bind "" s t"x"
Execute ""
Sync
< Z`, []onRecord{{"select $1::int", "tx", "allowed", 0, "skipped", ""}, {"select $1::int", "tx", "failed", 0, "22P02", ""}}},
	{`Parse s "select 1/$1::int"
Parse t "select 7"
Bind "" s t"0"
Execute ""
Bind "" t
Execute ""
Sync
< Z`, []onRecord{{"select 1/$1::int", "t0", "allowed", 0, "skipped", ""}, {"select 7", "", "allowed", 0, "skipped", ""}, {"select 1/$1::int", "t0", "failed", 0, "22012", ""}}},
	{`Parse s "select 1/(aid-1) from pgbench_accounts where aid = $1"
Parse t "select 7"
Bind "" s t"1"
Execute ""
Bind "" t
Execute ""
Sync
< Z`, []onRecord{{"select 1/(aid-1) from pgbench_accounts where aid = $1", "t1", "allowed", 0, "22012", ""}, {"select 7", "", "allowed", 0, "skipped", ""}}},
	{`Query "selec 1"
< Z`, []onRecord{{"selec 1", "", "failed", 0, "42601", ""}}},
	{`Parse "" "selec 1"
Sync
< Z`, []onRecord{{"selec 1", "", "failed", 0, "42601", ""}}},
	{`Parse "" "select 1; select 2"
Sync
< Z`, []onRecord{{"select 1; select 2", "", "failed", 0, "42601", ""}}},
	{`Query "select 1; ` + refusedStatement + `"
< Z`, []onRecord{{"select 1; " + refusedStatement, "", "refused", 0, "42501", ""}}},
	{`Parse "" "` + refusedStatement + `"
Bind "" ""
Execute ""
Sync
< Z`, []onRecord{{refusedStatement, "", "refused", 0, "42501", ""}}},
	{`Bind "" nothing t"x"
Execute ""
Sync
Describe P nothing
Sync
Execute nothing
Sync
< ZZZ`, []onRecord{{"", "", "failed", 0, "26000", ""}, {"", "", "failed", 0, "34000", ""}, {"", "", "failed", 0, "34000", ""}}},
	{`Bytes 46 0000000e 00000000 0000 0000 0000
< Z`, []onRecord{{"(function call)", "", "refused", 0, "42501", ""}}},
	{`Query "begin; insert into pgbench_copy values (200, 'x', 1), (201, 'y', 2); update pgbench_copy set n = 3 where id > 199; delete from pgbench_copy where id = 200; rollback"
< Z`, []onRecord{
		{"begin", "", "allowed", 0, "", "BEGIN"},
		{"insert into pgbench_copy values (200, 'x', 1), (201, 'y', 2)", "", "allowed", 2, "", "INSERT 0 2"},
		{"update pgbench_copy set n = 3 where id > 199", "", "allowed", 2, "", "UPDATE 2"},
		{"delete from pgbench_copy where id = 200", "", "allowed", 1, "", "DELETE 1"},
		{"rollback", "", "allowed", 0, "", "ROLLBACK"}}},
	{`Query "copy pgbench_copy from stdin"
< G
CopyData "202\tx\t1\n203\ty\t2\n"
CopyDone
< Z
Query "copy pgbench_copy (id) to stdout (format csv, header)"
< Z
Query "delete from pgbench_copy"
< Z`, []onRecord{
		{"copy pgbench_copy from stdin", "", "allowed", 2, "", "COPY 2"},
		{"copy pgbench_copy (id) to stdout (format csv, header)", "", "allowed", 2, "", "COPY 2"},
		{"delete from pgbench_copy", "", "allowed", 2, "", "DELETE 2"}}},
	{`Query "copy pgbench_copy from stdin"
< G
CopyData "204\tx\tx\n"
CopyDone
< Z
Query "copy pgbench_copy from stdin"
< G
CopyFail "no"
< Z`, []onRecord{{"copy pgbench_copy from stdin", "", "allowed", 0, "22P02", ""}, {"copy pgbench_copy from stdin", "", "allowed", 0, "57014", ""}}},
	{`Query "prepare q (int) as select abalance from pgbench_accounts where aid = $1"
Query "execute q(1)"
Query "deallocate q"
< ZZZ`, []onRecord{
		{"prepare q (int) as select abalance from pgbench_accounts where aid = $1", "", "allowed", 0, "", "PREPARE"},
		{"execute q(1)", "", "allowed", 1, "", "SELECT 1"},
		{"deallocate q", "", "allowed", 0, "", "DEALLOCATE"}}},
	{`Parse s "select 'old'"
Sync
Parse s "select 'new'"
Sync
Bind "" s
Execute ""
Sync
< ZZZ`, []onRecord{{"select 'new'", "", "failed", 0, "42P05", ""}, {"select 'old'", "", "allowed", 1, "", "SELECT 1"}}},
	{`Query "prepare q as select 'old'"
Query "deallocate q; prepare q as select 'new'; select 1/0"
Query "execute q"
< ZZZ`, []onRecord{
		{"prepare q as select 'old'", "", "allowed", 0, "", "PREPARE"},
		{"deallocate q", "", "allowed", 0, "", "DEALLOCATE"},
		{"prepare q as select 'new'", "", "allowed", 0, "", "PREPARE"},
		{"select 1/0", "", "allowed", 0, "22012", ""},
		{"execute q", "", "allowed", 1, "", "SELECT 1"}}},
	{`Parse i "insert into pgbench_child values (200, 99)"
Bind "" i
Execute ""
Sync
< Z`, []onRecord{{"insert into pgbench_child values (200, 99)", "", "allowed", 1, "", "INSERT 0 1"}}},
	{`Query "select 1"
Query "select 2"
Terminate
< eof`, []onRecord{{"select 1", "", "allowed", 1, "", "SELECT 1"}, {"select 2", "", "allowed", 1, "", "SELECT 1"}}},
}

// Every execution has exactly one statement record and exactly one outcome, whichever way it went.
func TestEveryExecutionIsOnRecordOnce(t *testing.T) {
	furnish(t)
	from := logSize(t)
	for i, c := range conversations {
		scripts, err := parseScripts(fmt.Sprint("conversation ", i), "## x\n"+c.script)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			application := fmt.Sprintf("conversation-%d", i)
			frames := scripts[0].play(t, dsn(t, "bench", "application_name="+application))
			want := c.want
			if !strings.HasSuffix(c.script, "eof") {
				want = append(want, onRecord{"select 'still here'", "", "allowed", 1, "", "SELECT 1"})
			}
			got := statementsOf(t, sessionOf(t, application, from))
			for k := range max(len(got), len(want)) {
				switch {
				case k >= len(got):
					t.Errorf("missing: %+v", want[k])
				case k >= len(want):
					t.Errorf("too much: %+v", got[k].summary())
				case got[k].summary() != want[k]:
					t.Errorf("on record is\n  %+v\nwant\n  %+v", got[k].summary(), want[k])
				}
			}
			if t.Failed() {
				t.Logf("the client received\n%s", text(frames))
			}
		})
	}
}

// A statement whose end nobody saw is shown as unknown, never as nothing.
func TestStatementsOfClientsThatVanish(t *testing.T) {
	furnish(t)
	from := logSize(t)
	c := raw(t, dsn(t, "bench", "application_name=vanishing"))
	c.send(&pgproto3.Query{String: "select count(*) from pgbench_accounts a, pgbench_accounts b"})
	eventually(t, "the statement begins", func() error {
		for _, e := range recordsSince(t, from) {
			if e.Application == "vanishing" && e.Kind == record.KindStatement {
				return nil
			}
		}
		return fmt.Errorf("no record yet")
	})
	began := time.Now()
	c.Close()
	all := statementsOf(t, sessionOf(t, "vanishing", from))
	if len(all) != 1 || all[0].outcome.SQLState == "" || all[0].outcome.Rows > 0 {
		t.Errorf("the outcome is %+v", all[0].outcome)
	}
	// Nobody waits for the result: the server is told to stop.
	eventually(t, "the server stops working for nobody", func() error {
		var n int
		err := superuser(t).QueryRow(t.Context(), "select count(*) from pg_stat_activity where application_name = 'vanishing'").Scan(&n)
		if err == nil && n > 0 {
			err = fmt.Errorf("it still does after %v", time.Since(began))
		}
		return err
	})
}
