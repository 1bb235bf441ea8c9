package auth

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"slices"
	"time"

	"gopkg.in/yaml.v3"
)

// Person is somebody who may log in.
type Person struct {
	User       string
	Department string
	Position   string
	Role       string    // the upstream role this person becomes; "" where none is needed, as for investigators
	Databases  []string  // as clients say them; empty: all
	ValidUntil time.Time // zero: no end
	Admin      bool
	Login      string // one of the Login constants
}

// MayUse reports whether the person may connect to a database.
func (p Person) MayUse(database string) bool {
	return len(p.Databases) == 0 || slices.Contains(p.Databases, database)
}

// ValidAt reports whether the person's time is not over at t. Long sessions ask again when the people file is reloaded.
func (p Person) ValidAt(t time.Time) bool { return p.ValidUntil.IsZero() || t.Before(p.ValidUntil) }

// People is the content of a people file. It is immutable and safe for concurrent use.
type People struct {
	entries map[string]entry
	order   []string
	secret  [sha256.Size]byte // what the answers to unknown users are derived from
	usual   int               // iteration count that most verifiers have
}

type entry struct {
	person       Person
	verifier     verifier // of nobody for those who need none
	certificates []string // names of certificates that stand for the person, such as cn:ann
}

// LoadPeople reads a people file strictly: an unknown key, a person who is there twice and a verifier that could never
// match are errors, each with its line.
func LoadPeople(path string) (*People, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return ParsePeople(path, text)
}

// ParsePeople is LoadPeople for a text; file names it in errors.
func ParsePeople(file string, text []byte) (*People, error) {
	d, err := decode(file, text)
	if err != nil {
		return nil, err
	}
	p := &People{entries: make(map[string]entry, len(d.list.People))}
	counts := map[int]int{}
	r := reporter{file: file}
	for i := range d.list.People {
		e, ok := d.entry(&r, i)
		if !ok {
			continue
		}
		if _, twice := p.entries[e.person.User]; twice {
			r.add(d.line(i, "user"), "user %q is there twice: remove one entry", e.person.User)
			continue
		}
		p.entries[e.person.User] = e
		p.order = append(p.order, e.person.User)
		if e.person.Login != LoginCertificate {
			counts[e.verifier.iterations]++
		}
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	p.usual = mostUsual(counts)
	return p.WithSecret(text), nil
}

func mostUsual(counts map[int]int) int {
	usual := DefaultIterations
	for n, count := range counts {
		if count > counts[usual] || count == counts[usual] && n > usual {
			usual = n
		}
	}
	return usual
}

// WithSecret returns the same people with another secret behind the answers to users who do not exist. Without it the
// secret comes from the file, so that these answers survive a restart but change with the file, as real ones do not: who
// asks for months could tell. Give something secret that lasts for as long as the proxy does.
func (p *People) WithSecret(secret []byte) *People {
	mac := hmac.New(sha256.New, []byte("shiguan: answers to unknown users"))
	mac.Write(secret)
	other := *p
	mac.Sum(other.secret[:0])
	return &other
}

// Find returns a person by user name, also one whose time is over.
func (p *People) Find(user string) (Person, bool) {
	e, ok := p.entries[user]
	return e.person.clone(), ok
}

// All returns everybody in the order of the file.
func (p *People) All() []Person {
	all := make([]Person, len(p.order))
	for i, user := range p.order {
		all[i] = p.entries[user].person.clone()
	}
	return all
}

func (p Person) clone() Person {
	p.Databases = slices.Clone(p.Databases)
	return p
}

// lookup returns the entry of a user whose password counts on this channel. For any other it makes an entry that answers
// like a real one, always with the same salt, and that no password opens; both ways do the same work.
func (p *People) lookup(user string, ch Channel) (e entry, known bool) {
	fake := verifier{
		iterations: p.usual, salt: string(p.derived("salt", user)[:saltSize]),
		storedKey: p.derived("stored key", user), serverKey: p.derived("server key", user),
	}
	e, known = p.entries[user]
	if known && e.byPassword(ch) {
		return e, true
	}
	return entry{verifier: fake, person: e.person}, false
}

func (p *People) derived(what, user string) []byte {
	mac := hmac.New(sha256.New, p.secret[:])
	mac.Write([]byte(what))
	mac.Write([]byte{0})
	mac.Write([]byte(user))
	return mac.Sum(nil)
}

// list is the people file as it is written.
type list struct {
	Version int         `yaml:"version"`
	People  []listEntry `yaml:"people"`
}

type listEntry struct {
	User         string   `yaml:"user"`
	Verifier     string   `yaml:"verifier"`
	Login        string   `yaml:"login"`
	Certificates []string `yaml:"certificates"`
	Department   string   `yaml:"department"`
	Position     string   `yaml:"position"`
	Role         string   `yaml:"role"`
	Databases    []string `yaml:"databases"`
	ValidUntil   string   `yaml:"valid_until"`
	Admin        bool     `yaml:"admin"`
}

// decoded is a people file that is YAML of the right shape; whether its content makes sense is still to be seen.
type decoded struct {
	list list
	root yaml.Node // for line numbers
}

func decode(file string, text []byte) (*decoded, error) {
	r := reporter{file: file}
	d := &decoded{}
	strict := yaml.NewDecoder(bytes.NewReader(text))
	strict.KnownFields(true)
	if err := strict.Decode(&d.list); err != nil {
		r.addYAML(err)
		return nil, r.err()
	}
	if err := strict.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		r.add(0, "holds more than one YAML document: keep one")
		return nil, r.err()
	}
	if err := yaml.Unmarshal(text, &d.root); err != nil {
		r.addYAML(err)
		return nil, r.err()
	}
	if d.list.Version != 1 {
		r.add(lineOf(d.root.Content[0], "version"), "version must be 1")
		return nil, r.err()
	}
	return d, nil
}

// entry checks the i-th person.
func (d *decoded) entry(r *reporter, i int) (entry, bool) {
	before := len(r.problems)
	w := d.list.People[i]
	checkUser(r, d.line(i, "user"), w.User)
	if w.Department == "" {
		r.add(d.line(i, "department"), "department of %q is missing", w.User)
	}
	if w.Position == "" {
		r.add(d.line(i, "position"), "position of %q is missing", w.User)
	}
	e := entry{person: Person{
		User: w.User, Department: w.Department, Position: w.Position, Role: w.Role, Databases: w.Databases, Admin: w.Admin,
	}}
	d.login(r, i, &e)
	if w.ValidUntil != "" {
		var err error
		// A date alone would end at a different hour for everybody who reads it.
		if e.person.ValidUntil, err = time.Parse(time.RFC3339, w.ValidUntil); err != nil {
			r.add(d.line(i, "valid_until"), "%q: valid_until is no time: write it with its zone, such as 2027-01-31T23:59:59+08:00", w.User)
		}
	}
	if slices.Contains(w.Databases, "") {
		r.add(d.line(i, "databases"), "%q: a database without a name", w.User)
	}
	return e, len(r.problems) == before
}
