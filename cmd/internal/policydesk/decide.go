package policydesk

import (
	"slices"
	"time"

	"shiguan/auditlog/record"
	"shiguan/policy"
	"shiguan/policy/sql"
)

// Session is somebody's connection, as far as decisions depend on it.
type Session struct {
	Person      policy.Person
	Role        string
	Database    string
	Application string
	Client      string
	Purpose     string
	SearchPath  []string

	named map[string]*sql.Statement // by PREPARE and DECLARE
}

// Outcome is what a policy says of one text.
type Outcome struct {
	Decision string   `json:"decision"` // allowed or refused
	Rule     string   `json:"rule"`
	Reason   string   `json:"reason,omitempty"`
	Masked   []string `json:"masked,omitempty"` // columns, sorted
	MaxRows  int64    `json:"max_rows,omitempty"`
}

// Same says that both let the same out: which rule says so does not matter.
func (o Outcome) Same(p Outcome) bool {
	return o.Decision == p.Decision && o.MaxRows == p.MaxRows && slices.Equal(o.Masked, p.Masked)
}

// Try decides one text as the proxy would, and remembers what it prepares or declares.
func (s *Session) Try(p *policy.Policy, cache *sql.Cache, cat *sql.Catalogue, text string, now time.Time) Outcome {
	find := func(name string) *sql.Statement { return s.named[name] }
	env := sql.Env{SearchPath: s.SearchPath, Role: s.Role, Prepared: find, Cursor: find}
	a, err := cache.Analyse(text, cat, env)
	if err == nil {
		s.note(a)
	}
	d := p.Decide(policy.Request{Person: s.Person, Database: s.Database, Role: s.Role, Application: s.Application, Client: s.Client,
		Purpose: s.Purpose, Time: now, Analysis: a, Text: text, Env: env})
	if err != nil && !d.Allow { // only a transparent rule lets pass what is not understood
		d.Reason = err.Error()
	}
	if !d.Allow {
		return Outcome{Decision: record.DecisionRefused, Rule: d.Rule, Reason: d.Reason}
	}
	o := Outcome{Decision: record.DecisionAllowed, Rule: d.Rule}
	for i := range d.Plans {
		if rows := d.Plans[i].MaxRows; rows > 0 && (o.MaxRows == 0 || rows < o.MaxRows) {
			o.MaxRows = rows
		}
		for _, out := range d.Plans[i].Outputs {
			if out.Mask != nil && !out.Hidden {
				o.Masked = append(o.Masked, out.Column)
			}
		}
	}
	slices.Sort(o.Masked)
	o.Masked = slices.Compact(o.Masked)
	return o
}

// note keeps what EXECUTE and FETCH refer to, and the purpose that SET states.
func (s *Session) note(a *sql.Analysis) {
	for i := range a.Statements {
		switch st := &a.Statements[i]; st.Verb {
		case sql.Prepare, sql.Declare:
			if s.named == nil {
				s.named = map[string]*sql.Statement{}
			}
			if len(s.named) < maxNames {
				s.named[st.Name] = st.Inner
			}
		case sql.Set:
			if st.Setting != nil && st.Setting.Name == policy.PurposeSetting && !st.Setting.Reset {
				s.Purpose = st.Setting.Value
			}
		}
	}
}

// maxNames bounds what one session prepares.
const maxNames = 1000
