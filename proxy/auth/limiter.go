package auth

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

// LimiterOptions bound how fast one source may guess. Zero values take the defaults.
type LimiterOptions struct {
	Burst   int              // failed logins before waiting begins; 20
	Every   time.Duration    // then one more each; 1 s
	Sources int              // remembered; the one that failed longest ago is forgotten first; 10,000
	Now     func() time.Time // time.Now
}

// Limiter bounds failed logins per source address: an IPv4 address, or the /64 network of an IPv6 address, since that is
// what one machine has. Successful logins cost nothing. It is safe for concurrent use.
type Limiter struct {
	o    LimiterOptions
	seed maphash.Seed

	mu      sync.Mutex
	sources *simplelru.LRU[sourceKey, *source]
}

// sourceKey is what failures are counted by.
type sourceKey struct {
	network netip.Prefix
	bucket  uint8 // of the user names
}

// source is what is known of one; the Limiter's mutex guards it.
type source struct {
	failures *rate.Limiter
	pending  int // logins begun and not ended: each may still fail
}

// NewLimiter returns a Limiter.
func NewLimiter(o LimiterOptions) *Limiter {
	if o.Burst <= 0 {
		o.Burst = 20
	}
	if o.Every <= 0 {
		o.Every = time.Second
	}
	if o.Sources <= 0 {
		o.Sources = 10_000
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	sources, err := simplelru.NewLRU[sourceKey, *source](o.Sources, nil)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return &Limiter{o: o, seed: maphash.MakeSeed(), sources: sources}
}

// Attempt is a login that was begun. Exactly one call of End ends it.
type Attempt struct {
	limiter *Limiter
	source  *source
}

// Begin asks whether a login from an address may be tried. The invalid address stands for everything that has none, such
// as Unix sockets.
func (l *Limiter) Begin(from netip.Addr) (*Attempt, bool) {
	return l.begin(sourceKey{network: networkOf(from)})
}

// BeginAs is Begin for sources that many people share, such as an application server: who guesses one user's password there
// does not shut out the others. Names fall into 256 buckets, so that inventing names buys few guesses and no memory; which
// fall together nobody can know, nor whether a name exists.
func (l *Limiter) BeginAs(from netip.Addr, user string) (*Attempt, bool) {
	return l.begin(sourceKey{networkOf(from), uint8(maphash.String(l.seed, user))})
}

func (l *Limiter) begin(key sourceKey) (*Attempt, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok := l.sources.Get(key)
	if !ok {
		s = &source{failures: rate.NewLimiter(rate.Every(l.o.Every), l.o.Burst)}
		l.sources.Add(key, s)
	}
	// Logins side by side must not buy more guesses than logins one after the other.
	if s.failures.TokensAt(l.o.Now())-float64(s.pending) < 1 {
		return nil, false
	}
	s.pending++
	return &Attempt{l, s}, true
}

// End ends the attempt; failed means that a password was tried and was not the right one.
func (a *Attempt) End(failed bool) {
	a.limiter.mu.Lock()
	defer a.limiter.mu.Unlock()
	a.source.pending--
	if failed {
		a.source.failures.AllowN(a.limiter.o.Now(), 1)
	}
}

func networkOf(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // the invalid address
	}
	return p
}
