package campaign

import (
	"fmt"
	"regexp"
	"testing"

	"os"
	"shiguan/auditlog"
	"shiguan/auditlog/record"
	"shiguan/auditlog/record/seal"
	"shiguan/configs"
)

// entry is one record of a statement.
type entry struct {
	index  uint64
	record *record.Record
}

func (e entry) String() string {
	return fmt.Sprintf("record %d (%s, %s)", e.index, e.record.Decision, e.record.Person)
}

// history is what the log says, opened with the investigator's key.
type history struct {
	records    uint64
	restarts   int
	statements map[string][]entry                 // by the token in them
	subjects   map[uint64]map[record.Subject]bool // whom rows of a statement were about, by the statement's record
	named      map[uint64]uint64                  // the first record that names them
	hasher     *record.SubjectHasher
}

var tokenForm = regexp.MustCompile(`tk\d{10}`)

// readHistory reads a log's directory from the first record to the last.
func readHistory(t testing.TB, dir, investigatorConfig string) *history {
	t.Helper()
	c, err := configs.LoadInvestigator(investigatorConfig)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(c.SubjectKey.String())
	if err != nil {
		t.Fatal(err)
	}
	key, err := record.ParseSubjectKey(text)
	if err != nil {
		t.Fatal(err)
	}
	ids, err := seal.ParseIdentities(c.Identity.String())
	if err != nil {
		t.Fatal(err)
	}
	source, err := auditlog.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	h := &history{statements: map[string][]entry{}, subjects: map[uint64]map[record.Subject]bool{}, named: map[uint64]uint64{}, hasher: key.Hasher()}
	opener := auditlog.NewOpener(source, ids)
	err = source.Records(t.Context(), 0, func(s auditlog.Stored) error {
		payload, _, err := opener.Open(t.Context(), s)
		if err != nil {
			return err
		}
		r, err := record.Decode(payload)
		if err != nil {
			return fmt.Errorf("record %d: %w", s.Index, err)
		}
		h.records++
		return h.take(s.Index, r)
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *history) take(index uint64, r *record.Record) error {
	switch r.Kind {
	case record.KindStarted:
		h.restarts++
	case record.KindStatement:
		for _, token := range tokensOf(r) {
			h.statements[token] = append(h.statements[token], entry{index, r})
		}
		h.add(index, index, r.Subjects)
	case record.KindDisclosure:
		if r.Of == nil || *r.Of >= index {
			return fmt.Errorf("record %d discloses rows of no earlier statement", index)
		}
		h.add(*r.Of, index, r.Subjects)
	}
	return nil
}

func (h *history) add(statement, index uint64, subjects []record.Subject) {
	for _, s := range subjects {
		if h.subjects[statement] == nil {
			h.subjects[statement] = map[record.Subject]bool{}
			h.named[statement] = index
		}
		h.subjects[statement][s] = true
	}
}

// ran lists the records of a statement other than those of a Parse, Bind or Describe that failed. These stand beside the
// record of the Execute where a driver sends all of them at once, for instance when a cancel comes before the Execute.
func (h *history) ran(token string) (entries []entry) {
	for _, e := range h.statements[token] {
		if e.record.Decision != record.DecisionFailed {
			entries = append(entries, e)
		}
	}
	return entries
}

// names reports that a statement's records name a person.
func (h *history) names(statement uint64, id string) bool {
	return h.subjects[statement][h.hasher.SubjectString("resident_id", id)]
}

// tokensOf lists the tokens in a statement's text and parameters, each once.
func tokensOf(r *record.Record) []string {
	found := tokenForm.FindAllString(r.Statement, -1)
	for _, p := range r.Params {
		text := string(p.Binary)
		if p.Text != nil {
			text = *p.Text
		}
		found = append(found, tokenForm.FindAllString(text, -1)...)
	}
	seen := map[string]bool{}
	var tokens []string
	for _, token := range found {
		if !seen[token] {
			seen[token] = true
			tokens = append(tokens, token)
		}
	}
	return tokens
}
