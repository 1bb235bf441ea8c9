package proxy

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"time"

	"shiguan/proxy/auth"
	"shiguan/proxy/wire"
)

// authenticate finds out who the client is: by his certificate where that is enough, else by SCRAM. An unknown user is not
// told from a wrong password or a missing certificate. Without ok and refusal the client has left.
func (s *Server) authenticate(nc *link, asked *params) (person auth.Person, ok bool, refusal *wire.Error) {
	result := "left"
	defer func() { s.metrics.login(result) }()
	people, channel := s.people.Load(), nc.channel()
	if person, ok := people.ByCertificate(asked.user, channel); ok {
		result, asked.auth = "ok", "certificate"
		return person, true, nil
	}
	if _, err := nc.Write(wire.AppendAuthenticationSASL(nil, channel.Mechanisms()...)); err != nil {
		return person, false, nil
	}
	reader := wire.NewReader(nc, maxAuthMessage)
	reader.Accept(string(wire.MsgPassword))
	conversation := people.Begin(asked.user, channel)
	for first := true; ; first = false {
		data, refusal, err := readSASL(reader, conversation, first)
		if err != nil || refusal != nil {
			return person, false, refusal
		}
		var attempt *auth.Attempt
		if !first { // a proof, which is right or wrong: up to here nobody can have learnt anything about a password
			if attempt, refusal = s.attempt(nc, asked.user); attempt == nil {
				result = "limited"
				return person, false, refusal
			}
		}
		reply, done, err := conversation.Step(data)
		if attempt != nil {
			attempt.End(err != nil)
		}
		if err != nil {
			result = "failed"
			var refused *auth.RefusedError
			if !errors.As(err, &refused) {
				return person, false, &wire.Error{Code: "XX000", Message: "the login failed"}
			}
			if !first {
				asked.reason = refused.Reason
			}
			return person, false, refused.Wire()
		}
		if !done {
			if _, err := nc.Write(wire.AppendAuthenticationSASLContinue(nil, reply)); err != nil {
				return person, false, nil
			}
			continue
		}
		if reader.Buffered() > 0 {
			return person, false, &wire.Error{Code: "08P01", Message: "the client sent more before it was let in"}
		}
		person = conversation.Person()
		result, asked.final, asked.auth = "ok", reply, authOf(conversation, person)
		return person, true, nil
	}
}

// authOf is how the record names the way somebody has logged in.
func authOf(c *auth.Conversation, person auth.Person) string {
	way := strings.ToLower(c.Mechanism())
	if person.Login == auth.LoginBoth {
		return "certificate+" + way
	}
	return way
}

// attempt waits for its turn to try a password: who guesses queues until he is turned away. Only those who come from the
// same address under the same name wait with him, and only as long as they stay on the line. Without attempt and refusal the
// client has left.
func (s *Server) attempt(nc *link, user string) (*auth.Attempt, *wire.Error) {
	from, _ := netip.ParseAddrPort(nc.RemoteAddr().String())
	until := time.Now().Add(s.limits.LoginTimeout / 2)
	defer nc.SetReadDeadline(until.Add(s.limits.LoginTimeout / 2))
	for {
		if a, ok := s.logins.BeginAs(from.Addr(), user); ok {
			return a, nil
		}
		if time.Now().After(until) {
			return nil, &wire.Error{Code: "28000", Message: "too many failed logins from this address", Hint: "Wait a minute."}
		}
		// It is our turn to speak: whatever can be read is the end of the connection, or as good as that.
		nc.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		if _, err := nc.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, nil
		}
	}
}

// readSASL reads the client's next SASL message. An error means that there is nobody to talk to any more.
func readSASL(reader *wire.Reader, conversation *auth.Conversation, first bool) (data []byte, refusal *wire.Error, err error) {
	m, err := reader.Next()
	var violation *wire.ProtocolError
	if errors.As(err, &violation) {
		return nil, &wire.Error{Code: "08P01", Message: "expected a SASL response"}, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if !first {
		return m.Body(), nil, nil
	}
	initial, err := wire.ParseSASLInitialResponse(m.Body())
	if err != nil || !conversation.Choose(string(initial.Mechanism)) {
		return nil, &wire.Error{Code: "08P01", Message: "the client chose a SASL mechanism that was not offered"}, nil
	}
	return initial.Data, nil, nil
}

// maxAuthMessage bounds what somebody unknown may send at once.
const maxAuthMessage = 4096
