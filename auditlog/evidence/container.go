package evidence

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"shiguan/auditlog/record"
)

// The parts of an evidence file, in their order.
const (
	partProof = iota
	partLeaf
	partRecord
	partOpening
	partPolicy
	partReadme
	partCount
)

var partNames = [partCount]string{"proof.tlog-proof", "leaf.bin", "record.json", "opening.json", "quorum.policy", "README.txt"}

// MaxFile is the size of the largest evidence file.
const MaxFile = 256 << 20

// partLimits bound every part; together with the headers they stay below MaxFile.
var partLimits = [partCount]int{
	partProof:   1 << 20,
	partLeaf:    record.LeafSize,
	partRecord:  250 << 20,
	partOpening: 256,
	partPolicy:  1 << 20,
	partReadme:  64 << 10,
}

type parts [partCount][]byte

// ZIP, as APPNOTE.TXT 4.3 has it, with everything fixed that can be: method "stored", 1 January 1980, no extra fields, no
// comments, no data descriptors, mode 0644. Written here and not by archive/zip, whose bytes may change with the Go release.
const (
	localSig   = 0x04034b50
	centralSig = 0x02014b50
	endSig     = 0x06054b50

	localLen  = 30
	zipDate   = 0<<9 | 1<<5 | 1 // 1980-01-01
	needed    = 10              // version 1.0 can unpack it
	madeBy    = 3<<8 | 10       // Unix, so that the mode below counts
	unixMode  = 0o100644 << 16
	fixedFrom = 4  // in a local header, the fields from here
	fixedTo   = 14 // to here are the same in each of ours
)

// fixedFields are version needed, flags, method, time and date.
func appendFixed(dst []byte) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint16(dst, needed)
	dst = le.AppendUint16(dst, 0) // flags
	dst = le.AppendUint16(dst, 0) // stored
	dst = le.AppendUint16(dst, 0) // midnight
	return le.AppendUint16(dst, zipDate)
}

func appendSizes(dst []byte, name string, data []byte) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, crc32.ChecksumIEEE(data))
	dst = le.AppendUint32(dst, uint32(len(data)))
	dst = le.AppendUint32(dst, uint32(len(data)))
	dst = le.AppendUint16(dst, uint16(len(name)))
	return le.AppendUint16(dst, 0) // extra
}

// encode writes the one ZIP file that holds these parts.
func (p *parts) encode(w io.Writer) error {
	le := binary.LittleEndian
	var central []byte
	offset := 0
	for i, data := range p {
		name := partNames[i]
		local := appendFixed(le.AppendUint32(nil, localSig))
		local = append(appendSizes(local, name, data), name...)

		central = le.AppendUint32(central, centralSig)
		central = le.AppendUint16(central, madeBy)
		central = appendSizes(appendFixed(central), name, data)
		central = append(central, 0, 0, 0, 0, 0, 0) // comment, disk, internal attributes
		central = le.AppendUint32(central, unixMode)
		central = le.AppendUint32(central, uint32(offset))
		central = append(central, name...)

		for _, b := range [][]byte{local, data} {
			if _, err := w.Write(b); err != nil {
				return err
			}
			offset += len(b)
		}
	}
	end := le.AppendUint32(nil, endSig)
	end = append(end, 0, 0, 0, 0) // disks
	end = le.AppendUint16(end, partCount)
	end = le.AppendUint16(end, partCount)
	end = le.AppendUint32(end, uint32(len(central)))
	end = le.AppendUint32(end, uint32(offset))
	end = append(end, 0, 0) // comment
	_, err := w.Write(append(central, end...))
	return err
}

// errRepacked is what becomes of evidence that somebody unpacked and packed again.
var errRepacked = errors.New("the file is not the ZIP that this software writes: it was changed or packed again; ask for the original file")

// decode takes a file apart; the parts alias it. What is no ZIP file or lacks a part is ErrUnreadable; a ZIP file that encode
// would have written otherwise fails the step "container".
func decode(file []byte) (parts, error) {
	var p parts
	if len(file) > MaxFile {
		return p, unreadable("the file has %d bytes; evidence has at most %d", len(file), MaxFile)
	}
	if len(file) < 4 || binary.LittleEndian.Uint32(file) != localSig {
		return p, unreadable("not a ZIP file")
	}
	rest := file
	for i := range p {
		var err error
		if p[i], rest, err = decodePart(rest, i); err != nil {
			return p, err
		}
	}
	same := &comparer{want: file}
	if err := p.encode(same); err != nil || len(same.want) != 0 {
		return p, &StepError{StepContainer, errRepacked}
	}
	return p, nil
}

func decodePart(b []byte, i int) (data, rest []byte, err error) {
	le := binary.LittleEndian
	if len(b) < localLen || le.Uint32(b) != localSig {
		return nil, nil, unreadable("%s is missing, or the file is cut short", partNames[i])
	}
	nameLen, extraLen := int(le.Uint16(b[26:])), int(le.Uint16(b[28:]))
	if len(b)-localLen < nameLen || string(b[localLen:localLen+nameLen]) != partNames[i] {
		return nil, nil, unreadable("%s is missing where it should stand", partNames[i])
	}
	if extraLen != 0 || !bytes.Equal(b[fixedFrom:fixedTo], appendFixed(nil)) {
		return nil, nil, &StepError{StepContainer, errRepacked}
	}
	size := int64(le.Uint32(b[22:]))
	if size > int64(partLimits[i]) {
		return nil, nil, unreadable("%s has %d bytes; at most %d are allowed", partNames[i], size, partLimits[i])
	}
	if b = b[localLen+nameLen:]; int64(len(b)) < size {
		return nil, nil, unreadable("the file is cut short in %s", partNames[i])
	}
	return b[:size:size], b[size:], nil
}

// comparer is a writer that fails at the first byte that is not wanted next, so that comparing costs no second copy.
type comparer struct{ want []byte }

func (c *comparer) Write(b []byte) (int, error) {
	if !bytes.HasPrefix(c.want, b) {
		return 0, errRepacked
	}
	c.want = c.want[len(b):]
	return len(b), nil
}

func unreadable(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnreadable, fmt.Sprintf(format, args...))
}
