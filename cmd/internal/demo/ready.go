package demo

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

// answers returns one attempt at finding an HTTP server there. Without accept any answer will do.
func answers(url string, accept func(status int) bool) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		// No kept-alive connection: it would be one to a process that is about to be killed.
		req.Close = true
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if accept != nil && !accept(resp.StatusCode) {
			return fmt.Errorf("%s answers %s", url, resp.Status)
		}
		return nil
	}
}

func ok(status int) bool { return status == http.StatusOK }

// proxyReady tries the three doors of the proxy: clients, log, metrics.
func (s *Supervisor) proxyReady(ctx context.Context) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address(s.proxyPort()))
	if err != nil {
		return err
	}
	conn.Close()
	if err := answers(httpURL(s.metricsPort(), "/metrics"), ok)(ctx); err != nil {
		return err
	}
	return answers(httpURL(s.logPort(), "/checkpoint"), nil)(ctx)
}

// firstHead waits until a head of the log is published, which needs the quorum: from then on the city is whole.
func (s *Supervisor) firstHead(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	published := answers(httpURL(s.logPort(), "/checkpoint"), ok)
	for {
		err := published(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no head of the log was published, see %s: %w", s.logFile("proxy"), err)
		case <-time.After(pollEvery):
		}
	}
}
