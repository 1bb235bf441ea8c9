package e2e

import (
	"strings"
	"testing"

	"github.com/jackc/pgproto3/v2"
)

const (
	loadTestMay     = "    on:  [public.pgbench_*]\n"
	loadTestIsOpen  = "    on:  [\"*\"]\n    transparent: true\n"
	loadTestsNumber = "load-test-runs-pgbench"
)

// What is not understood is on record too, once, with its outcome, and says that nobody understood it.
func TestWhatATransparentRuleLetsPassIsOnRecord(t *testing.T) {
	furnish(t)
	withPolicy(t, loadTestMay, loadTestIsOpen)
	from := logSize(t)
	c := raw(t, dsn(t, "bench", "application_name=observed"))
	c.ask("select aid from pgbench_accounts where aid < 3")
	c.ask("select nothing from pgbench_branches")
	c.ask("select 1; do $$ begin perform 2; end $$; select nothing")
	c.ask("selec 1; select 2")
	c.ask("set standard_conforming_strings = off")
	c.ask(`select 'a\'' from generate_series(1, 2); select '\''; begin; commit`)
	pipeline(c, &pgproto3.Parse{Name: "s", Query: `select '\'' || $1::text`}, &pgproto3.Bind{PreparedStatement: "s", Parameters: [][]byte{[]byte("x")}}, &pgproto3.Execute{})
	c.sendBytes([]byte{'F', 0, 0, 0, 26, 0, 0, 3, 0x72, 0, 1, 0, 0, 0, 1, 0, 0, 0, 6, '-', '1', '2', '7', '.', '5', 0, 0})
	c.until('Z')
	c.send(&pgproto3.Terminate{})
	want := []onRecord{
		{"select aid from pgbench_accounts where aid < 3", "", "allowed", 2, "", "SELECT 2"},
		{"select nothing from pgbench_branches", "", "allowed", 0, "42703", ""},
		{"select 1", "", "allowed", 1, "", "SELECT 1"},
		{"do $$ begin perform 2; end $$", "", "allowed", 0, "", "DO"},
		{"select nothing", "", "allowed", 0, "42703", ""},
		{"selec 1; select 2", "", "allowed", 0, "42601", ""},
		{"set standard_conforming_strings = off", "", "allowed", 0, "", "SET"},
		{`select 'a\'' from generate_series(1, 2); select '\''; begin; commit`, "", "allowed", 3, "", "COMMIT"},
		{`select '\'' || $1::text`, "tx", "allowed", 1, "", "SELECT 1"},
		{"(function call of 882)", "t-127.5", "allowed", 0, "", ""},
	}
	all := statementsOf(t, sessionOf(t, "observed", from))
	for i, s := range all {
		if i >= len(want) || s.summary() != want[i] {
			t.Errorf("record %d is %+v", i, s.summary())
		}
		understood := i == 0
		if why := s.Detail["not_analysed"]; (why == "") != understood || s.Rule != loadTestsNumber {
			t.Errorf("record %d (%s) says of its analysis: %q, rule %s", i, s.Statement, why, s.Rule)
		}
	}
	if len(all) != len(want) {
		t.Errorf("%d statements are on record, want %d", len(all), len(want))
	}
}

// A session that did what could only be observed goes on under no other rule; one that did not may.
func TestObservedSessionsAreNotTrustedLater(t *testing.T) {
	furnish(t)
	withPolicy(t, loadTestMay, loadTestIsOpen)
	moved, harmless := raw(t, dsn(t, "bench", "search_path=pg_catalog")), raw(t, dsn(t, "bench"))
	if e := errorOf(harmless.ask("select bid from pgbench_branches")); e != nil {
		t.Error(e.Message)
	}
	withPolicy(t, loadTestIsOpen, loadTestMay)
	if e := errorOf(moved.ask("select bid from public.pgbench_branches")); e == nil || e.Code != "42501" || !strings.Contains(e.Message, "connect again") {
		t.Errorf("a session with a search_path of its own: %+v", e)
	}
	if e := errorOf(harmless.ask("select bid from pgbench_branches")); e != nil {
		t.Errorf("a session that only read: %s", e.Message)
	}
	if e := errorOf(harmless.ask("select nothing from pgbench_branches")); e == nil || e.Code != "42501" {
		t.Errorf("what is not understood passes still: %+v", e)
	}
}
