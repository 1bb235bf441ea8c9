package quota_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"shiguan/auditlog/record"
	"shiguan/proxy/quota"
)

// clock is a clock that the test moves.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

// morning is a morning in Zhuzhou.
func morning() *clock { return &clock{time.Date(2026, 11, 22, 1, 0, 0, 0, time.UTC)} }

func open(t testing.TB, name string, c *clock) *quota.Book {
	t.Helper()
	b, err := quota.Open(name, c.now)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func subject(n int) (s record.Subject) {
	binary.BigEndian.PutUint64(s[:], uint64(n))
	return s
}

func charge(limit quota.Limit) []quota.Charge {
	return []quota.Charge{{Person: "clerk", Rule: "r", Limit: limit}}
}

// exceeds asserts that the row was refused for one reason.
func exceeds(t *testing.T, err error, what string) {
	t.Helper()
	var e *quota.Exceeded
	if !errors.As(err, &e) || e.What != what {
		t.Fatalf("got %v, want %s exceeded", err, what)
	}
}

func TestLimitsAreExact(t *testing.T) {
	b := open(t, filepath.Join(t.TempDir(), "limits"), morning())
	take := func(c []quota.Charge, bytes int64, subjects ...record.Subject) error {
		return b.Take(c, bytes, subjects)
	}

	rows := charge(quota.Limit{Rows: 3})
	for range 3 {
		if err := take(rows, 1); err != nil {
			t.Fatal(err)
		}
	}
	exceeds(t, take(rows, 1), "rows")
	exceeds(t, b.Spent(rows), "rows")

	bytes := []quota.Charge{{Person: "clerk", Rule: "bytes", Limit: quota.Limit{Bytes: 100}}}
	if err := take(bytes, 60); err != nil {
		t.Fatal(err)
	}
	exceeds(t, take(bytes, 41), "bytes")
	if err := b.Spent(bytes); err != nil {
		t.Fatal(err)
	}
	if err := take(bytes, 40); err != nil {
		t.Fatal(err)
	}
	exceeds(t, b.Spent(bytes), "bytes")

	persons := []quota.Charge{{Person: "clerk", Rule: "persons", Limit: quota.Limit{Subjects: 2}}}
	for _, s := range []int{1, 1, 2, 1, 2} {
		if err := take(persons, 1, subject(s), subject(s)); err != nil {
			t.Fatal(err)
		}
	}
	exceeds(t, take(persons, 1, subject(3)), "subjects")
	exceeds(t, take(persons, 1, subject(1), subject(3)), "subjects")
	if err := b.Spent(persons); err != nil {
		t.Fatal("rows about persons seen today may still come:", err)
	}
	if err := take([]quota.Charge{{Person: "other", Rule: "persons", Limit: quota.Limit{Subjects: 2}}}, 1, subject(3)); err != nil {
		t.Fatal("another person has a count of his own:", err)
	}
}

// A row counts against all of its charges or against none.
func TestChargesTogether(t *testing.T) {
	b := open(t, filepath.Join(t.TempDir(), "limits"), morning())
	one := quota.Charge{Person: "clerk", Rule: "one", Limit: quota.Limit{Rows: 1}}
	two := quota.Charge{Person: "clerk", Rule: "two", Limit: quota.Limit{Rows: 2}}
	if err := b.Take([]quota.Charge{two, one}, 1, nil); err != nil {
		t.Fatal(err)
	}
	exceeds(t, b.Take([]quota.Charge{two, one}, 1, nil), "rows")
	if err := b.Take([]quota.Charge{two}, 1, nil); err != nil {
		t.Fatal("the refused row was counted:", err)
	}
}

func TestMidnightInShanghai(t *testing.T) {
	c := morning()
	name := filepath.Join(t.TempDir(), "limits")
	b := open(t, name, c)
	l := charge(quota.Limit{Rows: 1})
	if err := b.Take(l, 1, nil); err != nil {
		t.Fatal(err)
	}
	c.t = time.Date(2026, 11, 22, 15, 59, 59, 0, time.UTC)
	exceeds(t, b.Spent(l), "rows")
	c.t = c.t.Add(time.Second)
	if err := b.Take(l, 1, nil); err != nil {
		t.Fatal("a new day has begun:", err)
	}
	c.t = c.t.Add(-time.Hour) // the clock is put back
	exceeds(t, b.Take(l, 1, nil), "rows")
	if text, _ := os.ReadFile(name); strings.Contains(string(text), "2026-11-22") {
		t.Error("the file still speaks of yesterday")
	}
	b = open(t, name, c) // and the proxy restarted
	exceeds(t, b.Take(l, 1, nil), "rows")
}

// After a restart in good order the counts are what they were.
func TestCloseKeepsCounts(t *testing.T) {
	name := filepath.Join(t.TempDir(), "limits")
	b := open(t, name, morning())
	l := charge(quota.Limit{Rows: 1000, Subjects: 10})
	for i := range 7 {
		if err := b.Take(l, 1, []record.Subject{subject(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.Take(l, 1, nil); !errors.Is(err, quota.ErrBroken) {
		t.Fatalf("a closed book takes rows: %v", err)
	}
	b = open(t, name, morning())
	for i := range 10 {
		if err := b.Take(l, 1, []record.Subject{subject(i)}); err != nil {
			t.Fatal(i, err)
		}
	}
	exceeds(t, b.Take(l, 1, []record.Subject{subject(10)}), "subjects")
}

// Whatever a person takes, and whenever the proxy is killed: at the end nobody has had more than the limits, and no crash
// took more than an eighth of them.
func TestCrashesResetNothing(t *testing.T) {
	dir := t.TempDir()
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		name := filepath.Join(dir, fmt.Sprint(run))
		limit := quota.Limit{Rows: rapid.Int64Range(1, 60).Draw(t, "rows"), Bytes: rapid.Int64Range(1, 600).Draw(t, "bytes"), Subjects: rapid.Int64Range(1, 20).Draw(t, "subjects")}
		l := charge(limit)
		c := morning()
		b, err := quota.Open(name, c.now)
		if err != nil {
			t.Fatal(err)
		}
		var rows, bytes, crashes int64
		seen := map[record.Subject]bool{}
		for range 40 {
			if rapid.IntRange(0, 9).Draw(t, "crash") == 0 {
				// What is in the file at this moment is all that the next process knows.
				if rapid.Bool().Draw(t, "torn") {
					tear(t, name)
				}
				if b, err = quota.Open(name, c.now); err != nil {
					t.Fatal(err)
				}
				crashes++
			}
			s := subject(rapid.IntRange(0, 30).Draw(t, "subject"))
			n := rapid.Int64Range(0, 20).Draw(t, "size")
			if b.Take(l, n, []record.Subject{s}) == nil {
				rows, bytes, seen[s] = rows+1, bytes+n, true
			} else if crashes == 0 && rows < limit.Rows && bytes+n <= limit.Bytes && (seen[s] || int64(len(seen)) < limit.Subjects) {
				t.Fatalf("a row within %+v was refused after %d rows, %d bytes, %d subjects", limit, rows, bytes, len(seen))
			}
		}
		if rows > limit.Rows || bytes > limit.Bytes || int64(len(seen)) > limit.Subjects {
			t.Fatalf("%d rows, %d bytes, %d subjects left under %+v", rows, bytes, len(seen), limit)
		}
	})
}

// tear appends the beginning of a line, as a crash in the middle of a write leaves it.
func tear(t *rapid.T, name string) {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(`00000000 {"day":"2026-11-2`); err != nil {
		t.Fatal(err)
	}
}

func TestCrashTakesAnEighthAtMost(t *testing.T) {
	name := filepath.Join(t.TempDir(), "limits")
	b := open(t, name, morning())
	l := charge(quota.Limit{Rows: 800})
	if err := b.Take(l, 1, nil); err != nil {
		t.Fatal(err)
	}
	b = open(t, name, morning())
	left := 0
	for b.Take(l, 1, nil) == nil {
		left++
	}
	if left != 800-101 {
		t.Errorf("%d rows are left of 800 after one row and a crash, want 699", left)
	}
}

func TestManySessionsAtOnce(t *testing.T) {
	name := filepath.Join(t.TempDir(), "limits")
	b := open(t, name, morning())
	l := charge(quota.Limit{Rows: 500, Subjects: 100})
	var mu sync.Mutex
	var all sync.WaitGroup
	rows, seen := 0, map[int]bool{}
	for session := range 8 {
		all.Go(func() {
			for i := range 200 {
				n := (session*31 + i) % 130
				if b.Take(l, 1, []record.Subject{subject(n)}) == nil {
					mu.Lock()
					rows, seen[n] = rows+1, true
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	if rows != 500 || len(seen) > 100 {
		t.Errorf("%d rows about %d persons were let out, want 500 and at most 100", rows, len(seen))
	}
}

func TestDamage(t *testing.T) {
	name := filepath.Join(t.TempDir(), "limits")
	b := open(t, name, morning())
	l := charge(quota.Limit{Rows: 8})
	for range 8 {
		if err := b.Take(l, 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	if len(lines) < 4 {
		t.Fatalf("%q", text)
	}
	lines[1] = strings.Replace(lines[1], `"rows":2`, `"rows":1`, 1)
	if err := os.WriteFile(name, []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := quota.Open(name, morning().now); err == nil || !strings.Contains(err.Error(), name+":2: ") {
		t.Errorf("a changed line was accepted: %v", err)
	}
}

// A file that cannot be written lets nothing out, and stays broken.
func TestBrokenDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "limits")
	b := open(t, name, morning())
	quota.PutFile(b, "/dev/full")
	l := charge(quota.Limit{Rows: 8})
	for range 2 {
		if err := b.Take(l, 1, nil); !errors.Is(err, quota.ErrBroken) {
			t.Fatalf("a row left uncounted: %v", err)
		}
	}
	if err := b.Spent(l); !errors.Is(err, quota.ErrBroken) {
		t.Fatal(err)
	}
	if err := b.Close(); !errors.Is(err, quota.ErrBroken) {
		t.Fatal(err)
	}
}

func TestCountersAreBounded(t *testing.T) {
	b := open(t, filepath.Join(t.TempDir(), "limits"), morning())
	quota.Fill(b)
	if err := b.Take(charge(quota.Limit{Rows: 8}), 1, nil); !errors.Is(err, quota.ErrFull) {
		t.Fatalf("one more person was counted: %v", err)
	}
	if err := b.Take([]quota.Charge{{Person: "0", Rule: "full", Limit: quota.Limit{Subjects: 5}}}, 1, []record.Subject{subject(1)}); !errors.Is(err, quota.ErrFull) {
		t.Fatalf("one more subject was kept: %v", err)
	}
}

func TestTakeDoesNotAllocate(t *testing.T) {
	b := open(t, filepath.Join(t.TempDir(), "limits"), morning())
	l := charge(quota.Limit{Rows: 1 << 40, Bytes: 1 << 50, Subjects: 100})
	subjects := []record.Subject{subject(1)}
	if err := b.Take(l, 100, subjects); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() {
		if err := b.Take(l, 100, subjects); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("a row that is covered allocates %v times", n)
	}
}

func BenchmarkTake(bench *testing.B) {
	b := open(bench, filepath.Join(bench.TempDir(), "limits"), morning())
	l := charge(quota.Limit{Rows: 1 << 60, Bytes: 1 << 60, Subjects: 100})
	subjects := []record.Subject{subject(1)}
	bench.ReportAllocs()
	for bench.Loop() {
		if err := b.Take(l, 100, subjects); err != nil {
			bench.Fatal(err)
		}
	}
}
