package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"shiguan/auditlog"
	"shiguan/auditlog/record"
	"shiguan/auditlog/record/seal"
	"shiguan/auditlog/tiles"
	"shiguan/cmd/internal/signed"
	"shiguan/configs"
	"shiguan/policy"
	"shiguan/proxy"
	"shiguan/proxy/auth"
	"shiguan/proxy/quota"
	"shiguan/witness/quorum"
)

func proxyCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "proxy --config FILE",
		Short: "Stand before databases: decide, mask and record every statement",
		Long: `Serves PostgreSQL clients, its transparency log (C2SP tlog-tiles) and metrics.

SIGHUP reads the policy, the people file and the certificates again; a faulty one changes nothing. Certificates are read
again by themselves too, when their files change. SIGTERM lets transactions finish for
ten seconds. Exit code 3: the log could not be written or was found rolled back; for a minute before, everybody is told
SQLSTATE 58030.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runProxy(cmd.Context(), file) },
	}
	c.Flags().StringVar(&file, "config", "proxy.yaml", "configuration of the proxy")
	return c
}

// How long a proxy that cannot serve goes on saying so, and how long it lets transactions finish when told to stop.
const (
	lastWords = time.Minute
	grace     = 10 * time.Second
)

func runProxy(ctx context.Context, file string) error {
	cfg, err := configs.LoadProxy(file)
	if err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200) // the heap is small and most of it short-lived: collecting it less often costs some megabytes
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	log, err := openLog(ctx, cfg, logger, registry)
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.Background(), grace)
		defer cancel()
		if err := log.Close(closing); err != nil {
			logger.Error("closing the log failed", "err", err)
		}
	}()
	options, err := proxyOptions(cfg)
	if err != nil {
		return err
	}
	governor, err := govern(cfg, options, log, logger)
	if err != nil {
		return err
	}
	if options.Quota, err = quota.Open(filepath.Join(cfg.Log.Dir.String(), "limits.jsonl"), nil); err != nil {
		return exit(ExitBrokeLog, err)
	}
	defer func() {
		if err := options.Quota.Close(); err != nil {
			logger.Error("closing the file of daily limits failed", "err", err)
		}
	}()
	options.Log, options.Logger, options.Registerer, options.Version = log, logger, registry, version().Version
	server, err := proxy.New(*options)
	if err != nil {
		return exit(ExitBrokeLog, err)
	}
	return serveProxy(ctx, cfg, server, governor, log, registry, logger)
}

// serveProxy runs until a signal comes or the log breaks.
func serveProxy(ctx context.Context, cfg *configs.Proxy, server *proxy.Server, governor *signed.Governor, log *auditlog.Log, registry *prometheus.Registry, logger *slog.Logger) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	metrics := http.NewServeMux()
	metrics.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{Registry: registry}))
	for address, handler := range map[string]http.Handler{cfg.Metrics.Listen: metrics, cfg.Log.Listen: log.Handler()} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		web := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
		go func() { cancel(web.Serve(l)) }()
		defer web.Close()
	}
	l, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return err
	}
	go tendPolicy(ctx, cfg, server, governor, logger)
	go func() {
		select {
		case <-ctx.Done():
		case <-log.Done():
			logger.Error("the log is broken: refusing everybody, then stopping", "err", log.Err(), "in", lastWords)
			select {
			case <-ctx.Done():
			case <-time.After(lastWords):
			}
			cancel(log.Err())
		}
	}()
	logger.Info("serving", "clients", l.Addr(), "log", cfg.Log.Listen, "metrics", cfg.Metrics.Listen, "origin", cfg.Log.Origin)
	err = server.Serve(ctx, l, grace)
	if broken := log.Err(); errors.Is(broken, auditlog.ErrBroken) {
		return exit(ExitBrokeLog, broken)
	}
	return err
}

func openLog(ctx context.Context, cfg *configs.Proxy, logger *slog.Logger, registry *prometheus.Registry) (*auditlog.Log, error) {
	signers, _, err := logSigners(&cfg.Log)
	if err != nil {
		return nil, err
	}
	recipients, err := seal.ParseRecipients(cfg.Log.Recipients.String())
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(cfg.Witnesses.Policy.String())
	if err != nil {
		return nil, err
	}
	policy, err := tiles.ParsePolicy(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.Witnesses.Policy, err)
	}
	cosigner, err := quorum.New(quorum.Options{Policy: policy, Logger: logger, Registerer: registry})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.Witnesses.Policy, err)
	}
	var more []note.Signer
	for _, s := range signers[1:] {
		more = append(more, s)
	}
	log, err := auditlog.Open(ctx, auditlog.Options{
		Dir: cfg.Log.Dir.String(), Origin: cfg.Log.Origin, Signer: signers[0], MoreSigners: more, Recipients: recipients, Cosigner: cosigner, Quorum: policy,
		Interval: cfg.Log.CheckpointInterval, Heartbeat: time.Minute, SegmentBytes: int64(cfg.Log.SegmentSize), Logger: logger, Registerer: registry,
	})
	if err != nil {
		return nil, exit(ExitBrokeLog, err)
	}
	return log, nil
}

func proxyOptions(cfg *configs.Proxy) (*proxy.Options, error) {
	o := &proxy.Options{
		Limits: proxy.Limits{
			Connections: cfg.Limits.Connections, Unauthenticated: cfg.Limits.Unauthenticated,
			MessageBytes: int(cfg.Limits.MessageBytes), LoginTimeout: cfg.Limits.LoginTimeout,
			ConnectTimeout: cfg.Limits.ConnectTimeout, Statements: cfg.Limits.Statements,
			PerPerson: cfg.Limits.PerPerson, PerDatabase: cfg.Limits.PerDatabase,
			Idle: cfg.Limits.Idle, IdleInBlock: cfg.Limits.IdleInBlock,
		},
		Loops:   cfg.Loops,
		Witness: proxy.WitnessLag{Max: cfg.Witnesses.MaxLag, On: proxy.OnLag(cfg.Witnesses.OnLag)},
	}
	var err error
	if o.TLS, err = clientTLS(&cfg.TLS); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(cfg.Log.SubjectKey.String())
	if err != nil {
		return nil, err
	}
	if o.SubjectKey, err = record.ParseSubjectKey(text); err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.Log.SubjectKey, err)
	}
	if o.People, o.PeopleFile, err = loadPeople(cfg.People.String()); err != nil {
		return nil, err
	}
	for i := range cfg.Databases {
		db, err := database(&cfg.Databases[i])
		if err != nil {
			return nil, err
		}
		o.Databases = append(o.Databases, *db)
	}
	return o, nil
}

func loadPolicy(file string) (*policy.Policy, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return policy.Parse(file, text)
}

// loadPeople reads a people file once, so that the digest is that of what comes into force.
func loadPeople(file string) (*auth.People, string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, "", err
	}
	people, err := auth.ParsePeople(file, text)
	digest := sha256.Sum256(text)
	return people, "sha256:" + hex.EncodeToString(digest[:]), err
}

// readSecret reads a file that holds one line.
func readSecret(file configs.Path) (string, error) {
	text, err := os.ReadFile(file.String())
	if err != nil {
		return "", err
	}
	secret := string(bytes.TrimRight(text, "\r\n"))
	if secret == "" {
		return "", fmt.Errorf("%s: the file is empty: write the password into it", file)
	}
	return secret, nil
}
