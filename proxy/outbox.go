package proxy

import (
	"net"

	"shiguan/auditlog"
)

// outbox collects what one side is to receive and writes it with one system call. Nothing can be put in without the
// receipt of the record that allows it. One goroutine owns an outbox.
type outbox struct {
	conn net.Conn
	buf  []byte
	need auditlog.Receipt // the newest receipt that must be durable before buf may leave
	wait bool
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

// flush waits for the receipts and writes. An error is for good: of the log (auditlog.ErrBroken) or of the connection.
func (o *outbox) flush() error {
	if len(o.buf) == 0 {
		return nil
	}
	if o.wait {
		if err := o.need.Wait(); err != nil {
			return &logError{err}
		}
		o.wait = false
	}
	_, err := o.conn.Write(o.buf)
	if cap(o.buf) > keepBuffer {
		o.buf = nil
	}
	o.buf = o.buf[:0]
	return err
}

// keepBuffer is the largest outbox kept between flushes.
const keepBuffer = 256 << 10

// logError says that the log could not take or keep a record.
type logError struct{ err error }

func (e *logError) Error() string { return "the record could not be written: " + e.err.Error() }
func (e *logError) Unwrap() error { return e.err }
