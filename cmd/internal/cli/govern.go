package cli

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"shiguan/auditlog"
	"shiguan/auditlog/record"
	"shiguan/cmd/internal/signed"
	"shiguan/configs"
	"shiguan/proxy"
)

// grantInterval is how often the proxy looks whether grants came, went or have run out.
const grantInterval = time.Second

// govern finds the policy that a proxy starts with. Where none may come into force the refusal goes on record, and nothing
// is served.
func govern(cfg *configs.Proxy, options *proxy.Options, log *auditlog.Log, logger *slog.Logger) (*signed.Governor, error) {
	now := time.Now()
	governor, err := signed.NewGovernor(cfg, now)
	if err != nil {
		return nil, errors.Join(err, putOnRecord(log, signed.Refused(err)))
	}
	ruling, err := governor.Reload(now)
	if err != nil {
		return nil, errors.Join(err, putOnRecord(log, signed.Refused(err)))
	}
	if err := ruling.Remember(now); err != nil {
		return nil, err
	}
	if options.Unsigned = signed.Unsigned(cfg); options.Unsigned {
		logger.Warn("the policy needs no signature: whoever can write its file decides what people see; name security administrators under signers")
	}
	options.Policy, options.PolicyFacts, options.Latest = ruling.Policy, ruling.Facts, governor.Latest
	return governor, nil
}

// putOnRecord puts a fact into a log that no proxy serves yet.
func putOnRecord(log *auditlog.Log, r record.Record) error {
	r.Time = time.Now()
	payload, err := r.Append(nil)
	if err != nil {
		return err
	}
	receipt, err := log.Append(r.Kind, r.Time, payload)
	if err != nil {
		return err
	}
	return receipt.Wait()
}

// tendPolicy reads policies, people and certificates again at SIGHUP, and grants when there is something new. What cannot be
// read or is not valid changes nothing.
func tendPolicy(ctx context.Context, cfg *configs.Proxy, server *proxy.Server, governor *signed.Governor, logger *slog.Logger) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	tick := time.NewTicker(grantInterval)
	defer tick.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if err := lookAtGrants(server, governor, now); err != nil && err.Error() != said {
				said = err.Error()
				logger.Error("grants cannot be read: those in force go on until they run out", "err", err)
			} else if err == nil {
				said = ""
			}
		case <-hangup:
			if err := reload(cfg, server, governor); err != nil {
				logger.Error("reload failed: what was in force stays in force", "err", err)
				continue
			}
			logger.Info("policy, people and certificates reloaded")
		}
	}
}

func lookAtGrants(server *proxy.Server, governor *signed.Governor, now time.Time) error {
	ruling, err := governor.Look(now)
	if err != nil || !ruling.Changed {
		return err
	}
	if err := ruling.Remember(now); err != nil {
		return err
	}
	return server.Enforce(ruling.Policy, ruling.Facts...)
}

func reload(cfg *configs.Proxy, server *proxy.Server, governor *signed.Governor) error {
	now := time.Now()
	ruling, err := governor.Reload(now)
	if err != nil {
		return errors.Join(err, server.Record(signed.Refused(err)))
	}
	people, digest, err := loadPeople(cfg.People.String())
	if err != nil {
		return err
	}
	if err := server.RefreshTLS(); err != nil {
		return err
	}
	if err := ruling.Remember(now); err != nil {
		return err
	}
	if err := server.Enforce(ruling.Policy, ruling.Facts...); err != nil {
		return err
	}
	return server.SetPeople(people, digest)
}
