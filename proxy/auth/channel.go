package auth

import (
	"crypto/x509"
	"strings"

	"github.com/xdg-go/scram"
)

// MechanismPlus is Mechanism bound to the TLS connection that it runs in: somebody in between, with a certificate of his
// own, cannot pass it on.
const MechanismPlus = "SCRAM-SHA-256-PLUS"

// endpointFlag begins the messages of a client that binds.
const endpointFlag = "p=tls-server-end-point,"

// Channel is what TLS has established before a login. The zero value is a connection without TLS.
type Channel struct {
	Endpoint    []byte            // tls-server-end-point of our certificate; nil: nothing to bind to
	Certificate *x509.Certificate // the client's, which an authority has vouched for; nil: none
}

// Mechanisms are those to offer, the better one first.
func (ch Channel) Mechanisms() []string {
	if ch.Endpoint == nil {
		return []string{Mechanism}
	}
	return []string{MechanismPlus, Mechanism}
}

// Choose takes the client's choice among the mechanisms that were offered, before the first Step.
func (c *Conversation) Choose(mechanism string) bool {
	c.plus = mechanism == MechanismPlus && c.channel.Endpoint != nil
	return c.plus || mechanism == Mechanism
}

// Mechanism is the one that was chosen.
func (c *Conversation) Mechanism() string {
	if c.plus {
		return MechanismPlus
	}
	return Mechanism
}

// misfit says what is wrong with the binding that the client's first message announces. Like PostgreSQL it refuses a client
// that could have bound and believes that we could not: somebody in between has told him so.
func (c *Conversation) misfit(first string) (reason string) {
	switch {
	case c.plus != strings.HasPrefix(first, endpointFlag):
		return ReasonMalformed
	case strings.HasPrefix(first, "y,") && c.channel.Endpoint != nil:
		return ReasonDowngrade
	}
	return ""
}

// converse begins the library's half.
func (c *Conversation) converse(server *scram.Server) *scram.ServerConversation {
	if !c.plus {
		return server.NewConversation()
	}
	return server.NewConversationWithChannelBindingRequired(scram.ChannelBinding{
		Type: scram.ChannelBindingTLSServerEndpoint, Data: c.channel.Endpoint})
}
