package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"shiguan/cmd/internal/policydesk"
)

func policyDiscoverCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "discover DSN",
		Short: "Look for sensitive columns in a database and propose data and classes for a policy",
		Long: fmt.Sprintf(`Samples up to %d rows of each table, in transactions that cannot write and with a limit of time, and looks for
resident IDs, unified social credit codes, mobile numbers, bank cards, e-mail addresses, addresses and names of persons. What is
printed is the beginning of a policy, with how many of the sampled values looked so; values are never printed or kept. What is
sensitive for another reason, such as amounts and diagnoses, only people can tell: add it by hand.

The role needs to read what is to be looked at. A connection string may also be given by libpq's environment variables:
shiguan policy discover "".`, policydesk.SampledRows),
		Example: `  shiguan policy discover postgres://dba@db.example.gov.cn/civil > draft.yaml`,
		Args:    wantArgs(1, 1, "shiguan policy discover DSN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			connecting, cancel := context.WithTimeout(ctx, connectTimeout)
			defer cancel()
			conn, err := pgx.Connect(connecting, args[0])
			if err != nil {
				return fmt.Errorf("the database cannot be reached: %w", err)
			}
			defer func() {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
				defer cancel()
				_ = conn.Close(ctx)
			}()
			p := newProgress(cmd.ErrOrStderr(), "sampling")
			p.unit = "tables"
			found, err := policydesk.Discover(ctx, conn, p.update)
			p.wipe()
			if err != nil {
				return err
			}
			for _, table := range found.Skipped {
				fmt.Fprintf(cmd.ErrOrStderr(), "not looked at: %s\n", printable(table, false))
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "Looked at %d columns of %d tables; %d look sensitive.\n", found.Columns, found.Tables, len(found.Proposals))
			if !asJSON {
				return found.WriteYAML(cmd.OutOrStdout())
			}
			for i := range found.Proposals {
				if err := printJSON(cmd.OutOrStdout(), &found.Proposals[i]); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line, one for each column proposed")
	return cmd
}
