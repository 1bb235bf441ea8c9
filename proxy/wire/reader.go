package wire

import (
	"errors"
	"io"
	"strings"
	"sync"
)

const (
	smallBuffer = 8 << 10  // an ordinary session's
	bulkBuffer  = 64 << 10 // while reads fill the small one: fewer system calls a megabyte

	// calmReads is how many reads in a row must have fitted the small buffer before a larger one is given back.
	calmReads = 16
)

var (
	smallBuffers = sync.Pool{New: func() any { return new([smallBuffer]byte) }}
	bulkBuffers  = sync.Pool{New: func() any { return new([bulkBuffer]byte) }}
)

// Reader frames one direction of a connection. One goroutine owns it. An error of the source is returned as it is and
// loses nothing: after a timeout the same call may be made again and goes on where it stopped. After a *ProtocolError
// the stream has no meaning any more and every call returns that error.
type Reader struct {
	src   io.Reader
	limit int
	types string // accepted; "" for all

	buf   []byte // nil while released; buf[start:end] is received and not yet handed out
	start int
	end   int

	long   *TooLongError // the over-long message that begins at start; nil: none
	left   int           // bytes of it not yet streamed or skipped
	broken error         // *ProtocolError, for good
	srcErr error         // came together with bytes; due once they are used up

	filled bool // the last read left no room: more is waiting in the kernel
	calm   int  // reads in a row that a smaller buffer would have served as well
}

// NewReader returns a Reader over src that takes messages of up to limit bytes, header included, whole.
func NewReader(src io.Reader, limit int) *Reader {
	return &Reader{src: src, limit: max(limit, headerSize)}
}

// SetLimit changes the largest message taken whole, from the next message on. A peer that has not logged in yet deserves a
// small one.
func (r *Reader) SetLimit(limit int) { r.limit = max(limit, headerSize) }

// Accept says which types of messages may come, from the next one on. Another one breaks the protocol at its first byte: a
// client that speaks something else would otherwise be waited for, for as many bytes as it seems to announce.
func (r *Reader) Accept(types string) { r.types = types }

// Next blocks until one whole message is there and returns it. The message aliases the buffer and is valid until the next
// call of Next, Stream, Skip or Idle. For a message longer than the limit it returns *TooLongError and consumes nothing.
// io.EOF means the source ended between two messages, io.ErrUnexpectedEOF inside one.
func (r *Reader) Next() (Message, error) {
	for {
		need, err := r.frame()
		if err != nil {
			return nil, err
		}
		if need > 0 && r.end-r.start >= need {
			m := Message(r.buf[r.start : r.start+need : r.start+need])
			r.start += need
			return m, nil
		}
		if err := r.fill(max(need, headerSize)); err != nil {
			return nil, err
		}
	}
}

// Unread puts the message that Next returned last back: Next will return it again.
func (r *Reader) Unread(m Message) { r.start -= len(m) }

// frame returns how many bytes from start the next message takes, 0 while its header is incomplete.
func (r *Reader) frame() (int, error) {
	if r.broken != nil {
		return 0, r.broken
	}
	if r.long != nil {
		if r.left < r.long.Length {
			return 0, errUnfinished
		}
		return 0, r.long
	}
	if r.types != "" && r.end > r.start && strings.IndexByte(r.types, r.buf[r.start]) < 0 {
		r.broken = violation("invalid frontend message type %d", r.buf[r.start])
		return 0, r.broken
	}
	if r.end-r.start < headerSize {
		return 0, nil
	}
	n, err := messageLength(r.buf[r.start:])
	if err != nil {
		r.broken = err
		return 0, err
	}
	if n > r.limit {
		r.long = &TooLongError{Type: r.buf[r.start], Length: n, Limit: r.limit}
		r.left = n
		return 0, r.long
	}
	return n, nil
}

var (
	errUnfinished = errors.New("wire: an over-long message was passed on in part, finish it with Stream or Skip")
	errNotLong    = errors.New("wire: no over-long message is pending, Stream and Skip follow a *TooLongError")
)

// Buffered is the number of bytes already read beyond the last message.
func (r *Reader) Buffered() int { return r.end - r.start }

// Ready reports that Next has something to return without reading: a whole message, an over-long one, or the fault of a
// malformed one. An event loop that waited for more bytes instead would wait for ever.
func (r *Reader) Ready() bool {
	need, err := r.frame()
	return err != nil || r.srcErr != nil || need > 0 && r.end-r.start >= need
}

// Idle gives the buffer back while nothing is buffered; Next takes one again. It ends the life of the last message.
func (r *Reader) Idle() {
	if r.start == r.end {
		release(r.buf)
		r.buf, r.start, r.end, r.filled, r.calm = nil, 0, 0, false, 0
	}
}

// Stream copies the over-long message, header and body, to w in pieces of at most the buffer's size and returns how many
// bytes w took. After an error it may be called again and goes on with what is left; bytes that w refused are lost.
func (r *Reader) Stream(w io.Writer) (int64, error) {
	var sent int64
	err := r.drain(func(piece []byte) error {
		n, err := w.Write(piece)
		sent += int64(n)
		return err
	})
	return sent, err
}

// Skip discards the over-long message.
func (r *Reader) Skip() error {
	return r.drain(func([]byte) error { return nil })
}

func (r *Reader) drain(take func(piece []byte) error) error {
	if r.broken != nil {
		return r.broken
	}
	if r.long == nil {
		return errNotLong
	}
	for r.left > 0 {
		if r.start == r.end {
			if err := r.fill(headerSize); err != nil {
				return err
			}
		}
		n := min(r.left, r.end-r.start)
		piece := r.buf[r.start : r.start+n]
		r.start += n
		r.left -= n
		if err := take(piece); err != nil {
			return err
		}
	}
	r.long = nil
	return nil
}

// fill makes room and does one read towards a message of need bytes. What was received and not handed out moves to the
// front first: that is at most one incomplete message, and it moves once.
func (r *Reader) fill(need int) error {
	if r.srcErr != nil {
		err := r.srcErr
		r.srcErr = nil
		return r.ended(err)
	}
	r.resize()
	for range 100 {
		n, err := r.src.Read(r.buf[r.end:])
		r.filled = n == len(r.buf)-r.end
		r.end += n
		if n > 0 {
			r.srcErr = err
			r.weigh(need)
			return nil
		}
		if err != nil {
			return r.ended(err)
		}
	}
	return io.ErrNoProgress
}

// weigh counts reads in a row for which a smaller buffer would have done.
func (r *Reader) weigh(need int) {
	if len(r.buf) > bulkBuffer && need <= bulkBuffer || len(r.buf) == bulkBuffer && max(r.end, need) <= smallBuffer/2 {
		r.calm++
	} else {
		r.calm = 0
	}
}

// ended tells the end of the source between messages from one inside a message.
func (r *Reader) ended(err error) error {
	if err == io.EOF && (r.start < r.end || r.left > 0) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// resize moves what is pending to the front of a buffer with room. Buffers grow only when full of received bytes, so what
// a header merely announces costs nothing, and doubling stops at the limit.
func (r *Reader) resize() {
	pending := r.end - r.start
	size := len(r.buf)
	switch {
	case size == 0:
		size = smallBuffer
	case pending == size:
		size = max(bulkBuffer, min(2*size, r.limit))
	case r.filled && size < bulkBuffer:
		size = bulkBuffer
	case r.calm >= calmReads && size > bulkBuffer && pending <= bulkBuffer/2:
		size = bulkBuffer
	case r.calm >= calmReads && size == bulkBuffer && pending <= smallBuffer/2:
		size = smallBuffer
	}
	if size == len(r.buf) {
		copy(r.buf, r.buf[r.start:r.end])
	} else {
		next := acquire(size)
		copy(next, r.buf[r.start:r.end])
		release(r.buf)
		r.buf, r.calm = next, 0
	}
	r.start, r.end = 0, pending
}

func acquire(size int) []byte {
	switch size {
	case smallBuffer:
		return smallBuffers.Get().(*[smallBuffer]byte)[:]
	case bulkBuffer:
		return bulkBuffers.Get().(*[bulkBuffer]byte)[:]
	}
	return make([]byte, size)
}

// release gives a buffer to whoever reads next, perhaps another session: nothing may point into it any more.
func release(b []byte) {
	switch len(b) {
	case smallBuffer:
		smallBuffers.Put((*[smallBuffer]byte)(b))
	case bulkBuffer:
		bulkBuffers.Put((*[bulkBuffer]byte)(b))
	}
}
