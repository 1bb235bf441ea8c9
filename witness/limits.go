package witness

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// Limits bound what callers can make a witness do. Zero fields have defaults.
type Limits struct {
	Concurrent    int        // submissions handled at a time, default 64; the next ones are told to come back
	Connections   int        // open connections, default 512; the next ones wait in the kernel
	PerAddress    int        // of these, from one address, default 64; the next ones are closed
	StrangerRate  rate.Limit // requests a second from an address that never sent a validly signed checkpoint, default 5
	StrangerBurst int        // default 30
	KnownRate     rate.Limit // requests a second from an address that did, default 100
	KnownBurst    int        // default 200
	MirrorRate    rate.Limit // requests a second for files of mirrored logs, from one address, default 500
	MirrorBurst   int        // default 1000
}

func (l Limits) withDefaults() Limits {
	setDefault(&l.Concurrent, 64)
	setDefault(&l.Connections, 512)
	setDefault(&l.PerAddress, 64)
	setDefault(&l.StrangerRate, 5)
	setDefault(&l.StrangerBurst, 30)
	setDefault(&l.KnownRate, 100)
	setDefault(&l.KnownBurst, 200)
	setDefault(&l.MirrorRate, 500)
	setDefault(&l.MirrorBurst, 1000)
	return l
}

func setDefault[T int | rate.Limit](v *T, to T) {
	if *v == 0 {
		*v = to
	}
}

// trackedCallers bounds the memory that callers from many addresses can take.
// Who is forgotten begins anew with a full bucket.
const trackedCallers = 4096

// callers holds a token bucket for each address. There is no login: what makes
// a caller known is that a validly signed checkpoint of a configured log came
// from its address.
type callers struct {
	limits Limits
	mu     sync.Mutex
	seen   *lru.Cache[netip.Addr, *caller]
}

type caller struct {
	bucket *rate.Limiter
	known  bool
}

func newCallers(limits Limits) *callers {
	seen, err := lru.New[netip.Addr, *caller](trackedCallers)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return &callers{limits: limits, seen: seen}
}

func (c *callers) callerLocked(addr netip.Addr) *caller {
	who, ok := c.seen.Get(addr)
	if !ok {
		who = &caller{bucket: rate.NewLimiter(c.limits.StrangerRate, c.limits.StrangerBurst)}
		c.seen.Add(addr, who)
	}
	return who
}

// allow takes a token of the address and reports whether there was one.
func (c *callers) allow(addr netip.Addr, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.callerLocked(addr).bucket.AllowN(now, 1)
}

// forMirror are the callers of mirrored files, which cost less than a submission and are asked for by the thousand.
func (l Limits) forMirror() Limits {
	l.StrangerRate, l.StrangerBurst = l.MirrorRate, l.MirrorBurst
	return l
}

// know remembers that a validly signed checkpoint came from the address.
func (c *callers) know(addr netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if who := c.callerLocked(addr); !who.known {
		who.known = true
		who.bucket = rate.NewLimiter(c.limits.KnownRate, c.limits.KnownBurst)
	}
}

// callerAddr is the address that a request is counted under: the peer's, and
// for IPv6 its /64, because one host has all of that.
func callerAddr(r *http.Request) netip.Addr { return countedAddr(r.RemoteAddr) }

func countedAddr(hostPort string) netip.Addr {
	peer, err := netip.ParseAddrPort(hostPort)
	if err != nil {
		return netip.Addr{}
	}
	addr := peer.Addr().Unmap().WithZone("")
	if addr.Is6() {
		if net64, err := addr.Prefix(64); err == nil {
			return net64.Addr()
		}
	}
	return addr
}

// boundedListener lets a number of connections be open at a time, and fewer than that from one address.
type boundedListener struct {
	net.Listener
	slots chan struct{}
	done  chan struct{}
	once  sync.Once

	perAddress int
	mu         sync.Mutex
	open       map[netip.Addr]int // guarded by mu
}

func boundListener(l net.Listener, limits Limits) *boundedListener {
	return &boundedListener{
		Listener: l, slots: make(chan struct{}, limits.Connections), done: make(chan struct{}),
		perAddress: limits.PerAddress, open: make(map[netip.Addr]int),
	}
}

func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		select {
		case l.slots <- struct{}{}:
		case <-l.done:
			return nil, net.ErrClosed
		}
		conn, err := l.Listener.Accept()
		if err != nil {
			<-l.slots
			return nil, err
		}
		addr := countedAddr(conn.RemoteAddr().String())
		if !l.enter(addr) {
			conn.Close()
			<-l.slots
			continue
		}
		return &boundedConn{Conn: conn, release: sync.OnceFunc(func() { l.leave(addr) })}, nil
	}
}

func (l *boundedListener) enter(addr netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[addr] >= l.perAddress {
		return false
	}
	l.open[addr]++
	return true
}

func (l *boundedListener) leave(addr netip.Addr) {
	l.mu.Lock()
	if l.open[addr]--; l.open[addr] == 0 {
		delete(l.open, addr)
	}
	l.mu.Unlock()
	<-l.slots
}

func (l *boundedListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

type boundedConn struct {
	net.Conn
	release func()
}

func (c *boundedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}
