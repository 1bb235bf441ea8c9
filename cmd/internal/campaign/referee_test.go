package campaign

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The referee is the tlog-tiles checker of another project.
const referee = "github.com/transparency-dev/tessera/cmd/fsck@v1.0.4"

// refereeWithin is what a check may take; the referee goes on for ever about what it cannot read.
const refereeWithin = 20 * time.Second

func installReferee(t *testing.T) string {
	t.Helper()
	cmd := exec.Command("go", "install", referee)
	cmd.Dir = house.dir // outside of our module, whose requirements are not the referee's
	cmd.Env = append(os.Environ(), "GOBIN="+house.dir, "GOFLAGS=", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go install %s: %v\n%s", referee, err, out)
	}
	return filepath.Join(house.dir, "fsck")
}

// holds asks the referee about a log. Its exit code says nothing.
func holds(t *testing.T, checker, url, vkey string) (ok bool, output string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), refereeWithin)
	defer cancel()
	key := filepath.Join(t.TempDir(), "log.vkey")
	if err := os.WriteFile(key, []byte(vkey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, checker, "--storage_url="+url, "--public_key="+key, "--ui=false", "--N=2")
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil && ctx.Err() == nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return bytes.Contains(out, []byte("Successfully fsck'd")), string(out)
}

func TestTheRefereeAgrees(t *testing.T) {
	c, h := livedIn(t)
	checker := installReferee(t)
	began := time.Now()
	if ok, output := holds(t, checker, c.LogURL, c.LogVKey); !ok {
		t.Fatalf("the referee rejects the log:\n%s", output)
	}
	t.Logf("%d records and more checked in %v", h.records, time.Since(began).Round(time.Millisecond))
	for name, tamper := range map[string]func(t *testing.T, dir string){
		"nothing changed":  nil,
		"entry changed":    func(t *testing.T, dir string) { flipSomewhere(t, filepath.Join(dir, "tile", "entries")) },
		"tile changed":     func(t *testing.T, dir string) { flipSomewhere(t, filepath.Join(dir, "tile", "0")) },
		"tile removed":     func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "tile", "0", "000")) },
		"another size":     func(t *testing.T, dir string) { editCheckpoint(t, dir, 1) },
		"another root":     func(t *testing.T, dir string) { editCheckpoint(t, dir, 2) },
		"another identity": func(t *testing.T, dir string) { editCheckpoint(t, dir, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := copyLog(t, lived.log)
			if tamper != nil {
				tamper(t, dir)
			}
			server := httptest.NewServer(http.FileServer(http.Dir(dir)))
			defer server.Close()
			ok, output := holds(t, checker, server.URL+"/", c.LogVKey)
			if ok != (tamper == nil) {
				t.Errorf("the referee says %v\n%s", ok, output)
			}
		})
	}
}

// flipSomewhere changes one bit in the widest file below a directory.
func flipSomewhere(t *testing.T, dir string) {
	t.Helper()
	var widest string
	var size int64
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Size() > size {
			widest, size = path, info.Size()
		}
		return err
	})
	if err != nil || widest == "" {
		t.Fatalf("%s holds nothing: %v", dir, err)
	}
	text, err := os.ReadFile(widest)
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)/2] ^= 4
	if err := os.WriteFile(widest, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, file string) {
	t.Helper()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
}

// editCheckpoint changes a character of one of its lines into another that is valid there.
func editCheckpoint(t *testing.T, dir string, line int) {
	t.Helper()
	file := filepath.Join(dir, "checkpoint")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	first := lines[line][:1]
	other := "1"
	if first == other {
		other = "2"
	}
	lines[line] = other + lines[line][1:]
	if err := os.WriteFile(file, []byte(strings.Join(lines, "")), 0o644); err != nil {
		t.Fatal(err)
	}
}
