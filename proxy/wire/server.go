package wire

import "bytes"

// Decoders of what a server sends about the session. Each takes the body of a message and returns views of it.

// What an Authentication message asks for.
const (
	AuthOk                uint32 = 0
	AuthCleartextPassword uint32 = 3
	AuthMD5Password       uint32 = 5
	AuthGSS               uint32 = 7
	AuthGSSContinue       uint32 = 8
	AuthSSPI              uint32 = 9
	AuthSASL              uint32 = 10
	AuthSASLContinue      uint32 = 11
	AuthSASLFinal         uint32 = 12
)

// Authentication is one step of a server's authentication.
type Authentication struct {
	Code uint32 // one of the Auth constants
	Data []byte // the salt, the list of mechanisms (see NextMechanism), or the mechanism's data
}

// ParseAuthentication decodes an Authentication message.
func ParseAuthentication(body []byte) (a Authentication, err error) {
	c := cursor{rest: body}
	a.Code = c.uint32()
	a.Data = c.bytes(len(c.rest))
	switch a.Code {
	case AuthOk, AuthCleartextPassword, AuthGSS, AuthSSPI:
		if len(a.Data) > 0 {
			c.fail()
		}
	case AuthMD5Password:
		if len(a.Data) != 4 {
			c.fail()
		}
	case AuthSASL:
		if !validMechanisms(a.Data) {
			c.fail()
		}
	case AuthGSSContinue, AuthSASLContinue, AuthSASLFinal:
	default:
		c.fail()
	}
	return a, c.end("Authentication")
}

// validMechanisms checks a list of names, each ended by NUL, ended by an empty one.
func validMechanisms(list []byte) bool {
	c := cursor{rest: list}
	for len(c.text()) > 0 {
	}
	return !c.bad && len(c.rest) == 0
}

// Offers reports whether an AuthSASL offers a mechanism.
func (a Authentication) Offers(mechanism string) bool {
	for name, ok := a.NextMechanism(); ok; name, ok = a.NextMechanism() {
		if string(name) == mechanism {
			return true
		}
	}
	return false
}

// NextMechanism takes the first mechanism off the list of an AuthSASL; ok is false when none is left.
func (a *Authentication) NextMechanism() (name []byte, ok bool) {
	c := cursor{rest: a.Data}
	name = c.text()
	if a.Code != AuthSASL || len(name) == 0 {
		return nil, false
	}
	a.Data = c.rest
	return name, true
}

// ParameterStatus reports the value of a setting.
type ParameterStatus struct{ Name, Value []byte }

// ParseParameterStatus decodes a ParameterStatus.
func ParseParameterStatus(body []byte) (p ParameterStatus, err error) {
	c := cursor{rest: body}
	p.Name = c.text()
	p.Value = c.text()
	return p, c.end("ParameterStatus")
}

// BackendKeyData is what a client must show to cancel.
type BackendKeyData struct {
	PID uint32
	Key []byte // 4 to 256 bytes
}

// ParseBackendKeyData decodes a BackendKeyData.
func ParseBackendKeyData(body []byte) (k BackendKeyData, err error) {
	c := cursor{rest: body}
	k.PID = c.uint32()
	k.Key = c.bytes(len(c.rest))
	if len(k.Key) < minCancelKey || len(k.Key) > maxCancelKey {
		c.fail()
	}
	return k, c.end("BackendKeyData")
}

// NotificationResponse is what another session's NOTIFY said.
type NotificationResponse struct {
	PID              uint32
	Channel, Payload []byte
}

// ParseNotificationResponse decodes a NotificationResponse.
func ParseNotificationResponse(body []byte) (n NotificationResponse, err error) {
	c := cursor{rest: body}
	n.PID = c.uint32()
	n.Channel = c.text()
	n.Payload = c.text()
	return n, c.end("NotificationResponse")
}

// NegotiateProtocolVersion says what of a StartupMessage a server does not know.
type NegotiateProtocolVersion struct {
	Version uint32 // the newest the server speaks, major ‖ minor
	n       int
	options []byte
}

// ParseNegotiateProtocolVersion decodes a NegotiateProtocolVersion.
func ParseNegotiateProtocolVersion(body []byte) (v NegotiateProtocolVersion, err error) {
	c := cursor{rest: body}
	v.Version = c.uint32()
	n := c.uint32()
	v.options = c.rest
	// An option takes at least its NUL, which bounds n before anything is done n times.
	if uint64(n) > uint64(len(c.rest)) {
		c.fail()
		n = 0
	}
	v.n = int(n)
	for range v.n {
		c.text()
	}
	return v, c.end("NegotiateProtocolVersion")
}

// Options is the number of protocol options the server did not know.
func (v NegotiateProtocolVersion) Options() int { return v.n }

// NextOption takes the first unknown option off the list; ok is false when none is left.
func (v *NegotiateProtocolVersion) NextOption() (name []byte, ok bool) {
	if v.n == 0 {
		return nil, false
	}
	v.n--
	end := bytes.IndexByte(v.options, 0)
	name = v.options[:end:end]
	v.options = v.options[end+1:]
	return name, true
}
