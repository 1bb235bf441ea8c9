// Command peers measures other logs for logbench: it carries out orders that come on standard input, one a line, with stores in
// the directory given. It is a module of its own so that Shiguan does not depend on what is only its measure.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/transparency-dev/tessera"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: peers DIR, with orders of logbench on standard input")
		os.Exit(2)
	}
	if err := work(os.Stdin, os.Stdout, func(name string, appenders int) (system, error) {
		if err := os.MkdirAll(os.Args[1], 0o755); err != nil {
			return nil, err
		}
		dir := filepath.Join(os.Args[1], fmt.Sprintf("%s-%d", name, appenders))
		switch name {
		case "tessera":
			return openTessera(dir, tessera.DefaultBatchMaxSize)
		case "tessera-exact":
			return openTessera(dir, uint(appenders))
		case "immudb":
			return openImmudb(dir, appenders)
		}
		return nil, fmt.Errorf("no such peer: %s", name)
	}); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}
