package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"

	"shiguan/configs"
	"shiguan/witness"
)

func witnessCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "witness --config FILE",
		Short: "Cosign other departments' logs, so that they cannot change what they have shown",
		Long: `Serves C2SP tlog-witness: a log submits its next head and gets a cosignature only if the head extends the last one that was
cosigned. A witness learns sizes and hashes, nothing of what is recorded. It must be run by another department than the
log's, on a machine of its own.

With mirror: true beside a log it also keeps a copy of the log's public part, checked up to the head that it cosigned, and
serves it at /mirror/<hex SHA-256 of the origin>/: ` + "`shiguan fsck --url`" + ` checks it there, and the public part of a lost log is
restored by copying it.

Exit code 3: a head could not be made durable, and nothing is cosigned any more. Find out what is wrong with the disk before
you start the witness again.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runWitness(cmd.Context(), file) },
	}
	cmd.Flags().StringVar(&file, "config", "witness.yaml", "configuration of the witness")
	return cmd
}

func runWitness(ctx context.Context, file string) error {
	cfg, err := configs.LoadWitness(file)
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	options, err := witnessOptions(cfg)
	if err != nil {
		return err
	}
	options.Logger, options.Registerer = logger, registry
	w, err := witness.Open(*options)
	if err != nil {
		return err
	}
	defer w.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := serveMetrics(ctx, cfg.Metrics.Listen, registry); err != nil {
		return err
	}
	l, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	go func() {
		select {
		case <-w.Failed(): // its state could not be made durable: it must not sign again
			cancel()
		case <-ctx.Done():
		}
	}()
	logger.Info("witnessing", "name", cfg.Name, "listen", l.Addr(), "logs", len(cfg.Logs))
	err = w.Serve(ctx, l, nil)
	if broken := w.Err(); broken != nil {
		return exit(ExitBrokeLog, broken)
	}
	return err
}

// witnessOptions reads what a witness's configuration names.
func witnessOptions(cfg *configs.Witness) (*witness.Options, error) {
	signers, _, err := witnessSigners(cfg)
	if err != nil {
		return nil, err
	}
	o := &witness.Options{Name: cfg.Name, Signer: signers[0], MoreSigners: signers[1:], StateDir: cfg.State.String(),
		MirrorDir: cfg.Mirrors.String()}
	for _, l := range cfg.Logs {
		log := witness.LogConfig{Origin: l.Origin, VKey: l.VKey}
		if l.Mirror {
			log.Mirror = l.URL
		}
		o.Logs = append(o.Logs, log)
	}
	return o, nil
}

// serveMetrics serves /metrics until ctx ends; with no address it does nothing.
func serveMetrics(ctx context.Context, address string, registry *prometheus.Registry) error {
	if address == "" {
		return nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("metrics.listen: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{Registry: registry}))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	context.AfterFunc(ctx, func() { server.Close() })
	go server.Serve(l) // ends with ErrServerClosed
	return nil
}
