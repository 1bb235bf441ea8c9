package policy

import (
	"fmt"
	"slices"
	"strings"

	"shiguan/policy/sql"
)

// right is one word of `may`. A set of them is a bit mask.
type right uint16

const (
	maySelect right = 1 << iota
	mayInsert
	mayUpdate
	mayDelete
	mayMerge
	mayCopy
	mayTruncate
	mayCreate
	mayAlter
	mayDrop
	mayMaintain

	mayAll = mayMaintain<<1 - 1
)

var rightWords = []struct {
	word string
	bit  right
}{
	{"select", maySelect}, {"insert", mayInsert}, {"update", mayUpdate}, {"delete", mayDelete}, {"merge", mayMerge},
	{"copy", mayCopy}, {"truncate", mayTruncate}, {"create", mayCreate}, {"alter", mayAlter}, {"drop", mayDrop},
	{"maintain", mayMaintain}, {"all", mayAll},
}

func parseRight(text string) (right, error) {
	var known []string
	for _, w := range rightWords {
		if w.word == text {
			return w.bit, nil
		}
		known = append(known, w.word)
	}
	return 0, fmt.Errorf("%q is no word for what a rule allows: write %s%s%s", text, strings.Join(known, ", "), meant(text, known), several(text))
}

// String lists the words, "all" when every bit is set.
func (r right) String() string {
	if r == mayAll {
		return "all"
	}
	var parts []string
	for _, w := range rightWords {
		if w.bit != mayAll && r&w.bit != 0 {
			parts = append(parts, w.word)
		}
	}
	return strings.Join(parts, ", ")
}

// rightFor says which rights one rule must give for a verb on a table. COPY moves rows in bulk, so it needs its own word
// beside the one for reading or writing. ok is false for verbs that are never done to a table.
func rightFor(v sql.Verb) (r right, ok bool) {
	switch v {
	case sql.Select:
		return maySelect, true
	case sql.Insert:
		return mayInsert, true
	case sql.Update:
		return mayUpdate, true
	case sql.Delete:
		return mayDelete, true
	case sql.Merge:
		return mayMerge, true
	case sql.CopyOut:
		return maySelect | mayCopy, true
	case sql.CopyIn:
		return mayInsert | mayCopy, true
	case sql.Truncate:
		return mayTruncate, true
	case sql.Create:
		return mayCreate, true
	case sql.Alter:
		return mayAlter, true
	case sql.Drop:
		return mayDrop, true
	case sql.Maintain:
		return mayMaintain, true
	}
	return 0, false
}

// writes are the rights under which columns are assigned, which `set` can narrow.
const writes = mayInsert | mayUpdate | mayMerge

// contains reports whether list names text, or everybody with a star.
func contains(list []string, text string) bool {
	return slices.Contains(list, text) || slices.Contains(list, "*")
}
