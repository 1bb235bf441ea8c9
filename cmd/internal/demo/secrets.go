package demo

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"shiguan/auditlog/tiles"
	"shiguan/cmd/internal/keyfile"
)

// secrets are the keys and passwords of one DIR. They are made once and used again by every later run in it, since the
// log goes on under the same key.
type secrets struct {
	logVKey      string
	recipient    string
	witnessVKeys map[string]string // by department
	roles        map[string]string // passwords of upstream roles; the proxy reads their files
	people       map[string]string // passwords of persons
}

// openSecrets makes what is missing in DIR/keys and reads the rest.
func (l layout) openSecrets() (*secrets, error) {
	s := &secrets{witnessVKeys: map[string]string{}, roles: map[string]string{}, people: map[string]string{}}
	err := errors.Join(
		public(l.key("log.key"), &s.logVKey, func(file string) (string, error) { return keyfile.NewLog(file, origin) }),
		public(l.key("investigator.identity"), &s.recipient, keyfile.NewIdentity),
		public(l.key("subject.key"), new(string), func(file string) (string, error) { return "", keyfile.NewSubjectKey(file) }),
	)
	for _, department := range witnessDepartments {
		var vkey string
		err = errors.Join(err, public(l.key("witness-"+department+".key"), &vkey, func(file string) (string, error) {
			return keyfile.NewWitness(file, witnessName(department))
		}))
		s.witnessVKeys[department] = vkey
	}
	roles := []string{catalogueRole}
	for _, p := range append([]Person{investigator}, people...) {
		s.people[p.User], err = l.password("person-"+p.User, err)
		if p.role != "" {
			roles = append(roles, p.role)
		}
	}
	for _, role := range roles {
		s.roles[role], err = l.password("role-"+role, err)
	}
	return s, err
}

func (l layout) key(name string) string { return l.path("keys", name) }

func witnessName(department string) string { return department + ".demo.shiguan.example" }

// public makes a secret with its public part in FILE.pub beside it, or reads the public part of an earlier run. The
// secret is written first: a crash between the two leaves a key that nothing has used yet, which is made again.
func public(file string, into *string, generate func(file string) (string, error)) error {
	text, err := os.ReadFile(file + ".pub")
	if err == nil {
		*into = strings.TrimSpace(string(text))
		return nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	made, err := generate(file)
	if err != nil {
		return err
	}
	*into = made
	return replaceFile(file+".pub", []byte(made+"\n"), 0o644)
}

func (l layout) password(name string, before error) (string, error) {
	if before != nil {
		return "", before
	}
	file := l.key(name + ".password")
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return keyfile.NewPassword(file)
	}
	return strings.TrimSpace(string(text)), err
}

// checkSecrets makes sure that keys an earlier run left behind still belong together.
func (s *secrets) check() error {
	if k, err := tiles.ParseVKey(s.logVKey); err != nil || k.Name != origin {
		return fmt.Errorf("the log key in this directory is not one of this demo: choose another --dir (%v)", err)
	}
	return nil
}
