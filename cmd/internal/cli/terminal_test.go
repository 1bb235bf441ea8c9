package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/jedib0t/go-pretty/v6/text"
)

func TestHostileTextCannotReachTheTerminal(t *testing.T) {
	for in, want := range map[string]string{
		"SELECT 1":                 "SELECT 1",
		"\x1b[2Jgone":              `\x1b[2Jgone`,
		"title\x1b]0;x\a":          `title\x1b]0;x\a`,
		"rtl \u202e txt":           `rtl \u202e txt`,
		"8bit \u009b31m":           `8bit \u009b31m`,
		"a\nb\tc":                  `a\nb\tc`,
		"bytes \xff":               `bytes \xff`,
		"姓名 = '王芳'":                "姓名 = '王芳'",
		"zero\u200bwidth\u2066iso": `zero\u200bwidth\u2066iso`,
	} {
		if got := printable(in, false); got != want {
			t.Errorf("printable(%q) = %q, want %q", in, got, want)
		}
	}
	if got := printable("a\nb\tc\r", true); got != "a\nb\tc\\r" {
		t.Errorf("with lines: %q", got)
	}
}

func TestOneLineCountsChineseTwice(t *testing.T) {
	long := strings.Repeat("查询公民", 20)
	for _, width := range []int{10, 11, 40} {
		got := oneLine(long, width)
		if w := text.StringWidth(got); w > width || w < width-2 {
			t.Errorf("oneLine to %d columns takes %d: %q", width, w, got)
		}
	}
	if got := oneLine("SELECT\n\t  1", 20); got != "SELECT 1" {
		t.Errorf("white space: %q", got)
	}
}

func TestColumnsOfATableAlignWithChinese(t *testing.T) {
	var out bytes.Buffer
	table := newTable(&out, "person", "end")
	table.AppendRow([]any{"民政局", "X"})
	table.AppendRow([]any{"clerk", "X"})
	table.Render()
	var at []int
	for line := range strings.Lines(out.String()) {
		if before, _, ok := strings.Cut(line, "X"); ok {
			at = append(at, text.StringWidth(before))
		}
	}
	if len(at) != 2 || at[0] != at[1] {
		t.Errorf("the second column begins at %v:\n%s", at, out.String())
	}
}

func TestProgressIsSilentWithoutATerminal(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out, "reading")
	p.shown = p.shown.Add(-1e9)
	p.update(1, 2)
	p.wipe()
	if out.Len() > 0 {
		t.Errorf("wrote %q to what is no terminal", out.String())
	}
}
