package noninterference

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// pair is a person's session in each world.
type pair struct {
	person, purpose string
	first, second   *client
}

func open(t testing.TB, person, purpose string) *pair {
	t.Helper()
	p := &pair{person: person, purpose: purpose}
	t.Cleanup(p.close)
	if err := p.reopen(); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *pair) reopen() (err error) {
	p.close()
	if p.first, err = login(p.person, trueName, p.purpose); err == nil {
		p.second, err = login(p.person, twinName, p.purpose)
	}
	return err
}

func (p *pair) close() {
	for _, c := range []*client{p.first, p.second} {
		if c != nil {
			c.Close()
		}
	}
}

// ask plays a script in both worlds at the same time and says what differs. The sessions are as new afterwards.
func (p *pair) ask(s script, unordered, names bool) (v verdict, said []frame, leak string, err error) {
	var other []frame
	var over, overToo bool
	both(func() { said, over = p.first.fresh(s, names) }, func() { other, overToo = p.second.fresh(s, names) })
	leak = difference(said, other, unordered)
	if over || overToo {
		err = p.reopen()
	}
	return verdictOf(said), said, leak, err
}

func both(one, other func()) {
	done := make(chan struct{})
	go func() { defer close(done); other() }()
	one()
	<-done
}

// fresh plays a script and brings the session back to where another may begin. names says that it may leave names behind.
func (c *client) fresh(s script, names bool) (said []frame, over bool) {
	said, over = c.play(s)
	if over {
		return said, over
	}
	if last := said[len(said)-1]; !names && len(s) == 1 && last.kind() == 'Z' && last[5] == 'I' {
		return said, false
	}
	_, over = c.play(recoverScript)
	return said, over
}

// byChance reports whether the first world itself answers otherwise when it is asked again.
func (p *pair) byChance(s script, unordered bool) bool {
	c, err := login(p.person, trueName, p.purpose)
	if err != nil {
		return false
	}
	defer c.Close()
	once, over := c.play(s)
	if over {
		return false
	}
	c.play(recoverScript)
	again, _ := c.play(s)
	return difference(once, again, unordered) != ""
}

// crew is how many pairs of sessions work at the same time.
const crew = 4

// TestVectors runs every vector in every form in both worlds.
func TestVectors(t *testing.T) {
	for _, s := range readVectors(t) {
		t.Run(s.person+" "+s.purpose, func(t *testing.T) {
			for _, otherLengths := range []bool{false, true} {
				if err := town.worlds.arrange(t.Context(), s.person, otherLengths); err != nil {
					t.Fatal(err)
				}
				runAll(t, s, otherLengths)
			}
		})
	}
}

func runAll(t *testing.T, s suite, otherLengths bool) {
	work := make(chan vector)
	var members sync.WaitGroup
	for range crew {
		p := open(t, s.person, s.purpose)
		members.Go(func() {
			for v := range work {
				began := time.Now()
				if err := p.run(t, v, otherLengths); err != nil {
					t.Errorf("%s: %v", v.Route, err)
				}
				if d := time.Since(began); d > 3*time.Second {
					t.Logf("SLOW %s %v %s%s", v.Route, d, v.SQL, v.Script)
				}
			}
			p.close()
		})
	}
	for _, v := range s.vectors {
		if !otherLengths || !v.Sizes {
			work <- v
		}
	}
	close(work)
	members.Wait()
}

// run runs one vector. With other lengths only the simple form is run, since forms differ by what the proxy does and not by
// what the values are.
func (p *pair) run(t *testing.T, v vector, simple bool) error {
	if v.Script != "" {
		s, err := parseScript(v.Script)
		if err != nil {
			return fmt.Errorf("%s: %w", v.Route, err)
		}
		got, said, leak, err := p.ask(s, v.Unordered, true)
		if leak != "" {
			t.Errorf("LEAK %s as %s:\n%s\n\t%s", v.Route, p.person, v.Script, leak)
		}
		if got != v.Verdict {
			t.Errorf("%s as %s:\n%s\n\twas %s, should be %s: %s", v.Route, p.person, v.Script, got, v.Verdict, last(said))
		}
		return err
	}
	kind, faults := kindOf(v.SQL), 0
	for _, f := range forms {
		if faults > 1 { // more of the same
			break
		}
		if !f.fits(kind) || simple && f.name != "simple" || len(v.Params) > 0 && !slices.Contains(withParams, f.name) ||
			slices.Contains(v.Except, f.name) || v.Only != nil && !slices.Contains(v.Only, f.name) || v.ordinary() && !slices.Contains(everyday, f.name) ||
			v.Unordered && slices.Contains(inPart, f.name) {
			continue
		}
		s := f.make(v.SQL, v.Params)
		got, said, leak, err := p.ask(s, v.Unordered, false)
		if leak != "" {
			faults++
			t.Errorf("LEAK %s as %s, %s: %s\n\t%s", v.Route, p.person, f.name, v.SQL, leak)
			if p.byChance(s, v.Unordered) {
				t.Errorf("%s: what comes is left to chance", v.Route)
			}
		}
		wrong := got != v.Verdict && (f.equal || v.Verdict == refused)
		if wrong {
			faults++
			t.Errorf("%s as %s, %s: %s\n\twas %s, should be %s: %s", v.Route, p.person, f.name, v.SQL, got, v.Verdict, last(said))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// everyday are the forms in which ordinary statements are sent; inPart those that show only some of the rows, which others
// may be when their order is left open.
var (
	everyday = []string{"simple", "extended", "prepared", "cursor"}
	inPart   = []string{"portions", "cursor", "binary cursor"}
)

func (v *vector) ordinary() bool { return strings.HasPrefix(v.Route, "ordinary") }

// withParams are the forms that can carry parameters.
var withParams = []string{"extended", "binary", "blind", "portions", "pipelined"}

// last shows the first error that came, or else the last message.
func last(said []frame) string {
	for _, f := range said {
		if f.kind() == 'E' {
			return f.show()
		}
	}
	if len(said) == 0 {
		return "nothing came"
	}
	return said[len(said)-1].show()
}
