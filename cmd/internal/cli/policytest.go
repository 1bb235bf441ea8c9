package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"shiguan/cmd/internal/policydesk"
	"shiguan/policy"
	"shiguan/policy/sql"
)

func policyTestCommand(load loadCatalogue) *cobra.Command {
	var source policySource
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "test FILE...",
		Short: "Try a policy on statements and compare with what is expected",
		Long: `Each file names a policy, tables (as CREATE statements, or a catalogue that policy snapshot recorded), people, and tests: who
asks what for which purpose and when, and what must be decided. The flags stand in for what a file leaves out; --policy,
--snapshot and --dsn stand in place of what it says. Nothing is run. policy/FORMAT.md describes the files.

Exit code 1: a test does not hold. 2: a file cannot be read.`,
		Example: `  shiguan policy test policy_test.yaml
  shiguan policy test --policy new.yaml --config proxy.yaml *_test.yaml`,
		Args: wantArgs(1, -1, "shiguan policy test FILE..."),
		RunE: func(cmd *cobra.Command, files []string) error {
			if err := source.read(); err != nil {
				return err
			}
			held, tried := 0, 0
			for _, file := range files {
				results, err := testPolicy(cmd, &source, load, file)
				if err != nil {
					return err
				}
				good := 0
				for i := range results {
					if results[i].Holds {
						good++
					}
					if err := printTested(cmd, &results[i], asJSON); err != nil {
						return err
					}
				}
				if !asJSON {
					fmt.Fprintf(cmd.OutOrStdout(), "%s: %d of %d hold\n", file, good, len(results))
				}
				held, tried = held+good, tried+len(results)
			}
			if held < tried {
				return exit(ExitNot, fmt.Errorf("%d of %d expectations do not hold", tried-held, tried))
			}
			return nil
		},
	}
	source.addAll(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line, one for each test")
	return cmd
}

// testPolicy runs one file. What the file does not bring comes from the flags.
func testPolicy(cmd *cobra.Command, source *policySource, load loadCatalogue, file string) ([]policydesk.Tested, error) {
	e, err := policydesk.ReadExpectations(file)
	if err != nil {
		return nil, err
	}
	var p *policy.Policy
	if named := e.PolicyFile(); source.policy == "" && named != "" {
		p, err = loadPolicy(named)
	} else {
		p, err = source.loadPolicy()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var cat *sql.Catalogue
	if source.snapshot == "" && source.dsn == "" {
		cat, err = e.OwnCatalogue()
	}
	switch {
	case err != nil || cat != nil:
	case source.given():
		cat, err = source.catalogue(cmd.Context(), load)
	default:
		err = errors.New("no tables: write catalogue: {create: …} or {snapshot: FILE} in it, or say --snapshot, --dsn or --config")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var people func(string) (policydesk.Person, error)
	if source.people != "" || source.proxy != nil {
		people = func(user string) (policydesk.Person, error) {
			who, err := source.person(user)
			return policydesk.Person{Department: who.Department, Position: who.Position, Role: who.Role}, err
		}
	}
	return e.Run(p, cat, people)
}

func printTested(cmd *cobra.Command, t *policydesk.Tested, asJSON bool) error {
	w := cmd.OutOrStdout()
	if asJSON {
		return printJSON(w, t)
	}
	for _, wrong := range t.Wrong {
		fmt.Fprintf(w, "%s:%d: test %q, %s: %s\n", t.File, t.Line, printable(t.Test, false), printable(t.As, false), printable(wrong, false))
	}
	return nil
}

func policySnapshotCommand(load loadCatalogue) *cobra.Command {
	var source policySource
	var out string
	cmd := &cobra.Command{
		Use:   "snapshot -o FILE",
		Short: "Record a database's catalogue, for policy test, diff and explain without the database",
		Long: `Writes names and definitions of tables, columns, views, types and functions, as the proxy reads them: no rows. Every policy
command takes the file by --snapshot.`,
		Example: `  shiguan policy snapshot --config proxy.yaml -o civil.catalogue`,
		Args:    wantArgs(0, 0, "shiguan policy snapshot --dsn DSN -o FILE"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := source.read(); err != nil {
				return err
			}
			cat, err := source.catalogue(cmd.Context(), load)
			if err != nil {
				return err
			}
			f, err := os.Create(out)
			if err != nil {
				return err
			}
			return errors.Join(policydesk.WriteSnapshot(f, cat), f.Close())
		},
	}
	source.addDatabase(cmd)
	cmd.Flags().StringVarP(&out, "output", "o", "", "the file to write")
	mustMarkRequired(cmd, "output")
	return cmd
}
