package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"shiguan/cmd/internal/keyfile"
)

func keyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Make keys, and erase those of a log's past",
		Long: `Each new key is written to a file that only its owner may read; no file is ever overwritten. The public part, where there
is one, is printed: it belongs into the quorum policy or into the proxies' recipients file.`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(keyNewLogCommand(), keyNewWitnessCommand(), keyNewIdentityCommand(), keyNewSubjectCommand(), keyNewSignerCommand(),
		keyListPeriodsCommand(), keyErasePeriodCommand())
	return cmd
}

// newKeyCommand is the shape that all of them share: a file to write, and a line to print.
func newKeyCommand(use, short, long string, generate func(file string) (public string, err error)) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Long:  long,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			public, err := generate(file)
			if err != nil || public == "" {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), public)
			return err
		},
	}
	cmd.Flags().StringVarP(&file, "out", "o", "", "file to write the secret key to")
	mustMarkRequired(cmd, "out")
	return cmd
}

func keyNewLogCommand() *cobra.Command {
	var origin string
	var mldsa bool
	cmd := newKeyCommand("new-log --origin ORIGIN [--ml-dsa] -o FILE", "Make a log's signing key and print its verifier key",
		`The origin is the log's name for ever, like a URL without its scheme: audit.example.gov.cn/civil-affairs.

With --ml-dsa it is a second, post-quantum key for the same log, to sign beside the first (log.key_ml_dsa).`,
		func(file string) (string, error) {
			if mldsa {
				return keyfile.NewMLDSA(file, origin)
			}
			return keyfile.NewLog(file, origin)
		})
	cmd.Flags().BoolVar(&mldsa, "ml-dsa", false, "make an ML-DSA-44 key instead of an Ed25519 key")
	cmd.Flags().StringVar(&origin, "origin", "", "the log's name")
	mustMarkRequired(cmd, "origin")
	return cmd
}

func keyNewWitnessCommand() *cobra.Command {
	var name string
	var mldsa bool
	cmd := newKeyCommand("new-witness --name NAME [--ml-dsa] -o FILE", "Make a witness's cosigning key and print its verifier key",
		`The name says whose witness it is, such as audit-office.example.gov.cn. It stands in every cosignature.

With --ml-dsa it is a second, post-quantum key for the same witness, to cosign beside the first (key_ml_dsa).`,
		func(file string) (string, error) {
			if mldsa {
				return keyfile.NewMLDSA(file, name)
			}
			return keyfile.NewWitness(file, name)
		})
	cmd.Flags().BoolVar(&mldsa, "ml-dsa", false, "make an ML-DSA-44 key instead of an Ed25519 key")
	cmd.Flags().StringVar(&name, "name", "", "the witness's name")
	mustMarkRequired(cmd, "name")
	return cmd
}

func keyNewSignerCommand() *cobra.Command {
	var name string
	cmd := newKeyCommand("new-signer --name NAME -o FILE", "Make the key of a security administrator or officer and print its verifier key",
		`Security administrators sign policies with it, officers grants. The name says who it is, such as wang.data-bureau; it stands in
every signature. The line printed belongs into the proxies' signers, or under officers in the ceiling.`,
		func(file string) (string, error) { return keyfile.NewLog(file, name) })
	cmd.Flags().StringVar(&name, "name", "", "who signs with it")
	mustMarkRequired(cmd, "name")
	return cmd
}

func keyNewIdentityCommand() *cobra.Command {
	return newKeyCommand("new-identity -o FILE", "Make an investigator's identity and print the recipient that proxies seal to",
		"Whoever has the identity can read what the proxies recorded for its recipient: keep it away from the proxies.",
		keyfile.NewIdentity)
}

func keyNewSubjectCommand() *cobra.Command {
	return newKeyCommand("new-subject -o FILE", "Make the key that turns persons' numbers into the index of subjects",
		"Proxies and investigators share it. Nothing is printed: it has no public part.",
		func(file string) (string, error) { return "", keyfile.NewSubjectKey(file) })
}

// mustMarkRequired panics where the flag does not exist: a mistake of this package, found by the first test that runs.
func mustMarkRequired(cmd *cobra.Command, flag string) {
	if err := cmd.MarkFlagRequired(flag); err != nil {
		panic(err)
	}
}
