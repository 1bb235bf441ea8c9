package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"
)

// refusedStatement is what the person of the scripts may not do.
const refusedStatement = "select name from civil.citizens limit 1"

// After a refusal client and server are in exactly the state that PostgreSQL has after an error.
func TestRefusalsHaveTheEffectOfErrors(t *testing.T) {
	furnish(t)
	for _, file := range []string{"statements", "names"} {
		playRefusals(t, file)
	}
}

func TestRowsBeyondTheLimitHaveTheEffectOfErrors(t *testing.T) {
	furnish(t)
	withPolicy(t, "    on:  [public.pgbench_*]\n", "    on:  [public.pgbench_*]\n    limit: {rows: 3}\n")
	playRefusals(t, "limited")

	// A change cannot be undone outside of a block of the simple protocol: it is not begun there.
	c := raw(t, dsn(t, "bench"))
	frames := c.ask("update pgbench_accounts set abalance = 42 returning aid")
	if e := errorOf(frames); e == nil || e.Code != "42501" || !strings.Contains(e.Message, "transaction block") {
		t.Errorf("a change with too many rows: %s", text(frames))
	}
	if n := values(c.ask("select count(*) from pgbench_accounts where abalance = 42"))[0][0]; n != "0" {
		t.Errorf("%s rows were changed", n)
	}
}

var alternatives = regexp.MustCompile(`\{([^{}|]*)\|([^{}|]*)\}`)

func playRefusals(t *testing.T, name string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", "refusals", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	both := strings.ReplaceAll(string(content), "{refused}", "{this cannot be parsed|"+refusedStatement+"}")
	failing, err := parseScripts(name, alternatives.ReplaceAllString(both, "$1"))
	if err != nil {
		t.Fatal(err)
	}
	refused, err := parseScripts(name, alternatives.ReplaceAllString(both, "$2"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range failing {
		t.Run(name+"/"+failing[i].name, func(t *testing.T) {
			direct := failing[i].play(t, directDSN(t, "bench"))
			proxied := refused[i].play(t, dsn(t, "bench"))
			compareRefusal(t, direct, proxied)
		})
	}
}

// compareRefusal compares everything but what rows, their descriptions and errors say. Rows need not come at all: of some
// statements PostgreSQL collects them before it sends the first.
func compareRefusal(t *testing.T, direct, proxied []frame) {
	t.Helper()
	for _, batch := range strings.Split(kinds(proxied), "Z") {
		if strings.Contains(batch, "E") && strings.Count(batch, "D")+strings.Count(batch, "d") > 3 {
			t.Errorf("too many rows left: %s", batch)
		}
	}
	direct, proxied = withoutRows(direct), withoutRows(proxied)
	if kinds(direct) != kinds(proxied) {
		t.Fatalf("an error leaves %s, the refusal %s\n%s", kinds(direct), kinds(proxied), text(proxied))
	}
	refusals := 0
	for i, d := range direct {
		p := proxied[i]
		switch d.kind() {
		case 'E':
			want := errorOf([]frame{d}).Code
			if want == "42601" || want == "22012" || want == "42883" {
				want = "42501"
				if strings.Contains(t.Name(), "Limit") && !strings.Contains(errorOf([]frame{p}).Message, "must be sent") {
					want = "53400"
				}
				refusals++
			}
			if got := errorOf([]frame{p}); got.Code != want || got.Severity != "ERROR" {
				t.Errorf("message %d is %s %s %q, want %s", i, got.Severity, got.Code, got.Message, want)
			}
		default:
			if !bytes.Equal(d, p) {
				t.Errorf("message %d is %q, want %q", i, p, d)
			}
		}
	}
	if refusals == 0 && !strings.Contains(t.Name(), "just_enough") {
		t.Error("nothing was refused")
	}
}

func withoutRows(frames []frame) []frame {
	return slices.DeleteFunc(frames, func(f frame) bool { return strings.IndexByte("TDd", f.kind()) >= 0 })
}

// withPolicy puts a policy with one passage replaced in force until the test ends.
func withPolicy(t *testing.T, old, replacement string) {
	t.Helper()
	before, err := os.ReadFile(city.Policy)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Count(before, []byte(old)) != 1 {
		t.Fatalf("%q does not stand once in the city's policy", old)
	}
	t.Cleanup(func() { putPolicy(t, before) })
	putPolicy(t, bytes.Replace(before, []byte(old), []byte(replacement), 1))
}

// putPolicy has the proxy read another policy and waits until it has.
func putPolicy(t *testing.T, policy []byte) {
	t.Helper()
	reloads := func() int { return strings.Count(proxyOutput(t), "certificates reloaded") }
	before := reloads()
	if err := os.WriteFile(city.Policy, policy, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(city.PIDs["proxy"], syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the proxy reads its policy again", func() error {
		if reloads() == before {
			return fmt.Errorf("it has not: %s", lastLines(proxyOutput(t)))
		}
		return nil
	})
}

// proxyOutput is what the proxy has written to its log file.
func proxyOutput(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(city.dir, "log-proxy.txt"))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func lastLines(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

// eventually waits until something holds that must come to hold.
func eventually(t testing.TB, what string, holds func() error) {
	t.Helper()
	for until := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		err := holds()
		if err == nil {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// The refusal says which rule and which record, and nothing else from inside.
func TestRefusalsNameRuleAndRecord(t *testing.T) {
	c := raw(t, dsn(t, "bench"))
	for _, frames := range [][]frame{c.ask(refusedStatement), pipeline(c, &pgproto3.Parse{Query: refusedStatement})} {
		e := errorOf(frames)
		if e == nil || e.Code != "42501" || !regexp.MustCompile(`^Rule [a-z-]+; record [0-9]+ of the audit log\.$`).MatchString(e.Detail) || e.Where != "" || e.InternalQuery != "" {
			t.Errorf("the refusal is %+v", e)
		}
	}
}

// pipeline sends messages and a Sync, and reads up to ReadyForQuery.
func pipeline(c *rawConn, messages ...pgproto3.FrontendMessage) []frame {
	c.t.Helper()
	c.send(append(messages, &pgproto3.Sync{})...)
	return c.until('Z')
}
