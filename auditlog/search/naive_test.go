package search_test

import (
	"slices"
	"strings"
	"time"

	"shiguan/auditlog/record"
	"shiguan/auditlog/search"
)

// history is what a test put on record, by index.
type history []*record.Record

// scan answers a query the slow and obvious way: it reads all records for every hit. It is written from FORMAT.md and knows
// nothing of the index.
func (h history) scan(q search.Query) []search.Hit {
	var hits []search.Hit
	for i := len(h) - 1; i >= 0; i-- {
		if q.Limit > 0 && len(hits) == q.Limit {
			break
		}
		r := h[i]
		if r.Kind != record.KindStatement && r.Kind != record.KindLoginRefused {
			continue
		}
		hit := h.hit(i, q.Subject)
		if h.matches(q, r, hit) {
			hits = append(hits, hit)
		}
	}
	return hits
}

func (h history) matches(q search.Query, r *record.Record, hit search.Hit) bool {
	table := q.Table == "" || slices.ContainsFunc(r.Tables, func(name string) bool {
		return name == q.Table || strings.HasSuffix(name, "."+q.Table)
	})
	text := q.Text == "" || contains(r.Statement, q.Text) || slices.ContainsFunc(r.Params, func(p record.Param) bool {
		return p.Text != nil && contains(*p.Text, q.Text)
	})
	return table && text &&
		(q.Person == "" || r.Person == q.Person) &&
		(q.Department == "" || r.Department == q.Department) &&
		(q.Decision == "" || hit.Decision == q.Decision) &&
		(q.Session == "" || r.Session == q.Session) &&
		(q.Since.IsZero() || !hit.Time.Before(q.Since)) &&
		(q.Until.IsZero() || hit.Time.Before(q.Until)) &&
		(q.Before == 0 || hit.Index < q.Before) &&
		(q.Subject == nil || hit.SubjectRows > 0)
}

func contains(text, part string) bool { return strings.Contains(lowerASCII(text), lowerASCII(part)) }

func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

func (h history) hit(i int, subject *record.Subject) search.Hit {
	r := h[i]
	hit := search.Hit{Index: uint64(i), Kind: r.Kind, Time: r.Time.Truncate(time.Millisecond).UTC(), Session: r.Session, Seq: r.Seq,
		Person: r.Person, Department: r.Department, Position: r.Position, Database: r.Database, Client: r.Client,
		Application: r.Application, Statement: r.Statement, Decision: r.Decision, Rule: r.Rule, Reason: r.Reason, Purpose: r.Purpose,
		Tables: r.Tables, Rows: -1, Bytes: -1}
	if r.Kind == record.KindLoginRefused {
		hit.Decision = record.DecisionRefused
	}
	over := false
	for j := i; j < len(h); j++ {
		later := h[j]
		about := j == i || later.Of != nil && *later.Of == uint64(i) &&
			(later.Kind == record.KindDisclosure || later.Kind == record.KindOutcome)
		if about && later.Outcome != nil {
			setOutcome(&hit, j, *later.Outcome)
		}
		for _, o := range later.Earlier {
			if o.Of == uint64(i) {
				setOutcome(&hit, j, o)
			}
		}
		named := int64(0)
		for _, s := range later.Subjects {
			if about && subject != nil && s == *subject {
				named++
			}
		}
		if named > 0 {
			hit.NamedIn = append(hit.NamedIn, uint64(j))
			hit.SubjectRows += named
		}
		if j > i && (later.Kind == record.KindStarted || later.Kind == record.KindStopped) {
			over = true
		}
	}
	for _, other := range h {
		if other.Kind == record.KindSessionClosed && other.Session == r.Session {
			over = true
		}
	}
	nameOutcome(&hit, over)
	return hit
}

func setOutcome(hit *search.Hit, in int, o record.Outcome) {
	index := uint64(in)
	hit.OutcomeIn, hit.Rows, hit.Bytes, hit.SQLState, hit.Micros = &index, o.Rows, o.Bytes, o.SQLState, o.Micros
}

func nameOutcome(hit *search.Hit, over bool) {
	said := hit.OutcomeIn != nil
	switch {
	case hit.Decision == record.DecisionRefused:
		hit.Outcome = "refused"
	case hit.Decision == record.DecisionFailed || said && hit.SQLState != "":
		hit.Outcome = "failed"
	case said:
		hit.Outcome = "completed"
	case over:
		hit.Outcome = "unknown"
	default:
		hit.Outcome = "pending"
	}
	if !said && (hit.Outcome == "refused" || hit.Outcome == "failed") {
		hit.Rows, hit.Bytes = 0, 0
	}
}
