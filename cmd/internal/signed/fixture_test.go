package signed_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shiguan/auditlog/record"
	"shiguan/auditlog/tiles"
	"shiguan/cmd/internal/signed"
	"shiguan/configs"
)

// start is when every test begins.
var start = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

const (
	wang, li, zhao = "wang.data-bureau", "li.audit-office", "zhao.civil-affairs"

	openCeiling = `version: 1
officers:
  OFFICERS
grants:
  - id: contact
    who: {department: civil-affairs}
    may: [select]
    on: [civil.citizens]
    clear: [civil.citizens.phone]
    officers: ["*"]
    signatures: 2
    other_department: true
    longest: 8h
  - id: flood
    who: {department: civil-affairs}
    may: [select]
    on: [civil.*]
    officers: [zhao.civil-affairs]
    signatures: 1
    longest: 1h
    break_glass: true
rules:
  - id: all
    who: {department: civil-affairs}
    may: [select]
    on: [civil.*]
`
	clerkPolicy = `version: 1
rules:
  - id: clerk
    who: {department: civil-affairs, position: clerk}
    may: [select]
    on: [civil.households]
`
)

// city is a proxy's configuration over files in a directory, and the keys of everybody in it.
type city struct {
	t    *testing.T
	dir  string
	keys map[string]*tiles.LogSigner
	cfg  *configs.Proxy
}

func newCity(t *testing.T) *city {
	t.Helper()
	c := &city{t: t, dir: t.TempDir(), keys: map[string]*tiles.LogSigner{}}
	var vkeys []string
	for _, name := range []string{wang, li, zhao, "stranger"} {
		vkeys = append(vkeys, c.newKey(name))
	}
	c.cfg = &configs.Proxy{Policy: c.path("policy.yaml"), Ceiling: c.path("ceiling.yaml"), Grants: configs.Grants{Dir: c.path("grants")},
		Signers: configs.Signers{State: c.path("signed.state"),
			Ceiling:    configs.LevelSigners{Name: "demo-city", K: 2, Keys: vkeys[:3]},
			Department: configs.LevelSigners{Name: "civil-affairs", K: 1, Keys: vkeys[:1]}}}
	if err := os.Mkdir(c.cfg.Grants.Dir.String(), 0o755); err != nil {
		t.Fatal(err)
	}
	officers := "li.audit-office: {department: audit-office, key: " + vkeys[1] + "}\n  zhao.civil-affairs: {department: civil-affairs, key: " + vkeys[2] + "}"
	c.put("ceiling.yaml", strings.Replace(openCeiling, "OFFICERS", officers, 1))
	c.put("policy.yaml", clerkPolicy)
	c.sign("ceiling.yaml", signed.Statement{Level: signed.Ceiling, Name: "demo-city", Serial: 1}, wang, li)
	c.sign("policy.yaml", signed.Statement{Level: signed.Department, Name: "civil-affairs", Serial: 5}, wang)
	return c
}

func (c *city) path(name string) configs.Path { return configs.Path(filepath.Join(c.dir, name)) }

func (c *city) newKey(name string) (vkey string) {
	c.t.Helper()
	skey, vkey, err := tiles.GenerateLogKey(name)
	if err != nil {
		c.t.Fatal(err)
	}
	if c.keys[name], err = tiles.NewLogSigner(skey); err != nil {
		c.t.Fatal(err)
	}
	return vkey
}

func (c *city) put(name, text string) {
	c.t.Helper()
	if err := os.WriteFile(c.path(name).String(), []byte(text), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

func (c *city) read(name string) string {
	c.t.Helper()
	text, err := os.ReadFile(c.path(name).String())
	if err != nil {
		c.t.Fatal(err)
	}
	return string(text)
}

// sign signs a policy file as it stands.
func (c *city) sign(name string, s signed.Statement, by ...string) {
	c.t.Helper()
	if s.Digest == "" {
		s.Digest = signed.Digest([]byte(c.read(name)))
	}
	if s.ValidFrom.IsZero() {
		s.ValidFrom = start.Add(-time.Hour)
	}
	c.put(name+".sig", c.note(s.Text(), by...))
}

func (c *city) note(text []byte, by ...string) string {
	c.t.Helper()
	var n *tiles.Note
	for _, name := range by {
		var err error
		if n, err = signed.Sign(text, n, c.keys[name]); err != nil {
			c.t.Fatal(err)
		}
	}
	return string(n.Marshal())
}

func (c *city) governor() *signed.Governor {
	c.t.Helper()
	g, err := signed.NewGovernor(c.cfg, start)
	if err != nil {
		c.t.Fatal(err)
	}
	return g
}

// reload lets what is on file come into force, and says what went on record.
func (c *city) reload(g *signed.Governor, now time.Time) ([]record.Record, error) {
	c.t.Helper()
	r, err := g.Reload(now)
	return c.accept(r, now, err)
}

func (c *city) look(g *signed.Governor, now time.Time) ([]record.Record, error) {
	c.t.Helper()
	r, err := g.Look(now)
	return c.accept(r, now, err)
}

func (c *city) accept(r *signed.Ruling, now time.Time, err error) ([]record.Record, error) {
	c.t.Helper()
	if err != nil || !r.Changed {
		return nil, err
	}
	if err := r.Remember(now); err != nil {
		c.t.Fatal(err)
	}
	for i := range r.Facts {
		r.Facts[i].Time = now
		if _, err := r.Facts[i].Append(nil); err != nil {
			c.t.Errorf("a fact that cannot be recorded: %v", err)
		}
	}
	return r.Facts, nil
}

// kinds puts facts in one line.
func kinds(facts []record.Record) string {
	var list []string
	for _, f := range facts {
		list = append(list, f.Kind.String())
	}
	return strings.Join(list, ", ")
}
