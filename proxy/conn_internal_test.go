package proxy

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"

	"shiguan/proxy/session"
)

// A fault ends the session that it happens in; both its connections are closed and nothing waits for it.
func TestGuard(t *testing.T) {
	client, ours := net.Pipe()
	upstream, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	var output strings.Builder
	c := &conn{log: slog.New(slog.NewTextHandler(&output, nil)), client: newLink(ours), upstream: newLink(upstream),
		queue: session.NewQueue[*execution]('I'), ended: make(chan struct{})}
	c.ctx, c.cancel = context.WithCancel(t.Context())
	c.fateSet.L = &c.fateMu
	c.guard(func() {
		var none *execution
		none.portal = nil
	})
	<-c.ended
	if !strings.Contains(output.String(), "nil pointer") || !strings.Contains(output.String(), "TestGuard") {
		t.Errorf("the operator is told: %s", output.String())
	}
	if _, err := client.Read(make([]byte, 1)); err == nil {
		t.Error("the client's connection is open")
	}
	if c.ctx.Err() == nil {
		t.Error("what the session began goes on")
	}
}
