package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes of every command.
const (
	ExitOK       = 0 // done, or: it holds
	ExitNot      = 1 // it does not hold, or was refused: bad evidence, a contradiction in a log, a failed expectation
	ExitUsage    = 2 // wrong arguments, or a file, configuration or address that cannot be read
	ExitBrokeLog = 3 // the log broke or cannot be written; nothing is served any more
)

// codedError carries the exit code that belongs to an error.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }

// exit gives an error the exit code that belongs to it; nil stays nil. Errors without a code end with ExitUsage.
func exit(code int, err error) error {
	if err == nil {
		return nil
	}
	return &codedError{code, err}
}

// exitCode is what the process ends with for an error that a command returned.
func exitCode(err error) int {
	var coded *codedError
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &coded):
		return coded.code
	}
	return ExitUsage
}

// Main runs the command line with the given arguments, prints the error if there is one, and returns the exit code.
// SIGINT and SIGTERM cancel the command's context; a second one ends the process at once.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // from the first signal on the default action is back
	return run(ctx, args, os.Stdout, os.Stderr)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := Root()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil && err.Error() != "" {
		fmt.Fprintf(stderr, "shiguan: %v\n", err)
	}
	return exitCode(err)
}
