package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"shiguan/policy"
	"shiguan/policy/sql"
)

// loadCatalogue reads what names mean in a database.
type loadCatalogue func(ctx context.Context, to *pgx.ConnConfig) (*sql.Catalogue, error)

// connectTimeout is how long the policy commands wait for a database.
const connectTimeout = 15 * time.Second

func catalogueOf(ctx context.Context, to *pgx.ConnConfig) (*sql.Catalogue, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, to)
	if err != nil {
		return nil, fmt.Errorf("the catalogue cannot be read: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return sql.Load(ctx, conn)
}

func policyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Check, try and compare policies, and explain their decisions",
		Long: `For security administrators: none of these commands changes anything. The language of policies is described in
policy/FORMAT.md.`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(policySignCommand(), policyVerifyCommand(), policyCheckCommand(catalogueOf), policyExplainCommand(catalogueOf), policyTestCommand(catalogueOf),
		policySnapshotCommand(catalogueOf), policyDiffCommand(catalogueOf), policyDiscoverCommand())
	return cmd
}

func policyCheckCommand(load loadCatalogue) *cobra.Command {
	var source policySource
	cmd := &cobra.Command{
		Use:   "check FILE...",
		Short: "Read policies as the proxy would and say what is wrong with them",
		Long: `Each problem is printed with its file and line and what to write instead. With --config, --dsn or --snapshot the names in a policy are
also compared with a database: columns called sensitive that do not exist, rules on tables that are not there.

Exit code 1: a policy is not valid, or would close a table to everybody.`,
		Example: `  shiguan policy check policy.yaml
  shiguan policy check --config proxy.yaml policy.yaml`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			var cat *sql.Catalogue
			if source.given() {
				if err := source.read(); err != nil {
					return err
				}
				var err error
				if cat, err = source.catalogue(cmd.Context(), load); err != nil {
					return err
				}
			}
			return checkPolicies(cmd.OutOrStdout(), files, cat)
		},
	}
	source.addDatabase(cmd)
	return cmd
}

// checkPolicies prints a line for each file that is in order and every problem of the others. cat may be nil.
func checkPolicies(w io.Writer, files []string, cat *sql.Catalogue) error {
	bad := 0
	for _, file := range files {
		p, err := loadPolicy(file)
		if err != nil {
			bad++
			fmt.Fprintln(w, err)
			continue
		}
		closed := false
		if cat != nil {
			closed = printFindings(w, file, p.Check(cat))
		}
		if closed {
			bad++
			continue
		}
		fmt.Fprintf(w, "%s: valid, %s\n", file, p.Digest())
	}
	if bad > 0 {
		return exit(ExitNot, fmt.Errorf("%d of %d policies must be corrected", bad, len(files)))
	}
	return nil
}

// printFindings reports whether one of them closes a table.
func printFindings(w io.Writer, file string, findings []policy.Finding) (closed bool) {
	for _, f := range findings {
		word := "warning"
		if f.Closed {
			word, closed = "error", true
		}
		if f.Line == 0 {
			fmt.Fprintf(w, "%s: %s: %s\n", file, word, printable(f.Message, false))
			continue
		}
		fmt.Fprintf(w, "%s:%d: %s: %s\n", file, f.Line, word, printable(f.Message, false))
	}
	return closed
}
