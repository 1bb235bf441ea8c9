package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"shiguan/cmd/internal/verifycli"
)

func verifyCommand() *cobra.Command {
	var o verifycli.Options
	cmd := &cobra.Command{
		Use:   "verify --policy QUORUM_FILE FILE...",
		Short: "Check evidence files, offline",
		Long: `Verify checks evidence files that ` + "`shiguan prove`" + ` or the console wrote. It needs no configuration and no network:
only the quorum policy, which says whose signatures count. Get that from somebody you trust, not from whoever gave you
the evidence. shiguan-verify does the same and is small enough to be read whole.

Exit codes: 0 all files hold, 1 one does not hold (and the output says which step failed), 2 one cannot be read.`,
		Example: "  shiguan verify --policy quorum.policy record-482.evidence",
		Args:    wantArgs(1, -1, "shiguan verify --policy QUORUM_FILE FILE..."),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.Policy == "" {
				return errors.New("--policy is missing: without a trusted quorum policy nothing can be shown")
			}
			o.Files = args
			// The verdicts are printed; nothing is left to say but the code.
			if code := verifycli.Run(o, cmd.OutOrStdout(), cmd.ErrOrStderr()); code != verifycli.ExitHolds {
				return exit(code, errors.New(""))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&o.Policy, "policy", "", "the trusted quorum policy (C2SP tlog-policy)")
	cmd.Flags().BoolVar(&o.JSON, "json", false, "print one JSON object a file")
	return cmd
}
