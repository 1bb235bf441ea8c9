package auth_test

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"shiguan/proxy/auth"
)

// clock stands still until it is told otherwise.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func newLimiter(burst, sources int) (*auth.Limiter, *clock) {
	c := &clock{time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)}
	return auth.NewLimiter(auth.LimiterOptions{Burst: burst, Every: time.Minute, Sources: sources, Now: c.Now}), c
}

// tries makes n attempts that end alike and says how many were let in.
func tries(l *auth.Limiter, from string, n int, failed bool) (let int) {
	addr, _ := netip.ParseAddr(from) // "" is the invalid address
	for range n {
		if a, ok := l.Begin(addr); ok {
			let++
			a.End(failed)
		}
	}
	return let
}

func TestLimiter(t *testing.T) {
	l, c := newLimiter(3, 10)
	if n := tries(l, "192.0.2.1", 50, false); n != 50 {
		t.Errorf("%d of 50 logins that succeed were let in", n)
	}
	if n := tries(l, "192.0.2.1", 10, true); n != 3 {
		t.Errorf("%d guesses were let in, want 3", n)
	}
	if n := tries(l, "192.0.2.1", 1, false); n != 0 {
		t.Error("after too many guesses a login is let in")
	}
	if n := tries(l, "192.0.2.2", 10, true); n != 3 {
		t.Errorf("another source has %d guesses, want 3", n)
	}
	c.now = c.now.Add(59 * time.Second)
	if n := tries(l, "192.0.2.1", 5, true); n != 0 {
		t.Errorf("%d guesses after 59 s, want none", n)
	}
	c.now = c.now.Add(time.Second)
	if n := tries(l, "192.0.2.1", 5, true); n != 1 {
		t.Errorf("%d guesses after a minute, want 1", n)
	}
	c.now = c.now.Add(time.Hour)
	if n := tries(l, "192.0.2.1", 10, true); n != 3 {
		t.Errorf("%d guesses after an hour, want 3", n)
	}
}

// TestLimiterSideBySide: guesses that run at the same time are as many as guesses one after the other.
func TestLimiterSideBySide(t *testing.T) {
	l, _ := newLimiter(3, 10)
	addr := netip.MustParseAddr("192.0.2.1")
	var begun []*auth.Attempt
	for range 10 {
		if a, ok := l.Begin(addr); ok {
			begun = append(begun, a)
		}
	}
	if len(begun) != 3 {
		t.Fatalf("%d were begun side by side, want 3", len(begun))
	}
	begun[0].End(false)
	if n := tries(l, "192.0.2.1", 10, false); n != 10 {
		t.Errorf("a login that succeeded is not given back: %d of 10", n)
	}
	begun[1].End(true)
	begun[2].End(true)
	if n := tries(l, "192.0.2.1", 10, true); n != 1 {
		t.Errorf("%d guesses are left, want 1", n)
	}
}

func TestLimiterSources(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"2001:db8::1", "2001:db8::ffff:2", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"fe80::1%eth0", "fe80::1%eth1", true},
		{"", "", true},
		{"", "127.0.0.1", false},
	} {
		l, _ := newLimiter(1, 10)
		if n := tries(l, tc.a, 1, true); n != 1 {
			t.Fatalf("%q is not let in once", tc.a)
		}
		if n := tries(l, tc.b, 1, true); (n == 0) != tc.same {
			t.Errorf("%q and %q: let in %d, want the same source: %t", tc.a, tc.b, n, tc.same)
		}
	}
}

// TestLimiterByUser: guesses at one user's password do not shut out the other users of the same machine.
func TestLimiterByUser(t *testing.T) {
	l, _ := newLimiter(3, 1000)
	addr := netip.MustParseAddr("192.0.2.1")
	let := func(user string) bool {
		a, ok := l.BeginAs(addr, user)
		if ok {
			a.End(true)
		}
		return ok
	}
	for i := range 5 {
		if let("ann") != (i < 3) {
			t.Fatalf("guess %d", i)
		}
	}
	free, guesses := 0, 0
	for i := range 2000 {
		user := fmt.Sprint("user ", i)
		if let(user) {
			if guesses++; i < 100 {
				free++
			}
		}
	}
	if free < 90 {
		t.Errorf("%d of 100 other users were let in", free)
	}
	if guesses > 3*256 {
		t.Errorf("invented names bought %d guesses", guesses)
	}
}

// TestLimiterForgets: memory is bounded, and who failed longest ago is forgotten first.
func TestLimiterForgets(t *testing.T) {
	l, _ := newLimiter(1, 100)
	for i := range 100 {
		if n := tries(l, fmt.Sprintf("192.0.2.%d", i), 2, true); n != 1 {
			t.Fatalf("source %d: %d guesses, want 1", i, n)
		}
	}
	tries(l, "198.51.100.1", 1, true)
	if n := tries(l, "192.0.2.99", 1, true); n != 0 {
		t.Error("a recent source was forgotten")
	}
	if n := tries(l, "192.0.2.0", 1, true); n != 1 {
		t.Error("the oldest source was not forgotten")
	}
}

func TestLimiterDefaults(t *testing.T) {
	l := auth.NewLimiter(auth.LimiterOptions{Now: (&clock{time.Unix(0, 0)}).Now})
	if n := tries(l, "192.0.2.1", 100, true); n != 20 {
		t.Errorf("%d guesses, want the default of 20", n)
	}
}

func TestLimiterConcurrently(t *testing.T) {
	l, _ := newLimiter(50, 10)
	var wg sync.WaitGroup
	let := make([]int, 8)
	for i := range let {
		wg.Go(func() { let[i] = tries(l, "192.0.2.1", 100, true) })
	}
	wg.Wait()
	total := 0
	for _, n := range let {
		total += n
	}
	if total != 50 {
		t.Errorf("%d guesses were let in, want 50", total)
	}
}
