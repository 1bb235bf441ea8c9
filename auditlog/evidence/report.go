package evidence

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"shiguan/auditlog/record"
	"shiguan/auditlog/tiles"
)

// Report is what evidence that holds has shown.
type Report struct {
	Origin    string           `json:"origin"`
	Index     uint64           `json:"index"`
	Size      uint64           `json:"size"`      // of the log when the checkpoint was signed
	Root      string           `json:"root"`      // base64
	Quorum    string           `json:"quorum"`    // the rule, in words
	Witnesses []tiles.Cosigned `json:"witnesses"` // whose cosignatures were verified
	Period    uint32           `json:"period"`    // key period of the record
	Record    *record.Record   `json:"record"`

	mldsa bool // a key of the policy is of ML-DSA-44
}

// maxExcerpt is how many characters of a value the summaries show. record.json has all of them.
const maxExcerpt = 400

// beijing is UTC+8 without the time zone database, which may differ between machines and change over the years.
var beijing = time.FixedZone("+08:00", 8*3600)

// when writes a time for people in China and for everybody else.
func when(t time.Time) string {
	const layout = "2006-01-02 15:04:05.000"
	return t.In(beijing).Format(layout) + " +08:00 (" + t.UTC().Format(layout) + " UTC)"
}

// fact is one line of a summary.
type fact struct{ name, value string }

// facts are the lines that tell what the record says, empty ones left out.
func facts(r *record.Record) []fact {
	who := func(parts ...string) string {
		parts = slicesWithout(parts, "")
		return strings.Join(parts, " / ")
	}
	seq := ""
	if r.Session != "" {
		seq = r.Session
		if r.Seq > 0 {
			seq += fmt.Sprintf(", statement %d", r.Seq)
		}
	}
	all := []fact{
		{"what", r.Kind.String()},
		{"when", when(r.Time)},
		{"person", r.Person},
		{"department", who(r.Department, r.Position)},
		{"client", who(r.Client, r.Application)},
		{"database", who(r.Database, r.Role)},
		{"session", seq},
		{"statement", r.Statement},
		{"tables", strings.Join(r.Tables, ", ")},
		{"decision", r.Decision},
		{"rule", r.Rule},
		{"reason", r.Reason},
		{"purpose", r.Purpose},
		{"policy", r.Policy},
	}
	if r.Of != nil {
		all = append(all, fact{"about", fmt.Sprintf("entry %d", *r.Of)})
	}
	if n := len(r.Subjects); n > 0 {
		all = append(all, fact{"persons", fmt.Sprintf("%d rows' subjects, by keyed hash", n)})
	}
	if o := r.Outcome; o != nil {
		all = append(all, fact{"outcome", strings.TrimSpace(fmt.Sprintf("%s rows %d, bytes %d", o.SQLState, o.Rows, o.Bytes))})
	}
	lines := all[:0]
	for _, f := range all {
		if f.value != "" {
			lines = append(lines, fact{f.name, excerpt(f.value)})
		}
	}
	return lines
}

func slicesWithout(in []string, drop string) []string {
	var out []string
	for _, s := range in {
		if s != drop {
			out = append(out, s)
		}
	}
	return out
}

// excerpt is the beginning of a value on one line.
func excerpt(s string) string {
	n := 0
	for i := range s {
		if n++; n > maxExcerpt {
			return Escape(s[:i]) + " … (" + fmt.Sprint(len(s)) + " bytes in all; record.json has them)"
		}
	}
	return Escape(s)
}

// Escape makes text from a record safe to print: no control characters, nothing that reverses or hides text, no line breaks.
// The set is fixed here and not taken from Unicode tables, because README.txt must come out the same with every Go release.
func Escape(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\\':
			b.WriteString(`\\`)
		case hidden(r):
			fmt.Fprintf(&b, `\u{%x}`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func hidden(r rune) bool {
	switch {
	case r < 0x20, r >= 0x7f && r < 0xa0, r == 0xad, r == utf8.RuneError,
		r >= 0x200b && r <= 0x200f, r >= 0x2028 && r <= 0x202e, r >= 0x2060 && r <= 0x206f,
		r == 0x061c, r == 0x180e, r == 0xfeff, r >= 0xfff0 && r <= 0xffff, r >= 0xe0000:
		return true
	}
	return false
}

// WriteText prints the report for people.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	line := func(name, value string) { fmt.Fprintf(&b, "  %-11s %s\n", name, value) }
	line("log", r.Origin)
	line("entry", fmt.Sprintf("%d of %d", r.Index, r.Size))
	line("root", r.Root)
	line("quorum", Escape(r.Quorum))
	for _, c := range r.Witnesses {
		line("witness", Escape(c.Name)+"  "+when(c.Time))
	}
	for _, f := range facts(r.Record) {
		line(f.name, f.value)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
