package auditlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"shiguan/auditlog/record"
)

// chunkBytes is how much of a segment is read at once.
const chunkBytes = 256 << 10

// scanner reads the frames of one segment in order.
type scanner struct {
	f      file
	size   int64
	offset int64  // of the next frame
	index  uint64 // that it must have
	batch  uint64 // of the frame before

	chunk []byte
	from  int64   // offset of chunk
	into  *[]byte // where to read chunks; nil: what was read stays valid for whoever keeps it
}

func newScanner(f file, first uint64) (*scanner, error) {
	size, err := f.size()
	return &scanner{f: f, size: size, index: first, batch: first}, err
}

// bytesAt returns n bytes at an offset, or fewer where the file ends.
func (s *scanner) bytesAt(offset int64, n int) ([]byte, error) {
	if offset < s.from || offset+int64(n) > s.from+int64(len(s.chunk)) {
		want := min(int64(max(n, chunkBytes)), s.size-offset)
		s.chunk, s.from = s.room(want), offset
		if got, err := s.f.ReadAt(s.chunk, offset); err != nil && err != io.EOF {
			return nil, err
		} else if err == io.EOF {
			s.chunk = s.chunk[:got]
		}
	}
	b := s.chunk[offset-s.from:]
	return b[:min(n, len(b))], nil
}

// room returns n bytes to read a chunk into.
func (s *scanner) room(n int64) []byte {
	if s.into == nil {
		return make([]byte, n)
	}
	if int64(cap(*s.into)) < n {
		*s.into = make([]byte, n)
	}
	return (*s.into)[:n]
}

// next returns the next record, errEnd where unwritten space begins, a
// *badFrame where something else stands, or an I/O error.
func (s *scanner) next() (Stored, error) {
	h, err := s.peek()
	if err != nil {
		return Stored{}, err
	}
	frame, err := s.bytesAt(s.offset, headerSize+int(h.length))
	if err != nil {
		return Stored{}, err
	}
	if len(frame) < headerSize+int(h.length) {
		return Stored{}, &badFrame{"the file ends in the middle of it"}
	}
	stored, batch, err := checkFrame(frame)
	if err != nil {
		return Stored{}, &badFrame{err.Error()}
	}
	if batch != s.batch && batch != s.index {
		return Stored{}, &badFrame{fmt.Sprintf("it says its batch began with record %d, the one before says %d", batch, s.batch)}
	}
	s.offset += int64(len(frame))
	s.index++
	s.batch = batch
	return stored, nil
}

// skip passes over the next record without checking more than its header.
func (s *scanner) skip() error {
	h, err := s.peek()
	if err != nil {
		return err
	}
	s.offset += headerSize + int64(h.length)
	s.index++
	s.batch = h.batch
	return nil
}

// peek reads the next header and checks what can be checked of it alone.
func (s *scanner) peek() (header, error) {
	b, err := s.bytesAt(s.offset, headerSize)
	if err != nil {
		return header{}, err
	}
	if len(bytes.Trim(b, "\x00")) == 0 {
		return header{}, errEnd
	}
	if len(b) < headerSize {
		return header{}, &badFrame{"the file ends in the middle of its header"}
	}
	h := parseHeader(b)
	switch {
	case h.index != s.index:
		return header{}, &badFrame{fmt.Sprintf("it says it is record %d, record %d is due", h.index, s.index)}
	case h.length < record.LeafSize || h.length > maxLength:
		return header{}, &badFrame{fmt.Sprintf("it says it is %d bytes long", h.length)}
	case h.batch > h.index:
		return header{}, &badFrame{fmt.Sprintf("it says its batch begins with record %d, after it", h.batch)}
	case s.offset+headerSize+int64(h.length) > s.size:
		return header{}, &badFrame{fmt.Sprintf("it says it is %d bytes long, beyond the end of the file", h.length)}
	}
	return h, nil
}

// tail says what stands in a segment from the end of its valid prefix on.
type tail struct {
	end   int64   // behind the last byte that is not zero; the prefix's end if none
	later *Stored // a valid record of a batch begun after the prefix, if there is one
	at    int64   // its offset
}

// examineTail looks at every byte behind the valid prefix. A frame cannot be
// put there by who writes statements: payloads are sealed, so nobody can choose
// their bytes. Frames of the torn batch itself may well be valid there.
func examineTail(f file, from, size int64, next uint64) (tail, error) {
	t := tail{end: from}
	const overlap = headerSize - 1
	buf := make([]byte, chunkBytes+overlap)
	for at := from; at < size; at += chunkBytes {
		b := buf[:min(int64(len(buf)), size-at)]
		if _, err := f.ReadAt(b, at); err != nil && err != io.EOF {
			return t, err
		}
		if rest := bytes.TrimRight(b, "\x00"); len(rest) > 0 {
			t.end = max(t.end, at+int64(len(rest)))
		} else {
			continue
		}
		for i := 0; i+headerSize <= len(b) && i < chunkBytes; i++ {
			h := parseHeader(b[i:])
			if h.batch <= next || !h.plausible() || h.index-next > uint64(size) || at+int64(i)+headerSize+int64(h.length) > size {
				continue
			}
			frame := make([]byte, headerSize+int(h.length))
			if _, err := f.ReadAt(frame, at+int64(i)); err != nil && err != io.EOF {
				return t, err
			}
			if stored, _, err := checkFrame(frame); err == nil {
				t.later, t.at = &stored, at+int64(i)
				return t, nil
			}
		}
	}
	return t, nil
}

// isBadFrame tells a record that is wrong from a disk that is.
func isBadFrame(err error) bool { return errors.As(err, new(*badFrame)) }
