package console

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"shiguan/auditlog/record"
	"shiguan/auditlog/search"
	"shiguan/cmd/internal/investigation"
)

const (
	statementShown = 64 << 10 // bytes of a statement that a page shows; the evidence file holds all of it
	paramsShown    = 200
	subjectsShown  = 24
)

// recordPage is what one record's page shows.
type recordPage struct {
	Title, Origin, User  string
	Index                uint64
	HasPrevious, HasNext bool
	Previous, Next       uint64
	Kind, Instant, When  string
	Decision             string
	GrantKind            string
	Erased               bool
	Statement, Cut       string
	Rewritten            string
	Params               []param
	Groups               []group
	Columns              []column
	SubjectCount         string
	Subjects             []string
	MoreSubjects         string
	Related              []related
	Proof                proofPage
}

type param struct {
	Number int
	Null   bool
	Value  string
	Format string
}

// group is a titled list of facts.
type group struct {
	Title string
	Facts []fact
}

type fact struct {
	Name, Value string
	Mono        bool
}

type column struct{ Column, Uses, Left string }

type related struct {
	Index      uint64
	When, Says string
}

func (c *Console) showRecord(w http.ResponseWriter, r *http.Request, s session) {
	index, ok := recordIndex(r)
	if !ok {
		c.nothingHere(w, r, s)
		return
	}
	heads, err := c.desk.Refresh(r.Context())
	if err != nil {
		c.fail(w, r, s, err)
		return
	}
	entry, err := c.desk.Entry(r.Context(), heads, index)
	if err != nil {
		c.fail(w, r, s, err)
		return
	}
	about, err := c.desk.About(r.Context(), heads, entry)
	if err != nil {
		c.fail(w, r, s, err)
		return
	}
	c.logger.Info("console: record shown", "user", s.user, "record", index)
	c.render(w, r, http.StatusOK, "record.html", c.record(s, heads, entry, about))
}

func (c *Console) record(s session, heads *investigation.Heads, e *investigation.Entry, about *investigation.About) recordPage {
	at := e.Time().In(c.desk.Zone)
	page := recordPage{
		Title: fmt.Sprintf("Record %d", e.Index), Origin: c.origin, User: s.user, Index: e.Index,
		HasPrevious: e.Index > 0, HasNext: e.Index+1 < heads.Durable, Next: e.Index + 1,
		Kind: e.Leaf.Kind.String(), Instant: at.Format(time.RFC3339Nano), When: c.when(e.Time()),
		Erased: e.Erased, Proof: c.proof(heads, e),
	}
	if e.Index > 0 {
		page.Previous = e.Index - 1
	}
	if e.Erased {
		return page
	}
	rec := e.Record
	page.Decision = e.Decision()
	page.GrantKind = grantKind(rec.Grant)
	page.Statement, page.Cut = shown(rec.Statement)
	page.Rewritten, _ = shown(rec.Rewritten)
	page.Params = params(rec.Params)
	page.Groups = groups(rec, e, about)
	page.Columns = columns(rec, about)
	page.setSubjects(about.Subjects)
	for _, other := range about.Others {
		page.Related = append(page.Related, related{other.Index, c.when(other.Time()), other.Says()})
	}
	return page
}

func (c *Console) when(t time.Time) string {
	return t.In(c.desk.Zone).Format("2006-01-02 15:04:05.000 ") + c.desk.Zone.String()
}

// shown bounds a text for the page, and says so when it did.
func shown(text string) (part, notice string) {
	if len(text) <= statementShown {
		return text, ""
	}
	return strings.ToValidUTF8(text[:statementShown], ""), fmt.Sprintf("The page shows the first %s of %s bytes. The record and the evidence file hold all of them.",
		grouped(statementShown), grouped(len(text)))
}

func params(list []record.Param) []param {
	var out []param
	for i, p := range list[:min(len(list), paramsShown)] {
		one := param{Number: i + 1, Null: p.Null, Format: "text"}
		switch {
		case p.Text != nil:
			one.Value, _ = shown(*p.Text)
		case !p.Null:
			one.Value, _ = shown(base64.StdEncoding.EncodeToString(p.Binary))
			one.Format = "base64"
			if p.Format == 1 {
				one.Format = "binary, base64"
			}
		}
		out = append(out, one)
	}
	return out
}

// groups arranges the record's fields by the question they answer; empty ones are left out.
func groups(rec *record.Record, e *investigation.Entry, about *investigation.About) []group {
	var all []group
	add := func(title string, facts ...fact) {
		facts = slices.DeleteFunc(facts, func(f fact) bool { return f.Value == "" })
		if len(facts) > 0 {
			all = append(all, group{title, facts})
		}
	}
	add("Who", fact{"Person", rec.Person, false}, fact{"Department", rec.Department, false}, fact{"Position", rec.Position, false},
		fact{"Database role", rec.Role, true}, fact{"Client address", rec.Client, true}, fact{"Application", rec.Application, false},
		fact{"Logged in by", rec.Auth, true}, fact{"Encryption", rec.TLS, false})
	add("Where and when", fact{"Database", rec.Database, false}, fact{"Tables", strings.Join(rec.Tables, ", "), true},
		fact{"Session", rec.Session, true}, fact{"Number in session", number(rec.Seq), false},
		fact{"Key period", fmt.Sprint(e.Leaf.Period), false})
	add("Decision", fact{"Decision", rec.Decision, false}, fact{"Rule", rec.Rule, true}, fact{"Reason", rec.Reason, false},
		fact{"Purpose", rec.Purpose, false}, fact{"Grant", rec.Grant, true}, fact{"Policy", rec.Policy, true})
	if rec.Kind == record.KindStatement {
		add("What came of it", outcomeFacts(about)...)
	} else if rec.Outcome != nil {
		add("What came of it", outcomeValues(rec.Outcome)...)
	}
	if t := rec.Totals; t != nil {
		add("The session in numbers", fact{"Statements", grouped(t.Statements), false}, fact{"Refused", grouped(t.Refused), false},
			fact{"Failed", grouped(t.Failed), false}, fact{"Rows", grouped(t.Rows), false}, fact{"Bytes", grouped(t.Bytes), false})
	}
	var details []fact
	for _, key := range investigation.DetailKeys(rec) {
		details = append(details, fact{key, rec.Detail[key], false})
	}
	details = append(details, fact{"Software", rec.Version, true}, fact{"Origin", rec.Origin, true})
	add("Details", details...)
	return all
}

// outcomeFacts says how the statement ended. A statement whose outcome no record tells is said to be just that.
func outcomeFacts(about *investigation.About) []fact {
	said := []fact{{"Outcome", outcomeWords(about.Ended), false}}
	if about.Outcome == nil {
		return said
	}
	return append(said, outcomeValues(about.Outcome)...)
}

func outcomeWords(ended string) string {
	switch ended {
	case search.OutcomePending:
		return "pending: none is on record yet and the session goes on"
	case search.OutcomeUnknown:
		return "unknown: the session ended and no record says; it may have run"
	case search.OutcomeRefused:
		return "refused: nothing was run"
	default:
		return ended
	}
}

func outcomeValues(o *record.Outcome) []fact {
	rows := ""
	if o.Rows >= 0 {
		rows = grouped(o.Rows)
	}
	return []fact{{"Rows", rows, false}, {"Bytes sent", grouped(o.Bytes), false}, {"SQLSTATE", o.SQLState, true}, {"Command tag", o.Tag, true},
		{"Took", (time.Duration(o.Micros) * time.Microsecond).String(), false}}
}

// columns lists each column once, with all its uses, and says how its values left where they did.
func columns(rec *record.Record, about *investigation.About) []column {
	var out []column
	at := map[string]int{}
	masked := map[string]bool{}
	for _, name := range slices.Concat(rec.Masked, about.Masked()) {
		masked[name] = true
	}
	for _, use := range rec.Columns {
		i, ok := at[use.Column]
		if !ok {
			i = len(out)
			at[use.Column] = i
			out = append(out, column{Column: use.Column})
		}
		out[i].Uses = join(", ", out[i].Uses, use.Use)
		switch use.Use {
		case "output":
			out[i].Left = "in clear"
		case "expression", "aggregate", "count":
			if out[i].Left == "" {
				out[i].Left = "as part of a computed value"
			}
		}
	}
	for i := range out {
		switch {
		case rec.Decision != record.DecisionAllowed:
			out[i].Left = "no"
		case masked[out[i].Column]:
			out[i].Left = "masked"
		case out[i].Left == "":
			out[i].Left = "no"
		}
	}
	return out
}

func (p *recordPage) setSubjects(all []record.Subject) {
	if len(all) == 0 {
		return
	}
	p.SubjectCount = grouped(len(all))
	for _, s := range all[:min(len(all), subjectsShown)] {
		p.Subjects = append(p.Subjects, s.String())
	}
	if more := len(all) - len(p.Subjects); more > 0 {
		p.MoreSubjects = grouped(more)
	}
}

func number(n uint64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(n, 10)
}
