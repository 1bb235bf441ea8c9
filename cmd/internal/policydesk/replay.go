package policydesk

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"shiguan/auditlog/record"
	"shiguan/policy"
	"shiguan/policy/sql"
)

// Replay decides recorded statements once more, under two policies, and collects where they differ. Both are asked with the
// person, purpose and time on record and one catalogue, that of now.
type Replay struct {
	Old, New   *policy.Policy
	Catalogue  *sql.Catalogue
	SearchPath []string

	Statements int // replayed
	Otherwise  int // of these, how many the policies decide differently
	// Unlike are statements that were recorded under Old's digest and come out otherwise under it now: the catalogue, the
	// search_path, temporary tables or grants were different then.
	Unlike int
	// Beyond are statements of further differences, when there are more than can be listed.
	Beyond int

	cache    *sql.Cache
	sessions map[string]*replayed
	found    map[differenceKey]*Difference
}

// replayed is what one recorded session prepared, for either policy.
type replayed struct{ old, new Session }

// Bounds of what a replay keeps.
const (
	maxDifferences    = 10_000
	maxSessions       = 20_000
	maxPersons        = 20
	replayCache       = 64 << 20
	unreadableShape   = "(a text that cannot be read)"
	maxShapeDisplayed = 4 << 10
)

// Difference is a shape of statements that the new policy decides otherwise than the old one.
type Difference struct {
	Shape   string    `json:"statement"` // constants are ?
	Count   int       `json:"count"`
	Old     Outcome   `json:"old"`
	New     Outcome   `json:"new"`
	Persons []string  `json:"persons"` // who asked; the first few
	First   uint64    `json:"first"`   // records
	Last    uint64    `json:"last"`
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until"`
}

type differenceKey struct{ shape, old, new string }

// Add replays one record. Records that are no statements say only when sessions end.
func (r *Replay) Add(index uint64, rec *record.Record) {
	if r.sessions == nil {
		r.cache, r.sessions, r.found = sql.NewCache(replayCache), map[string]*replayed{}, map[differenceKey]*Difference{}
	}
	if rec.Kind == record.KindSessionClosed {
		delete(r.sessions, rec.Session)
	}
	if rec.Kind != record.KindStatement || rec.Statement == "" {
		return
	}
	r.Statements++
	s := r.session(rec)
	old := s.old.Try(r.Old, r.cache, r.Catalogue, rec.Statement, rec.Time)
	is := s.new.Try(r.New, r.cache, r.Catalogue, rec.Statement, rec.Time)
	if rec.Policy == r.Old.Digest() && rec.Decision != record.DecisionFailed && rec.Decision != old.Decision {
		r.Unlike++
	}
	if !old.Same(is) {
		r.Otherwise++
		r.note(index, rec, old, is)
	}
}

// session finds what the record's session prepared, and gives it the circumstances on record.
func (r *Replay) session(rec *record.Record) *replayed {
	s := r.sessions[rec.Session]
	if s == nil {
		s = &replayed{}
		if len(r.sessions) < maxSessions {
			r.sessions[rec.Session] = s
		}
	}
	for _, one := range []*Session{&s.old, &s.new} {
		one.Person = policy.Person{User: rec.Person, Department: rec.Department, Position: rec.Position}
		one.Role, one.Database, one.Application, one.Client, one.Purpose = rec.Role, rec.Database, rec.Application, rec.Client, rec.Purpose
		one.SearchPath = r.SearchPath
	}
	return s
}

func (r *Replay) note(index uint64, rec *record.Record, old, is Outcome) {
	shape := sql.Shape(rec.Statement)
	if shape == "" {
		shape = unreadableShape
	}
	if len(shape) > maxShapeDisplayed {
		shape = strings.ToValidUTF8(shape[:maxShapeDisplayed], "") + "…"
	}
	key := differenceKey{shape, fmt.Sprint(old), fmt.Sprint(is)}
	d := r.found[key]
	if d == nil {
		if len(r.found) >= maxDifferences {
			r.Beyond++
			return
		}
		d = &Difference{Shape: shape, Old: old, New: is, First: index, Since: rec.Time}
		r.found[key] = d
	}
	d.Count++
	d.Last, d.Until = index, rec.Time
	if len(d.Persons) < maxPersons && !slices.Contains(d.Persons, rec.Person) {
		d.Persons = append(d.Persons, rec.Person)
	}
}

// Differences lists what was found, the most frequent first.
func (r *Replay) Differences() []*Difference {
	list := make([]*Difference, 0, len(r.found))
	for _, d := range r.found {
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b *Difference) int {
		return cmp.Or(b.Count-a.Count, cmp.Compare(a.First, b.First), strings.Compare(a.Shape, b.Shape))
	})
	return list
}

// String says an outcome in a line.
func (o Outcome) String() string {
	text := o.Decision + " by " + o.Rule
	if o.Reason != "" {
		text += ": " + o.Reason
	}
	if len(o.Masked) > 0 {
		text += ", masked " + listed(o.Masked)
	}
	if o.MaxRows > 0 {
		text += fmt.Sprintf(", at most %d rows", o.MaxRows)
	}
	return text
}
