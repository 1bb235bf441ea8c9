package cli

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"

	"github.com/spf13/cobra"

	"shiguan/cmd/internal/console"
	"shiguan/proxy/auth"
)

func consoleCommand() *cobra.Command {
	var flags deskFlags
	var listen string
	cmd := &cobra.Command{
		Use:   "console",
		Short: "Serve the investigator's web page",
		Long: `Console serves the latest records and the proof of each on a web page, to those listed in console.people. It holds the key
that opens the log, so it listens on this machine only; to reach it from another one, use an SSH tunnel or put a server
with TLS before it.`,
		Args: wantArgs(0, 0, "shiguan console"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := flags.load()
			if err != nil {
				return err
			}
			if listen == "" {
				listen = c.Console.Listen
			}
			if err := checkLoopback(listen); err != nil {
				return err
			}
			if c.Console.People == "" {
				return fmt.Errorf("console.people is missing in the configuration: name the file that says who may log in, as `shiguan passwd` writes it")
			}
			people, err := auth.LoadPeople(c.Console.People.String())
			if err != nil {
				return fmt.Errorf("console.people: %w", err)
			}
			d, err := openDesk(c)
			if err != nil {
				return err
			}
			defer d.Close()
			logger := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			l, err := net.Listen("tcp", listen)
			if err != nil {
				return fmt.Errorf("console.listen: %w", err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "console of %s: http://%s/\n", c.Origin, l.Addr())
			return console.New(console.Options{Desk: d, Auth: people, Logger: logger}).Serve(cmd.Context(), l)
		},
	}
	flags.addConfig(cmd)
	cmd.Flags().StringVar(&listen, "listen", "", "host:port instead of console.listen")
	return cmd
}

// checkLoopback refuses addresses that other machines reach: passwords and records would pass the network in clear.
func checkLoopback(listen string) error {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("console.listen: %w", err)
	}
	if addr, err := netip.ParseAddr(host); host == "localhost" || err == nil && addr.IsLoopback() {
		return nil
	}
	return fmt.Errorf("console.listen: %s can be reached from other machines and the console speaks plain HTTP: listen on 127.0.0.1 and "+
		"use an SSH tunnel, or put a server with TLS before it", listen)
}
