package cli

import (
	"github.com/spf13/cobra"
)

// Root builds the command tree. Every command is one file of this package.
func Root() *cobra.Command {
	root := &cobra.Command{
		Use:   "shiguan",
		Short: "Audit of access to people's data that nobody can clean up",
		Long: `Shiguan (史官) puts every statement against a department's databases on a record that nobody can change unnoticed:
a proxy decides, masks and records, witnesses of other departments co-sign, and anyone can verify the evidence offline.

Begin with:  shiguan demo --dir demo`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		proxyCommand(), witnessCommand(), policyCommand(), grantCommand(), passwdCommand(),
		consoleCommand(), searchCommand(), showCommand(), proveCommand(), verifyCommand(), whoSawCommand(), fsckCommand(),
		initCommand(), checkCommand(), keyCommand(), demoCommand(), versionCommand(),
	)
	return root
}
