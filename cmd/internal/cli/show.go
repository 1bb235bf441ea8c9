package cli

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"shiguan/auditlog/record"
	"shiguan/cmd/internal/investigation"
)

func showCommand() *cobra.Command {
	var flags deskFlags
	cmd := &cobra.Command{
		Use:   "show INDEX",
		Short: "Show everything one record says",
		Long: `Show reads one record back from the log, opens it, proves it and prints all its fields, together with the records about
it: whose rows left, and how it ended. With --json it prints one object: the record as it stands in the log, and around it
what is known about it.`,
		Example: `  shiguan show 482
  shiguan show 482 --json | jq .record.statement`,
		Args: wantArgs(1, 1, "shiguan show INDEX"),
		RunE: func(cmd *cobra.Command, args []string) error {
			index, err := parseIndex(args[0])
			if err != nil {
				return err
			}
			d, err := flags.open(cmd)
			if err != nil {
				return err
			}
			defer d.Close()
			heads, err := d.upToDate(cmd)
			if err != nil {
				return err
			}
			entry, err := d.Entry(cmd.Context(), heads, index)
			if err != nil {
				return noRecord(index, heads, err)
			}
			about, err := d.About(cmd.Context(), heads, entry)
			if err != nil {
				return verdictOf(err)
			}
			if flags.asJSON {
				return printJSON(cmd.OutOrStdout(), entryJSON(entry, about))
			}
			printEntry(cmd.OutOrStdout(), entry, about, d.Zone)
			return nil
		},
	}
	flags.add(cmd)
	return cmd
}

func parseIndex(text string) (uint64, error) {
	index, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%q is no record's number: take one from `shiguan search`", text)
	}
	return index, nil
}

// shownEntry is the object that show --json prints.
type shownEntry struct {
	Index      uint64              `json:"index"`
	State      investigation.State `json:"state"`
	Kind       string              `json:"kind"`
	Time       string              `json:"time"`
	Period     uint32              `json:"period"`
	Erased     bool                `json:"erased"`
	Leaf       string              `json:"leaf"`              // hex
	Opening    string              `json:"opening,omitempty"` // hex
	Record     json.RawMessage     `json:"record"`            // byte for byte as in the log; null when erased
	Outcome    string              `json:"outcome"`
	Rows       *int64              `json:"rows"`
	Subjects   int                 `json:"subjects"` // how many persons are named, here and in disclosures
	Related    []relatedRecord     `json:"related"`
	OutcomeHas *record.Outcome     `json:"outcome_detail,omitempty"`
}

type relatedRecord struct {
	Index  uint64          `json:"index"`
	Record json.RawMessage `json:"record"`
}

func entryJSON(e *investigation.Entry, about *investigation.About) shownEntry {
	out := shownEntry{Index: e.Index, State: e.State, Kind: e.Leaf.Kind.String(), Time: e.Time().UTC().Format(jsonTime),
		Period: e.Leaf.Period, Erased: e.Erased, Leaf: hex.EncodeToString(e.LeafBytes), Record: json.RawMessage("null"),
		Outcome: about.Ended, OutcomeHas: about.Outcome, Subjects: len(about.Subjects), Related: []relatedRecord{}}
	if e.Erased {
		return out
	}
	out.Opening, out.Record = hex.EncodeToString(e.Opening[:]), e.Payload
	if rows, ok := about.Rows(); ok {
		out.Rows = &rows
	}
	for _, other := range about.Others {
		one := relatedRecord{other.Index, json.RawMessage("null")}
		if !other.Erased {
			one.Record = other.Payload
		}
		out.Related = append(out.Related, one)
	}
	return out
}

// printEntry prints a record for people. Everything that somebody else wrote goes through printable.
func printEntry(w io.Writer, e *investigation.Entry, about *investigation.About, zone *time.Location) {
	p := fields{w}
	fmt.Fprintf(w, "Record %d · %s · %s\n", e.Index, e.Leaf.Kind, e.State)
	p.line("time", e.Time().In(zone).Format("2006-01-02 15:04:05.000 -07:00"))
	if e.Erased {
		p.line("content", lawfullyErased)
		p.line("key period", fmt.Sprint(e.Leaf.Period))
		return
	}
	r := e.Record
	p.line("person", r.Person)
	p.line("department", r.Department)
	p.line("position", r.Position)
	p.line("database", r.Database)
	p.line("role", r.Role)
	p.line("client", r.Client)
	p.line("application", r.Application)
	p.line("login", r.Auth)
	p.line("tls", r.TLS)
	p.line("session", r.Session)
	if r.Seq > 0 {
		p.line("number", fmt.Sprint(r.Seq))
	}
	p.line("decision", e.Decision())
	p.line("rule", r.Rule)
	p.line("reason", r.Reason)
	p.line("purpose", r.Purpose)
	p.line("grant", r.Grant)
	p.line("policy", r.Policy)
	p.block("statement", r.Statement)
	p.block("sent instead", r.Rewritten)
	for i, v := range r.Params {
		p.line(fmt.Sprintf("$%d", i+1), paramText(v))
	}
	p.line("tables", strings.Join(r.Tables, ", "))
	for _, use := range r.Columns {
		p.line("column", use.Column+" ("+use.Use+")")
	}
	p.line("masked", strings.Join(r.Masked, ", "))
	if n := len(about.Subjects); n > 0 {
		p.line("persons", fmt.Sprintf("%d named, by keyed hash; ask `shiguan who-saw`", n))
	}
	p.line("outcome", about.Ended)
	p.outcome(about.Outcome)
	if r.Kind != record.KindStatement && r.Kind != record.KindOutcome {
		p.outcome(r.Outcome)
	}
	if t := r.Totals; t != nil {
		p.line("totals", fmt.Sprintf("%d statements, %d refused, %d failed, %d rows, %d bytes", t.Statements, t.Refused, t.Failed, t.Rows, t.Bytes))
	}
	for _, key := range investigation.DetailKeys(r) {
		p.line(key, r.Detail[key])
	}
	p.line("software", r.Version)
	p.line("origin", r.Origin)
	for _, other := range about.Others {
		p.line("related", fmt.Sprintf("record %d: %s", other.Index, other.Says()))
	}
	if about.Partial {
		p.line("", "there are more related records; the list is cut here, the log is not")
	}
}

// fields prints names and values below each other and leaves out what is empty.
type fields struct{ w io.Writer }

func (p fields) line(name, value string) {
	if value != "" {
		fmt.Fprintf(p.w, "  %-13s %s\n", printable(name, false), printable(value, false))
	}
}

// block prints a text of several lines, indented so that none of them can pass for a field.
func (p fields) block(name, value string) {
	if value == "" {
		return
	}
	lines := strings.Split(printable(value, true), "\n")
	fmt.Fprintf(p.w, "  %-13s %s\n", name, lines[0])
	for _, line := range lines[1:] {
		fmt.Fprintf(p.w, "  %-13s %s\n", "", line)
	}
}

func (p fields) outcome(o *record.Outcome) {
	if o == nil {
		return
	}
	if o.Rows >= 0 {
		p.line("rows", fmt.Sprint(o.Rows))
	}
	p.line("bytes", fmt.Sprint(o.Bytes))
	p.line("sqlstate", o.SQLState)
	p.line("command", o.Tag)
	p.line("took", (time.Duration(o.Micros) * time.Microsecond).String())
	p.line("left masked", strings.Join(o.Masked, ", "))
}

func paramText(v record.Param) string {
	switch {
	case v.Null:
		return "NULL"
	case v.Text != nil:
		return *v.Text
	default:
		return "binary " + base64.StdEncoding.EncodeToString(v.Binary)
	}
}

// noRecord says which records there are when there is none with this number.
func noRecord(index uint64, heads *investigation.Heads, err error) error {
	if !errors.Is(err, investigation.ErrNoRecord) {
		return verdictOf(err)
	}
	if heads.Durable == 0 {
		return exit(ExitNot, fmt.Errorf("no record %d: the log is empty", index))
	}
	return exit(ExitNot, fmt.Errorf("no record %d: the log holds 0 to %d", index, heads.Durable-1))
}
