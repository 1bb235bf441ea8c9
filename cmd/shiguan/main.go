// Command shiguan is the whole of Shiguan in one binary: the proxy, the witness, the console, the demo city and every
// tool of the investigator and the administrators. What each command does stands in cmd/internal/cli; this file only
// hands over the arguments and the exit code.
package main

import (
	"os"

	"shiguan/cmd/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:])) }
