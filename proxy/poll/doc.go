// Package poll is non-blocking sockets and the waiting for many of them at once, by Linux's epoll. One goroutine owns a
// Poller and all of its Sockets: nothing here takes a lock, and only Wake may be called from elsewhere. The event loops of
// the proxy use it, because a goroutine for each direction of each connection costs a wake-up for every message.
//
// Sockets are watched edge-triggered, once and for all: a Socket remembers that it may be read until a read has found it
// empty, so that who suspends reading makes no system call for it, and none when he resumes.
package poll

import (
	"errors"
	"net"
	"os"
	"syscall"
)

// ErrAgain says that nothing can be read, or written, for now. It is a net.Error that calls itself temporary, so that
// crypto/tls goes on after it where it stopped.
var ErrAgain net.Error = again{}

type again struct{}

func (again) Error() string   { return "the socket is not ready" }
func (again) Timeout() bool   { return true }
func (again) Temporary() bool { return true }
func (again) Unwrap() error   { return os.ErrDeadlineExceeded }

// Owner is told that one of its sockets may be ready, from within Wait.
type Owner interface{ Ready() }

// errKind says that a connection is nothing that an operating system could watch.
var errKind = errors.New("the connection has no file descriptor")

// raw is what net's connections over sockets are.
type raw interface {
	net.Conn
	syscall.Conn
}
