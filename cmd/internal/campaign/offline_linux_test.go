package campaign

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Evidence holds by itself: the verifier opens no socket.
func TestEvidenceHoldsOffline(t *testing.T) {
	c, files := proved(t)
	small := filepath.Join(house.dir, "shiguan-verify")
	build := exec.Command("go", "build", "-o", small, "shiguan/cmd/shiguan-verify")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, file := range files {
		if code, said := verify(t, c.QuorumPolicy, file); code != 0 {
			t.Errorf("%s: %s", name, said)
		}
		for _, verifier := range [][]string{{c.Binary, "verify"}, {small}} {
			trace := filepath.Join(t.TempDir(), "trace")
			line := append([]string{"-f", "-qq", "-e", "trace=%network", "-e", "signal=none", "-o", trace}, verifier...)
			out, err := exec.Command("strace", append(line, "--policy", c.QuorumPolicy, file)...).CombinedOutput()
			if err != nil {
				t.Errorf("%v on the %s evidence: %v\n%s", verifier, name, err, out)
			}
			calls, err := os.ReadFile(trace)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(calls), "(") {
				t.Errorf("%v talks to somebody:\n%s", verifier, calls)
			}
		}
	}
}
