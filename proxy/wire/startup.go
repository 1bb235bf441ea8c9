package wire

import (
	"encoding/binary"
	"io"
)

// Bounds and codes of the startup phase, whose packets have no type byte.
const (
	minStartupLength = 8
	maxStartupLength = 10000 // PostgreSQL's MAX_STARTUP_PACKET_LENGTH

	minCancelKey = 4
	maxCancelKey = 256

	cancelCode uint32 = 1234<<16 | 5678
	sslCode    uint32 = 1234<<16 | 5679
	gssencCode uint32 = 1234<<16 | 5680

	Version30 uint32 = 3 << 16   // protocol 3.0
	Version32 uint32 = 3<<16 | 2 // protocol 3.2: longer cancel keys
)

// Startup is one packet of the startup phase: SSLRequest, GSSENCRequest, CancelRequest or StartupMessage; or TLSRecord,
// which is none. Unlike messages it is a copy and may be kept.
type Startup interface{ startup() }

// SSLRequest asks whether TLS is to be had: answer 'S' or 'N'.
type SSLRequest struct{}

// GSSENCRequest asks whether GSSAPI encryption is to be had: answer 'G' or 'N'.
type GSSENCRequest struct{}

// CancelRequest asks to cancel what the session of this process ID and key is doing. It is never answered.
type CancelRequest struct {
	PID uint32
	Key []byte // 4 to 256 bytes; 4 in protocol 3.0
}

// TLSRecord says that the peer speaks TLS without having asked first: what was read belongs to its handshake.
type TLSRecord struct{ Head [4]byte }

// tlsHandshake is the first byte of a TLS handshake, which no packet can have: it would be far too long.
const tlsHandshake = 0x16

// StartupMessage opens a session.
type StartupMessage struct {
	Version uint32 // major ‖ minor, 16 bits each

	// Params are in the order sent; a name may come twice unless it is user or database. They are read only when the major
	// version is 3: other versions have another layout, and all one may do is refuse them.
	Params []Param
}

// Param is one setting of a StartupMessage.
type Param struct{ Name, Value string }

func (SSLRequest) startup()     {}
func (GSSENCRequest) startup()  {}
func (CancelRequest) startup()  {}
func (StartupMessage) startup() {}
func (TLSRecord) startup()      {}

// Get returns the last value of a parameter, as PostgreSQL would take it.
func (m StartupMessage) Get(name string) (value string, ok bool) {
	for _, p := range m.Params {
		if p.Name == name {
			value, ok = p.Value, true
		}
	}
	return value, ok
}

// ReadStartup reads exactly one packet of the startup phase and not a byte more, so that TLS may begin with the next one.
// What breaks the protocol is a *ProtocolError; io.EOF means the peer left without a word.
func ReadStartup(r io.Reader) (Startup, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	if head[0] == tlsHandshake {
		return TLSRecord{head}, nil
	}
	length := binary.BigEndian.Uint32(head[:])
	if length < minStartupLength || length > maxStartupLength {
		return nil, violation("invalid length of startup packet")
	}
	packet := make([]byte, length-4)
	if _, err := io.ReadFull(r, packet); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return parseStartup(packet)
}

// parseStartup decodes what follows the length word.
func parseStartup(packet []byte) (Startup, error) {
	code, body := binary.BigEndian.Uint32(packet), packet[4:]
	switch code {
	case sslCode:
		if len(body) != 0 {
			return nil, violation("invalid SSLRequest: trailing bytes")
		}
		return SSLRequest{}, nil
	case gssencCode:
		if len(body) != 0 {
			return nil, violation("invalid GSSENCRequest: trailing bytes")
		}
		return GSSENCRequest{}, nil
	case cancelCode:
		if len(body) < 4+minCancelKey || len(body) > 4+maxCancelKey {
			return nil, violation("invalid CancelRequest: key must have %d to %d bytes", minCancelKey, maxCancelKey)
		}
		return CancelRequest{PID: binary.BigEndian.Uint32(body), Key: body[4:]}, nil
	}
	if code>>16 != 3 {
		return StartupMessage{Version: code}, nil
	}
	params, err := parseParams(body)
	if err != nil {
		return nil, err
	}
	return StartupMessage{Version: code, Params: params}, nil
}

func parseParams(body []byte) ([]Param, error) {
	var params []Param
	var user, database bool
	c := cursor{rest: body}
	for {
		name := c.text()
		if c.bad {
			return nil, violation("invalid startup packet layout: expected terminator as last byte")
		}
		if len(name) == 0 {
			break
		}
		value := c.text()
		if c.bad {
			return nil, violation("invalid startup packet layout: parameter without a value")
		}
		p := Param{Name: string(name), Value: string(value)}
		if p.Name == "user" && user || p.Name == "database" && database {
			return nil, violation("invalid startup packet: %s is given twice", p.Name)
		}
		user = user || p.Name == "user"
		database = database || p.Name == "database"
		params = append(params, p)
	}
	if len(c.rest) > 0 {
		return nil, violation("invalid startup packet layout: bytes follow the terminator")
	}
	return params, nil
}
