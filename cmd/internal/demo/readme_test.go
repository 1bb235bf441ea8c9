package demo_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"shiguan/cmd/internal/demo"
)

// shown is one command of a document's console blocks, and what the document says one sees.
type shown struct {
	command string
	output  []string
}

// console reads the ```console blocks of a document: lines that begin with $ are commands, what follows is their output.
func console(text string) (all []shown) {
	inside := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch command, ok := strings.CutPrefix(line, "$ "); {
		case strings.HasPrefix(line, "```"):
			inside = line == "```console"
		case !inside:
		case ok:
			all = append(all, shown{command: command})
		case len(all) > 0:
			all[len(all)-1].output = append(all[len(all)-1].output, line)
		}
	}
	return all
}

var digits = regexp.MustCompile(`[0-9]+`)

// alike is a line of output with what differs from run to run taken out.
func alike(line string) string {
	return strings.Join(strings.Fields(digits.ReplaceAllString(line, "0")), " ")
}

// checkReadme runs every command of the README in a place that looks like a clone after `make demo`, in their order.
func (c *city) checkReadme(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	clone := t.TempDir()
	if err := os.Mkdir(filepath.Join(clone, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	verify := filepath.Join(clone, "bin", "shiguan-verify")
	if out, err := exec.Command("go", "build", "-o", verify, "shiguan/cmd/shiguan-verify").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for link, target := range map[string]string{"bin/shiguan": c.binary, "demo": c.dir} {
		if err := os.Symlink(target, filepath.Join(clone, link)); err != nil {
			t.Fatal(err)
		}
	}
	commands := console(string(text))
	if len(commands) < 8 || commands[0].command != "make demo" {
		t.Fatalf("the README begins with %v and has %d commands", commands[:1], len(commands))
	}
	var exports, index string
	for _, s := range commands[1:] { // what make demo does, TestWithTourTheVerdictIsTheExitCode does
		command := strings.ReplaceAll(s.command, fmt.Sprint(demo.DefaultPortBase), fmt.Sprint(c.base))
		if strings.HasPrefix(command, "export ") {
			exports += command + "; "
			continue
		}
		if index != "" { // the record that the search found, in place of the one the README shows
			command = regexp.MustCompile(`(prove .*) [0-9]+ `).ReplaceAllString(command, "${1} "+index+" ")
		}
		cmd := exec.Command("bash", "-c", exports+command)
		cmd.Dir = clone
		out, err := cmd.CombinedOutput()
		fails := len(s.output) > 0 && strings.HasPrefix(s.output[0], "ERROR")
		if (err != nil) != fails || len(out) == 0 {
			t.Errorf("%s\n%v\n%s", command, err, out)
		}
		if strings.HasPrefix(command, "psql") {
			wantShown(t, command, string(out), s.output)
		}
		if row := regexp.MustCompile(`(?m)^ *([0-9]+) .* civil_clerk `).FindSubmatch(out); row != nil && strings.Contains(command, " search ") {
			index = string(row[1])
		}
	}
	if index == "" {
		t.Error("no search of the README found a record")
	}
}

func wantShown(t *testing.T, command, out string, lines []string) {
	t.Helper()
	have := map[string]bool{}
	for line := range strings.Lines(out) {
		have[alike(line)] = true
	}
	for _, line := range lines {
		if !have[alike(line)] {
			t.Errorf("%s\ndoes not show %q, but\n%s", command, line, out)
		}
	}
}
