package proxy

import (
	"errors"
	"net/netip"
	"os"
	"time"

	"shiguan/proxy/auth"
	"shiguan/proxy/wire"
)

// authenticate runs SCRAM-SHA-256. An unknown user is not told from a wrong password. Without reader and refusal the
// client has left.
func (s *Server) authenticate(nc *link, asked *params) (person auth.Person, reader *wire.Reader, refusal *wire.Error) {
	result := "left"
	defer func() { s.metrics.login(result) }()
	if _, err := nc.Write(wire.AppendAuthenticationSASL(nil, scramSHA256)); err != nil {
		return person, nil, nil
	}
	reader = wire.NewReader(nc, maxAuthMessage)
	reader.Accept(string(wire.MsgPassword))
	conversation := s.people.Load().Begin(asked.user)
	for first := true; ; first = false {
		data, refusal, err := readSASL(reader, first)
		if err != nil || refusal != nil {
			return person, nil, refusal
		}
		var attempt *auth.Attempt
		if !first { // a proof, which is right or wrong: up to here nobody can have learnt anything about a password
			if attempt, refusal = s.attempt(nc, asked.user); attempt == nil {
				result = "limited"
				return person, nil, refusal
			}
		}
		reply, done, err := conversation.Step(data)
		if attempt != nil {
			attempt.End(err != nil)
		}
		if err != nil {
			result = "failed"
			var refused *auth.RefusedError
			if errors.As(err, &refused) && !first {
				asked.reason = refused.Reason
			}
			return person, nil, &wire.Error{Code: "28P01", Message: "password authentication failed for user \"" + asked.user + "\""}
		}
		if !done {
			if _, err := nc.Write(wire.AppendAuthenticationSASLContinue(nil, reply)); err != nil {
				return person, nil, nil
			}
			continue
		}
		if reader.Buffered() > 0 {
			return person, nil, &wire.Error{Code: "08P01", Message: "the client sent more before it was let in"}
		}
		result, asked.final = "ok", reply
		reader = wire.NewReader(nc, s.limits.MessageBytes)
		reader.Accept(wire.ClientTypes)
		return conversation.Person(), reader, nil
	}
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

const scramSHA256 = "SCRAM-SHA-256"

// readSASL reads the client's next SASL message. An error means that there is nobody to talk to any more.
func readSASL(reader *wire.Reader, first bool) (data []byte, refusal *wire.Error, err error) {
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
	if err != nil || string(initial.Mechanism) != scramSHA256 {
		return nil, &wire.Error{Code: "08P01", Message: "the client chose a SASL mechanism that was not offered"}, nil
	}
	return initial.Data, nil, nil
}

// maxAuthMessage bounds what somebody unknown may send at once.
const maxAuthMessage = 4096
