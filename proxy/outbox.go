package proxy

import (
	"errors"

	"shiguan/auditlog"
	"shiguan/proxy/poll"
)

// stream is one side's connection. Nothing in it waits: a Read that finds nothing, and a Write that took less than it was
// given, return poll.ErrAgain, and the session is called when there is more.
type stream interface {
	Read(b []byte) (int, error)
	Write(b []byte) (int, error)
	Readable() bool // Read may find something
	Unsent() bool   // Write took bytes that have not left yet: it must be called again, be it with nothing
	CloseWrite() error
	Close() error
}

// outbox collects what one side is to receive and writes it with one system call. Nothing can be put in without the
// receipt of the record that allows it. What is in it is in three parts: buf[:sent] has left, buf[sent:cleared] may leave
// and waits for room in the socket, buf[cleared:] waits for a record.
type outbox struct {
	to      stream
	buf     []byte
	sent    int
	cleared int
	need    auditlog.Receipt // the newest receipt that must be durable before buf[cleared:] may leave
	wait    bool
}

// put adds bytes that must not leave before the record of r is durable.
func (o *outbox) put(b []byte, r auditlog.Receipt) {
	o.buf = append(o.buf, b...)
	o.under(r)
}

// under makes everything in the box wait for r.
func (o *outbox) under(r auditlog.Receipt) {
	if !o.wait || o.need.Index() < r.Index() {
		o.need = r
	}
	o.wait = true
}

// putRecorded adds bytes whose record, r, has been appended but need not be durable yet: the release rule lets a
// statement that changes nothing run while its record is being written.
func (o *outbox) putRecorded(b []byte, _ auditlog.Receipt) { o.buf = append(o.buf, b...) }

// waiting is how many bytes have not left.
func (o *outbox) waiting() int { return len(o.buf) - o.sent }

// empty reports that all has left.
func (o *outbox) empty() bool { return o.waiting() == 0 && !o.to.Unsent() }

// unrecorded reports that bytes wait for a record.
func (o *outbox) unrecorded() bool { return o.wait && o.cleared < len(o.buf) }

// clear lets everything leave whose record is durable. An error is of the log, and for good.
func (o *outbox) clear() error {
	if o.unrecorded() {
		durable, err := o.need.State()
		if err != nil {
			return &logError{err}
		}
		o.wait = !durable
	}
	if !o.wait {
		o.cleared = len(o.buf)
	}
	return nil
}

// flush writes what may leave, as far as the socket takes it. An error is for good: the connection is lost.
func (o *outbox) flush() error {
	if o.sent == o.cleared && !o.to.Unsent() {
		return nil
	}
	n, err := o.to.Write(o.buf[o.sent:o.cleared])
	o.sent += n
	switch {
	case o.sent == len(o.buf):
		o.buf, o.sent, o.cleared = o.buf[:0], 0, 0
	case o.sent >= keepBuffer:
		o.buf = o.buf[:copy(o.buf, o.buf[o.sent:])]
		o.sent, o.cleared = 0, o.cleared-o.sent
	}
	if err != nil && !errors.Is(err, poll.ErrAgain) {
		return err
	}
	return nil
}

// cut takes back what has not been cleared. What was, consists of whole messages.
func (o *outbox) cut() {
	o.buf, o.wait = o.buf[:o.cleared], false
}

// keepBuffer is the largest buffer kept for the next to use it.
const keepBuffer = 128 << 10

// logError says that the log could not take or keep a record.
type logError struct{ err error }

func (e *logError) Error() string { return "the record could not be written: " + e.err.Error() }
func (e *logError) Unwrap() error { return e.err }
