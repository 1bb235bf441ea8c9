package search_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"shiguan/auditlog/record"
	"shiguan/auditlog/search"
)

func TestChineseText(t *testing.T) {
	b := newBench(t)
	want := b.statement("SELECT 姓名 FROM 户籍.公民 WHERE 身份证号 = '11010119900307'  -- 查询户籍信息")
	b.statement("SELECT 姓氏 FROM 民政.居民")
	b.update()
	for _, text := range []string{"姓名", "户籍", "籍", "户籍.公民", "查询户籍信息", "身份证号 =", "select 姓名"} {
		if hits := b.search(search.Query{Text: text}); len(hits) != 1 || hits[0].Index != want {
			t.Errorf("%q finds %s", text, show(hits))
		}
	}
	for _, text := range []string{"户民", "籍户", "姓名姓名", "信息户"} {
		if hits := b.search(search.Query{Text: text}); len(hits) != 0 {
			t.Errorf("%q finds %s", text, show(hits))
		}
	}
}

// A long text is found by any part of it, also one that begins as many others do.
func TestLongTextIsFound(t *testing.T) {
	b := newBench(t)
	long := strings.Repeat("SELECT 1 + ", 4_000)
	want := b.statement(long + "'needle'")
	b.statement(long + "'hay'")
	b.update()
	if got := b.one(search.Query{Text: long[100:] + "'needle'"}); got.Index != want || got.Statement != long+"'needle'" {
		t.Errorf("found record %d with %d bytes", got.Index, len(got.Statement))
	}
}

// Two parameters are two texts.
func TestParametersAreSearchedOneByOne(t *testing.T) {
	b := newBench(t)
	one, two := "北京市", "朝阳区"
	b.add(record.Record{Kind: record.KindStatement, Session: "0000000000000001", Seq: 1, Decision: record.DecisionAllowed,
		Statement: "SELECT $1, $2", Params: []record.Param{{Text: &one}, {Text: &two}, {Format: 1, Binary: []byte("SELECT")}}})
	b.update()
	for _, text := range []string{"北京市", "京市", "朝阳区", "$2"} {
		b.one(search.Query{Text: text})
	}
	for _, text := range []string{"北京市朝阳区", "市朝", "$1, $2朝"} {
		if hits := b.search(search.Query{Text: text}); len(hits) != 0 {
			t.Errorf("%q finds %s", text, show(hits))
		}
	}
}

// An update that is cut off anywhere leaves whole batches, and the next one goes on.
func TestUpdateGoesOnWhereItStopped(t *testing.T) {
	b := newBench(t)
	b.statements(10)
	for _, at := range []uint64{0, 1, 4, 9} {
		b.src.fail, b.src.failAfter = errors.New("the network is gone"), at
		if err := b.try(); !errors.Is(err, b.src.fail) {
			t.Fatalf("error %v", err)
		}
		if got := len(b.search(search.Query{})); got != 0 {
			t.Errorf("%d records of a batch that was cut off are found", got)
		}
		b.reopen()
	}
	b.src.fail = nil
	b.update()
	b.same()
	b.statements(5)
	b.src.signAll()
	b.reopen()
	b.update()
	b.update()
	b.same()
}

// Batches are committed on the way: what was read before the failure is there, and read only once.
func TestBatchesAreCommitted(t *testing.T) {
	search.SetBatchRecords(t, 400)
	b := newBench(t)
	b.statements(1_000)
	b.src.signAll()
	b.src.fail, b.src.failAfter = errors.New("the network is gone"), 999
	var done []uint64
	err := b.x.Update(context.Background(), b.src, b.src.opener(), func(at, total uint64) {
		if total != 1_000 {
			t.Errorf("total is %d", total)
		}
		done = append(done, at)
	})
	if !errors.Is(err, b.src.fail) {
		t.Fatal(err)
	}
	if got := len(b.search(search.Query{})); got != 800 || !reflect.DeepEqual(done, []uint64{400, 800}) {
		t.Errorf("%d records are found, progress was %v", got, done)
	}
	b.src.fail = nil
	b.reopen()
	b.update()
	if got := len(b.search(search.Query{})); got != 1_000 {
		t.Errorf("%d records are found", got)
	}
}

func TestUpdateEndsWithItsContext(t *testing.T) {
	b := newBench(t)
	b.statements(10)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := b.x.Update(ctx, b.src, b.src.opener(), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	b.update()
	b.same()
}

// Records beyond the durable ones may yet vanish, so they are not read.
func TestOnlyDurableRecordsAreIndexed(t *testing.T) {
	b := newBench(t)
	b.statements(10)
	b.src.durable = 7
	b.update()
	if got := len(b.search(search.Query{})); got != 7 {
		t.Errorf("%d records are found, 7 are durable", got)
	}
	b.src.durable = 10
	b.update()
	b.same()
}

// What is not the log that was indexed must be refused, and must leave the index as it was; whether its tiles can be had for
// all of it, or only for what witnesses have co-signed.
func TestAnotherHistoryIsRefused(t *testing.T) {
	search.SetBatchRecords(t, 50)
	for name, change := range map[string]func(b *bench){
		"shorter than indexed": func(b *bench) { b.src.cut(15); b.src.sign(12); b.src.publish() },
		"shorter than signed":  func(b *bench) { b.src.cut(11); b.src.sign(11); b.src.publish() },
		"changed below the head": func(b *bench) {
			b.src.cut(5)
			b.past = b.past[:5]
			b.statements(1)
			b.statement("another history")
			b.statements(13)
			b.src.sign(15)
			b.src.publish()
		},
		"changed and signed beyond": func(b *bench) {
			b.src.cut(19)
			b.statement("another history")
			b.statements(10)
			b.src.signAll()
		},
		"changed and signed far beyond": func(b *bench) {
			b.src.cut(19)
			b.statement("another history")
			b.statements(200) // more than a batch
			b.src.signAll()
		},
		"changed and published": func(b *bench) {
			b.src.cut(19)
			b.statement("another history")
			b.statements(200)
			b.src.signAll()
			b.src.publish()
		},
		"older head": func(b *bench) { b.src.cut(20); b.src.sign(9) },
	} {
		for _, remote := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, remote %v", name, remote), func(t *testing.T) {
				b := newBench(t)
				b.src.remote = remote
				b.statements(20)
				b.src.sign(11)
				b.src.publish()
				b.src.sign(12)
				b.update() // 20 records, of which 12 are in a signed head and 11 in a published one
				before := b.search(search.Query{})
				change(b)
				var diverged *search.DivergedError
				if err := b.try(); !errors.As(err, &diverged) {
					t.Fatalf("error %v, want a DivergedError", err)
				} else if !strings.Contains(err.Error(), "fsck") {
					t.Errorf("error %q does not say what to do", err)
				}
				if got := b.search(search.Query{}); !reflect.DeepEqual(got, before) {
					t.Error("the index has changed")
				}
			})
		}
	}
}

// The unsigned end of a log can be other than it was; that shows as soon as it is signed.
func TestChangedTailIsFoundOutWhenSigned(t *testing.T) {
	b := newBench(t)
	b.statements(20)
	b.src.sign(12)
	b.update()
	b.src.cut(18)
	b.past = b.past[:18]
	b.statement("another history")
	b.statements(5)
	b.src.sign(12)
	if err := b.try(); err != nil {
		t.Fatalf("nothing shows yet, but: %v", err)
	}
	b.src.signAll()
	var diverged *search.DivergedError
	if err := b.try(); !errors.As(err, &diverged) {
		t.Fatalf("error %v, want a DivergedError", err)
	}
}

// Records that are not those that the log signed are not taken, not even the first time.
func TestRecordsThatAreNotUnderTheHeadAreRefused(t *testing.T) {
	b := newBench(t)
	b.statements(20)
	b.src.signAll()
	signed, head := b.src.tiles, b.src.signed
	b.src.cut(10)
	b.past = b.past[:10]
	b.statement("another history")
	b.statements(9)
	b.src.tiles, b.src.signed, b.src.size = signed, head, 20
	var diverged *search.DivergedError
	if err := b.try(); !errors.As(err, &diverged) || diverged.Size != 20 {
		t.Fatalf("error %v, want a DivergedError", err)
	}
	if got := len(b.search(search.Query{})); got != 0 {
		t.Errorf("%d records were taken", got)
	}
}

func TestAnotherLogIsRefused(t *testing.T) {
	b := newBench(t)
	b.statements(3)
	b.src.signAll()
	b.update()
	other := newBench(t)
	other.src.origin = "log.example/housing"
	other.statements(5)
	var wrong *search.OtherLogError
	if err := b.x.Update(context.Background(), other.src, other.src.opener(), nil); !errors.As(err, &wrong) {
		t.Errorf("error %v, want an OtherLogError", err)
	}
	b.same()
}

// Updates of one file by several processes at a time wait for each other and do the work once; searches go on.
func TestConcurrentUpdates(t *testing.T) {
	search.SetBatchRecords(t, 50)
	b := newBench(t)
	b.statements(700)
	b.src.signAll()
	errs := make(chan error)
	const updaters = 4
	for range updaters {
		go func() {
			x, err := search.Open(b.path)
			if err != nil {
				errs <- err
				return
			}
			err = x.Update(context.Background(), b.src, b.src.opener(), nil)
			errs <- errors.Join(err, x.Close())
		}()
	}
	for range updaters {
		b.search(search.Query{Text: "SELECT 7"})
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if got := len(b.search(search.Query{})); got != 700 {
		t.Errorf("%d records are found", got)
	}
}

func TestFileIsPrivate(t *testing.T) {
	b := newBench(t)
	b.statements(1)
	b.update()
	names, err := filepath.Glob(filepath.Join(filepath.Dir(b.path), "*"))
	if err != nil || len(names) < 3 { // the index, its lock and its write-ahead log
		t.Fatalf("files %v, %v", names, err)
	}
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", name, info.Mode().Perm())
		}
	}
}

func TestOpenSaysWhatToDo(t *testing.T) {
	damaged := filepath.Join(t.TempDir(), "index.db")
	content := sha256.Sum256(nil)
	if err := os.WriteFile(damaged, append([]byte("this is no database"), content[:]...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := search.Open(damaged); err == nil || !strings.Contains(err.Error(), "delete it") {
		t.Errorf("damaged: error %v", err)
	}
	if _, err := search.Open(filepath.Join(t.TempDir(), "missing", "index.db")); err == nil || !strings.Contains(err.Error(), "create it") {
		t.Errorf("no directory: error %v", err)
	}
}
