package quota

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"shiguan/auditlog/record"
)

// page is one line of the file: what is reserved from now on, and the subjects seen since the line before.
type page struct {
	Day   string  `json:"day"` // YYYY-MM-DD
	Count []entry `json:"count"`
}

type entry struct {
	Person   string           `json:"person"`
	Rule     string           `json:"rule"`
	Rows     int64            `json:"rows"`
	Bytes    int64            `json:"bytes"`
	Subjects int64            `json:"subjects"`
	Seen     []record.Subject `json:"seen,omitempty"`
}

// page collects counters for the file; all says that their subjects are written in full. The subjects are then saved.
func (b *Book) page(counters map[key]*counter, all bool) page {
	p := page{Day: b.day, Count: []entry{}}
	for k, c := range counters {
		e := entry{Person: k.person, Rule: k.rule, Rows: c.reserved.rows, Bytes: c.reserved.bytes, Subjects: c.reserved.subjects, Seen: c.unsaved}
		if all {
			e.Seen = slices.Collect(maps.Keys(c.seen))
		}
		c.unsaved = nil
		p.Count = append(p.Count, e)
	}
	slices.SortFunc(p.Count, func(x, y entry) int {
		return strings.Compare(x.Person+"\x00"+x.Rule, y.Person+"\x00"+y.Rule)
	})
	return p
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (p page) line() ([]byte, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	return append(fmt.Appendf(nil, "%08x ", crc32.Checksum(text, castagnoli)), append(text, '\n')...), nil
}

// parseLine reads a line without its end.
func parseLine(line []byte) (p page, ok bool) {
	sum, text, found := bytes.Cut(line, []byte{' '})
	if !found || string(sum) != fmt.Sprintf("%08x", crc32.Checksum(text, castagnoli)) {
		return p, false
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return p, d.Decode(&p) == nil
}

// read takes the counts of the newest day in the file.
func (b *Book) read() error {
	text, err := os.ReadFile(b.name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for number := 1; len(text) > 0; number++ {
		line, rest, whole := bytes.Cut(text, []byte{'\n'})
		p, ok := parseLine(line)
		switch {
		case !whole || !ok && len(rest) == 0:
			return nil // torn by a crash: nothing was allowed by it
		case !ok:
			return fmt.Errorf("%s:%d: the counts of daily limits are damaged: restore the file, or remove it to let everybody begin the day anew", b.name, number)
		}
		b.apply(p)
		text = rest
	}
	return nil
}

func (b *Book) apply(p page) {
	if p.Day < b.day {
		return
	}
	if p.Day > b.day {
		b.day, b.seen = p.Day, 0
		clear(b.counters)
	}
	for _, e := range p.Count {
		k := key{e.Person, e.Rule}
		c := b.counters[k]
		if c == nil {
			c = &counter{seen: map[record.Subject]struct{}{}}
			b.counters[k] = c
		}
		c.reserved = counts{e.Rows, e.Bytes, e.Subjects}
		c.used = c.reserved // what a crash left unused of a reservation counts as used
		for _, s := range e.Seen {
			if _, ok := c.seen[s]; !ok {
				c.seen[s] = struct{}{}
				b.seen++
			}
		}
	}
}

// journal is the open file.
type journal struct {
	name string
	day  string
	f    *os.File
}

// createJournal makes a file that begins with this page, and puts it in the place of an older one.
func createJournal(name string, first page) (*journal, error) {
	line, err := first.line()
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(name+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*journal, error) { return nil, errors.Join(err, f.Close()) }
	if _, err := f.Write(line); err != nil {
		return fail(err)
	}
	if err := f.Sync(); err != nil {
		return fail(err)
	}
	// A crash before the rename leaves the old file, which says at least as much of the same day.
	if err := os.Rename(name+".new", name); err != nil {
		return fail(err)
	}
	if err := syncDir(filepath.Dir(name)); err != nil {
		return fail(err)
	}
	return &journal{name: name, day: first.Day, f: f}, nil
}

// write makes a page durable. The first page of a new day begins a new file.
func (j *journal) write(p page, day string) error {
	if day != j.day {
		next, err := createJournal(j.name, p)
		if err != nil {
			return err
		}
		j.f.Close() // its content is of yesterday
		*j = *next
		return nil
	}
	line, err := p.line()
	if err != nil {
		return err
	}
	if _, err := j.f.Write(line); err != nil {
		return err
	}
	return j.f.Sync()
}

func (j *journal) close() { j.f.Close() }

func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
