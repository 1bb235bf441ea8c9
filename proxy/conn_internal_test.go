package proxy

import (
	"log/slog"
	"net"
	"strings"
	"testing"

	"shiguan/proxy/session"
)

// linked is both ends of a connection: ours in a loop, and the peer's.
func linked(t *testing.T) (*link, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peer, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close() })
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	ours := newLink(nc)
	if err := ours.enter(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close() })
	return ours, peer
}

// A fault ends the session that it happens in; both its connections are closed and the loop forgets it.
func TestGuard(t *testing.T) {
	client, peer := linked(t)
	upstream, _ := linked(t)
	var output strings.Builder
	s := &Server{sessions: map[*conn]struct{}{}, keys: map[uint32]*conn{}, places: newPlaces(), limits: Limits{}.withDefaults()}
	s.reserve("", "")
	c := &conn{db: &database{}, log: slog.New(slog.NewTextHandler(&output, nil)), srv: s, loop: &loop{sessions: map[*conn]struct{}{}},
		client: client, upstream: upstream, queue: session.NewQueue[*execution]('I')}
	s.sessions[c], c.loop.sessions[c] = struct{}{}, struct{}{}
	c.trail.closed = true // there is no log
	c.guard(func() {
		var none *execution
		none.portal = nil
	})
	if !strings.Contains(output.String(), "nil pointer") || !strings.Contains(output.String(), "TestGuard") {
		t.Errorf("the operator is told: %s", output.String())
	}
	if _, err := peer.Read(make([]byte, 1)); err == nil {
		t.Error("the client's connection is open")
	}
	if !c.ended || len(c.loop.sessions) != 0 || s.open() != 0 {
		t.Error("the session goes on")
	}
}
