package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"shiguan/policy"
	"shiguan/policy/sql"
)

// errRefusedByPolicy ends explain with exit code 1 and nothing more to say: the explanation is already printed.
var errRefusedByPolicy = errors.New("")

func policyExplainCommand(load loadCatalogue) *cobra.Command {
	var source policySource
	var as, purpose, application string
	var path []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain --config PROXY_CONFIG --as USER 'SQL'",
		Short: "Say what the policy makes of a statement, and why",
		Long: `Prints the decision, the rules that decided, every table and column the statement touches and how it is treated, what the
client would get, and, when it is refused, what a rule would have to say. Nothing is run: the database is asked for its
catalogue only.

Exit code 1: the statement would be refused.`,
		Example: `  shiguan policy explain --config demo/proxy.yaml --as civil_clerk --purpose case-2026-114 'SELECT name, phone FROM civil.citizens'
  shiguan policy explain --policy new.yaml --people people.yaml --dsn postgres://… --as auditor 'TABLE welfare.payments'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r := policy.Request{Purpose: purpose, Application: application, Time: time.Now()}
			e, err := explain(cmd.Context(), &source, load, as, args[0], path, r)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), e)
			} else {
				printExplanation(cmd.OutOrStdout(), e)
			}
			if err == nil && e.Decision != "allowed" {
				err = exit(ExitNot, errRefusedByPolicy)
			}
			return err
		},
	}
	source.addAll(cmd)
	f := cmd.Flags()
	f.StringVar(&as, "as", "", "the user whose statement it would be")
	f.StringVar(&purpose, "purpose", "", "the purpose the session would have stated")
	f.StringVar(&application, "application", "", "the application_name the client would have given")
	f.StringSliceVar(&path, "search-path", []string{"public"}, "schemas in which names without one are looked up")
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	mustMarkRequired(cmd, "as")
	return cmd
}

// explain puts the request together and asks the policy. A text that cannot be analysed is refused with the analyser's
// reason, as the proxy would.
func explain(ctx context.Context, source *policySource, load loadCatalogue, as, text string, path []string, r policy.Request) (*policy.Explanation, error) {
	if err := source.read(); err != nil {
		return nil, err
	}
	p, err := source.loadPolicy()
	if err != nil {
		return nil, err
	}
	person, err := source.person(as)
	if err != nil {
		return nil, err
	}
	cat, err := source.catalogue(ctx, load)
	if err != nil {
		return nil, err
	}
	r.Person = policy.Person{User: person.User, Department: person.Department, Position: person.Position}
	r.Role, r.Database = person.Role, source.name()
	r.Text, r.Env = text, sql.Env{SearchPath: path, Role: person.Role}
	a, err := sql.Analyse(text, cat, r.Env)
	if err == nil {
		r.Analysis = a
	}
	e := p.Explain(r)
	if err != nil {
		e.Reason = err.Error()
	}
	return &e, nil
}

func printExplanation(w io.Writer, e *policy.Explanation) {
	line := func(format string, args ...any) { fmt.Fprintln(w, printable(fmt.Sprintf(format, args...), false)) }
	line("%s by rule %s", e.Decision, e.Rule)
	if e.Reason != "" {
		line("because  %s", e.Reason)
	}
	line("person   %s (%s / %s), purpose %q", e.Person, e.Department, e.Position, e.Purpose)
	line("policy   %s", e.Policy)
	for _, r := range e.Rules {
		state := "holds"
		switch {
		case r.Error != "":
			state = "does not hold: " + r.Error
		case !r.Holds:
			state = "does not hold: when " + r.When
		}
		line("rule     %s (line %d) %s", r.ID, r.Line, state)
	}
	if len(e.Rules) == 0 {
		line("rule     none speaks of this person")
	}
	for i := range e.Statements {
		printStatement(line, i, &e.Statements[i])
	}
	if e.Ceiling != nil {
		line("")
		line("The city's ceiling, by itself:")
		printExplanation(w, e.Ceiling)
	}
}

func printStatement(line func(string, ...any), i int, s *policy.ExplainedStatement) {
	line("")
	line("statement %d, %s: %s", i+1, s.Verb, s.Text)
	if s.Refused != "" {
		line("  refused: %s", s.Refused)
	}
	for _, r := range append(s.Rights[:len(s.Rights):len(s.Rights)], s.Functions...) {
		printRight(line, &r)
	}
	for _, o := range s.Outputs {
		line("  returns  %s", describeOutput(&o))
	}
	if s.Sent != "" {
		line("  is sent as  %s", s.Sent)
	}
	if s.About {
		line("  its rows leave only once the persons they are about are on record")
	}
	for _, namespace := range s.Pinned {
		line("  names a person itself, by %s", namespace)
	}
	if s.MaxRows > 0 {
		line("  returns at most %d rows", s.MaxRows)
	}
	for _, d := range s.Daily {
		line("  counts under rule %s against %s a day", d.Rule, describeLimit(d))
	}
}

func describeLimit(d policy.ExplainedLimit) string {
	var parts []string
	for _, l := range []struct {
		limit int64
		what  string
	}{{d.Rows, "rows"}, {d.Bytes, "bytes"}, {d.Subjects, "different persons"}} {
		if l.limit > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", l.limit, l.what))
		}
	}
	return strings.Join(parts, ", ")
}

func printRight(line func(string, ...any), r *policy.ExplainedRight) {
	verdict := "allowed by " + r.Rule
	if !r.Given {
		verdict = "refused: " + r.Reason
	}
	line("  %s  %s", strings.TrimSpace(r.Right+" "+r.On), verdict)
	if r.Needed != "" {
		line("    would need  %s", r.Needed)
	}
	if r.By != "" {
		line("    rows by  %s", r.By)
	}
	for _, c := range r.Columns {
		class := ""
		if c.Class != "" {
			class = " (" + c.Class + ")"
		}
		line("    %s%s  %s: %s", c.Column, class, c.Use, c.Treatment)
		if c.Needed != "" {
			line("      would need  %s", c.Needed)
		}
	}
}

func describeOutput(o *policy.ExplainedOutput) string {
	text := o.Name
	if o.Column != "" && o.Column != o.Name {
		text += " = " + o.Column
	}
	text += ", in clear"
	if o.Mask != "" {
		text = strings.TrimSuffix(text, ", in clear") + ", masked (" + o.Mask + ")"
	}
	if o.Subject != "" {
		text += ", names the person by " + o.Subject
	}
	if o.Hidden {
		text += ", added by the proxy and not shown"
	}
	return text
}
