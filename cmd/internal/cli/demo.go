package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"shiguan/cmd/internal/demo"
	"shiguan/cmd/internal/demo/tour"
)

func demoCommand() *cobra.Command {
	var o demo.Options
	var walk, stay bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a whole demo city on this machine, or walk through the main job with --tour",
		Long: `Starts a throwaway PostgreSQL with a synthetic city, a proxy, three witnesses and the investigator's console, each as a
process of its own on 127.0.0.1, and prints what to try. Ctrl-C stops everything. What clients need to know is in
DIR/demo.json once all are ready. A second run with the same DIR goes on with the same data, keys and log.

With --tour it walks through the main job instead, verifies every step, and exits with 0 only if all held.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Out = cmd.ErrOrStderr()
			return runDemo(cmd.Context(), cmd.OutOrStdout(), o, walk, stay)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Dir, "dir", "", "directory of the city; made when missing")
	flags.IntVar(&o.PortBase, "port-base", demo.DefaultPortBase, fmt.Sprintf("first of %d ports: proxy, postgres, log, metrics, console, witnesses", demo.Ports()))
	flags.BoolVar(&walk, "tour", false, "walk through the main job, verify each step, and stop")
	flags.BoolVar(&stay, "stay", false, "with --tour, on a terminal: leave the city running after a tour that held")
	mustMarkRequired(cmd, "dir")
	cmd.AddCommand(demoRestartCommand())
	return cmd
}

func runDemo(ctx context.Context, out io.Writer, o demo.Options, walk, stay bool) (err error) {
	// A terminal that is closed ends the city as Ctrl-C does.
	ctx, unhook := signal.NotifyContext(ctx, syscall.SIGHUP)
	defer unhook()
	city, err := demo.Start(ctx, o)
	if err != nil {
		return err
	}
	defer func() {
		if stopErr := city.Stop(); stopErr != nil {
			err = errors.Join(err, fmt.Errorf("stop the demo: %w", stopErr))
		}
	}()
	own, err := os.Executable()
	if err != nil {
		return err
	}
	if walk {
		if err := tour.Walk(ctx, out, city.Dir(), own); err != nil {
			return exit(ExitNot, err)
		}
		if _, terminal := terminalWidth(out); !stay || !terminal {
			return nil
		}
	}
	demo.PrintPage(out, city.Manifest(), city.Dir(), own)
	fmt.Fprintln(out, "\nCtrl-C stops the city.")
	<-ctx.Done()
	fmt.Fprintln(o.Out, "stopping …")
	return nil
}

func demoRestartCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "restart --dir DIR NAME",
		Short: "Start a component of a running demo again, stopping it first where it still runs",
		Long:  "NAME is one of the keys below \"pids\" in DIR/demo.json. Returns once the component serves again.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			pid, err := demo.Restart(cmd.Context(), dir, args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s serves again, process %s\n", args[0], pid)
			return err
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "directory of the running demo")
	mustMarkRequired(cmd, "dir")
	return cmd
}
