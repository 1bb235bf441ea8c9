package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"shiguan/cmd/internal/investigation"
	"shiguan/cmd/internal/policydesk"
	"shiguan/configs"
)

func policyDiffCommand(load loadCatalogue) *cobra.Command {
	var desk deskFlags
	var source policySource
	var log, since, until string
	var path []string
	cmd := &cobra.Command{
		Use:   "diff OLD NEW --snapshot FILE",
		Short: "Say which recorded statements a new policy would decide otherwise",
		Long: `Every statement on record is decided under both policies, with the person, the purpose and the time on record and the
catalogue of a database (--dsn) or one recorded by policy snapshot (--snapshot). What differs is printed, grouped by shape:
statements without their constants. The log is read as every investigator's command reads it, each record opened and proved;
--replay names another log than the configuration's.

Exit code 0: nothing would be decided otherwise. 1: something would, or the log does not hold.`,
		Example: `  shiguan policy diff policy.yaml new.yaml --config investigator.yaml --snapshot civil.catalogue --since 30d`,
		Args:    wantArgs(2, 2, "shiguan policy diff OLD NEW"),
		RunE: func(cmd *cobra.Command, files []string) error {
			r := policydesk.Replay{SearchPath: path}
			var err error
			if r.Old, err = loadPolicy(files[0]); err != nil {
				return err
			}
			if r.New, err = loadPolicy(files[1]); err != nil {
				return err
			}
			if r.Catalogue, err = source.catalogue(cmd.Context(), load); err != nil {
				return err
			}
			if err := replay(cmd, &desk, log, since, until, &r); err != nil {
				return err
			}
			if err := printDifferences(cmd.OutOrStdout(), &r, desk.asJSON); err != nil {
				return err
			}
			if r.Unlike > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "%d statements were recorded under %s and come out otherwise under it now: tables, search_path or grants were different then.\n",
					r.Unlike, files[0])
			}
			if r.Otherwise > 0 {
				return exit(ExitNot, fmt.Errorf("%d of %d statements would be decided otherwise", r.Otherwise, r.Statements))
			}
			return nil
		},
	}
	desk.add(cmd)
	source.addCatalogue(cmd)
	f := cmd.Flags()
	f.StringVar(&log, "replay", "", "the log's directory or URL, instead of the one in --config")
	f.StringVar(&since, "since", "", "from this time on: 2026-11-20, \"2026-11-20 08:30\", RFC 3339, or how long ago (2h, 7d)")
	f.StringVar(&until, "until", "", "up to this time; a day counts to its end")
	f.StringSliceVar(&path, "search-path", []string{"public"}, "schemas in which names without one are looked up")
	return cmd
}

// replay gives every record of the time asked for to r.
func replay(cmd *cobra.Command, flags *deskFlags, log, since, until string, r *policydesk.Replay) error {
	c, err := flags.load()
	if err != nil {
		return err
	}
	switch {
	case strings.HasPrefix(log, "http://"), strings.HasPrefix(log, "https://"):
		c.Log = configs.LogSource{URL: log}
	case log != "":
		c.Log = configs.LogSource{Dir: configs.Path(log)}
	}
	d, err := openDesk(c)
	if err != nil {
		return err
	}
	defer d.Close()
	from, err := parseSince(since, time.Now(), d.Zone)
	if err != nil {
		return err
	}
	to, err := parseUntil(until, time.Now(), d.Zone)
	if err != nil {
		return err
	}
	heads, err := d.Heads(cmd.Context())
	if err != nil {
		return verdictOf(err)
	}
	p := newProgress(cmd.ErrOrStderr(), "replaying")
	err = d.Each(cmd.Context(), heads, 0, func(e *investigation.Entry) error {
		p.update(e.Index+1, heads.Durable)
		if !e.Erased && !e.Time().Before(from) && (to.IsZero() || e.Time().Before(to)) {
			r.Add(e.Index, e.Record)
		}
		return nil
	})
	p.wipe()
	return verdictOf(err)
}

func printDifferences(w io.Writer, r *policydesk.Replay, asJSON bool) error {
	list := r.Differences()
	for _, d := range list {
		if asJSON {
			if err := printJSON(w, d); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(w, "%d × %s\n      %s\n   →  %s\n      asked by %s; records %d to %d\n", d.Count, printable(d.Shape, false), printable(d.Old.String(), false),
			printable(d.New.String(), false), printable(strings.Join(d.Persons, ", "), false), d.First, d.Last)
	}
	if asJSON {
		return nil
	}
	if r.Beyond > 0 {
		fmt.Fprintf(w, "%d × in other ways, too many to list: narrow it with --since\n", r.Beyond)
	}
	fmt.Fprintf(w, "%d of %d statements would be decided otherwise, in %d ways.\n", r.Otherwise, r.Statements, len(list))
	return nil
}
