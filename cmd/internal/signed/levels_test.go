package signed_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"shiguan/auditlog/record"
	"shiguan/auditlog/tiles"
	"shiguan/cmd/internal/signed"
)

func TestSignedPoliciesComeIntoForce(t *testing.T) {
	c := newCity(t)
	facts, err := c.reload(c.governor(), start)
	if err != nil || kinds(facts) != "policy loaded" {
		t.Fatalf("%v, %v", kinds(facts), err)
	}
	d := facts[0].Detail
	if d["ceiling.serial"] != "1" || d["department.serial"] != "5" || d["department.signers"] != wang || d["ceiling.signers"] != li+", "+wang ||
		d["department.remembered"] != "0" || !strings.HasPrefix(facts[0].Policy, "sha256:") || d["ceiling.digest"] != signed.Digest([]byte(c.read("ceiling.yaml"))) {
		t.Errorf("on record: %+v", facts[0])
	}
}

// Whatever is wrong with a signature, the policy is not taken, what was in force is remembered, and the reason is one line.
func TestForgedPoliciesAreRefused(t *testing.T) {
	department := signed.Statement{Level: signed.Department, Name: "civil-affairs", Serial: 6}
	forged := signed.Statement{Level: signed.Department, Name: "civil-affairs", Serial: 6, Digest: signed.Digest([]byte(clerkPolicy))}
	for name, x := range map[string]struct {
		do   func(c *city)
		want string
	}{
		"unsigned":         {func(c *city) { os.Remove(c.path("policy.yaml.sig").String()) }, "not signed"},
		"changed":          {func(c *city) { c.put("policy.yaml", clerkPolicy+"# x\n") }, "for another text"},
		"by a stranger":    {func(c *city) { c.sign("policy.yaml", department, "stranger") }, "has 0 signatures"},
		"by another level": {func(c *city) { c.sign("policy.yaml", department, zhao, li) }, "has 0 signatures"},
		"too few": {func(c *city) {
			c.sign("ceiling.yaml", signed.Statement{Level: signed.Ceiling, Name: "demo-city", Serial: 2}, wang)
		}, "has 1 signatures"},
		"one of a stranger": {func(c *city) {
			c.sign("ceiling.yaml", signed.Statement{Level: signed.Ceiling, Name: "demo-city", Serial: 2}, wang, "stranger")
		}, "has 1 signatures"},
		"the ceiling's signature": {func(c *city) {
			c.sign("policy.yaml", signed.Statement{Level: signed.Ceiling, Name: "civil-affairs", Serial: 6}, wang)
		}, "level ceiling"},
		"another department's": {func(c *city) {
			c.sign("policy.yaml", signed.Statement{Level: signed.Department, Name: "housing-fund", Serial: 6}, wang)
		}, "policy of housing-fund"},
		"not valid yet": {func(c *city) {
			s := department
			s.ValidFrom = start.Add(time.Minute)
			c.sign("policy.yaml", s, wang)
		}, "not yet"},
		"older": {func(c *city) { s := department; s.Serial = 4; c.sign("policy.yaml", s, wang) }, "serial 4 is older than 5"},
		"same serial": {func(c *city) {
			c.put("policy.yaml", clerkPolicy+"# x\n")
			s := department
			s.Serial = 5
			c.sign("policy.yaml", s, wang)
		}, "serial 5 was in force with another text"},
		"forged line": {func(c *city) {
			c.put("policy.yaml.sig", strings.Replace(c.note([]byte("x\n"), wang), "x\n", string(forged.Text()), 1))
		}, "does not verify"},
		"line of another note": {func(c *city) {
			_, line, _ := strings.Cut(c.read("ceiling.yaml.sig"), "\n\n")
			text, _, _ := strings.Cut(c.read("policy.yaml.sig"), "\n\n")
			c.put("policy.yaml.sig", text+"\n\n"+line)
		}, "does not verify"},
		"the same line twice": {func(c *city) {
			s := signed.Statement{Level: signed.Ceiling, Name: "demo-city", Serial: 2, ValidFrom: start, Digest: signed.Digest([]byte(c.read("ceiling.yaml")))}
			note := c.note(s.Text(), wang)
			_, line, _ := strings.Cut(note, "\n\n")
			c.put("ceiling.yaml.sig", note+line)
		}, "two signature lines"},
		"no note":      {func(c *city) { c.put("policy.yaml.sig", "hello") }, "empty line"},
		"empty":        {func(c *city) { c.put("policy.yaml.sig", "") }, "empty line"},
		"huge":         {func(c *city) { c.put("policy.yaml.sig", strings.Repeat("x", 1<<20)) }, "larger than"},
		"another text": {func(c *city) { c.put("policy.yaml.sig", c.note([]byte("shiguan policy v2\n"), wang)) }, "says nothing about a policy"},
		"signed widened": {func(c *city) {
			c.put("policy.yaml", strings.Replace(clerkPolicy, "[civil.households]", "[\"*\"]", 1))
			c.sign("policy.yaml", department, wang)
		}, "a department can only narrow"},
		"signed and faulty": {func(c *city) { c.put("policy.yaml", "version: 2\n"); c.sign("policy.yaml", department, wang) }, "version"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCity(t)
			g := c.governor()
			if _, err := c.reload(g, start); err != nil {
				t.Fatal(err)
			}
			state := c.read("signed.state")
			x.do(c)
			_, err := c.reload(g, start.Add(time.Minute/2))
			if err == nil || !strings.Contains(err.Error(), x.want) {
				t.Errorf("got %v, want %q", err, x.want)
			} else if fact := signed.Refused(err); fact.Kind != record.KindPolicyRefused || fact.Reason == "" {
				t.Errorf("on record: %+v", fact)
			}
			if _, again := c.reload(c.governor(), start.Add(time.Minute/2)); again == nil {
				t.Error("taken after a restart")
			}
			if c.read("signed.state") != state {
				t.Error("the refusal changed what is remembered")
			}
		})
	}
}

// An old policy with its old signatures, put back whole, is refused, also after a restart; a newer one is taken.
func TestOldPoliciesDoNotComeBack(t *testing.T) {
	c := newCity(t)
	g := c.governor()
	oldText, oldSig := c.read("policy.yaml"), c.read("policy.yaml.sig")
	if _, err := c.reload(g, start); err != nil {
		t.Fatal(err)
	}
	c.put("policy.yaml", clerkPolicy+"# narrower\n")
	c.sign("policy.yaml", signed.Statement{Level: signed.Department, Name: "civil-affairs", Serial: 9}, wang)
	facts, err := c.reload(g, start)
	if err != nil || facts[0].Detail["department.remembered"] != "5" {
		t.Fatalf("%v, %v", facts, err)
	}
	c.put("policy.yaml", oldText)
	c.put("policy.yaml.sig", oldSig)
	for _, governor := range []*signed.Governor{g, c.governor()} {
		if _, err := c.reload(governor, start); err == nil || !strings.Contains(err.Error(), "older than 9") {
			t.Errorf("the old policy: %v", err)
		}
	}
	c.put("signed.state", "{}")
	if _, err := signed.NewGovernor(c.cfg, start); err == nil {
		t.Error("a state that is not whole was taken")
	}
}

// One key under two names would count twice: such a configuration takes no policy.
func TestOneKeyCountsOnce(t *testing.T) {
	c := newCity(t)
	keys := c.cfg.Signers.Ceiling.Keys
	_, rest, _ := strings.Cut(keys[0], "+")
	_, body, _ := strings.Cut(rest, "+")
	key, err := tiles.ParseVKey(keys[0])
	if err != nil {
		t.Fatal(err)
	}
	alias, err := signed.VKeyNamed("wang.again", key.Key)
	if err != nil || !strings.HasSuffix(alias, body) {
		t.Fatalf("%s, %v", alias, err)
	}
	c.cfg.Signers.Ceiling.Keys = []string{keys[0], alias}
	if _, err := c.reload(c.governor(), start); err == nil || !strings.Contains(err.Error(), "one key or one name") {
		t.Errorf("got %v", err)
	}
}

func TestUnsignedIsAChoiceOfTheConfiguration(t *testing.T) {
	c := newCity(t)
	c.cfg.Signers.Ceiling.Keys, c.cfg.Signers.Department.Keys = nil, nil
	os.Remove(c.path("policy.yaml.sig").String())
	if facts, err := c.reload(c.governor(), start); err != nil || facts[0].Detail["department.signers"] != "" || !signed.Unsigned(c.cfg) {
		t.Errorf("%v, %v", facts, err)
	}
}

func TestStatementHasOneSpelling(t *testing.T) {
	s := signed.Statement{Level: signed.Department, Name: "civil-affairs", Serial: 7, ValidFrom: start, Digest: "sha256:00"}
	text := string(s.Text())
	if got, err := signed.ParseStatement([]byte(text)); err != nil || got != s {
		t.Fatalf("%+v, %v", got, err)
	}
	for _, x := range [][2]string{{"serial 7", "serial 07"}, {"serial 7", "serial +7"}, {"serial 7", "serial 0"}, {"serial 7", "serial 9007199254740993"}, {"08:00:00Z", "08:00:00.0Z"},
		{"08:00:00Z", "16:00:00+08:00"}, {"level department", "level city"}, {"name civil-affairs", "name "}, {"\ndigest", "\n\ndigest"},
		{"sha256:00\n", "sha256:00"}, {"sha256:00\n", "sha256:00\nmore\n"}, {"v1", "v2"}} {
		if changed := strings.Replace(text, x[0], x[1], 1); changed == text {
			t.Errorf("%v changes nothing", x)
		} else if _, err := signed.ParseStatement([]byte(changed)); err == nil {
			t.Errorf("accepted with %q", x[1])
		}
	}
}
