package auth

import (
	"crypto/hmac"
	"fmt"
	"time"

	"github.com/xdg-go/scram"

	"shiguan/proxy/wire"
)

// Why a login was refused, for operators. Clients never learn it.
const (
	ReasonUnknown   = "unknown user"
	ReasonPassword  = "wrong password"
	ReasonExpired   = "valid_until is over"
	ReasonMalformed = "malformed authentication message"
	ReasonUncertain = "no certificate that stands for this person"
	ReasonDowngrade = "the client was made to believe that there is no channel binding"
	ReasonBinding   = "the password was meant for another TLS connection: somebody is in between"
)

// RefusedError is the only error a login ends with.
type RefusedError struct {
	User   string
	Reason string // one of the Reason constants
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("login of %q refused: %s", e.User, e.Reason)
}

// Wire is what the client is told, in PostgreSQL's words: the same for every reason that has to do with the user.
func (e *RefusedError) Wire() *wire.Error {
	switch e.Reason {
	case ReasonDowngrade:
		return &wire.Error{Severity: "FATAL", Code: "28000", Message: "SCRAM channel binding negotiation error",
			Detail: "The client supports SCRAM channel binding but thinks the server does not.  However, this server does support channel binding."}
	case ReasonBinding:
		return &wire.Error{Severity: "FATAL", Code: "28000", Message: "SCRAM channel binding check failed"}
	}
	return &wire.Error{
		Severity: "FATAL", Code: "28P01",
		Message: fmt.Sprintf("password authentication failed for user \"%s\"", e.User),
	}
}

// maxMessage is the longest SASL message taken, as in PostgreSQL.
const maxMessage = 1024

// Conversation is the server's half of one SCRAM-SHA-256 exchange. One goroutine owns it.
type Conversation struct {
	user    string
	channel Channel
	plus    bool // bound to the channel
	entry   entry
	known   bool
	server  *scram.Server
	inner   *scram.ServerConversation // from the first Step on
	state   state
}

type state int

const (
	talking state = iota
	refused
	authenticated
)

// Begin begins the conversation with a user as named by the StartupMessage; the name inside SCRAM is ignored, as
// PostgreSQL ignores it. The user need not exist: that shows at the end only.
func (p *People) Begin(user string, ch Channel) *Conversation {
	c := &Conversation{user: user, channel: ch}
	c.entry, c.known = p.lookup(user, ch)
	server, err := scram.SHA256.NewServer(func(string) (scram.StoredCredentials, error) {
		return c.entry.verifier.credentials(), nil
	})
	if err != nil {
		panic(err) // it returns none
	}
	c.server = server
	return c
}

// Step takes the client's next message, the data of SASLInitialResponse first, and returns the answer. With done the
// answer belongs into AuthenticationSASLFinal and the person is authenticated; without, into
// AuthenticationSASLContinue. An error is a *RefusedError and ends the conversation.
func (c *Conversation) Step(msg []byte) (reply []byte, done bool, err error) {
	if c.state != talking {
		panic("auth: Step after the conversation has ended")
	}
	if len(msg) > maxMessage {
		return c.refuse(ReasonMalformed)
	}
	if c.inner == nil {
		if reason := c.misfit(string(msg)); reason != "" {
			return c.refuse(reason)
		}
		c.inner = c.converse(c.server)
	}
	answer, err := c.inner.Step(string(msg))
	switch {
	case err != nil && c.plus && answer == scram.ErrChannelBindingsDontMatch:
		return c.refuse(ReasonBinding)
	case err != nil && answer == scram.ErrInvalidProof:
		return c.refuse(c.reason(ReasonPassword))
	case err != nil:
		return c.refuse(ReasonMalformed)
	case c.inner.AuthzID() != "": // acting for somebody else does not exist here
		return c.refuse(ReasonMalformed)
	case !c.inner.Done():
		return []byte(answer), false, nil
	case !c.inner.Valid() || !c.known || !c.entry.person.ValidAt(time.Now()):
		return c.refuse(c.reason(ReasonExpired))
	}
	c.state = authenticated
	return []byte(answer), true, nil
}

// reason prefers the one that explains the others: nobody's password is right.
func (c *Conversation) reason(otherwise string) string {
	switch {
	case c.known:
		return otherwise
	case c.entry.person.User != "":
		return ReasonUncertain
	}
	return ReasonUnknown
}

func (c *Conversation) refuse(reason string) ([]byte, bool, error) {
	c.state = refused
	return nil, false, &RefusedError{c.user, reason}
}

// Person is who was authenticated. It panics unless Step has said done: nobody becomes a person by a mistake of ours.
func (c *Conversation) Person() Person {
	if c.state != authenticated {
		panic("auth: Person before the conversation has succeeded")
	}
	return c.entry.person.clone()
}

// Authenticate checks a password itself, for logins that are not SCRAM, such as the console's form. It takes the same
// time, some milliseconds of CPU, whether the user exists or not.
func (p *People) Authenticate(user, password string) bool {
	e, known := p.lookup(user, Channel{})
	given, err := derive(password, e.verifier.salt, e.verifier.iterations)
	if err != nil {
		return false
	}
	matches := hmac.Equal(given.storedKey, e.verifier.storedKey)
	return matches && known && e.person.ValidAt(time.Now())
}
