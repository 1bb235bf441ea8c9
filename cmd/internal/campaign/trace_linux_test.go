package campaign

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// call is one system call of a traced process. Entry and exit are numbers of lines: strace handles one stop of one thread at
// a time, and a thread goes on only when its stop has been handled, so a call whose exit stands before another one's entry
// had returned before the other began.
type call struct {
	entry, exit int
	name        string
	on          string // what the descriptor stands for
	args        string // as strace prints them, without the descriptor
	result      int
}

var (
	wholeCall   = regexp.MustCompile(`^(\d+) +(\w+)\((.*)\) += (-?\d+)`)
	startedCall = regexp.MustCompile(`^(\d+) +(\w+)\((.*) <unfinished \.\.\.>$`)
	resumedCall = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>(.*)\) += (-?\d+)`)
	descriptor  = regexp.MustCompile(`^\d+<((?:->|[^<>])*)>(?:, )?`)
)

// readTrace parses the output of strace -f -yy.
func readTrace(t *testing.T, file string) []*call {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var calls []*call
	pending := map[string]*call{}
	for i, line := range strings.Split(string(text), "\n") {
		if m := wholeCall.FindStringSubmatch(line); m != nil {
			calls = append(calls, &call{entry: i, exit: i, name: m[2], args: m[3], result: number(m[4])})
		} else if m := startedCall.FindStringSubmatch(line); m != nil {
			c := &call{entry: i, exit: -1, name: m[2], args: m[3]}
			calls = append(calls, c)
			pending[m[1]] = c
		} else if m := resumedCall.FindStringSubmatch(line); m != nil && pending[m[1]] != nil {
			c := pending[m[1]]
			delete(pending, m[1])
			c.exit, c.args, c.result = i, c.args+m[3], number(m[4])
		}
	}
	for _, c := range calls {
		if m := descriptor.FindStringSubmatch(c.args); m != nil {
			c.on, c.args = m[1], c.args[len(m[0]):]
		}
	}
	return calls
}

func number(text string) int {
	n, _ := strconv.Atoi(text) // the pattern allows only numbers
	return n
}

// extent returns offset and length of a pwrite64 that wrote everything.
func (c *call) extent() (from, to int64, ok bool) {
	args := strings.Split(c.args, ", ")
	if len(args) < 3 || c.exit < 0 {
		return 0, 0, false
	}
	from, err := strconv.ParseInt(args[len(args)-1], 10, 64)
	length, err2 := strconv.Atoi(args[len(args)-2])
	return from, from + int64(length), err == nil && err2 == nil && length == c.result
}

// awaitTraceEnd waits until strace has written everything about a process that has ended.
func awaitTraceEnd(t *testing.T, file string, pid int) {
	t.Helper()
	end := regexp.MustCompile(fmt.Sprintf(`(?m)^%d +\+\+\+ exited with`, pid)) // strace pads short numbers
	for until := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		text, err := os.ReadFile(file)
		if err == nil && end.Match(text) {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("strace does not finish: %v", err)
		}
	}
}
