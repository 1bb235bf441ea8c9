package console

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"shiguan/auditlog/record"
	"shiguan/auditlog/search"
	"shiguan/cmd/internal/investigation"
	"shiguan/policy"
)

const (
	pageRows      = 50
	statementHead = 240 // characters of a statement that the list shows; the record's page shows it all
)

// filter is what the person looks for. It travels in form bodies and in the session, never in a URL.
type filter struct {
	Person, Table, Text, Decision string
	Live                          bool
}

func (f filter) empty() bool { f.Live = false; return f == filter{} }

// row is one line of the list.
type row struct {
	Index                             uint64
	Instant, Exact, Clock, Date       string
	Erased                            bool
	Person, Office, Database          string
	Decision, Rule, Tables, Statement string
	Grant                             string // kind of the grants it took, break-glass before others
	Rows, Ended                       string
	State                             investigation.State
}

// listPage is what the list's templates show.
type listPage struct {
	Title, Origin, User string
	Filter              filter
	Filtered            bool
	Poll                bool   // the list keeps itself up to date
	Seen                string // what the browser shows now, for the next poll
	Summary, Message    string
	Durable, Integrated string
	Witnessed           string
	LastCosigned        string
	Zone                string
	Rows                []row
	Newer               bool
	Older               string // where the next page begins, "" at the end
}

func (c *Console) showList(w http.ResponseWriter, r *http.Request, s session) {
	if r.URL.RawQuery == "clear" {
		s.filter = filter{Live: true}
		c.sessions.setFilter(r, s.filter)
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	page, err := c.list(r.Context(), s, s.filter, 0)
	if err != nil {
		c.fail(w, r, s, err)
		return
	}
	c.render(w, r, http.StatusOK, "list.html", page)
}

// filterList is the form's way without scripts: remember the filter, then show the list under the one URL it has.
func (c *Console) filterList(w http.ResponseWriter, r *http.Request, s session) {
	f, before, err := readFilter(w, r)
	if err != nil {
		c.fail(w, r, s, err)
		return
	}
	c.sessions.setFilter(r, f)
	if before == 0 {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	page, err := c.list(r.Context(), s, f, before)
	if err != nil {
		c.fail(w, r, s, err)
		return
	}
	c.render(w, r, http.StatusOK, "list.html", page)
}

// listPart answers htmx with the list alone.
func (c *Console) listPart(w http.ResponseWriter, r *http.Request, s session) {
	f, before, err := readFilter(w, r)
	if err != nil {
		c.failPart(w, r, s, f, err)
		return
	}
	c.sessions.setFilter(r, f)
	page, err := c.list(r.Context(), s, f, before)
	if err != nil {
		c.failPart(w, r, s, f, err)
		return
	}
	c.render(w, r, http.StatusOK, "records", page)
}

// listPoll is listPart for the page's timer: nothing is sent, and so nothing moves under the reader's hands, while nothing
// has changed.
func (c *Console) listPoll(w http.ResponseWriter, r *http.Request, s session) {
	f, _, err := readFilter(w, r)
	if err != nil {
		c.failPart(w, r, s, f, err)
		return
	}
	if heads, err := c.desk.Heads(r.Context()); err == nil && fingerprint(heads) == r.PostForm.Get("seen") {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	page, err := c.list(r.Context(), s, f, 0)
	if err != nil {
		c.failPart(w, r, s, f, err)
		return
	}
	c.render(w, r, http.StatusOK, "records", page)
}

// failPart shows an error where the list would stand, and goes on polling: a log that is back is seen to be back.
func (c *Console) failPart(w http.ResponseWriter, r *http.Request, s session, f filter, err error) {
	if r.Context().Err() != nil {
		return
	}
	c.logger.Warn("console: list", "error", err)
	c.render(w, r, http.StatusOK, "records", listPage{Origin: c.origin, User: s.user, Filter: f, Filtered: true,
		Poll: f.Live, Message: sentence(err)})
}

func readFilter(w http.ResponseWriter, r *http.Request) (f filter, before uint64, err error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return f, 0, fmt.Errorf("the form could not be read: %w", err)
	}
	field := func(name string) string { return strings.TrimSpace(r.PostForm.Get(name)) }
	f = filter{Person: field("person"), Table: field("table"), Text: field("text"), Decision: field("decision"), Live: field("live") != ""}
	if page := field("page"); page != "" {
		if before, err = strconv.ParseUint(page, 10, 63); err != nil {
			return f, 0, fmt.Errorf("the page must be a record's number")
		}
	}
	return f, before, nil
}

// list finds one page of records and has each of them read back from the log.
func (c *Console) list(ctx context.Context, s session, f filter, before uint64) (listPage, error) {
	page := listPage{Title: "Latest records", Origin: c.origin, User: s.user, Filter: f, Filtered: !f.empty(),
		Poll: f.Live && before == 0, Newer: before != 0, Zone: c.desk.Zone.String()}
	heads, err := c.desk.Refresh(ctx)
	if err != nil {
		return page, err
	}
	found, err := c.desk.Search(ctx, heads, search.Query{Person: f.Person, Table: f.Table, Text: f.Text, Decision: f.Decision,
		Before: before, Limit: pageRows + 1}, nil)
	if err != nil {
		return page, err
	}
	if len(found) > pageRows {
		found = found[:pageRows]
		page.Older = strconv.FormatUint(found[pageRows-1].Index, 10)
	}
	for _, one := range found {
		page.Rows = append(page.Rows, c.row(one))
	}
	page.describe(heads, c.desk.Zone)
	return page, nil
}

func (p *listPage) describe(heads *investigation.Heads, zone *time.Location) {
	p.Seen = fingerprint(heads)
	p.Durable, p.Integrated, p.Witnessed = grouped(heads.Durable), grouped(heads.Integrated.Size), grouped(heads.Witnessed.Size)
	if at := heads.CosignedAt(); !at.IsZero() {
		p.LastCosigned = at.In(zone).Format(time.DateTime)
	}
	switch {
	case len(p.Rows) == 0:
		p.Summary = "No records"
	case p.Newer:
		p.Summary = "Records " + grouped(p.Rows[0].Index) + " and older"
	default:
		p.Summary = "Newest first, times in " + zone.String()
	}
}

// fingerprint changes whenever the list could look different.
func fingerprint(h *investigation.Heads) string {
	return fmt.Sprintf("%d-%d-%d", h.Durable, h.Integrated.Size, h.Witnessed.Size)
}

func (c *Console) row(one *investigation.Found) row {
	at := one.Time().In(c.desk.Zone)
	out := row{Index: one.Index, Instant: at.Format(time.RFC3339), Exact: at.Format("2006-01-02 15:04:05.000"), Clock: at.Format(time.TimeOnly), Date: at.Format(time.DateOnly),
		Erased: one.Erased, State: one.State}
	if one.Erased {
		return out
	}
	rec := one.Record
	out.Person, out.Office, out.Database = rec.Person, join(" · ", rec.Department, rec.Position), rec.Database
	out.Grant = grantKind(rec.Grant)
	out.Decision, out.Rule, out.Tables = one.Decision(), rec.Rule, strings.Join(rec.Tables, ", ")
	out.Statement = head(strings.Join(strings.Fields(rec.Statement), " "), statementHead)
	if rec.Kind == record.KindLoginRefused {
		out.Tables, out.Statement = "login refused", rec.Reason
	}
	if rows, ok := one.Rows(); ok {
		out.Rows = grouped(rows)
	}
	out.Ended = endedShort(one)
	return out
}

// endedShort says how it ended where that is not what the decision leads one to expect.
func endedShort(one *investigation.Found) string {
	switch one.Ended {
	case search.OutcomeCompleted, search.OutcomeRefused:
		return ""
	case search.OutcomeFailed:
		return join(" ", "failed", one.SQLState())
	default:
		return one.Ended
	}
}

// head cuts text after n characters.
func head(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n]) + "…"
}

// join joins what is not empty.
func join(separator string, parts ...string) string {
	var kept []string
	for _, p := range parts {
		if p != "" {
			kept = append(kept, p)
		}
	}
	return strings.Join(kept, separator)
}

// grantKind is the kind of grants that a statement was allowed by, the loudest where there are several.
func grantKind(ids string) string {
	switch {
	case ids == "":
		return ""
	case strings.Contains(ids, policy.KindBreakGlass):
		return policy.KindBreakGlass
	}
	return policy.KindGrant
}
