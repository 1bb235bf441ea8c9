package poll_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"shiguan/proxy/poll"
)

// called counts how often a socket's owner heard of it.
type called int

func (c *called) Ready() { *c++ }

// watched is a connection whose one end is watched, and the other end of it.
func watched(t *testing.T) (*poll.Poller, *poll.Socket, net.Conn, *called) {
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
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := peer.Write([]byte("early")); err != nil { // before anybody watches
		t.Fatal(err)
	}
	s, err := poll.Detach(nc)
	if err != nil {
		t.Fatal(err)
	}
	p, err := poll.New()
	if err != nil {
		t.Fatal(err)
	}
	owner := new(called)
	if err := p.Watch(s, owner); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(); peer.Close(); p.Close() })
	return p, s, peer, owner
}

// until waits until f holds, turn after turn.
func until(t *testing.T, p *poll.Poller, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !f(); {
		if err := p.Wait(time.Second); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatal("it does not happen")
		}
	}
}

func TestReading(t *testing.T) {
	p, s, peer, owner := watched(t)
	b := make([]byte, 64)
	until(t, p, func() bool { return *owner > 0 })
	if n, err := s.Read(b); err != nil || string(b[:n]) != "early" {
		t.Fatalf("what came before it was watched: %q, %v", b[:n], err)
	}
	if s.Readable() {
		t.Error("a read that found less than it asked for has not emptied the socket")
	}
	if _, err := s.Read(b); !errors.Is(err, poll.ErrAgain) {
		t.Fatalf("nothing has come, and Read says %v", err)
	}
	peer.Write([]byte("0123456789"))
	until(t, p, s.Readable)
	for _, want := range []string{"0123", "4567", "89"} {
		if n, err := s.Read(b[:4]); err != nil || string(b[:n]) != want {
			t.Fatalf("read %q, %v; want %q", b[:n], err, want)
		}
	}
	peer.Write([]byte("last"))
	peer.(*net.TCPConn).CloseWrite()
	var all []byte
	var end error
	until(t, p, func() bool {
		n, err := s.Read(b)
		all = append(all, b[:n]...)
		if err != nil && !errors.Is(err, poll.ErrAgain) {
			end = err
		}
		return end != nil
	})
	if string(all) != "last" || end != io.EOF {
		t.Errorf("the end is %q, %v", all, end)
	}
}

func TestWriting(t *testing.T) {
	p, s, peer, _ := watched(t)
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	left := sent
	for {
		n, err := s.Write(left)
		left = left[n:]
		if errors.Is(err, poll.ErrAgain) {
			break
		}
		if err != nil || len(left) == 0 {
			t.Fatalf("16 MB disappear in a socket that nobody reads: %v", err)
		}
	}
	got := make(chan []byte)
	go func() {
		all, _ := io.ReadAll(peer)
		got <- all
	}()
	until(t, p, func() bool {
		n, err := s.Write(left)
		if left = left[n:]; err != nil && !errors.Is(err, poll.ErrAgain) {
			t.Fatal(err)
		}
		return len(left) == 0
	})
	if err := s.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if all := <-got; !bytes.Equal(all, sent) {
		t.Errorf("%d of %d bytes have come", len(all), len(sent))
	}
}

func TestClosing(t *testing.T) {
	p, s, peer, owner := watched(t)
	until(t, p, func() bool { return *owner > 0 })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	*owner = 0
	peer.Write([]byte("more"))
	if err := p.Wait(20 * time.Millisecond); err != nil || *owner != 0 {
		t.Errorf("the owner of a closed socket hears of it: %v", err)
	}
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) || s.Readable() {
		t.Errorf("Read says %v", err)
	}
	if _, err := s.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write says %v", err)
	}
	if err := s.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Close says %v", err)
	}
}

func TestWaking(t *testing.T) {
	p, err := poll.New()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for range 1000 { // more than its counter's first byte holds
		go p.Wake()
		if err := p.Wait(poll.Forever); err != nil {
			t.Fatal(err)
		}
	}
}

// What has no file descriptor is not taken, and not closed.
func TestDetachOfAPipe(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close()
	if _, err := poll.Detach(a); err == nil {
		t.Fatal("a pipe was taken for a socket")
	}
	go b.Write([]byte("x"))
	if _, err := a.Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
}
