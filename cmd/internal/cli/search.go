package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"shiguan/auditlog/record"
	"shiguan/auditlog/search"
	"shiguan/cmd/internal/investigation"
	"shiguan/policy"
)

const lawfullyErased = "existed, content lawfully erased"

func searchCommand() *cobra.Command {
	var desk deskFlags
	var query search.Query
	var since, until string
	cmd := &cobra.Command{
		Use:   "search",
		Short: "Find who did what",
		Long: `Search finds statements and refused logins on record. The index is brought up to date with the log first; then every
record found is read back from the log, opened and proved before it is shown, newest first.

The state says how far a record has come: durable (on the proxy's disk), integrated (in a signed head of the log),
witnessed (cosigned by the quorum of other departments). No record found is no error: the exit code is 0.`,
		Example: `  shiguan search --person civil_clerk --since 2h
  shiguan search --table civil.citizens --decision refused --since 2026-11-01 --until 2026-11-20
  shiguan search --text 340102 --json | jq .statement`,
		Args: wantArgs(0, 0, "what to look for with flags, such as --text or --person"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := desk.open(cmd)
			if err != nil {
				return err
			}
			defer d.Close()
			now := time.Now()
			if query.Since, err = parseSince(since, now, d.Zone); err != nil {
				return err
			}
			if query.Until, err = parseUntil(until, now, d.Zone); err != nil {
				return err
			}
			if err := checkQuery(query); err != nil {
				return err
			}
			heads, err := d.upToDate(cmd)
			if err != nil {
				return err
			}
			p := newProgress(cmd.ErrOrStderr(), "proving what was found")
			found, err := d.Search(cmd.Context(), heads, query, p.update)
			p.wipe()
			if err != nil {
				return verdictOf(err)
			}
			if desk.asJSON {
				return printHits(cmd.OutOrStdout(), found)
			}
			printHitTable(cmd.OutOrStdout(), found, d.Zone)
			if len(found) == query.Limit {
				fmt.Fprintf(cmd.ErrOrStderr(), "These are the newest %d; --limit shows more, the other flags narrow it.\n", query.Limit)
			}
			return nil
		},
	}
	desk.add(cmd)
	f := cmd.Flags()
	f.StringVar(&query.Person, "person", "", "who did it: the user name at login")
	f.StringVar(&query.Department, "department", "", "the person's department")
	f.StringVar(&query.Table, "table", "", "a table that was touched, as schema.table or the bare name")
	f.StringVar(&since, "since", "", "from this time on: 2026-11-20, \"2026-11-20 08:30\", RFC 3339, or how long ago (2h, 7d)")
	f.StringVar(&until, "until", "", "up to this time; a day counts to its end")
	f.StringVar(&query.Decision, "decision", "", "allowed, refused or failed")
	f.StringVar(&query.Text, "text", "", "text within the statement or its parameters")
	f.IntVar(&query.Limit, "limit", 100, "at most so many records, the newest ones")
	return cmd
}

func checkQuery(q search.Query) error {
	switch q.Decision {
	case "", record.DecisionAllowed, record.DecisionRefused, record.DecisionFailed:
	default:
		return fmt.Errorf("--decision %q is none: write allowed, refused or failed", q.Decision)
	}
	if q.Limit < 1 {
		return fmt.Errorf("--limit %d: must be at least 1", q.Limit)
	}
	if !q.Since.IsZero() && !q.Until.IsZero() && !q.Since.Before(q.Until) {
		return fmt.Errorf("--since is not before --until: nothing can lie between them")
	}
	return nil
}

// hit is one line of --json.
type hit struct {
	Index       uint64              `json:"index"`
	Time        string              `json:"time"` // RFC 3339, UTC, milliseconds
	Kind        string              `json:"kind"`
	Person      string              `json:"person"`
	Department  string              `json:"department"`
	Position    string              `json:"position"`
	Database    string              `json:"database"`
	Statement   string              `json:"statement"`
	Decision    string              `json:"decision"`
	Rule        string              `json:"rule"`
	Reason      string              `json:"reason"`
	Tables      []string            `json:"tables"`
	Rows        *int64              `json:"rows"` // null: unknown
	State       investigation.State `json:"state"`
	Session     string              `json:"session"`
	Seq         uint64              `json:"seq"`
	Purpose     string              `json:"purpose"`
	Grant       string              `json:"grant"` // grants it was allowed by; break-glass-… for those of emergencies
	Outcome     string              `json:"outcome"`
	SQLState    string              `json:"sqlstate"`
	Role        string              `json:"role"`
	Client      string              `json:"client"`
	Application string              `json:"application"`
	Erased      bool                `json:"erased"`
	NamedIn     []uint64            `json:"named_in,omitempty"` // who-saw: the records that name the person
}

const jsonTime = "2006-01-02T15:04:05.000Z07:00"

func hitOf(f *investigation.Found) hit {
	h := hit{Index: f.Index, Time: f.Time().UTC().Format(jsonTime), Kind: f.Leaf.Kind.String(), Tables: []string{},
		State: f.State, Erased: f.Erased, NamedIn: f.NamedIn, Outcome: f.Ended}
	if f.Erased {
		return h
	}
	r := f.Record
	h.Person, h.Department, h.Position, h.Database, h.Statement = r.Person, r.Department, r.Position, r.Database, r.Statement
	h.Decision, h.Rule, h.Reason, h.Purpose = f.Decision(), r.Rule, r.Reason, r.Purpose
	h.Grant = r.Grant
	h.Session, h.Seq, h.Role, h.Client, h.Application = r.Session, r.Seq, r.Role, r.Client, r.Application
	if len(r.Tables) > 0 {
		h.Tables = r.Tables
	}
	if rows, ok := f.Rows(); ok {
		h.Rows = &rows
	}
	h.SQLState = f.SQLState()
	return h
}

func printHits(w io.Writer, found []*investigation.Found) error {
	for _, f := range found {
		if err := printJSON(w, hitOf(f)); err != nil {
			return err
		}
	}
	return nil
}

// printJSON prints one object on one line. SQL is full of < and >: they stay as they are.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func printHitTable(w io.Writer, found []*investigation.Found, zone *time.Location) {
	if len(found) == 0 {
		fmt.Fprintln(w, "No record matches.")
		return
	}
	width, ok := terminalWidth(w)
	if !ok {
		width = pipeWidth
	}
	statement := max(24, width-112)
	t := newTable(w, "RECORD", "TIME", "PERSON", "OFFICE", "DATABASE", "DECISION", "ROWS", "STATE", "STATEMENT")
	for _, f := range found {
		at := f.Time().In(zone).Format(time.DateTime)
		if f.Erased {
			t.AppendRow([]any{f.Index, at, "", "", "", "", "", f.State.String(), lawfullyErased})
			continue
		}
		r := f.Record
		t.AppendRow([]any{f.Index, at, oneLine(r.Person, 16), oneLine(office(r), 24), oneLine(r.Database, 12), decided(f),
			rowsText(f), f.State.String(), oneLine(wanted(r), statement)})
	}
	t.Render()
}

// decided is the decision, and what kind of grant it took.
func decided(f *investigation.Found) string {
	switch grant := f.Record.Grant; {
	case grant == "":
		return f.Decision()
	case strings.Contains(grant, policy.KindBreakGlass):
		return f.Decision() + " BREAK-GLASS"
	}
	return f.Decision() + " by grant"
}

// wanted is what the person asked for.
func wanted(r *record.Record) string {
	if r.Kind == record.KindLoginRefused {
		return "login refused: " + r.Reason
	}
	return r.Statement
}

// office is department and position in one word.
func office(r *record.Record) string {
	return strings.Trim(r.Department+"/"+r.Position, "/")
}

func rowsText(f *investigation.Found) string {
	if rows, ok := f.Rows(); ok {
		return fmt.Sprint(rows)
	}
	return "–"
}
