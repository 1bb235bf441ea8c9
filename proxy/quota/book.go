package quota

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"shiguan/auditlog/record"
)

// Limit is what one rule lets one person have in a day. Zero is no limit.
type Limit struct {
	Rows     int64
	Bytes    int64
	Subjects int64 // distinct persons whom rows are about
}

// MaxSubjects is the largest limit of subjects: a day's subjects of each person are held in memory.
const MaxSubjects = 100_000

// Charge says who is charged under which rule.
type Charge struct {
	Person string
	Rule   string
	Limit  Limit
}

// How much all counts may take. What is beyond is refused.
const (
	maxCounters = 1 << 16
	maxSeen     = 4 << 20 // subjects of all counters together
)

// Exceeded says that a row is beyond a limit.
type Exceeded struct {
	Rule  string
	What  string // "rows", "bytes" or "subjects"
	Limit int64
}

func (e *Exceeded) Error() string {
	return fmt.Sprintf("rule %s lets you have %d %s a day, and they are used up", e.Rule, e.Limit, words[e.What])
}

var words = map[string]string{"rows": "rows", "bytes": "bytes", "subjects": "different persons' rows"}

// ErrBroken says that counts can no longer be kept: the file could not be written.
var ErrBroken = errors.New("the file of daily limits cannot be written")

// ErrFull says that too many people, or too many subjects, are counted already.
var ErrFull = errors.New("too much is counted under daily limits already")

// Book keeps the counts of one proxy. It is safe for concurrent use.
type Book struct {
	name string
	now  func() time.Time

	mu       sync.Mutex
	day      string // of the counts below; never goes back
	next     int64  // when another day begins, in seconds since 1970
	counters map[key]*counter
	seen     int // subjects of all counters
	pending  map[key]*counter
	seq      uint64 // of the reservations made
	durable  uint64 // of those that the file covers
	err      error

	writing sync.Mutex // held while the file is written; taken before mu
	file    *journal
}

type key struct{ person, rule string }

// counts are what one person has had under one rule.
type counts struct{ rows, bytes, subjects int64 }

type counter struct {
	used     counts
	reserved counts // what the file says, or will once seq is durable
	seq      uint64
	seen     map[record.Subject]struct{}
	unsaved  []record.Subject // of seen, not in the file yet
}

// Open reads the counts of the file, which need not exist, and holds it until Close. now is the clock, nil for the machine's.
func Open(name string, now func() time.Time) (*Book, error) {
	if now == nil {
		now = time.Now
	}
	b := &Book{name: name, now: now, counters: map[key]*counter{}, pending: map[key]*counter{}}
	if err := b.read(); err != nil {
		return nil, err
	}
	b.turn()
	var err error
	if b.file, err = createJournal(name, b.page(b.counters, true)); err != nil {
		return nil, err
	}
	return b, nil
}

// shanghai is where days begin. A fixed offset, as in the policy's conditions.
var shanghai = time.FixedZone("Asia/Shanghai", 8*60*60)

// turn begins a new day when it has come.
func (b *Book) turn() {
	now := b.now()
	if now.Unix() < b.next {
		return
	}
	if today := now.In(shanghai).Format(time.DateOnly); today > b.day {
		b.day = today
		clear(b.counters)
		clear(b.pending)
		b.seen = 0
	}
	if begun, err := time.ParseInLocation(time.DateOnly, b.day, shanghai); err == nil {
		b.next = begun.AddDate(0, 0, 1).Unix()
	}
}

// Take counts one row of so many bytes, about these subjects, against every charge, or none: then it returns an *Exceeded,
// and the row must not be released. It returns when the file covers the row, which may take as long as a sync of the disk.
func (b *Book) Take(charges []Charge, bytes int64, subjects []record.Subject) error {
	b.mu.Lock()
	b.turn()
	if err := b.affordable(charges, bytes, subjects); err != nil {
		b.mu.Unlock()
		return err
	}
	var need uint64
	for i := range charges {
		need = max(need, b.charge(&charges[i], bytes, subjects))
	}
	covered := need <= b.durable
	b.mu.Unlock()
	if covered {
		return nil
	}
	return b.sync(need)
}

// Spent returns an *Exceeded when not one more row could be taken.
func (b *Book) Spent(charges []Charge) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turn()
	return b.affordable(charges, 1, nil)
}

// affordable reports what forbids a row.
func (b *Book) affordable(charges []Charge, bytes int64, subjects []record.Subject) error {
	if b.err != nil {
		return b.err
	}
	more := 0
	for i := range charges {
		l := charges[i].Limit
		k := key{charges[i].Person, charges[i].Rule}
		c := b.counters[k]
		if c == nil {
			if len(b.counters)+len(charges) > maxCounters {
				return ErrFull
			}
			c = &counter{}
		}
		switch fresh := c.fresh(subjects); {
		case l.Rows > 0 && c.used.rows >= l.Rows:
			return &Exceeded{k.rule, "rows", l.Rows}
		case l.Bytes > 0 && bytes > l.Bytes-c.used.bytes:
			return &Exceeded{k.rule, "bytes", l.Bytes}
		case l.Subjects > 0 && fresh > 0 && c.used.subjects+fresh > l.Subjects:
			return &Exceeded{k.rule, "subjects", l.Subjects}
		default:
			more += int(fresh)
		}
	}
	if b.seen+more > maxSeen {
		return ErrFull
	}
	return nil
}

// fresh counts the subjects that were not seen today.
func (c *counter) fresh(subjects []record.Subject) (n int64) {
	for i, s := range subjects {
		if _, ok := c.seen[s]; ok {
			continue
		}
		again := false
		for _, before := range subjects[:i] {
			again = again || before == s
		}
		if !again {
			n++
		}
	}
	return n
}

// charge counts a row and returns the number of the reservation that covers it.
func (b *Book) charge(ch *Charge, bytes int64, subjects []record.Subject) uint64 {
	k := key{ch.Person, ch.Rule}
	c := b.counters[k]
	if c == nil {
		c = &counter{seen: map[record.Subject]struct{}{}}
		b.counters[k] = c
	}
	c.used.rows++
	c.used.bytes += bytes
	if ch.Limit.Subjects > 0 {
		for _, s := range subjects {
			if _, ok := c.seen[s]; !ok {
				c.seen[s] = struct{}{}
				c.unsaved = append(c.unsaved, s)
				c.used.subjects++
				b.seen++
			}
		}
	}
	if c.used.rows > c.reserved.rows || c.used.bytes > c.reserved.bytes || c.used.subjects > c.reserved.subjects {
		c.reserved = counts{
			rows:     ahead(c.used.rows, ch.Limit.Rows),
			bytes:    ahead(c.used.bytes, ch.Limit.Bytes),
			subjects: ahead(c.used.subjects, ch.Limit.Subjects),
		}
		b.seq++
		c.seq = b.seq
		b.pending[k] = c
	}
	return c.seq
}

// unlimited is the step by which a count without a limit is reserved: it may get one later in the day.
const unlimited = 1 << 26

// ahead is what to reserve when so much is used: an eighth of the limit more.
func ahead(used, limit int64) int64 {
	if limit == 0 {
		return used + unlimited
	}
	return max(used, min(limit, used+limit/8))
}

// sync writes what is reserved and not in the file yet, for everybody who waits, and returns when need is covered.
func (b *Book) sync(need uint64) error {
	b.writing.Lock()
	defer b.writing.Unlock()
	b.mu.Lock()
	if b.durable >= need || b.err != nil {
		defer b.mu.Unlock()
		return b.err
	}
	upto, day := b.seq, b.day
	p := b.page(b.pending, false)
	clear(b.pending)
	b.mu.Unlock()

	// A crash before the write is durable forgets rows that nobody has seen; after it, it counts them and the reservation.
	err := b.file.write(p, day)

	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.err = fmt.Errorf("%w: %v", ErrBroken, err)
		return b.err
	}
	b.durable = upto
	return nil
}

// Close writes the counts as they are and gives the file up. Nothing can be taken afterwards.
func (b *Book) Close() error {
	b.writing.Lock()
	defer b.writing.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		b.file.close()
		return b.err
	}
	b.err = fmt.Errorf("%w: it is closed", ErrBroken)
	for _, c := range b.counters {
		c.reserved = c.used
	}
	b.file.close()
	last, err := createJournal(b.name, b.page(b.counters, true))
	if err != nil {
		return err
	}
	last.close()
	return nil
}
