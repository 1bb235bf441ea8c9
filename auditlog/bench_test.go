package auditlog

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"shiguan/auditlog/record"
)

// cpuTime is what the process has used so far, user and system.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkDurableAppend appends payloads of 300 bytes and waits for each, with
// sealing, hashing and signing as in life.
func BenchmarkDurableAppend(b *testing.B) {
	for _, appenders := range []int{1, 8, 32, 256} {
		b.Run(fmt.Sprintf("appenders=%d", appenders), func(b *testing.B) {
			k := newTestKeys(b)
			o := k.options(b, b.TempDir())
			o.SegmentBytes, o.Interval, o.Cosigner = 0, time.Second, agree{}
			l := mustOpen(b, o)
			payload := make([]byte, 300)
			start, cpu := time.Now(), cpuTime(b)
			b.ReportAllocs()
			b.ResetTimer()
			var left atomic.Int64
			left.Store(int64(b.N))
			done := make(chan error, appenders)
			for range appenders {
				go func() {
					for left.Add(-1) >= 0 {
						r, err := l.Append(record.KindStatement, testTime, payload)
						if err == nil {
							err = r.Wait()
						}
						if err != nil {
							done <- err
							return
						}
					}
					done <- nil
				}()
			}
			for range appenders {
				if err := <-done; err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			mustClose(b, l) // the last head is part of the cost
			b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "records/s")
			b.ReportMetric(float64((cpuTime(b)-cpu).Microseconds())/float64(b.N), "cpu-µs/record")
		})
	}
}

// BenchmarkAppend appends without waiting: what a record costs when batches are
// as large as they get.
func BenchmarkAppend(b *testing.B) {
	k := newTestKeys(b)
	o := k.options(b, b.TempDir())
	o.SegmentBytes, o.Interval, o.Cosigner = 0, time.Second, agree{}
	l := mustOpen(b, o)
	payload := make([]byte, 300)
	cpu := cpuTime(b)
	b.ReportAllocs()
	b.ResetTimer()
	var r Receipt
	for range b.N {
		var err error
		if r, err = l.Append(record.KindStatement, testTime, payload); err != nil {
			b.Fatal(err)
		}
	}
	if err := r.Wait(); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	mustClose(b, l)
	b.ReportMetric(float64((cpuTime(b)-cpu).Microseconds())/float64(b.N), "cpu-µs/record")
}

// BenchmarkRawSync is the floor: one write and one sync of a record's bytes in a
// zeroed file, by one goroutine.
func BenchmarkRawSync(b *testing.B) {
	dir := b.TempDir()
	if err := os.Mkdir(filepath.Join(dir, segmentDir), 0o755); err != nil {
		b.Fatal(err)
	}
	f, err := makeZeroed(osFS{dir}, nextSegment, defaultSegmentBytes)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	frame := make([]byte, frameSize+324)
	at := int64(0)
	for b.Loop() {
		frame[0]++
		if at+int64(len(frame)) > defaultSegmentBytes {
			at = 0
		}
		if _, err := f.WriteAt(frame, at); err != nil {
			b.Fatal(err)
		}
		at += int64(len(frame))
		if err := f.sync(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFsck checks a log without opening it.
func BenchmarkFsck(b *testing.B) {
	k := newTestKeys(b)
	dir := b.TempDir()
	o := k.options(b, dir)
	o.SegmentBytes = 0
	l := mustOpen(b, o)
	payload := make([]byte, 300)
	const n = 100_000
	for range n {
		if _, err := l.Append(record.KindStatement, testTime, payload); err != nil {
			b.Fatal(err)
		}
	}
	mustClose(b, l)
	src, err := OpenDir(dir)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if r, err := Fsck(context.Background(), src, FsckOptions{Policy: k.policy(b)}); err != nil || r.Durable != n+1 {
			b.Fatalf("%+v, %v", r, err)
		}
	}
	b.ReportMetric(n/(b.Elapsed().Seconds()/float64(b.N)), "records/s")
}
