package auth_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"shiguan/proxy/auth"
)

func load(t *testing.T) *auth.People {
	t.Helper()
	p, err := auth.LoadPeople("testdata/people.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// peopleWith makes a file of one user per verifier.
func peopleWith(t *testing.T, verifiers map[string]string) *auth.People {
	t.Helper()
	text := "version: 1\npeople:\n"
	for user, v := range verifiers {
		text += fmt.Sprintf("  - {user: %q, verifier: %q, department: d, position: p}\n", user, v)
	}
	p, err := auth.ParsePeople("people.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestLoad(t *testing.T) {
	p := load(t)
	ann, ok := p.Find("ann")
	want := auth.Person{User: "ann", Department: "civil-affairs", Position: "clerk", Role: "civil_affairs_clerk", Databases: []string{"civil", "housing"}, Login: auth.LoginPassword}
	if !ok || !reflect.DeepEqual(ann, want) {
		t.Errorf("ann is %+v", ann)
	}
	if !ann.MayUse("civil") || ann.MayUse("welfare") || ann.MayUse("") {
		t.Error("ann's databases are not civil and housing alone")
	}
	wang, ok := p.Find("王小明")
	end := time.Date(2999, 12, 31, 15, 59, 59, 0, time.UTC)
	if !ok || wang.Department != "民政局" || !wang.ValidUntil.Equal(end) || !wang.MayUse("anything") {
		t.Errorf("王小明 is %+v", wang)
	}
	if !wang.ValidAt(end.Add(-1)) || wang.ValidAt(end) {
		t.Error("the end of valid_until is not where it was written")
	}
	if eve, ok := p.Find("eve"); !ok || !eve.Admin || eve.Role != "" {
		t.Errorf("eve is %+v", eve)
	}
	if _, ok := p.Find("nobody"); ok {
		t.Error("nobody was found")
	}
	var names []string
	for _, one := range p.All() {
		names = append(names, one.User)
	}
	if got := strings.Join(names, " "); got != "ann 王小明 left eve" {
		t.Errorf("All gives %s", got)
	}
	ann.Databases[0] = "welfare"
	if again, _ := p.Find("ann"); again.Databases[0] != "civil" {
		t.Error("who was found can be changed from outside")
	}
}

// TestBadFiles holds each file of testdata/bad to the line and the words its first line names.
func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(text), "\n")
		where, words, ok := strings.Cut(strings.TrimPrefix(first, "# want "), ": ")
		line, err := strconv.Atoi(where)
		if !ok || err != nil {
			t.Fatalf("%s does not begin with what is wanted", file)
		}
		_, err = auth.LoadPeople(file)
		var problem *auth.FileError
		if !errors.As(err, &problem) {
			t.Errorf("%s: got %v, want a *FileError", file, err)
			continue
		}
		if problem.Line != line || !strings.Contains(problem.Text, words) || problem.File != file {
			t.Errorf("%s: got %v, want %q in line %d", file, err, words, line)
		}
		if strings.Contains(err.Error(), "WG5d8oPm3Otc") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error shows a secret: %v", file, err)
		}
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	_, err := auth.ParsePeople("f", []byte("version: 1\npeople:\n  - {user: a}\n  - {user: b, department: d, position: p, verifier: x}\n"))
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"f:3: department", "f:3: position", "f:3: verifier", "f:4: "} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in %v", want, err)
		}
	}
}

func TestMissingFile(t *testing.T) {
	if _, err := auth.LoadPeople("testdata/none.yaml"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// TestPostgresVerifiers: a verifier that PostgreSQL made opens for the same password and for no other.
func TestPostgresVerifiers(t *testing.T) {
	f, err := os.Open("testdata/postgresql-15.18.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tried := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		quoted, err := strconv.QuotedPrefix(lines.Text())
		if err != nil {
			t.Fatal(err)
		}
		password, err := strconv.Unquote(quoted)
		if err != nil {
			t.Fatal(err)
		}
		p := peopleWith(t, map[string]string{"ann": strings.TrimSpace(lines.Text()[len(quoted):])})
		if !p.Authenticate("ann", password) {
			t.Errorf("%s does not open PostgreSQL's verifier", quoted)
		}
		if p.Authenticate("ann", password+"x") || p.Authenticate("ann", "") {
			t.Errorf("another password opens the verifier of %s", quoted)
		}
		tried++
	}
	if tried < 10 {
		t.Errorf("%d passwords were tried", tried)
	}
}

func TestNewVerifier(t *testing.T) {
	first, err := auth.NewVerifier("pencil", 5000)
	if err != nil {
		t.Fatal(err)
	}
	second, _ := auth.NewVerifier("pencil", 5000)
	if first == second {
		t.Error("the salt is not random")
	}
	if !strings.HasPrefix(first, "SCRAM-SHA-256$5000:") {
		t.Errorf("made %s", first)
	}
	if p := peopleWith(t, map[string]string{"ann": first}); !p.Authenticate("ann", "pencil") || p.Authenticate("ann", "pencil2") {
		t.Error("the verifier opens for the wrong password or not for the right one")
	}
	for _, bad := range []struct {
		password   string
		iterations int
	}{{"", 4096}, {"pencil", 4095}, {"pencil", 0}, {"pencil", 1_000_001}} {
		if v, err := auth.NewVerifier(bad.password, bad.iterations); err == nil {
			t.Errorf("%q, %d: made %s", bad.password, bad.iterations, v)
		}
	}
}

func TestAuthenticate(t *testing.T) {
	p := load(t)
	for _, tc := range []struct {
		user, password string
		want           bool
	}{
		{"ann", "pencil", true}, {"王小明", "pencil", true}, {"eve", "pencil", true},
		{"ann", "pen", false}, {"ann", "", false}, {"left", "pencil", false}, {"nobody", "pencil", false}, {"", "", false},
	} {
		if got := p.Authenticate(tc.user, tc.password); got != tc.want {
			t.Errorf("%q with %q: %t", tc.user, tc.password, got)
		}
	}
}
