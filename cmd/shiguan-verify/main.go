// Command shiguan-verify checks evidence files offline. It needs no configuration, no network and nothing from the log: only
// the file and the quorum policy that the user trusts. Its short list of dependencies is depaware.txt.
//
//	shiguan-verify --policy QUORUM_FILE [--json] FILE...
//
// Exit codes: 0 all files hold; 1 one does not, and the output says which step failed; 2 one cannot be read as evidence, the
// policy cannot be used, or the command line is wrong.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"shiguan/cmd/internal/verifycli"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

const usage = `usage: shiguan-verify --policy QUORUM_FILE [--json] FILE...

Checks evidence files offline. QUORUM_FILE says whose signatures count; get it
from somebody you trust, not from whoever gave you the evidence.

  --policy QUORUM_FILE   the trusted quorum policy (c2sp.org/tlog-policy)
  --json                 print one JSON object a file

Exit codes: 0 holds, 1 does not hold, 2 unreadable or wrong usage.
`

// run is main without the process. Options may stand before, between and behind the files.
func run(args []string, stdout, stderr io.Writer) int {
	var o verifycli.Options
	flags := flag.NewFlagSet("shiguan-verify", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.Policy, "policy", "", "")
	flags.BoolVar(&o.JSON, "json", false, "")
	for rest := args; ; {
		err := flags.Parse(rest)
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(stdout, usage)
			return verifycli.ExitHolds
		}
		if err != nil {
			return wrong(stderr, err.Error())
		}
		done := len(rest) - flags.NArg()
		if rest = flags.Args(); len(rest) == 0 || done > 0 && args[len(args)-len(rest)-1] == "--" {
			o.Files = append(o.Files, rest...)
			break
		}
		o.Files, rest = append(o.Files, rest[0]), rest[1:]
	}
	switch {
	case o.Policy == "":
		return wrong(stderr, "--policy is missing: without a trusted quorum policy nothing can be shown")
	case len(o.Files) == 0:
		return wrong(stderr, "no evidence file given")
	}
	return verifycli.Run(o, stdout, stderr)
}

func wrong(stderr io.Writer, what string) int {
	fmt.Fprintf(stderr, "shiguan-verify: %s\n\n%s", what, usage)
	return verifycli.ExitUnreadable
}
