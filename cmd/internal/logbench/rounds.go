package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// worker is a process that carries out orders.
type worker struct {
	cmd     *exec.Cmd
	orders  io.WriteCloser
	answers *json.Decoder
	said    strings.Builder // on standard error
}

func startWorker(ctx context.Context, binary string, args ...string) (*worker, error) {
	w := &worker{cmd: exec.CommandContext(ctx, binary, args...)}
	w.cmd.Stderr = &w.said
	var err error
	if w.orders, err = w.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	w.answers = json.NewDecoder(bufio.NewReader(out))
	return w, w.cmd.Start()
}

func (w *worker) measure(o order) (outcome, error) {
	var got outcome
	if err := json.NewEncoder(w.orders).Encode(o); err != nil {
		return got, fmt.Errorf("%s: %w\n%s", o.System, err, w.said.String())
	}
	if err := w.answers.Decode(&got); err != nil {
		return got, fmt.Errorf("%s: %w\n%s", o.System, err, w.said.String())
	}
	if got.Error != "" {
		return got, fmt.Errorf("%s: %s", o.System, got.Error)
	}
	return got, nil
}

func (w *worker) stop() error {
	err := errors.Join(w.orders.Close(), w.cmd.Wait())
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", w.cmd.Path, err, w.said.String())
	}
	return nil
}

// buildPeers compiles the module of the peers.
func buildPeers(ctx context.Context, binary string) error {
	where := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", "shiguan/cmd/internal/logbench")
	where.Stderr = os.Stderr
	dir, err := where.Output()
	if err != nil {
		return fmt.Errorf("finding the peers' module (run logbench within the repository): %w", err)
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, ".")
	build.Dir = filepath.Join(strings.TrimSpace(string(dir)), "peers")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("building the peers (leave them out with -peers=false): %w", err)
	}
	return nil
}

// plan is what a run measures.
type plan struct {
	dir       string
	rounds    int
	length    time.Duration
	appenders []int
	peers     bool
	exact     bool // Tessera once more, with batches of as many entries as there are appenders
}

func (p plan) peerNames() []string {
	if p.exact {
		return []string{"tessera", "tessera-exact", "immudb"}
	}
	return []string{"tessera", "immudb"}
}

// run measures everything once a round and returns all outcomes. From round to round another system begins.
func (p plan) run(ctx context.Context) (r *results, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	own, err := startWorker(ctx, self, "-worker", filepath.Join(p.dir, "own"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, own.stop()) }()
	// The floor has a process of its own too, so that what the log does in the background is not counted as its.
	floor, err := startWorker(ctx, self, "-worker", filepath.Join(p.dir, "floor"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, floor.stop()) }()
	systems := []string{systemAuditLog, systemRaw}
	workers := map[string]*worker{systemAuditLog: own, systemRaw: floor}
	if p.peers {
		binary := filepath.Join(p.dir, "peers")
		if err := buildPeers(ctx, binary); err != nil {
			return nil, err
		}
		for _, name := range p.peerNames() {
			w, err := startWorker(ctx, binary, filepath.Join(p.dir, name))
			if err != nil {
				return nil, err
			}
			defer func() { err = errors.Join(err, w.stop()) }()
			systems, workers[name] = append(systems, name), w
		}
	}
	r = &results{systems: systems, appenders: p.appenders, of: make(map[subject][]outcome)}
	for round := range p.rounds {
		for _, n := range p.appenders {
			for i := range systems {
				s := systems[(i+round)%len(systems)]
				got, err := workers[s].measure(order{System: s, Appenders: n, Length: p.length})
				if err != nil {
					return nil, err
				}
				r.add(s, n, got)
			}
		}
		r.hashes = append(r.hashes, float64(hashTime()))
	}
	return r, nil
}
