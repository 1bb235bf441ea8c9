package auditlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"shiguan/auditlog/record"
)

// A frame is one record as it stands in a segment:
//
//	crc32c u32 | length u32 | index u64 | batch u64 | leaf 78 | sealed payload
//
// all big-endian. length counts leaf and sealed payload. batch is the index of
// the first record that was written together with this one; recovery needs it
// to tell a torn write from damage. The checksum is over leaf and sealed
// payload first and then the rest of the header, because index and batch are
// known last, under the lock, and the rest is long.
const (
	headerSize = 24
	frameSize  = headerSize + record.LeafSize // of a frame with an empty payload
	// maxLength bounds a header's length field and with it a record.
	maxLength = 1 << 30
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// bodyCRC is the first part of a frame's checksum.
func bodyCRC(body []byte) uint32 { return crc32.Update(0, castagnoli, body) }

// putHeader fills in the first headerSize bytes of a frame.
func putHeader(frame []byte, body uint32, index, batch uint64) {
	binary.BigEndian.PutUint32(frame[4:], uint32(len(frame)-headerSize))
	binary.BigEndian.PutUint64(frame[8:], index)
	binary.BigEndian.PutUint64(frame[16:], batch)
	binary.BigEndian.PutUint32(frame, crc32.Update(body, castagnoli, frame[4:headerSize]))
}

// header is a frame's header as read, not yet believed.
type header struct {
	crc    uint32
	length uint32
	index  uint64
	batch  uint64
}

func parseHeader(b []byte) header {
	return header{
		crc:    binary.BigEndian.Uint32(b),
		length: binary.BigEndian.Uint32(b[4:]),
		index:  binary.BigEndian.Uint64(b[8:]),
		batch:  binary.BigEndian.Uint64(b[16:]),
	}
}

// plausible reports whether a frame of that length can exist at all.
func (h header) plausible() bool {
	return h.length >= record.LeafSize && h.length <= maxLength && h.batch <= h.index
}

// checkFrame checks a whole frame and takes it apart. The parts alias it.
func checkFrame(frame []byte) (Stored, uint64, error) {
	h := parseHeader(frame)
	if got := crc32.Update(bodyCRC(frame[headerSize:]), castagnoli, frame[4:headerSize]); got != h.crc {
		return Stored{}, 0, fmt.Errorf("checksum is %08x, its bytes give %08x", h.crc, got)
	}
	body := frame[headerSize:]
	leafBytes := body[:record.LeafSize:record.LeafSize]
	leaf, err := record.ParseLeaf(leafBytes)
	if err != nil {
		return Stored{}, 0, err
	}
	return Stored{Index: h.index, Leaf: leaf, LeafBytes: leafBytes, Sealed: body[record.LeafSize:]}, h.batch, nil
}

// errEnd says that unwritten space begins here.
var errEnd = errors.New("end of the written part")

// badFrame says that what stands here is not a valid record.
type badFrame struct{ what string }

func (e *badFrame) Error() string { return e.what }

// appendFrame appends the record as a frame of a batch of its own. The batch a
// record was written in is of no interest outside its segment.
func (s Stored) appendFrame(dst []byte) []byte {
	from := len(dst)
	dst = append(dst, make([]byte, headerSize)...)
	dst = append(append(dst, s.LeafBytes...), s.Sealed...)
	frame := dst[from:]
	putHeader(frame, bodyCRC(frame[headerSize:]), s.Index, s.Index)
	return dst
}
