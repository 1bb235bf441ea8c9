package poll

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Poller waits for sockets.
type Poller struct {
	fd      int
	wake    int
	events  [256]unix.EpollEvent
	sockets []*Socket // by file descriptor
}

// New makes a Poller.
func New() (*Poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("eventfd2", err)
	}
	p := &Poller{fd: fd, wake: wake}
	// Its counter need not be read to be reset: each write to it is an edge.
	e := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(wake)}
	if err := unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, wake, &e); err != nil {
		p.Close()
		return nil, os.NewSyscallError("epoll_ctl", err)
	}
	return p, nil
}

// Close ends the Poller; its sockets must have been closed.
func (p *Poller) Close() {
	unix.Close(p.wake)
	unix.Close(p.fd)
}

// Wake makes Wait return soon. Any goroutine may call it.
func (p *Poller) Wake() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	unix.Write(p.wake, one[:]) // fails only when 2^64 wake-ups are pending
}

// Forever makes Wait wait until something happens.
const Forever time.Duration = -1

// Wait notes which sockets have become ready and tells their owners. It returns when there was something to note, after
// Wake, and after the timeout, whose unit is the millisecond.
func (p *Poller) Wait(timeout time.Duration) error {
	ms := -1
	if timeout >= 0 {
		ms = int((timeout + time.Millisecond - 1) / time.Millisecond)
	}
	n, err := unix.EpollWait(p.fd, p.events[:], ms)
	if err == unix.EINTR {
		return nil
	}
	if err != nil {
		return os.NewSyscallError("epoll_wait", err)
	}
	for i := range p.events[:n] {
		e := &p.events[i]
		if int(e.Fd) < len(p.sockets) && p.sockets[e.Fd] != nil {
			p.sockets[e.Fd].note(e.Events)
		}
	}
	return nil
}

// Watch makes a socket the Poller's. Its owner hears of it in the next Wait if it is ready already.
func (p *Poller) Watch(s *Socket, owner Owner) error {
	for len(p.sockets) <= s.fd {
		p.sockets = append(p.sockets, nil)
	}
	e := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(s.fd)}
	if err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, s.fd, &e); err != nil {
		return os.NewSyscallError("epoll_ctl", err)
	}
	p.sockets[s.fd] = s
	s.poller, s.owner = p, owner
	return nil
}

// Socket is a connected stream socket on which no call blocks.
type Socket struct {
	fd       int
	poller   *Poller // nil until watched
	owner    Owner
	readable bool // for all we know
	writable bool // likewise
	over     bool // the peer has said, or the kernel knows, that there is an end: read up to it
	closed   bool
}

// Detach takes a connection out of the hands of package net: what is returned stands for it, nc is closed, and the runtime
// no longer watches it. Nothing of what was sent is lost.
func Detach(nc net.Conn) (*Socket, error) {
	r, ok := nc.(raw)
	if !ok {
		return nil, errKind
	}
	rc, err := r.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	var dup error
	if err := rc.Control(func(old uintptr) { fd, dup = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return nil, err
	}
	if dup != nil {
		return nil, os.NewSyscallError("fcntl", dup)
	}
	nc.Close() // the duplicate keeps the connection open
	return &Socket{fd: fd, readable: true, writable: true}, nil
}

func (s *Socket) note(events uint32) {
	if events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		s.over = true
		s.readable, s.writable = true, true
	}
	if events&unix.EPOLLIN != 0 {
		s.readable = true
	}
	if events&unix.EPOLLOUT != 0 {
		s.writable = true
	}
	s.owner.Ready()
}

// Readable reports that Read may find something.
func (s *Socket) Readable() bool { return s.readable && !s.closed }

// Read is an io.Reader that returns ErrAgain instead of waiting. Less than asked for means that there was no more: the
// kernel is not asked a second time before it has reported again.
func (s *Socket) Read(b []byte) (int, error) {
	if s.closed {
		return 0, net.ErrClosed
	}
	if !s.readable {
		return 0, ErrAgain
	}
	for {
		n, err := unix.Read(s.fd, b)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			s.readable = false
			return 0, ErrAgain
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0 && len(b) > 0:
			return 0, io.EOF
		}
		s.readable = n == len(b) || s.over
		return n, nil
	}
}

// Write writes what the kernel takes. Where that is less than b the error is ErrAgain, and the owner hears when there is
// room.
func (s *Socket) Write(b []byte) (written int, err error) {
	if s.closed {
		return 0, net.ErrClosed
	}
	for s.writable && written < len(b) {
		n, err := unix.Write(s.fd, b[written:])
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			s.writable = false
		case err != nil:
			return written, os.NewSyscallError("write", err)
		default:
			written += n
		}
	}
	if written < len(b) {
		return written, ErrAgain
	}
	return written, nil
}

// CloseWrite tells the peer that nothing more comes.
func (s *Socket) CloseWrite() error {
	if s.closed {
		return net.ErrClosed
	}
	return os.NewSyscallError("shutdown", unix.Shutdown(s.fd, unix.SHUT_WR))
}

// Close closes the connection. The owner hears no more of it.
func (s *Socket) Close() error {
	if s.closed {
		return net.ErrClosed
	}
	s.closed = true
	if s.poller != nil {
		s.poller.sockets[s.fd] = nil
	}
	return os.NewSyscallError("close", unix.Close(s.fd)) // which takes it out of the epoll set
}
