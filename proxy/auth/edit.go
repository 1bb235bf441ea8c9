package auth

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// ErrNoSuchUser is returned, wrapped, by SetVerifier where the file does not list the user.
var ErrNoSuchUser = errors.New("is not listed")

// SetVerifier returns the text of a people file with another verifier for a user, who must be listed already, with or
// without one. Every other byte stays as it is: comments, order, blank lines. What is wrong elsewhere in the file is no
// hindrance as long as it has the right shape, so that verifiers can be set one after the other.
func SetVerifier(file string, text []byte, user, verifier string) ([]byte, error) {
	if _, err := parseVerifier(verifier); err != nil {
		return nil, err
	}
	before, err := decode(file, text)
	if err != nil {
		return nil, err
	}
	i, err := before.only(file, user)
	if err != nil {
		return nil, err
	}
	if before.list.People[i].Login == LoginCertificate {
		return nil, &FileError{file, before.line(i, "login"), fmt.Sprintf("%q logs in by certificate alone: say login: %s first", user, LoginBoth)}
	}
	after, err := splice(text, before.person(i), verifier)
	if err != nil {
		return nil, &FileError{file, before.line(i, "verifier"), err.Error()}
	}
	if err := before.differsOnlyAt(i, verifier, file, after); err != nil {
		return nil, err
	}
	return after, nil
}

// only finds the one entry of a user.
func (d *decoded) only(file, user string) (int, error) {
	found := -1
	for i, p := range d.list.People {
		if p.User != user {
			continue
		}
		if found >= 0 {
			return 0, &FileError{file, d.line(i, "user"), fmt.Sprintf("user %q is there twice: remove one entry", user)}
		}
		found = i
	}
	if found < 0 {
		return 0, fmt.Errorf("%s: user %q %w: add an entry with user, department and position first", file, user, ErrNoSuchUser)
	}
	return found, nil
}

// splice writes the verifier over the present one, or behind the user's name where there is none.
func splice(text []byte, person *yaml.Node, verifier string) ([]byte, error) {
	quoted := `"` + verifier + `"`
	if key, value := field(person, "verifier"); key != nil {
		start, end, ok := span(text, value)
		if !ok {
			return nil, errors.New("verifier is written in a way that cannot be replaced in place: write `verifier: x`, then try again")
		}
		if start == end { // `verifier:` with nothing behind it
			quoted = " " + quoted
		}
		return bytes.Join([][]byte{text[:start], text[end:]}, []byte(quoted)), nil
	}
	key, value := field(person, "user")
	_, end, ok := span(text, value)
	if !ok {
		return nil, errors.New("user is written in a way that nothing can be put behind it: write `user: name` on one line, then try again")
	}
	if person.Style&yaml.FlowStyle != 0 {
		return bytes.Join([][]byte{text[:end], text[end:]}, []byte(", verifier: "+quoted)), nil
	}
	if n := bytes.IndexByte(text[end:], '\n'); n >= 0 {
		end += n // a comment behind the name stays there
	} else {
		end = len(text)
	}
	line := "\n" + strings.Repeat(" ", key.Column-1) + "verifier: " + quoted
	return bytes.Join([][]byte{text[:end], text[end:]}, []byte(line)), nil
}

// span finds the bytes of a scalar that is written on one line without escapes.
func span(text []byte, n *yaml.Node) (start, end int, ok bool) {
	if n.Kind != yaml.ScalarNode {
		return 0, 0, false
	}
	start, ok = offset(text, n.Line, n.Column)
	if !ok {
		return 0, 0, false
	}
	written := n.Value
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0:
		written = `"` + n.Value + `"`
	case n.Style&yaml.SingleQuotedStyle != 0:
		written = `'` + n.Value + `'`
	}
	return start, start + len(written), bytes.HasPrefix(text[start:], []byte(written))
}

// offset is where a line and column begin, both counted from 1, columns in characters.
func offset(text []byte, line, column int) (int, bool) {
	at := 0
	for ; line > 1; line-- {
		n := bytes.IndexByte(text[at:], '\n')
		if n < 0 {
			return 0, false
		}
		at += n + 1
	}
	for ; column > 1 && at < len(text); column-- {
		_, size := utf8.DecodeRune(text[at:])
		at += size
	}
	return at, column <= 1
}

// differsOnlyAt reads the result again: a file is never written that says anything else than intended.
func (d *decoded) differsOnlyAt(i int, verifier, file string, text []byte) error {
	after, err := decode(file, text)
	if err != nil {
		return fmt.Errorf("setting the verifier would break the file: %w", err)
	}
	want := d.list
	want.People = append([]listEntry(nil), d.list.People...)
	want.People[i].Verifier = verifier
	if !reflect.DeepEqual(after.list, want) {
		return fmt.Errorf("%s: setting the verifier would change something else: write one key a line, then try again", file)
	}
	return nil
}
