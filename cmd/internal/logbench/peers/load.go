package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// This file stands in peers a second time, because a module of its own cannot import it; a test compares them.

// entrySize is the length of every entry.
const entrySize = 300

// system is something that makes entries durable. append returns once its entry is, and may be called by many goroutines.
// Entries are never the same twice, from their first 8 bytes on, and belong to the caller again when append has returned.
type system interface {
	append(entry []byte) error
	close() error
}

// order asks for one measurement.
type order struct {
	System    string        `json:"system"`
	Appenders int           `json:"appenders"`
	Length    time.Duration `json:"length"`
}

// outcome is what it came to.
type outcome struct {
	Entries int           `json:"entries"`
	Elapsed time.Duration `json:"elapsed"`
	CPU     time.Duration `json:"cpu"` // of the whole process, user and system
	P50     time.Duration `json:"p50"` // from append to durable
	P99     time.Duration `json:"p99"`
	Error   string        `json:"error,omitempty"`
}

func (o outcome) rate() float64 { return float64(o.Entries) / o.Elapsed.Seconds() }

// cpu is in microseconds an entry.
func (o outcome) cpu() float64 { return float64(o.CPU.Nanoseconds()) / 1000 / float64(o.Entries) }

// work carries out orders, one JSON object a line, until there are no more. A system is opened when it is first asked for, for
// each number of appenders anew, and warmed up.
func work(orders io.Reader, outcomes io.Writer, open func(system string, appenders int) (system, error)) (err error) {
	opened := make(map[string]system)
	defer func() {
		for _, s := range opened {
			if closeErr := s.close(); err == nil {
				err = closeErr
			}
		}
	}()
	scanner := bufio.NewScanner(orders)
	for scanner.Scan() {
		var o order
		if err := json.Unmarshal(scanner.Bytes(), &o); err != nil {
			return err
		}
		result := func() outcome {
			id := fmt.Sprintf("%s-%d", o.System, o.Appenders)
			if opened[id] == nil {
				s, err := open(o.System, o.Appenders)
				if err != nil {
					return outcome{Error: err.Error()}
				}
				opened[id] = s
				if warm := load(s, o.Appenders, o.Length/4); warm.Error != "" {
					return warm
				}
			}
			return load(opened[id], o.Appenders, o.Length)
		}()
		if err := json.NewEncoder(outcomes).Encode(result); err != nil {
			return err
		}
	}
	return scanner.Err()
}

// appended numbers all entries of the process.
var appended atomic.Uint64

// load has n goroutines append, each one entry after the other, for as long as asked.
func load(s system, n int, length time.Duration) outcome {
	var mu sync.Mutex
	var all []time.Duration
	var failed error
	var wg sync.WaitGroup
	start, cpu := time.Now(), cpuTime()
	end := start.Add(length)
	for range n {
		wg.Go(func() {
			took := make([]time.Duration, 0, 1<<14)
			entry := make([]byte, entrySize)
			var err error
			for now := time.Now(); err == nil && now.Before(end); {
				binary.BigEndian.PutUint64(entry, appended.Add(1))
				err = s.append(entry)
				later := time.Now()
				took = append(took, later.Sub(now))
				now = later
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
			if err != nil {
				failed = err
			}
		})
	}
	wg.Wait()
	o := outcome{Entries: len(all), Elapsed: time.Since(start), CPU: cpuTime() - cpu}
	if failed != nil {
		return outcome{Error: failed.Error()}
	}
	slices.Sort(all)
	o.P50, o.P99 = all[len(all)/2], all[len(all)*99/100]
	return o
}

// cpuTime is what this process has used, user and system.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
