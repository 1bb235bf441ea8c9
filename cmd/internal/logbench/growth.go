package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"shiguan/auditlog"
	"shiguan/auditlog/tiles"
)

// grow fills a log and prints, for each tenth of it, what an append costs and what the process takes; then what opening it,
// proving a record and checking it all cost.
func grow(ctx context.Context, w io.Writer, dir string, records uint64) error {
	l, err := openAuditLog(dir)
	if err != nil {
		return err
	}
	fmt.Fprintln(w, "32 appenders. A hash is a SHA-256 of an entry, timed in the same tenth: what the machine's own changes do to both cancels out.")
	fmt.Fprintln(w, "\n| records | entries/s | CPU µs an entry | in hashes | resident MiB |")
	fmt.Fprintln(w, "|---|---|---|---|---|")
	var costs []float64
	for part := range uint64(10) {
		n := records*(part+1)/10 - records*part/10
		start, cpu := time.Now(), cpuTime()
		if err := fill(ctx, l, n); err != nil {
			return err
		}
		o := outcome{Entries: int(n), Elapsed: time.Since(start), CPU: cpuTime() - cpu}
		costs = append(costs, o.cpu()*1000/float64(hashTime()))
		fmt.Fprintf(w, "| %d | %.0f | %.2f | %.1f | %d |\n", records*(part+1)/10, o.rate(), o.cpu(), costs[part], resident("VmRSS")>>20)
	}
	fmt.Fprintf(w, "\n- cost of an append in the last third, × in the first: %.2f (within 10 %%)\n", middle(costs[7:])/middle(costs[:3]))
	fmt.Fprintf(w, "- most memory while filling it: %d MiB\n", resident("VmHWM")>>20)
	if err := l.close(); err != nil {
		return err
	}
	if err := reopen(w, l, dir); err != nil {
		return err
	}
	signed, err := os.ReadFile(filepath.Join(dir, "head"))
	if err != nil {
		return err
	}
	head, err := l.policy.CheckLog(signed)
	if err != nil {
		return err
	}
	src, err := auditlog.OpenDir(dir)
	if err != nil {
		return err
	}
	if err := proofs(ctx, w, dir, src, head, 200); err != nil {
		return err
	}
	return verify(ctx, w, src, l.policy, head.Size)
}

// fill appends n entries from 32 goroutines that wait for each.
func fill(ctx context.Context, l *auditLog, n uint64) error {
	var left atomic.Int64
	left.Store(int64(n))
	errs := make(chan error, 32)
	var wg sync.WaitGroup
	for range cap(errs) {
		wg.Go(func() {
			entry := make([]byte, entrySize)
			for left.Add(-1) >= 0 && ctx.Err() == nil {
				binary.BigEndian.PutUint64(entry, appended.Add(1))
				if err := l.append(entry); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return ctx.Err()
	}
}

// reopen opens the log once more, which writes a few records about itself, and closes it.
func reopen(w io.Writer, l *auditLog, dir string) error {
	debug.FreeOSMemory()
	start := time.Now()
	if err := l.open(dir); err != nil {
		return err
	}
	fmt.Fprintf(w, "- opening it: %v, %d MiB resident\n", time.Since(start).Round(time.Millisecond), resident("VmRSS")>>20)
	return l.close()
}

// proofs proves random records from tiles that are neither in this process's memory nor, as far as the kernel obeys, in its.
func proofs(ctx context.Context, w io.Writer, dir string, src auditlog.Source, head tiles.Checkpoint, n int) error {
	if err := forgetAll(filepath.Join(dir, "tile")); err != nil {
		return err
	}
	cold := &coldReader{Reader: src, dir: dir}
	took := make([]time.Duration, n)
	for i := range took {
		index := rand.Uint64N(head.Size)
		var leaf tiles.Hash
		found := errors.New("found")
		err := src.Records(ctx, index, func(st auditlog.Stored) error { leaf = tiles.LeafHash(st.LeafBytes); return found })
		if !errors.Is(err, found) {
			return err
		}
		start := time.Now()
		proof, err := tiles.ProveInclusion(ctx, cold, head.Size, index)
		if err != nil {
			return err
		}
		if err := tiles.CheckInclusion(leaf, index, head.Size, proof, head.Root); err != nil {
			return err
		}
		took[i] = time.Since(start)
		if err := cold.forget(); err != nil {
			return err
		}
	}
	slices.Sort(took)
	fmt.Fprintf(w, "- proof of a record from cold tiles: p50 %.3f ms (at most 1), p99 %.3f ms\n", milliseconds(took[n/2]), milliseconds(took[n*99/100]))
	return nil
}

// coldReader remembers which tiles were read, so that they can be made cold again.
type coldReader struct {
	tiles.Reader
	dir  string
	mu   sync.Mutex
	read []tiles.TileID
}

func (r *coldReader) ReadTile(ctx context.Context, level, index uint64, width int) ([]byte, error) {
	r.mu.Lock()
	r.read = append(r.read, tiles.TileID{Level: int(level), Index: index, Width: width})
	r.mu.Unlock()
	return r.Reader.ReadTile(ctx, level, index, width)
}

func (r *coldReader) forget() error {
	for _, id := range r.read {
		err := forget(filepath.Join(r.dir, filepath.FromSlash(id.Path())))
		if err != nil && !(errors.Is(err, fs.ErrNotExist) && id.Width < tiles.TileWidth) { // a wider one was read
			return err
		}
	}
	r.read = r.read[:0]
	return nil
}

func forgetAll(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		return forget(path)
	})
}

// forget asks the kernel to drop a file from its cache. It was synced when it was written, so the kernel can.
func forget(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}

// verify checks the whole log, as the command fsck does, in a heap as small as that command's.
func verify(ctx context.Context, w io.Writer, src auditlog.Source, policy *tiles.Policy, records uint64) error {
	debug.FreeOSMemory()
	start, cpu := time.Now(), cpuTime()
	r, err := auditlog.Fsck(ctx, src, auditlog.FsckOptions{Policy: policy})
	if err != nil {
		return err
	}
	took := time.Since(start)
	if r.Integrated != records {
		return fmt.Errorf("fsck has seen %d records of %d", r.Integrated, records)
	}
	fmt.Fprintf(w, "- fsck: %.0f records/s (at least 300000), %.2f µs of CPU a record, %d MiB resident\n", float64(records)/took.Seconds(),
		float64((cpuTime()-cpu).Nanoseconds())/1000/float64(records), resident("VmRSS")>>20)
	return nil
}

// resident is a figure of this process's memory in bytes, as the kernel has it.
func resident(field string) uint64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			kib, _ := strconv.ParseUint(strings.Fields(value)[0], 10, 64)
			return kib << 10
		}
	}
	return 0
}
