//go:build !linux

package poll

import (
	"errors"
	"net"
	"time"
)

var errSystem = errors.New("the proxy runs on Linux only: it waits for its connections with epoll")

// Forever makes Wait wait until something happens.
const Forever time.Duration = -1

// Poller cannot be made on this system.
type Poller struct{}

// New says so.
func New() (*Poller, error) { return nil, errSystem }

// Socket cannot be made on this system.
type Socket struct{}

// Detach says so.
func Detach(nc net.Conn) (*Socket, error) {
	if _, ok := nc.(raw); !ok {
		return nil, errKind
	}
	return nil, errSystem
}

// What follows is never reached.

func (*Poller) Close()                     {}
func (*Poller) Wake()                      {}
func (*Poller) Wait(time.Duration) error   { return errSystem }
func (*Poller) Watch(*Socket, Owner) error { return errSystem }
func (*Socket) Readable() bool             { return false }
func (*Socket) Read([]byte) (int, error)   { return 0, errSystem }
func (*Socket) Write([]byte) (int, error)  { return 0, errSystem }
func (*Socket) CloseWrite() error          { return errSystem }
func (*Socket) Close() error               { return errSystem }
