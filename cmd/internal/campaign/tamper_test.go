package campaign

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"filippo.io/age"

	"shiguan/auditlog"
	"shiguan/auditlog/record/seal"
	"shiguan/auditlog/tiles"
	"shiguan/cmd/internal/e2e/citytest"
	"shiguan/configs"
)

// inspector is the check of `shiguan fsck`, in this process.
type inspector struct {
	policy *tiles.Policy
	ids    []age.Identity
}

func newInspector(t *testing.T, c *citytest.City) *inspector {
	t.Helper()
	desk, err := configs.LoadInvestigator(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(desk.Quorum.String())
	if err != nil {
		t.Fatal(err)
	}
	i := new(inspector)
	if i.policy, err = tiles.ParsePolicy(text); err != nil {
		t.Fatal(err)
	}
	if i.ids, err = seal.ParseIdentities(desk.Identity.String()); err != nil {
		t.Fatal(err)
	}
	return i
}

func (i *inspector) fsck(ctx context.Context, dir string) (auditlog.Report, error) {
	source, err := auditlog.OpenDir(dir)
	if err != nil {
		return auditlog.Report{}, err
	}
	return auditlog.Fsck(ctx, source, auditlog.FsckOptions{Policy: i.policy, Identities: i.ids})
}

// notices reports that a check does not end as the one of the untouched copy did. What is no contradiction must show in the
// report: a cosignature that does not count any more, where there are enough others, or records that cannot be opened, for which the command fails.
func (i *inspector) notices(ctx context.Context, dir string, whole auditlog.Report) bool {
	report, err := i.fsck(ctx, dir)
	return err != nil || report.NotForUs > 0 || len(report.Cosigned) < len(whole.Cosigned)
}

// No bit of a log's directory can be changed without fsck's notice.
func TestEveryFileOfTheLogCounts(t *testing.T) {
	c, _ := livedIn(t)
	dir := copyLog(t, lived.log)
	i := newInspector(t, c)
	report, err := i.fsck(t.Context(), dir)
	if err != nil {
		t.Fatalf("the copy does not hold untouched: %v", err)
	}
	if report.Opened == 0 || report.Tiles == 0 || report.Witnessed == 0 {
		t.Fatalf("%+v: this shows too little", report)
	}
	samples := ifLong(400, 20)
	tried, real := map[string]int{}, 0
	for name, pattern := range map[string]string{
		"segments": "segments/*.seg", "bundles": "tile/entries/*", "tiles": "tile/[0-9]/*", "keys": "keys/*", "head": "head", "checkpoint": "checkpoint",
	} {
		for _, file := range written(t, dir, pattern) {
			genuine, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			used := len(bytes.TrimRight(genuine, "\x00"))
			for n := range samples {
				at, bit := rand.IntN(used), rand.IntN(8)
				forged := bytes.Clone(genuine)
				forged[at] ^= 1 << bit
				if err := os.WriteFile(file, forged, 0o644); err != nil {
					t.Fatal(err)
				}
				seen := i.notices(t.Context(), dir, report)
				if !seen {
					t.Errorf("%s: bit %d of byte %d of %d was changed, and fsck finds nothing", file, bit, at, used)
				}
				tried[name]++
				if n == 0 && name != "checkpoint" {
					rejects(t, c, dir)
					real++
				}
			}
			if err := os.WriteFile(file, genuine, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := i.fsck(t.Context(), dir); err != nil {
		t.Fatalf("the copy was not put right again: %v", err)
	}
	for name, n := range tried {
		if n < samples {
			t.Errorf("%s: %d samples", name, n)
		}
	}
	t.Logf("rejected: %v; %d of them by the real binary too", tried, real)
}

// written lists the files of a pattern that hold something, but no more than a few.
func written(t *testing.T, dir, pattern string) (files []string) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	partial, err := filepath.Glob(filepath.Join(dir, pattern, "*"))
	if err != nil {
		t.Fatal(err)
	}
	// The widest partial tile is the one that the newest head needs.
	for _, file := range append(all, partial...) {
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Size() > 0 {
			files = append(files, file)
		}
	}
	if len(files) > 3 {
		rand.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
		files = files[:3]
	}
	if len(files) == 0 {
		t.Fatalf("nothing matches %s", pattern)
	}
	return files
}

// rejects wants `shiguan fsck` to say that a copy does not hold, or cannot be read.
func rejects(t *testing.T, c *citytest.City, dir string) {
	t.Helper()
	stdout, stderr, code, err := c.Command(t.Context(), "fsck", "--config", c.Config, "--dir", dir)
	if err != nil {
		t.Fatal(err)
	}
	if code != 1 && code != 2 {
		t.Errorf("fsck of a copy that was tampered with ended with %d\n%s%s", code, stdout, stderr)
	}
}

// What is missing is missed as well.
func TestMissingFilesAreMissed(t *testing.T) {
	c, _ := livedIn(t)
	i := newInspector(t, c)
	for _, pattern := range []string{"segments/*.seg", "keys/*.age", "head", "tile/0/000", "tile/entries/000"} {
		t.Run(pattern, func(t *testing.T) {
			dir := copyLog(t, lived.log)
			for _, file := range written(t, dir, pattern) {
				remove(t, file)
			}
			report, err := i.fsck(t.Context(), dir)
			if err == nil {
				t.Errorf("fsck finds nothing: %+v", report)
			}
			rejects(t, c, dir)
		})
	}
}
