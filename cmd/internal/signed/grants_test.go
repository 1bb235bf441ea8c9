package signed_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"shiguan/auditlog/record"
	"shiguan/cmd/internal/signed"
	"shiguan/policy"
)

// grantText grants civil_clerk something from an hour before the start to an hour after.
func grantText(under, until string) string {
	return fmt.Sprintf("version: 1\nunder: %s\nperson: civil_clerk\ndepartment: civil-affairs\npurpose: case-1\nreason: pipe burst\n"+
		"from: 2026-11-22T07:30:00Z\nuntil: %s\nmay: [select]\non: [civil.citizens]\n", under, until)
}

const later = "2026-11-22T08:30:00Z"

func (c *city) grant(name, text string, by ...string) {
	c.t.Helper()
	if len(by) > 0 {
		text = c.note([]byte(text), by...)
	}
	c.put("grants/"+name, text)
}

func TestGrantIsIssuedAndEnds(t *testing.T) {
	c := newCity(t)
	g := c.governor()
	if _, err := c.reload(g, start); err != nil {
		t.Fatal(err)
	}
	if facts, err := c.look(g, start); err != nil || facts != nil {
		t.Fatalf("%v, %v", facts, err)
	}
	c.grant("a.grant", grantText("contact", later), zhao, li)
	facts, err := c.look(g, start.Add(time.Second))
	if err != nil || kinds(facts) != "grant issued" {
		t.Fatalf("%v, %v", kinds(facts), err)
	}
	if f := facts[0]; f.Person != "civil_clerk" || f.Purpose != "case-1" || f.Rule != "contact" || f.Detail["signers"] != li+", "+zhao ||
		!strings.HasPrefix(f.Grant, "grant-") || f.Detail["text"] != grantText("contact", later) {
		t.Errorf("on record: %+v", f)
	}
	id := facts[0].Grant
	restarted := c.governor() // each start says what is in force
	if facts, err := c.reload(restarted, start.Add(time.Minute)); err != nil || kinds(facts) != "policy loaded, grant issued" {
		t.Errorf("%v, %v", kinds(facts), err)
	}
	facts, err = c.look(g, start.Add(30*time.Minute))
	if err != nil || kinds(facts) != "grant ended" || facts[0].Grant != id || !strings.Contains(facts[0].Reason, "run out") {
		t.Errorf("%v, %v", facts, err)
	}
	if facts, err := c.look(g, start.Add(31*time.Minute)); err != nil || facts != nil {
		t.Errorf("said again: %v, %v", facts, err)
	}
	// The clock is set back, and the proxy restarted.
	r, err := c.governor().Reload(start)
	if err != nil || len(r.Policy.Grants()) != 0 {
		t.Errorf("a grant that had run out is back: %v", err)
	}
}

// A clock that is set back under a running proxy does not make a grant last longer.
func TestGrantsRunOutThoughTheClockIsSetBack(t *testing.T) {
	g, err := signed.NewGovernor(newCity(t).cfg, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if late := g.Latest(now); late.Before(now.Round(0)) {
		t.Errorf("latest is %v at %v", late, now)
	}
	if late := g.Latest(now.Add(time.Hour)); late.Before(now.Add(time.Hour).Round(0)) || late.After(now.Add(2*time.Hour)) {
		t.Errorf("an hour later it is %v", late)
	}
	if late := g.Latest(now.Add(-time.Hour)); late.Before(now.Add(time.Hour).Round(0)) {
		t.Errorf("the clock went back to %v", late)
	}
}

func TestWithdrawnGrantsStayAway(t *testing.T) {
	c := newCity(t)
	g := c.governor()
	c.grant("a.grant", grantText("contact", later), zhao, li)
	facts, err := c.reload(g, start)
	if err != nil || kinds(facts) != "policy loaded, grant issued" {
		t.Fatalf("%v, %v", kinds(facts), err)
	}
	os.Remove(c.path("grants/a.grant").String())
	if facts, err = c.look(g, start); err != nil || kinds(facts) != "grant ended" || !strings.Contains(facts[0].Reason, "withdrawn") {
		t.Fatalf("%v, %v", facts, err)
	}
	c.grant("b.grant", grantText("contact", later), zhao, li)
	for _, governor := range []*signed.Governor{g, c.governor()} {
		r, err := governor.Reload(start.Add(time.Second))
		if err != nil || len(r.Policy.Grants()) != 0 || !strings.Contains(kinds(r.Facts), "grant refused") {
			t.Errorf("it is back: %v, %v", kinds(r.Facts), err)
		}
	}
}

// What is no valid grant is refused, on record once, and harms no other.
func TestHostileGrants(t *testing.T) {
	valid := grantText("contact", later)
	for name, x := range map[string]struct {
		do   func(c *city, file string)
		want string
	}{
		"unsigned":               {func(c *city, f string) { c.grant(f, valid) }, "wants the signatures of 2 officers, and has 0"},
		"one officer":            {func(c *city, f string) { c.grant(f, valid, li) }, "and has 1"},
		"a stranger":             {func(c *city, f string) { c.grant(f, valid, li, "stranger") }, "and has 1"},
		"an administrator":       {func(c *city, f string) { c.grant(f, valid, li, wang) }, "and has 1"},
		"no officer of the rule": {func(c *city, f string) { c.grant(f, grantText("flood", later), li) }, "and has 0"},
		"too long":               {func(c *city, f string) { c.grant(f, grantText("flood", "2026-11-22T10:00:00Z"), zhao) }, "at most 1h"},
		"run out":                {func(c *city, f string) { c.grant(f, grantText("contact", "2026-11-22T07:40:00Z"), zhao, li) }, "has run out"},
		"changed": {func(c *city, f string) {
			c.grant(f, strings.Replace(c.note([]byte(valid), zhao, li), "case-1", "case-2", 1))
		}, "does not verify"},
		"longer than signed": {func(c *city, f string) {
			c.grant(f, strings.Replace(c.note([]byte(valid), zhao, li), "08:30", "09:30", 1))
		}, "does not verify"},
		"another person": {func(c *city, f string) {
			c.grant(f, strings.Replace(c.note([]byte(valid), zhao, li), "civil_clerk", "auditor", 1))
		}, "does not verify"},
		"a table more": {func(c *city, f string) {
			c.grant(f, strings.Replace(valid, "civil.citizens]", "civil.citizens, welfare.payments]", 1), zhao, li)
		}, "on welfare.payments is more"},
		"signatures elsewhere": {func(c *city, f string) {
			_, lines, _ := strings.Cut(c.note([]byte(grantText("flood", later)), zhao), "\n\n")
			c.grant(f, valid+"\n"+lines)
		}, "does not verify"},
		"no text":     {func(c *city, f string) { c.grant(f, "") }, "empty"},
		"not YAML":    {func(c *city, f string) { c.grant(f, "{{{{\n", zhao, li) }, "not valid YAML"},
		"deep":        {func(c *city, f string) { c.grant(f, strings.Repeat("[", 10000)) }, ""},
		"aliases":     {func(c *city, f string) { c.grant(f, "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n") }, "anchors"},
		"zero bytes":  {func(c *city, f string) { c.grant(f, "\x00\x00\n\n— x\n") }, ""},
		"huge":        {func(c *city, f string) { c.grant(f, strings.Repeat("#\n", 1<<20)) }, "larger than"},
		"a directory": {func(c *city, f string) { os.Mkdir(c.path("grants/"+f).String(), 0o755) }, "no file"},
		"a pipe":      {func(c *city, f string) { syscall.Mkfifo(c.path("grants/"+f).String(), 0o644) }, "no file"},
		"a link":      {func(c *city, f string) { os.Symlink("/dev/zero", c.path("grants/"+f).String()) }, "no file"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCity(t)
			g := c.governor()
			c.grant("z.grant", strings.Replace(valid, "case-1", "case-9", 1), zhao, li)
			x.do(c, "bad.grant")
			r, err := g.Reload(start)
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Policy.Grants()) != 1 || r.Policy.Grants()[0].Purpose != "case-9" || kinds(r.Facts) != "policy loaded, grant refused, grant issued" {
				t.Fatalf("%d grants, on record: %s", len(r.Policy.Grants()), kinds(r.Facts))
			}
			if f := r.Facts[1]; !strings.Contains(f.Reason, x.want) || f.Detail["file"] != "bad.grant" {
				t.Errorf("on record: %+v, want %q", f, x.want)
			}
			if _, err := c.accept(r, start, nil); err != nil {
				t.Fatal(err)
			}
			os.Chtimes(filepath.Join(c.dir, "grants", "z.grant"), start, start)
			if facts, err := c.look(g, start); err != nil || facts != nil {
				t.Errorf("said again: %v, %v", kinds(facts), err)
			}
		})
	}
}

func TestTooManyGrants(t *testing.T) {
	c := newCity(t)
	g := c.governor()
	if _, err := c.reload(g, start); err != nil {
		t.Fatal(err)
	}
	for i := range policy.MaxGrants + 1 {
		c.grant(fmt.Sprintf("%03d.grant", i), strings.Replace(grantText("flood", later), "case-1", fmt.Sprint("case-", i), 1), zhao)
	}
	facts, err := c.look(g, start)
	if last := len(facts) - 1; err != nil || last != policy.MaxGrants || facts[last].Kind != record.KindGrantRefused {
		t.Fatalf("%d facts, %v", len(facts), err)
	}
	for i := range 2 * policy.MaxGrants {
		c.put(fmt.Sprintf("grants/more-%d", i), "")
	}
	if _, err := g.Look(start); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("got %v", err)
	}
}

func TestListSaysTheState(t *testing.T) {
	c := newCity(t)
	c.grant("a.grant", grantText("flood", later), zhao)
	c.grant("b.grant", grantText("contact", later), zhao)
	c.grant("c.grant", strings.Replace(grantText("flood", "2026-11-22T09:30:00Z"), "07:30", "09:00", 1), zhao)
	list, err := signed.List(c.cfg, start)
	if err != nil || len(list) != 3 {
		t.Fatalf("%v, %v", list, err)
	}
	for i, want := range []string{"in force", "refused: contact wants", "not yet"} {
		if got := list[i].State; !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", list[i].File, got, want)
		}
	}
	if !strings.HasPrefix(list[0].ID, "break-glass-") || list[0].By[0] != zhao {
		t.Errorf("%+v", list[0])
	}
}
