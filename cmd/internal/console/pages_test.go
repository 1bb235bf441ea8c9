package console_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"shiguan/auditlog/evidence"
	"shiguan/auditlog/record"
	"shiguan/cmd/internal/logtest"
)

// hostile is a statement record whose every text wants to be executed.
func hostile(l *logtest.Log) uint64 {
	const bad = `</pre></td><script>alert("x")</script><img src=x onerror=alert(1)>' " {{.}} `
	text := "text parameter " + bad
	r := &record.Record{Kind: record.KindStatement, Time: time.Now(), Session: "0123456789abcdef", Seq: 1, Person: "p" + bad,
		Department: "d" + bad, Position: "o" + bad, Role: "r" + bad, Database: "b" + bad, Client: "10.0.0.1:1", Application: "a" + bad,
		Statement: "SELECT " + bad, Rewritten: "SELECT subject, " + bad, Params: []record.Param{{Text: &text}}, Tables: []string{"t." + bad},
		Columns: []record.ColumnUse{{Column: "c." + bad, Use: "output"}}, Decision: record.DecisionRefused, Rule: "u" + bad, Reason: "e" + bad,
		Purpose: "f" + bad, Masked: []string{"c." + bad}}
	return l.Append(r)
}

func TestHostileTextIsShownAndNotExecuted(t *testing.T) {
	s := openSite(t)
	index := hostile(s.log)
	s.log.Witnessed()
	s.login()
	record := s.get(fmt.Sprintf("/records/%d", index))
	record.mustHave(t, "SELECT &lt;/pre&gt;&lt;/td&gt;&lt;script&gt;")
	for name, got := range map[string]page{"list": s.get("/"), "record": record, "part": s.do("POST", "/list", url.Values{"person": {"p</pre>"}})} {
		if got.status != http.StatusOK {
			t.Errorf("%s: status %d", name, got.status)
		}
		got.mustNotHave(t, "<script>alert", "<img src=x", `onerror=alert(1)>'`+` "`)
		if n := strings.Count(got.body, "<script"); n > 1 {
			t.Errorf("%s has %d script elements, want at most htmx", name, n)
		}
	}
	// What was typed into the filter comes back in its fields.
	echo := s.do("POST", "/list", url.Values{"text": {`"><script>alert(2)</script>`}})
	echo.mustNotHave(t, "<script>alert")
	s.get("/").mustNotHave(t, "<script>alert")
}

func TestTheListTellsTheStatesApart(t *testing.T) {
	s := openSite(t)
	s.login()
	first := s.log.Fill(10)
	s.log.Strike(true)
	waiting := hostile(s.log)
	s.log.Integrated()
	list := s.get("/")
	if state := stateInRow(t, list, waiting); state != "integrated" {
		t.Errorf("without witnesses record %d is %s, want integrated", waiting, state)
	}
	if state := stateInRow(t, list, first[len(first)-1]); state != "witnessed" {
		t.Errorf("record %d is %s, want witnessed", first[len(first)-1], state)
	}
	panel := s.get(fmt.Sprintf("/records/%d", waiting))
	panel.mustHave(t, "has not cosigned", `hx-get="/records/`)
	panel.mustNotHave(t, "Download evidence")
	if got := s.get(fmt.Sprintf("/records/%d/evidence", waiting)); got.status != http.StatusConflict {
		t.Errorf("evidence of a record that is not witnessed: %d", got.status)
	}
	s.log.Strike(false)
	s.log.Witnessed()
	panel = s.get(fmt.Sprintf("/records/%d/proof", waiting))
	panel.mustHave(t, "Download evidence", "3 of 3")
	panel.mustNotHave(t, "hx-trigger")
}

func stateInRow(t *testing.T, list page, index uint64) string {
	t.Helper()
	row := regexp.MustCompile(fmt.Sprintf(`(?s)<tr>\s*<td class="index"><a id="record-%d".*?</tr>`, index)).FindString(list.body)
	state := regexp.MustCompile(`class="state (\w+)"`).FindStringSubmatch(row)
	if state == nil {
		t.Fatalf("record %d is not in the list:\n%s", index, list.body)
	}
	return state[1]
}

func TestPagesAreBoundedAndComplete(t *testing.T) {
	s := openSite(t)
	statements := s.log.Fill(400)
	s.login()
	seen := map[string]bool{}
	form, pages := url.Values{}, 0
	for pages = 1; pages < 50; pages++ {
		got := s.do("POST", "/list", form)
		rows := regexp.MustCompile(`id="record-(\d+)"`).FindAllStringSubmatch(got.body, -1)
		if len(rows) > 50 {
			t.Fatalf("a page has %d rows", len(rows))
		}
		for _, row := range rows {
			if seen[row[1]] {
				t.Errorf("record %s is on two pages", row[1])
			}
			seen[row[1]] = true
		}
		older := regexp.MustCompile(`name="page" value="(\d+)"`).FindStringSubmatch(got.body)
		if older == nil {
			break
		}
		form = url.Values{"page": {older[1]}}
	}
	if len(seen) != len(statements) || pages < 2 {
		t.Errorf("%d pages show %d statements, want all %d", pages, len(seen), len(statements))
	}
	if got := s.do("POST", "/list", url.Values{"page": {"next"}}); !strings.Contains(got.body, "must be a record") {
		t.Errorf("a page that is no number: %s", got.body)
	}
}

func TestTheFilterFiltersAndStaysOutOfURLsAndLogs(t *testing.T) {
	s := openSite(t)
	s.log.Fill(200)
	s.login()
	secret := logtest.Citizen(7)
	got := s.do("POST", "/", url.Values{"person": {"王芳"}, "decision": {"refused"}, "text": {"civil.citizens"}})
	if got.status != http.StatusSeeOther || got.header.Get("Location") != "/" {
		t.Fatalf("filter: %d to %q", got.status, got.header.Get("Location"))
	}
	list := s.get("/")
	list.mustHave(t, `value="王芳"`, `id="record-`)
	for _, person := range []string{"civil_manager", "fund_clerk", "auditor"} {
		list.mustNotHave(t, `title="`+person+`"`)
	}
	list.mustNotHave(t, `class="tag allowed"`)
	s.do("POST", "/list", url.Values{"text": {secret}, "person": {"civil_clerk"}})
	s.get("/?clear")
	s.get("/").mustNotHave(t, `value="王芳"`, secret+`"`)
	s.get("/records/" + secret)
	for _, private := range []string{secret, "王芳", "civil.citizens", "SELECT", password} {
		if strings.Contains(s.logged.String(), private) {
			t.Errorf("the server's log has %q", private)
		}
	}
	if !strings.Contains(s.logged.String(), `route="POST /list"`) {
		t.Errorf("the server logs no requests:\n%s", s.logged)
	}
}

func TestPollingIsQuietWhileNothingChanges(t *testing.T) {
	s := openSite(t)
	s.log.Fill(20)
	s.login()
	list := s.get("/")
	list.mustHave(t, `hx-post="/list/poll"`)
	seen := regexp.MustCompile(`name="seen" value="([^"]+)"`).FindStringSubmatch(list.body)[1]
	form := url.Values{"live": {"on"}, "seen": {seen}}
	if got := s.do("POST", "/list/poll", form); got.status != http.StatusNoContent || got.body != "" {
		t.Errorf("nothing changed: %d, %d bytes", got.status, len(got.body))
	}
	index := hostile(s.log)
	s.log.Witnessed()
	var got page // pages within a second share one reading of the log, so the first answers may be older
	for began := time.Now(); !strings.Contains(got.body, fmt.Sprintf(`id="record-%d"`, index)); time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatalf("a minute later the list is: %d %s", got.status, got.body)
		}
		got = s.do("POST", "/list/poll", form)
	}
	if state := stateInRow(t, got, index); state != "witnessed" {
		t.Errorf("the new record is %s", state)
	}
	got.mustNotHave(t, "<html")
}

func TestARecordShowsItsProofAndGivesEvidence(t *testing.T) {
	s := openSite(t)
	statements := s.log.Fill(120)
	s.login()
	for _, index := range []uint64{statements[0], statements[len(statements)/2], statements[len(statements)-1]} {
		got := s.get(fmt.Sprintf("/records/%d", index))
		got.mustHave(t, "opens the commitment", "leads to the root", "signature holds", "3 of 3 cosigned")
		for _, witness := range logtest.Witnesses {
			got.mustHave(t, "<td>"+witness+"</td>")
		}
		file := s.get(fmt.Sprintf("/records/%d/evidence", index))
		if want := fmt.Sprintf("attachment; filename=record-%d.evidence", index); file.header.Get("Content-Disposition") != want {
			t.Errorf("evidence comes as %q, want %q", file.header.Get("Content-Disposition"), want)
		}
		report, err := evidence.Verify([]byte(file.body), s.log.Quorum.Text())
		if err != nil || report.Index != index {
			t.Fatalf("evidence of record %d: %v", index, err)
		}
		got.mustHave(t, strings.ReplaceAll(report.Root, "+", "&#43;")) // html/template writes + so
	}
}

func TestEveryKindOfRecordHasAPage(t *testing.T) {
	s := openSite(t)
	s.log.Fill(60)
	s.login()
	kinds := map[string]bool{}
	for index := range 60 {
		got := s.get(fmt.Sprintf("/records/%d", index))
		if got.status != http.StatusOK {
			t.Fatalf("record %d: %d %s", index, got.status, got.body)
		}
		kinds[regexp.MustCompile(`<span class="muted">([a-z ]+) ·`).FindStringSubmatch(got.body)[1]] = true
	}
	for _, kind := range []string{"statement", "disclosure", "outcome", "session opened", "session closed", "period opened"} {
		if !kinds[kind] {
			t.Errorf("no page of a record of kind %q was seen: %v", kind, kinds)
		}
	}
}

func TestWhatIsNoRecordIsNotFound(t *testing.T) {
	s := openSite(t)
	s.log.Fill(5)
	s.login()
	for _, path := range []string{"/records/100000", "/records/x", "/records/-1", "/records/01", "/records/+1", "/records/18446744073709551615",
		"/records/100000/proof", "/records/100000/evidence", "/records/1/other", "/nowhere"} {
		if got := s.get(path); got.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, got.status)
		}
	}
}

func TestAnErasedRecordIsShownAndProvedWithoutItsContent(t *testing.T) {
	s := openSite(t)
	statements := s.log.Fill(40)
	s.login()
	s.log.Stop()
	s.log.Open()
	if _, err := s.log.ErasePeriod(1, "archivist", "retention is over"); err != nil {
		t.Fatal(err)
	}
	s.log.Fill(10)
	path := fmt.Sprintf("/records/%d", statements[1])
	got := s.get(path)
	got.mustHave(t, "Content lawfully erased", "leads to the root", "3 of 3 cosigned", "lawfully erased")
	got.mustNotHave(t, "SELECT", "case-2026", "Download evidence")
	s.get("/").mustHave(t, "content lawfully erased")
	if file := s.get(path + "/evidence"); file.status != http.StatusConflict || strings.Contains(file.body, "PK") {
		t.Errorf("evidence of an erased record: %d", file.status)
	}
}
