package e2e

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgproto3/v2"

	"shiguan/auditlog/record"
)

// Parameters are kept for portals that may yet be executed, not for all that one pipeline has bound.
func TestParametersOfAPipelineAreNotHoarded(t *testing.T) {
	const binds = 120
	unharmed(t, 600, func(serves func()) {
		c := raw(t, dsn(t, "bench"))
		c.send(&pgproto3.Parse{Query: "select length($1::text)"})
		bind := encode(&pgproto3.Bind{Parameters: [][]byte{[]byte(strings.Repeat("x", 8<<20))}})
		for range binds {
			c.sendBytes(bind)
		}
		c.send(&pgproto3.Execute{}, &pgproto3.Sync{})
		frames := c.until('Z')
		if e := errorOf(frames); e != nil {
			t.Fatalf("%s %s", e.Code, e.Message)
		}
		if got := strings.Count(kinds(frames), "2"); got != binds {
			t.Errorf("%d of %d were bound", got, binds)
		}
	})
}

// A portal that was open when the policy changed releases nothing that only the old one showed.
func TestAnOpenPortalGetsTheNewMasks(t *testing.T) {
	c := raw(t, dsn(t, "auditor"))
	c.ask("begin")
	begun := pipeline(c, &pgproto3.Parse{Query: "select phone from civil.citizens"},
		&pgproto3.Bind{DestinationPortal: "p"}, &pgproto3.Execute{Portal: "p", MaxRows: 1})
	if rows := values(begun); len(rows) != 1 || strings.Trim(rows[0][0][:3], "0123456789") != "" {
		t.Fatalf("before: %s", text(begun))
	}
	withPolicy(t, "{mask: keep, first: 3, last: 4}", "{mask: constant, value: gone}")
	frames := pipeline(c, &pgproto3.Execute{Portal: "p", MaxRows: 5})
	if len(values(frames)) == 0 && errorOf(frames) == nil {
		t.Errorf("neither rows nor an error: %s", text(frames))
	}
	for _, row := range values(frames) {
		if row[0] != "gone" {
			t.Errorf("%q left under a policy that is no longer in force", row[0])
		}
	}
}

// DISCARD TEMP in a block that is rolled back has dropped nothing: the names of temporary tables still hide others.
func TestDiscardedTablesMayComeBack(t *testing.T) {
	admin := superuser(t)
	must := func(statement string) {
		if _, err := admin.Exec(context.Background(), statement+roles["bench"]); err != nil {
			t.Error(err)
		}
	}
	must("grant temporary on database civil to ")
	t.Cleanup(func() { must("revoke temporary on database civil from ") })
	withPolicy(t, "    on:  [public.pgbench_*]\n", "    on:  [public.pgbench_*, pg_temp.*]\n")
	c := raw(t, dsn(t, "bench"))
	if e := errorOf(c.ask("create temporary table pgbench_tellers (tid int, filler text)")); e != nil {
		t.Fatalf("%s %s", e.Code, e.Message)
	}
	const write = "update pgbench_tellers set filler = 'mine'"
	hidden := func(when string) {
		t.Helper()
		if frames := c.ask(write); errorOf(frames) == nil {
			t.Errorf("%s: a change of a temporary table is recorded as one of public.pgbench_tellers: %s", when, text(frames))
		}
	}
	hidden("at first")
	for _, statement := range []string{"begin", "discard temp", "rollback"} {
		if e := errorOf(c.ask(statement)); e != nil {
			t.Fatalf("%s: %s %s", statement, e.Code, e.Message)
		}
	}
	hidden("after a rollback")
	c.ask("begin")
	c.ask("discard all") // fails in a block
	c.ask("rollback")
	hidden("after DISCARD ALL has failed")
	c.ask("discard all")
	if e := errorOf(c.ask("select count(tid) from pgbench_tellers")); e != nil {
		t.Errorf("after DISCARD ALL: %s %s", e.Code, e.Message)
	}
}

// Who can change the people file can log in under another's name: which file was in force is on record, from the start on.
func TestThePeopleFileIsOnRecord(t *testing.T) {
	config, err := os.ReadFile(city.ProxyConfig)
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`(?m)^people: *(\S+)$`).FindSubmatch(config)
	if named == nil {
		t.Fatalf("the proxy's configuration names no people file:\n%s", config)
	}
	file := string(named[1])
	if !filepath.IsAbs(file) {
		file = filepath.Join(filepath.Dir(city.ProxyConfig), file)
	}
	people, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("sha256:%x", sha256.Sum256(people))
	started := 0
	for _, e := range recordsSince(t, 0) {
		if e.Kind == record.KindStarted {
			started++
			if got := e.Detail["people"]; got != want {
				t.Errorf("record %d says %q, the file is %s", e.index, got, want)
			}
		}
	}
	if started == 0 {
		t.Error("the start is not on record")
	}
}
