package auditlog

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// memLog makes a log in memory with some records in several batches, of which
// the first are under a signed head, and returns where each record is.
func memLog(t *testing.T, k testKeys, signed, unsigned int) (*memFS, []place) {
	t.Helper()
	m := newMemFS()
	o := k.crashOptions(t, m, &strictWitness{})
	l := mustOpen(t, o)
	seq := uint64(0)
	for range signed {
		seq++
		if err := mustAppend(t, l, seq, "signed").Wait(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.signer.step(context.Background()); err != nil {
		t.Fatal(err)
	}
	for range unsigned {
		seq++
		if err := mustAppend(t, l, seq, "unsigned").Wait(); err != nil {
			t.Fatal(err)
		}
	}
	killed(l)
	m.rebooted()
	return m, places(t, m)
}

// killed ends a log's goroutine and nothing else.
func killed(l *Log) {
	l.fail(errors.New("killed by the test"))
	l.Close(context.Background())
}

// place is where a record stands.
type place struct {
	segment string
	offset  int64
	length  int64
	index   uint64
}

func (p place) end() int64 { return p.offset + p.length }

func places(t *testing.T, m *memFS) []place {
	t.Helper()
	firsts, err := listSegments(m)
	if err != nil {
		t.Fatal(err)
	}
	var all []place
	for _, first := range firsts {
		f, err := m.open(segmentName(first), false)
		if err != nil {
			t.Fatal(err)
		}
		s, err := newScanner(f, first)
		for err == nil {
			p := place{segment: segmentName(first), offset: s.offset, index: s.index}
			if _, err = s.next(); err == nil {
				p.length = s.offset - p.offset
				all = append(all, p)
			}
		}
		if err != errEnd {
			t.Fatal(err)
		}
	}
	return all
}

func reopen(t *testing.T, k testKeys, m *memFS) (*Log, error) {
	t.Helper()
	return Open(context.Background(), k.crashOptions(t, m, &strictWitness{}))
}

func mustEdit(t *testing.T, m *memFS, name string, change func([]byte) []byte) {
	t.Helper()
	if err := m.edit(name, change); err != nil {
		t.Fatal(err)
	}
}

func flip(offset int64) func([]byte) []byte {
	return func(b []byte) []byte { b[offset] ^= 0x20; return b }
}

// Whatever byte of the last, unsigned batch is wrong, it is torn: cut, copied,
// and the log goes on at its index.
func TestTornTailIsCut(t *testing.T) {
	k := newTestKeys(t)
	_, at := memLog(t, k, 3, 1)
	last := at[len(at)-1]
	for offset := last.offset; offset < last.end(); offset += 7 {
		m, at := memLog(t, k, 3, 1)
		last := at[len(at)-1]
		var cut []byte
		mustEdit(t, m, last.segment, func(b []byte) []byte {
			b[offset] ^= 0x20
			cut = bytes.Clone(b[last.offset:last.end()])
			return b
		})
		l, err := reopen(t, k, m)
		if err != nil {
			t.Fatalf("offset %d: %v", offset, err)
		}
		if got := l.Status().Durable; got != last.index+1 { // the new period's record
			t.Fatalf("offset %d: %d records, want %d", offset, got, last.index+1)
		}
		copies := m.list(tornDir + "/")
		if len(copies) != 1 {
			t.Fatalf("offset %d: %d copies", offset, len(copies))
		}
		for name, b := range copies {
			if want := fmt.Sprintf("%s/%020d-1", tornDir, last.index); name != want || !bytes.Equal(b, bytes.TrimRight(cut, "\x00")) {
				t.Fatalf("offset %d: copy %s of %d bytes, want %s of %d", offset, name, len(b), want, len(cut))
			}
		}
		mustClose(t, l)
		k.mustFsck(t, newDirSource("mem", m))
	}
}

func TestRubbishBehindTheEndIsCut(t *testing.T) {
	k := newTestKeys(t)
	m, at := memLog(t, k, 3, 1)
	last := at[len(at)-1]
	mustEdit(t, m, last.segment, func(b []byte) []byte { b[last.end()+100] = 1; return b })
	l, err := reopen(t, k, m)
	if err != nil {
		t.Fatal(err)
	}
	if got := l.Status().Durable; got != last.index+2 {
		t.Errorf("%d records, want %d", got, last.index+2)
	}
	if n := len(m.list(tornDir + "/")); n != 1 {
		t.Errorf("%d copies, want 1", n)
	}
	mustClose(t, l)
}

// A torn batch of several records keeps its valid beginning, also when records
// of the same batch behind the tear are valid.
func TestTornBatchKeepsItsPrefix(t *testing.T) {
	k := newTestKeys(t)
	m, at := memLog(t, k, 3, 3)
	// Make one batch of the last three.
	first := at[len(at)-3]
	mustEdit(t, m, first.segment, func(b []byte) []byte {
		for _, p := range at[len(at)-3:] {
			frame := b[p.offset:p.end()]
			putHeader(frame, bodyCRC(frame[headerSize:]), p.index, first.index)
		}
		b[at[len(at)-2].offset+50] ^= 1
		return b
	})
	l, err := reopen(t, k, m)
	if err != nil {
		t.Fatal(err)
	}
	if got := l.Status().Durable; got != first.index+2 {
		t.Errorf("%d records, want %d", got, first.index+2)
	}
	mustClose(t, l)
}

func TestDamageIsRefused(t *testing.T) {
	k := newTestKeys(t)
	for name, c := range map[string]struct {
		change func(t *testing.T, m *memFS, at []place) place // returns where the error must be
		index  bool
	}{
		"unsigned record with a later batch behind it": {func(t *testing.T, m *memFS, at []place) place {
			p := at[len(at)-2]
			mustEdit(t, m, p.segment, flip(p.offset+40))
			return p
		}, true},
		"unsigned record of zeroes with a later batch behind it": {func(t *testing.T, m *memFS, at []place) place {
			p := at[len(at)-2]
			mustEdit(t, m, p.segment, func(b []byte) []byte { clear(b[p.offset:p.end()]); return b })
			return p
		}, true},
		"length of an unsigned record": {func(t *testing.T, m *memFS, at []place) place {
			p := at[len(at)-3]
			mustEdit(t, m, p.segment, func(b []byte) []byte { binary.BigEndian.PutUint32(b[p.offset+4:], 0xffffffff); return b })
			return p
		}, true},
		"signed record": {func(t *testing.T, m *memFS, at []place) place {
			p := at[3]
			mustEdit(t, m, p.segment, flip(p.offset+60))
			return p
		}, true},
		"records moved into another place": {func(t *testing.T, m *memFS, at []place) place {
			p := at[1]
			mustEdit(t, m, p.segment, func(b []byte) []byte {
				copy(b[p.offset:], bytes.Clone(b[at[2].offset:at[2].end()]))
				return b
			})
			return p
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			m, at := memLog(t, k, 5, 4)
			where := c.change(t, m, at)
			before := m.list("")
			_, err := reopen(t, k, m)
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) || corrupt.File != where.segment || corrupt.Offset != where.offset || corrupt.Index != where.index {
				t.Fatalf("%v, want a CorruptError at %+v", err, where)
			}
			if !strings.Contains(err.Error(), where.segment) {
				t.Errorf("the message does not name the segment: %v", err)
			}
			for name, b := range m.list("") {
				if !bytes.Equal(b, before[name]) {
					t.Errorf("%s was touched", name)
				}
			}
		})
	}
}

func TestSegmentsOutOfOrderAreRefused(t *testing.T) {
	k := newTestKeys(t)
	for name, change := range map[string]func(m *memFS, firsts []uint64) error{
		"middle segment missing": func(m *memFS, firsts []uint64) error { return m.remove(segmentName(firsts[len(firsts)-2])) },
		"first segment missing":  func(m *memFS, firsts []uint64) error { return m.remove(segmentName(0)) },
		"strange file":           func(m *memFS, _ []uint64) error { return writeFile(m, segmentDir+"/0000.seg", nil) },
		"gap before an empty segment": func(m *memFS, _ []uint64) error {
			return writeFile(m, segmentName(1000), make([]byte, 2048))
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, _ := memLog(t, k, 2, 40)
			firsts, err := listSegments(m)
			if err != nil || len(firsts) < 4 {
				t.Fatalf("%d segments, %v", len(firsts), err)
			}
			if err := change(m, firsts); err != nil {
				t.Fatal(err)
			}
			if l, err := reopen(t, k, m); err == nil {
				mustClose(t, l)
				t.Fatal("opened")
			}
		})
	}
}

func TestRollbackIsRefused(t *testing.T) {
	k := newTestKeys(t)
	want := func(t *testing.T, err error, file string) {
		t.Helper()
		var head *HeadError
		if !errors.As(err, &head) || head.File != file || !strings.Contains(err.Error(), "restore") {
			t.Fatalf("%v, want a HeadError of %s that says what to do", err, file)
		}
	}
	t.Run("records gone", func(t *testing.T) {
		m, at := memLog(t, k, 6, 0)
		p := at[4]
		mustEdit(t, m, p.segment, func(b []byte) []byte { clear(b[p.offset:]); return b })
		_, err := reopen(t, k, m)
		want(t, err, headFile)
	})
	t.Run("all segments gone", func(t *testing.T) {
		m, _ := memLog(t, k, 6, 0)
		firsts, _ := listSegments(m)
		for _, first := range firsts {
			m.remove(segmentName(first))
		}
		_, err := reopen(t, k, m)
		want(t, err, headFile)
	})
	t.Run("head older than what was published", func(t *testing.T) {
		m := newMemFS()
		l := mustOpen(t, k.crashOptions(t, m, &strictWitness{}))
		mustAppend(t, l, 1, "a")
		mustClose(t, l)
		old := m.list(headFile)[headFile]
		l, err := reopen(t, k, m)
		if err != nil {
			t.Fatal(err)
		}
		mustAppend(t, l, 1, "b")
		mustClose(t, l)
		mustEdit(t, m, headFile, func([]byte) []byte { return old })
		_, err = reopen(t, k, m)
		want(t, err, checkpointFile)
	})
	t.Run("history rewritten", func(t *testing.T) {
		// A log of the same length by the same key, with another person in it.
		m, _ := memLog(t, k, 6, 0)
		other, _ := memLog(t, k, 6, 0)
		for name, b := range other.list(segmentDir) {
			mustEdit(t, m, name, func([]byte) []byte { return b })
		}
		_, err := reopen(t, k, m)
		want(t, err, headFile)
		// The tiles with it: still not what was signed.
		for name, b := range other.list("tile") {
			mustEdit(t, m, name, func([]byte) []byte { return b })
		}
		_, err = reopen(t, k, m)
		want(t, err, headFile)
	})
	t.Run("whole directory restored from an old copy", func(t *testing.T) {
		m, w := newMemFS(), &strictWitness{}
		o := k.crashOptions(t, m, w)
		l := mustOpen(t, o)
		mustAppend(t, l, 1, "a")
		mustClose(t, l)
		old := m.crashed(kept, nil)
		m.rebooted()
		l = mustOpen(t, o)
		for i := range uint64(5) {
			mustAppend(t, l, i, "b")
		}
		mustClose(t, l)
		// Only the witness can know.
		o.fs = old
		l = mustOpen(t, o)
		err := l.Close(context.Background())
		var rolled *RolledBackError
		if !errors.As(err, &rolled) || !errors.Is(err, ErrBroken) {
			t.Fatalf("%v, want a RolledBackError in a BrokenError", err)
		}
	})
}

func TestDamagedHeadIsRefused(t *testing.T) {
	k := newTestKeys(t)
	for _, name := range []string{headFile, checkpointFile} {
		m := newMemFS()
		l := mustOpen(t, k.crashOptions(t, m, &strictWitness{}))
		mustClose(t, l)
		for i := range m.list(name)[name] {
			mustEdit(t, m, name, flip(int64(i)))
			if l, err := reopen(t, k, m); err == nil {
				mustClose(t, l)
				t.Fatalf("%s with byte %d changed was accepted", name, i)
			}
			mustEdit(t, m, name, flip(int64(i)))
		}
	}
}

// Tiles are a function of the records: whatever happens to them, they come back
// byte for byte.
func TestTilesAreMadeAgain(t *testing.T) {
	k := newTestKeys(t)
	m := newMemFS()
	o := k.crashOptions(t, m, &strictWitness{})
	o.SegmentBytes = 64 << 10
	l := mustOpen(t, o)
	for i := range uint64(600) {
		mustAppend(t, l, i+1, "p")
		if i == 300 {
			if _, err := l.signer.step(context.Background()); err != nil {
				t.Fatal(err)
			}
			if err := l.witnessing.step(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
	}
	mustAppend(t, l, 601, "p").Wait()
	if _, err := l.signer.step(context.Background()); err != nil {
		t.Fatal(err)
	}
	killed(l)
	m.rebooted()
	want := m.list("tile/")
	if len(want) < 6 {
		t.Fatalf("%d tiles", len(want))
	}
	for name := range want {
		if err := m.remove(name); err != nil {
			t.Fatal(err)
		}
	}
	l = mustOpen(t, o)
	got := m.list("tile/")
	for name, b := range want {
		if !bytes.Equal(got[name], b) {
			t.Errorf("%s has %d bytes, want %d", name, len(got[name]), len(b))
		}
	}
	mustClose(t, l)
	k.mustFsck(t, newDirSource("mem", m))
}

// The same records give the same tiles, however often the log was restarted in
// between.
func TestTilesDoNotDependOnRestarts(t *testing.T) {
	k := newTestKeys(t)
	m := newMemFS()
	o := k.crashOptions(t, m, &strictWitness{})
	for life := range 5 {
		l := mustOpen(t, o)
		for i := range uint64(120) {
			mustAppend(t, l, i, fmt.Sprint(life))
			if i%50 == 49 {
				if _, err := l.signer.step(context.Background()); err != nil {
					t.Fatal(err)
				}
			}
		}
		mustClose(t, l)
	}
	got := m.list("tile/")
	for name := range got {
		m.remove(name)
	}
	mustEdit(t, m, headFile, func(b []byte) []byte { return b })
	l := mustOpen(t, o) // makes all tiles in one go
	again := m.list("tile/")
	for name, b := range again {
		if !bytes.Equal(got[name], b) {
			t.Errorf("%s: %d bytes in one go, %d in five lives", name, len(b), len(got[name]))
		}
	}
	if len(again) < 6 {
		t.Errorf("only %d tiles", len(again))
	}
	mustClose(t, l)
}

func TestOptionsAreChecked(t *testing.T) {
	k := newTestKeys(t)
	for name, change := range map[string]func(*Options){
		"no directory":     func(o *Options) { o.Dir = "" },
		"no origin":        func(o *Options) { o.Origin = "" },
		"no signer":        func(o *Options) { o.Signer = nil },
		"another signer":   func(o *Options) { o.Origin = "example.org/other" },
		"no recipients":    func(o *Options) { o.Recipients = nil },
		"negative segment": func(o *Options) { o.SegmentBytes = -1 },
	} {
		m := newMemFS()
		o := k.crashOptions(t, m, &strictWitness{})
		change(&o)
		if l, err := Open(context.Background(), o); err == nil {
			mustClose(t, l)
			t.Errorf("%s: opened", name)
		}
		if m.ops != 0 {
			t.Errorf("%s: the disk was touched", name)
		}
	}
}

func TestAnotherLogsDirectoryIsRefused(t *testing.T) {
	k := newTestKeys(t)
	m := newMemFS()
	mustClose(t, mustOpen(t, k.crashOptions(t, m, &strictWitness{})))
	other := newTestKeys(t) // the same origin, another key
	if l, err := reopen(t, other, m); err == nil {
		mustClose(t, l)
		t.Fatal("opened with a policy that does not know the key that signed it")
	}
}
