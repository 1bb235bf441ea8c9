package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"shiguan/cmd/internal/investigation"
)

func whoSawCommand() *cobra.Command {
	var flags deskFlags
	var namespace, since, until string
	cmd := &cobra.Command{
		Use:   "who-saw SUBJECT",
		Short: "Find everyone who saw a person's record",
		Long: `Who-saw lists every statement whose rows named one person: who ran it, in which department and position, when, for which
purpose. It is complete: bulk exports and sessions that broke off are included, and nothing is cut off.

SUBJECT is the person's identifier, such as a resident ID number. It is turned into a keyed hash at once; neither the
index nor any log gets to know it. Write - to have it read from standard input, so that it does not stay in the shell's
history either.`,
		Example: `  shiguan who-saw 340102199003078715
  shiguan who-saw - < id.txt`,
		Args: wantArgs(1, 1, "shiguan who-saw SUBJECT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			subject, err := subjectOf(args[0], cmd.InOrStdin())
			if err != nil {
				return err
			}
			d, err := flags.open(cmd)
			if err != nil {
				return err
			}
			defer d.Close()
			span := investigation.Span{}
			now := time.Now()
			if span.Since, err = parseSince(since, now, d.Zone); err != nil {
				return err
			}
			if span.Until, err = parseUntil(until, now, d.Zone); err != nil {
				return err
			}
			heads, err := d.upToDate(cmd)
			if err != nil {
				return err
			}
			p := newProgress(cmd.ErrOrStderr(), "proving what was found")
			found, err := d.WhoSaw(cmd.Context(), heads, namespace, subject, span, p.update)
			p.wipe()
			if err != nil {
				return verdictOf(err)
			}
			if flags.asJSON {
				return printHits(cmd.OutOrStdout(), found)
			}
			printWhoSaw(cmd.OutOrStdout(), found, d.Zone)
			return nil
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&namespace, "namespace", "resident_id", "what kind of identifier it is: the name of its class in the policy")
	cmd.Flags().StringVar(&since, "since", "", "from this time on: 2026-11-20, \"2026-11-20 08:30\", RFC 3339, or how long ago (2h, 7d)")
	cmd.Flags().StringVar(&until, "until", "", "up to this time; a day counts to its end")
	return cmd
}

// subjectOf takes the identifier from the argument, or its first line from standard input.
func subjectOf(arg string, stdin io.Reader) (string, error) {
	if arg == "-" {
		line, err := bufio.NewReader(io.LimitReader(stdin, 4096)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("reading the identifier: %w", err)
		}
		arg = line
	}
	if strings.TrimSpace(arg) == "" {
		return "", errors.New("no identifier given: name it, or write - and give it on standard input")
	}
	return arg, nil
}

func printWhoSaw(w io.Writer, found []*investigation.Found, zone *time.Location) {
	if len(found) == 0 {
		fmt.Fprintln(w, "No statement on record disclosed rows about this person.")
		return
	}
	width, ok := terminalWidth(w)
	if !ok {
		width = pipeWidth
	}
	t := newTable(w, "RECORD", "TIME", "PERSON", "OFFICE", "PURPOSE", "ROWS", "NAMED IN", "STATE", "STATEMENT")
	for _, f := range found {
		at := f.Time().In(zone).Format(time.DateTime)
		if f.Erased {
			t.AppendRow([]any{f.Index, at, "", "", "", "", "", f.State.String(), lawfullyErased})
			continue
		}
		r := f.Record
		t.AppendRow([]any{f.Index, at, oneLine(r.Person, 16), oneLine(office(r), 24), oneLine(r.Purpose, 16), rowsText(f), indexes(f.NamedIn), f.State.String(),
			oneLine(r.Statement, max(24, width-118))})
	}
	t.Render()
	fmt.Fprintf(w, "%s by %s. What proves that rows about the person left are the records in the column NAMED IN.\n",
		count(len(found), "statement", "statements"), count(people(found), "person", "people"))
}

func people(found []*investigation.Found) int {
	names := map[string]bool{}
	for _, f := range found {
		if !f.Erased {
			names[f.Record.Person] = true
		}
	}
	return len(names)
}

// indexes lists the first few record numbers.
func indexes(all []uint64) string {
	const few = 3
	var texts []string
	for _, index := range all[:min(len(all), few)] {
		texts = append(texts, fmt.Sprint(index))
	}
	if len(all) > few {
		texts = append(texts, "…")
	}
	return strings.Join(texts, " ")
}

// count writes a number with its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
