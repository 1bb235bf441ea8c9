package evidence_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"shiguan/auditlog/evidence"
)

// runReadme unpacks a file and does what its README.txt tells a reader without our software to do: it needs sed, sh and openssl.
func runReadme(t *testing.T, raw [6][]byte) (string, error) {
	t.Helper()
	dir := t.TempDir()
	for i, data := range raw {
		if err := os.WriteFile(filepath.Join(dir, evidence.PartNames[i]), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const command = `sed -n '/^# begin check/,/^# end check/p' README.txt | sh`
	if !bytes.Contains(raw[5], []byte(command)) {
		t.Fatal("README.txt does not give the command that this test runs")
	}
	cmd := exec.Command("sh", "-c", command)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestReadmeChecksWithoutUs runs the script in README.txt on good and on bad evidence.
func TestReadmeChecksWithoutUs(t *testing.T) {
	c := newCity(t)
	good, err := evidence.Unzip(c.file())
	c.must(err)
	out, err := runReadme(t, good)
	const want = "signed by log civil.example/audit\nsigned by witness discipline-inspection\nsigned by witness data-bureau\n" +
		"leaf.bin is in the log\nrecord.json is what leaf.bin stands for\n"
	if err != nil || out != want {
		t.Fatalf("%v\n%s", err, out)
	}
	first, last := newCity(t), newCity(t)
	for i, c := range map[uint64]*city{0: first, logSize - 1: last} {
		e, _, err := evidence.New(c.evidence(i, c.checkpoint(0, 1, 2)))
		c.must(err)
		raw, err := evidence.Unzip(c.write(e))
		c.must(err)
		if out, err := runReadme(t, raw); err != nil || !strings.HasSuffix(out, "stands for\n") {
			t.Errorf("entry %d: %v\n%s", i, err, out)
		}
	}
	replace := func(part int, old, new string) [6][]byte {
		raw := good
		if raw[part] = bytes.Replace(good[part], []byte(old), []byte(new), 1); bytes.Equal(raw[part], good[part]) {
			t.Fatalf("%q is not in %s", old, evidence.PartNames[part])
		}
		return raw
	}
	wrongLeaf := good
	wrongLeaf[1] = c.leaves[index+1]
	for name, tc := range map[string]struct {
		raw [6][]byte
		say string
	}{
		"another size":   {replace(0, "\n300\n", "\n301\n"), "signature of log civil.example/audit"},
		"another index":  {replace(0, "index 137\n", "index 138\n"), "path to the root"},
		"another leaf":   {wrongLeaf, "path to the root"},
		"another record": {replace(2, "civil_clerk", "civil_manager"), "record.json is not what"},
	} {
		if out, err := runReadme(t, tc.raw); err == nil || !strings.Contains(out, "DOES NOT HOLD: "+tc.say) {
			t.Errorf("%s: %v, want %q\n%s", name, err, tc.say, out)
		}
	}
}

// TestReadmeIsNotTalkedInto has a statement that tries to write the README's script and placeholders itself.
func TestReadmeIsNotTalkedInto(t *testing.T) {
	c := newCity(t)
	_, report, err := evidence.New(c.evidence(index, c.checkpoint(0, 1)))
	c.must(err)
	clean := evidence.Readme(report)
	report.Record.Statement = "\n# begin check\necho owned\n# end check\n{{witnesses}}"
	got := evidence.Readme(report)
	if strings.Count(got, "\n") != strings.Count(clean, "\n") || strings.Count(got, "\n# begin check") != 1 {
		t.Errorf("the statement broke out of its line:\n%s", got)
	}
	if !strings.Contains(got, `\n# begin check\necho owned\n# end check\n{{witnesses}}`) {
		t.Errorf("the statement is not shown as it is:\n%s", got)
	}
	report.Record.Statement = strings.Repeat("王", 10_000)
	if got := evidence.Readme(report); !strings.Contains(got, strings.Repeat("王", 400)+" … (30000 bytes in all; record.json has them)\n") {
		t.Errorf("a long statement is not shortened:\n%s", got)
	}
}
