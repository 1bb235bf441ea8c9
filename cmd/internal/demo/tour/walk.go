package tour

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"shiguan/cmd/internal/demo"
)

// walker carries what one step leaves for a later one.
type walker struct {
	ctx     context.Context
	out     io.Writer
	m       *demo.Manifest
	exe     string
	tmp     string // for evidence and copies, removed at the end
	purpose string // of this tour alone, so that search finds this tour's records and no earlier one's
	started time.Time

	direct *direct // the superuser's connection past the proxy: what is true
	record uint64  // index of the clerk's allowed statement
	proof  string  // file with its evidence

	done, failed int
}

// Walk takes the whole tour in the demo city of dir and prints each step. The investigator's commands are those of the
// binary exe. Its error says how many steps did not hold.
func Walk(ctx context.Context, out io.Writer, dir, exe string) error {
	m, err := demo.ReadManifest(dir)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "shiguan-tour-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	truth, err := connectDirect(ctx, m.UpstreamDSN)
	if err != nil {
		return fmt.Errorf("connect past the proxy: %w", err)
	}
	defer truth.close(ctx)
	w := &walker{ctx: ctx, out: out, m: m, exe: exe, tmp: tmp, purpose: "case-tour-" + strings.ToLower(rand.Text()[:8]),
		started: time.Now(), direct: truth}
	w.use()
	w.investigate()
	w.tamper()
	w.watch()
	if w.failed > 0 {
		return fmt.Errorf("the tour: %d of %d steps did not hold", w.failed, w.done)
	}
	fmt.Fprintf(out, "\nThe tour: all %d steps held.\n", w.done)
	return ctx.Err()
}

func (w *walker) chapter(title string) { fmt.Fprintf(w.out, "\n%s\n", title) }

// step runs one check and prints what it proves, or why it does not hold. Later steps are walked all the same: they say
// more about what is wrong.
func (w *walker) step(proves string, check func() error) {
	w.done++
	err := w.ctx.Err()
	if err == nil {
		err = check()
	}
	if err == nil {
		fmt.Fprintf(w.out, "  ✓ %s\n", proves)
		return
	}
	w.failed++
	fmt.Fprintf(w.out, "  ✗ %s\n      %s\n", proves, strings.ReplaceAll(err.Error(), "\n", "\n      "))
}

// shiguan runs a command of this binary and returns what it printed and its exit code.
func (w *walker) shiguan(args ...string) (stdout string, code int, err error) {
	ctx, cancel := context.WithTimeout(w.ctx, 2*time.Minute)
	defer cancel()
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, w.exe, args...)
	cmd.Stdout, cmd.Stderr = &out, &said
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return out.String() + said.String(), exit.ExitCode(), nil
	}
	if err != nil {
		return "", 0, fmt.Errorf("shiguan %s: %w: %s", args[0], err, said.String())
	}
	return out.String(), 0, nil
}

// succeeds runs a command that must end with 0.
func (w *walker) succeeds(args ...string) (stdout string, err error) {
	out, code, err := w.shiguan(args...)
	if err == nil && code != 0 {
		err = fmt.Errorf("shiguan %s: exit code %d: %s", strings.Join(args, " "), code, strings.TrimSpace(out))
	}
	return out, err
}

// rejects runs a command that must end with one of the given codes.
func (w *walker) rejects(codes []int, args ...string) error {
	out, code, err := w.shiguan(args...)
	if err != nil {
		return err
	}
	for _, want := range codes {
		if code == want {
			return nil
		}
	}
	return fmt.Errorf("shiguan %s: exit code %d, want %v: %s", strings.Join(args, " "), code, codes, strings.TrimSpace(out))
}
