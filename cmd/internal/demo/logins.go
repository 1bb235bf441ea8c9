package demo

import (
	"fmt"

	"gopkg.in/yaml.v3"

	"shiguan/proxy/auth"
)

// loginEntry is one person in a people file, as proxy/auth reads it.
type loginEntry struct {
	User       string `yaml:"user"`
	Verifier   string `yaml:"verifier"`
	Department string `yaml:"department"`
	Position   string `yaml:"position"`
	Role       string `yaml:"role,omitempty"`
}

// writePeople writes who may log in at the proxy, and who at the console. The files hold verifiers, from which no
// password can be read.
func (l layout) writePeople(s *secrets) error {
	if err := l.writePeopleFile("people.yaml", s, people...); err != nil {
		return err
	}
	return l.writePeopleFile("investigators.yaml", s, investigator)
}

func (l layout) writePeopleFile(name string, s *secrets, who ...Person) error {
	list := struct {
		Version int          `yaml:"version"`
		People  []loginEntry `yaml:"people"`
	}{Version: 1}
	for _, p := range who {
		verifier, err := auth.NewVerifier(s.people[p.User], auth.DefaultIterations)
		if err != nil {
			return fmt.Errorf("%s: %w", p.User, err)
		}
		list.People = append(list.People, loginEntry{p.User, verifier, p.Department, p.Position, p.role})
	}
	text, err := yaml.Marshal(list)
	if err != nil {
		return err
	}
	if _, err := auth.ParsePeople(name, text); err != nil {
		return err
	}
	return replaceFile(l.path(name), text, 0o600)
}
