package sql

import (
	"slices"
	"strings"
	"unsafe"
)

// A shape is a text without its literals. Texts of one shape have the same tokens but for literals, each of the same class,
// so the grammar makes the same tree of them. Where the literals that differ are inert, so is the analysis the same, but
// for places in the text and for pins: it is carried over from a text that was analysed in full, its template.

// Template is the analysis of an earlier text of the same shape, from which this one was carried over: nil for an analysis
// of its own. Both allow the same decisions, which may not depend on the text or value of a literal but through Pins.
func (a *Analysis) Template() *Analysis { return a.template }

// Kept says that the analysis is remembered and will come again for the same text.
func (a *Analysis) Kept() bool { return a.kept }

// Source is the text that was analysed.
func (a *Analysis) Source() string { return a.literals.text }

// carries says that the analysis can be a template: there is a literal that may vary, and the statements are such as have
// no part that is not carried over.
func (a *Analysis) carries() bool {
	for i := range a.Statements {
		switch s := &a.Statements[i]; s.Verb {
		case Select, Insert, Update, Delete, Transaction:
			if s.Inner != nil || s.Setting != nil || s.Copy != nil {
				return false
			}
		default:
			return false
		}
	}
	return slices.ContainsFunc(a.literals.fate, fate.varies)
}

// agrees says that a text of the same shape, whose literals are list, differs in inert ones only.
func (a *Analysis) agrees(text string, list []literal) bool {
	own := &a.literals
	for i, l := range own.list {
		if !own.fate[i].varies() && own.text[l.start:l.end] != text[list[i].start:list[i].end] {
			return false
		}
	}
	return true
}

// carry makes the analysis of a text that agrees.
func (a *Analysis) carry(text string, list []literal) *Analysis {
	own := &a.literals
	b := &Analysis{Catalogue: a.Catalogue, template: a, Statements: slices.Clone(a.Statements)}
	b.literals = constants{text: text, list: slices.Clone(list), fate: own.fate}
	for i := range b.Statements {
		s := &b.Statements[i]
		end := own.moved(s.tail.start+len(s.Text), list)
		s.tail.start = own.moved(s.tail.start, list)
		s.tail.last = own.moved(s.tail.last, list)
		s.Text = text[s.tail.start:end]
		s.Pins = own.repin(s, text, list)
	}
	return b
}

// moved is where a place of the template's text is in a text with the literals list.
func (c *constants) moved(at int, list []literal) int {
	for i := len(c.list) - 1; i >= 0; i-- {
		if int(c.list[i].end) <= at {
			return at + int(list[i].end-c.list[i].end)
		}
		if int(c.list[i].start) <= at {
			return at + int(list[i].start-c.list[i].start)
		}
	}
	return at
}

// repin gives the pins of a statement the values that another text has.
func (c *constants) repin(s *Statement, text string, list []literal) []Pin {
	if !slices.ContainsFunc(s.pinned, func(n int32) bool { return n > 0 }) {
		return s.Pins
	}
	pins := slices.Clone(s.Pins)
	for i, n := range s.pinned {
		if n == 0 {
			continue
		}
		was := c.list[n-1].valueOf(c.text, c.fate[n-1].negative)
		pins[i].Value = list[n-1].valueOf(text, c.fate[n-1].negative)
		if s.Pins[i].Value != was { // a UUID, which is compared without regard to case
			pins[i].Value = strings.ToLower(pins[i].Value)
		}
	}
	return pins
}

// Moved is where a place in a statement's text in the template is in the text of the same statement here.
func (a *Analysis) Moved(statement, at int) int {
	was := &a.template.Statements[statement]
	return a.template.literals.moved(was.tail.start+at, a.literals.list) - a.Statements[statement].tail.start
}

// bytes is about how much memory the analysis takes.
func (a *Analysis) bytes() int {
	n := int(unsafe.Sizeof(*a)) + len(a.literals.text) + len(a.literals.list)*int(unsafe.Sizeof(literal{}))
	if a.template == nil {
		n += len(a.literals.list) * int(unsafe.Sizeof(fate{}))
	}
	for i := range a.Statements {
		n += int(unsafe.Sizeof(Statement{})) + 64*len(a.Statements[i].Pins)
		if a.template == nil {
			n += a.Statements[i].bytes()
		}
	}
	return n
}

// bytes counts what analyses that are carried over share.
func (s *Statement) bytes() int {
	n := 120*len(s.Tables) + 120*len(s.Columns) + 80*len(s.Functions) + 100*len(s.Outputs) + 40*len(s.touched)
	for _, o := range s.Outputs {
		n += len(o.From) * int(unsafe.Sizeof(Column{}))
	}
	for _, o := range s.Occurrences {
		n += 40 + len(o.Holds)*int(unsafe.Sizeof(Hold{}))
	}
	for _, e := range s.tail.ranges {
		n += len(e.columns) * (int(unsafe.Sizeof(field{})) + 32)
	}
	if s.Inner != nil {
		n += int(unsafe.Sizeof(*s)) + s.Inner.bytes()
	}
	return n
}
