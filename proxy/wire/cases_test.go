package wire_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// testcase is one line of a file in testdata: `accept "bytes"` or `reject "bytes"`, in Go's notation, with a remark behind.
type testcase struct {
	file   string
	line   int
	accept bool
	bytes  []byte
}

func readCases(t testing.TB, file string) []testcase {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var cases []testcase
	for i, line := range strings.Split(string(content), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		verdict, rest, _ := strings.Cut(line, " ")
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil || verdict != "accept" && verdict != "reject" {
			t.Fatalf("%s:%d: cannot read %q", file, i+1, line)
		}
		body, err := strconv.Unquote(quoted)
		if err != nil {
			t.Fatalf("%s:%d: %v", file, i+1, err)
		}
		cases = append(cases, testcase{file, i + 1, verdict == "accept", []byte(body)})
	}
	if len(cases) == 0 {
		t.Fatalf("%s holds no case", file)
	}
	return cases
}

// bodyCases reads the cases of one message.
func bodyCases(t testing.TB, c codec) []testcase {
	t.Helper()
	return readCases(t, filepath.Join("testdata", c.side(), c.name+".txt"))
}
