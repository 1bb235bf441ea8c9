package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"shiguan/auditlog"
	"shiguan/configs"
)

func keyErasePeriodCommand() *cobra.Command {
	var file, person, reason string
	cmd := &cobra.Command{
		Use:   "erase-period --config PROXY_CONFIG PERIOD --person WHO --reason WHY",
		Short: "Destroy the key of a period, so that nobody can ever read its records again",
		Long: `Erase-period puts on record who erases a key period and why, and then destroys the period's wrapped key. This cannot be
undone. The period's records still stand in the log and every proof of them stays valid; what they said is gone: search and
show say "` + lawfullyErased + `", and fsck counts them. Evidence handed out before still holds.

The proxy must be stopped: it alone may write its log while it runs. Backups of keys/ hold the key too; destroy it there as
well. Investigators' search indexes forget the period at their next update.

Exit codes: 0 erased, 1 refused (the proxy runs, the period is in use, or it is erased already), 3 the log is broken.`,
		Example: "  shiguan key list-periods --config proxy.yaml\n" +
			"  shiguan key erase-period --config proxy.yaml 17 --person 'archivist Wang' --reason 'retention of three years is over'",
		Args: wantArgs(1, 1, "shiguan key erase-period --config PROXY_CONFIG PERIOD --person WHO --reason WHY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			period, err := strconv.ParseUint(args[0], 10, 32)
			if err != nil || period == 0 {
				return fmt.Errorf("%q is no key period: take a number from `shiguan key list-periods`", args[0])
			}
			cfg, err := configs.LoadProxy(file)
			if err != nil {
				return err
			}
			logger := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
			erased, err := erasePeriod(cmd.Context(), cfg, uint32(period), person, reason, logger)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), erased)
			return err
		},
	}
	cmd.Flags().StringVar(&file, "config", "proxy.yaml", "configuration of the proxy")
	cmd.Flags().StringVar(&person, "person", "", "who erases, as it stands on record")
	cmd.Flags().StringVar(&reason, "reason", "", "why, as it stands on record")
	mustMarkRequired(cmd, "person")
	mustMarkRequired(cmd, "reason")
	return cmd
}

// erasePeriod opens the log as the proxy would, erases, and returns what to tell.
func erasePeriod(ctx context.Context, cfg *configs.Proxy, period uint32, person, reason string, logger *slog.Logger) (string, error) {
	log, err := openLog(ctx, cfg, logger, prometheus.NewRegistry())
	if errors.Is(err, auditlog.ErrLocked) {
		return "", exit(ExitNot, errors.New("nothing was erased: the proxy is running and has the log open; stop it, erase, and start it again"))
	}
	if err != nil {
		return "", err
	}
	receipt, err := log.ErasePeriod(period, person, reason)
	// Closing signs the record that says so, and asks the witnesses once.
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	closed := log.Close(closing)
	switch {
	case errors.Is(err, auditlog.ErrErased):
		return "", exit(ExitNot, fmt.Errorf("key period %d is erased already: `shiguan key list-periods` says by whom", period))
	case log.Err() != nil:
		return "", exit(ExitBrokeLog, errors.Join(err, closed))
	case err != nil:
		return "", exit(ExitNot, fmt.Errorf("nothing was erased: %w", err))
	case closed != nil:
		return "", closed
	}
	text := fmt.Sprintf("Key period %d is erased. Record %d says so and is %s.\nDestroy keys/%010d.age in every backup of the log, too.",
		period, receipt.Index(), log.Status().State(receipt.Index()), period)
	return text, nil
}

func keyListPeriodsCommand() *cobra.Command {
	var file string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list-periods --config PROXY_CONFIG",
		Short: "List the key periods of a log: since when, and which are erased, by whom and why",
		Long: `List-periods reads the log's directory and works beside a running proxy. A period lasts a day, or until the proxy is
started again; what is erased is erased by the period.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := configs.LoadProxy(file)
			if err != nil {
				return err
			}
			periods, err := auditlog.Periods(cmd.Context(), cfg.Log.Dir.String())
			if err != nil {
				return err
			}
			if asJSON {
				for _, p := range periods {
					if err := printJSON(cmd.OutOrStdout(), p); err != nil {
						return err
					}
				}
				return nil
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), periodTable(periods).Render())
			return err
		},
	}
	cmd.Flags().StringVar(&file, "config", "proxy.yaml", "configuration of the proxy")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	return cmd
}

func periodTable(periods []auditlog.Period) table.Writer {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"Period", "Opened (UTC)", "First record", "State"})
	for _, p := range periods {
		opened, first, state := "not in a signed head yet", "", "readable with an investigator's identity"
		if !p.Opened.IsZero() {
			opened, first = p.Opened.UTC().Format(time.DateTime), strconv.FormatUint(p.First, 10)
		}
		if e := p.Erased; e != nil {
			state = fmt.Sprintf("erased %s by %s: %s (record %d)", e.Time.UTC().Format(time.DateTime), printable(e.Person, false), printable(e.Reason, false), e.Index)
		}
		t.AppendRow(table.Row{p.Number, opened, first, state})
	}
	return t
}
