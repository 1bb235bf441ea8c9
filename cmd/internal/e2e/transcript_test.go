package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgproto3/v2"
)

// A script is one conversation with the server, see testdata/transcripts/README.md.
type script struct {
	name   string
	person string
	own    int // errors that the proxy makes itself, in PostgreSQL's words
	steps  []step
}

// step sends bytes, or reads up to a message of a type.
type step struct {
	line int
	send []byte
	read string // types, one letter each; "eof" for everything that comes
}

// Whatever a client sends, the same bytes come back through the proxy as from the server itself.
func TestRepliesAreIdenticalToTheServersOwn(t *testing.T) {
	furnish(t)
	if count := compareAll(t, "testdata/transcripts/*.txt", func(*script) {}); count < 150 {
		t.Errorf("there are %d scripts only", count)
	}
}

// Under a transparent rule nothing is refused, and what cannot be analysed comes back as from the server itself too.
func TestRepliesUnderATransparentRule(t *testing.T) {
	furnish(t)
	withPolicy(t, "    on:  [public.pgbench_*]\n", "    on:  [\"*\"]\n    transparent: true\n")
	allow := func(sql string) {
		if _, err := superuser(t).Exec(t.Context(), sql); err != nil {
			t.Error(err)
		}
	}
	allow("grant temp on database civil to it_centre_load_test")
	defer allow("revoke temp on database civil from it_centre_load_test")
	if count := compareAll(t, "testdata/transcripts/observed/*.txt", func(*script) {}); count < 20 {
		t.Errorf("there are %d scripts only", count)
	}
	compareAll(t, "testdata/transcripts/*.txt", func(s *script) {
		if s.person == "bench" {
			s.own = 0
		}
	})
}

// compareAll plays all scripts of some files and counts them.
func compareAll(t *testing.T, pattern string, prepare func(*script)) (count int) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		scripts, err := readScripts(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range scripts {
			prepare(s)
			count++
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txt")+"/"+s.name, s.compare)
		}
	}
	return count
}

func (s *script) compare(t *testing.T) {
	direct := s.play(t, directDSN(t, s.person))
	proxied := s.play(t, dsn(t, s.person))
	own := 0
	for i := range min(len(direct), len(proxied)) {
		a, b := direct[i], proxied[i]
		if b.kind() == 'E' && !hasRoutine(b) && hasRoutine(a) {
			own++
			a = withoutSource(a)
		}
		if !bytes.Equal(a, b) {
			t.Fatalf("message %d differs\ndirect:\n%sproxied:\n%s", i, text(direct[i:]), text(proxied[i:]))
		}
	}
	if len(direct) != len(proxied) {
		t.Fatalf("%d messages from the server, %d through the proxy\ndirect: %s\nproxied: %s", len(direct), len(proxied), kinds(direct), kinds(proxied))
	}
	if own != s.own {
		t.Errorf("the proxy made %d errors itself, the script says %d", own, s.own)
	}
}

// play runs the script in a session of its own and returns every message that came. At the end the session must still be
// what the script left it: a last query proves it.
func (s *script) play(t *testing.T, dsn string) []frame {
	t.Helper()
	c := raw(t, dsn)
	var all []frame
	for _, step := range s.steps {
		switch {
		case step.send != nil:
			c.sendBytes(step.send)
		case step.read == "eof":
			return append(all, c.rest()...)
		default:
			for _, kind := range []byte(step.read) {
				all = append(all, c.until(kind)...)
			}
		}
	}
	all = append(all, c.ask("select 'still here'")...)
	c.send(&pgproto3.Terminate{})
	return append(all, c.rest()...)
}

// hasRoutine tells an error made by PostgreSQL, which names its source, from one made by the proxy.
func hasRoutine(f frame) bool { return bytes.Contains(f, []byte("\x00R")) }

// withoutSource drops where in PostgreSQL's source an error was made: file, line and routine.
func withoutSource(f frame) frame {
	var kept []byte
	for field := range bytes.SplitSeq(bytes.TrimRight(f[5:], "\x00"), []byte{0}) {
		if !bytes.ContainsRune([]byte("FLR"), rune(field[0])) {
			kept = append(append(kept, field...), 0)
		}
	}
	kept = append(kept, 0)
	length := len(kept) + 4
	return append(frame{'E', byte(length >> 24), byte(length >> 16), byte(length >> 8), byte(length)}, kept...)
}

// readScripts reads a file of scripts.
func readScripts(file string) ([]*script, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return parseScripts(file, string(content))
}

func parseScripts(file, content string) ([]*script, error) {
	var scripts []*script
	var s *script
	var err error
	for i, line := range strings.Split(content, "\n") {
		line = strings.TrimSpace(line)
		word, rest, _ := strings.Cut(line, " ")
		switch {
		case line == "" || word == "#":
		case word == "##":
			s = &script{name: rest, person: "bench"}
			scripts = append(scripts, s)
		case s == nil:
			return nil, fmt.Errorf("%s:%d: stands before the first script", file, i+1)
		case word == "as":
			s.person = rest
		case word == "own":
			if s.own, err = strconv.Atoi(rest); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", file, i+1, err)
			}
		case word == "<":
			s.steps = append(s.steps, step{line: i + 1, read: strings.TrimSpace(rest)})
		default:
			b, err := parseMessage(line)
			if err != nil {
				return nil, fmt.Errorf("%s:%d: %w", file, i+1, err)
			}
			// What follows without a read in between goes out in one write, as a driver's pipeline does.
			if n := len(s.steps); n > 0 && s.steps[n-1].send != nil {
				s.steps[n-1].send = append(s.steps[n-1].send, b...)
			} else {
				s.steps = append(s.steps, step{line: i + 1, send: b})
			}
		}
	}
	return scripts, nil
}
