package cli

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/sys/unix"
)

// pipeWidth is how wide a table may be where no terminal says.
const pipeWidth = 160

// terminalWidth returns the width of the terminal that w writes to, and false when it is none.
func terminalWidth(w io.Writer) (int, bool) {
	f, ok := w.(*os.File)
	if !ok {
		return 0, false
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, false
	}
	return int(size.Col), true
}

// printable makes a text that somebody else wrote safe to show on a terminal: whatever could move the cursor, hide text or
// turn its direction is written as an escape. With lines, line ends and tabs stay.
func printable(s string, lines bool) string {
	safe := func(r rune) bool {
		if lines && (r == '\n' || r == '\t') {
			return true
		}
		return unicode.IsPrint(r)
	}
	if strings.IndexFunc(s, func(r rune) bool { return !safe(r) || r == utf8.RuneError }) < 0 {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		_, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case safe(r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}

// oneLine is printable with white space drawn together, cut to a width in terminal columns (Chinese takes two).
func oneLine(s string, width int) string {
	s = printable(strings.Join(strings.Fields(s), " "), false)
	if text.StringWidth(s) <= width {
		return s
	}
	var b strings.Builder
	used := 0
	for _, r := range s {
		if used += text.StringWidth(string(r)); used > width-1 {
			break
		}
		b.WriteRune(r)
	}
	return b.String() + "…"
}

// newTable returns a table for people: no frame, columns aligned by display width.
func newTable(w io.Writer, header ...any) table.Writer {
	t := table.NewWriter()
	t.SetOutputMirror(w)
	t.SetStyle(table.StyleLight)
	t.Style().Options = table.Options{SeparateColumns: false}
	t.Style().Box.PaddingLeft, t.Style().Box.PaddingRight = "", "  "
	t.Style().Format.Header = text.FormatDefault
	t.AppendHeader(table.Row(header))
	t.SetColumnConfigs([]table.ColumnConfig{{Name: "ROWS", Align: text.AlignRight, AlignHeader: text.AlignRight}})
	return t
}

// progress shows how far long work is, on a terminal only, and leaves no trace of itself.
type progress struct {
	w     io.Writer
	what  string
	unit  string // what is counted
	on    bool
	shown time.Time
	drawn bool
}

// newProgress draws on w if that is a terminal; what says what is being done, such as "reading the log".
func newProgress(w io.Writer, what string) *progress {
	_, on := terminalWidth(w)
	return &progress{w: w, what: what, unit: "records", on: on, shown: time.Now()}
}

// update is called as often as the work likes; it draws ten times a second at most, and nothing for work that is quick.
func (p *progress) update(done, total uint64) {
	if !p.on || time.Since(p.shown) < 100*time.Millisecond {
		return
	}
	p.shown, p.drawn = time.Now(), true
	share := ""
	if total > 0 {
		share = fmt.Sprintf(" of %d (%d%%)", total, 100*min(done, total)/total)
	}
	fmt.Fprintf(p.w, "\r\x1b[K%s: %d%s %s", p.what, done, share, p.unit)
}

// wipe removes the line again.
func (p *progress) wipe() {
	if p.drawn {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.drawn = false
	}
}
