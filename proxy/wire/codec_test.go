package wire_test

import (
	"github.com/jackc/pgproto3/v2"

	"shiguan/proxy/wire"
)

// codec is one message with both of its codecs: ours, and pgproto3's as the second opinion. Both decode a body and
// encode what they understood as a whole message.
type codec struct {
	name    string
	msgType byte
	client  bool

	ours func(body []byte) ([]byte, error)

	// second makes the second codec's message; nil where it has none.
	second func() pgproto3.Message

	// open: the body has no structure of its own at its end, so that a longer or shorter one may be as good.
	open bool
	// lossy says why the second codec may write other bytes than it read.
	lossy string
	// refuses says what the second codec wrongly takes for an error.
	refuses string
	// lenient says what of a body that we refuse the second codec never looks at, so that it gives it back unchanged.
	lenient string
}

func (c codec) side() string {
	if c.client {
		return "client"
	}
	return "server"
}

func empty(t byte) func([]byte) ([]byte, error) {
	return func(body []byte) ([]byte, error) {
		if err := wire.ParseEmpty(body); err != nil {
			return nil, err
		}
		return wire.AppendEmpty(nil, t), nil
	}
}

func notice(t byte, parse func([]byte) (wire.NoticeFields, error)) func([]byte) ([]byte, error) {
	return func(body []byte) ([]byte, error) {
		fields, err := parse(body)
		if err != nil {
			return nil, err
		}
		dst, at := wire.Begin(nil, t)
		for code, value, ok := fields.Next(); ok; code, value, ok = fields.Next() {
			dst = wire.AppendNoticeField(dst, code, value)
		}
		return wire.EndNotice(dst, at), nil
	}
}

func copyResponse(t byte) func([]byte) ([]byte, error) {
	return func(body []byte) ([]byte, error) {
		r, err := wire.ParseCopyResponse(body)
		if err != nil {
			return nil, err
		}
		return wire.AppendCopyResponse(nil, t, r), nil
	}
}

// via joins a decoder and an encoder.
func via[T any](parse func([]byte) (T, error), encode func(T) []byte) func([]byte) ([]byte, error) {
	return func(body []byte) ([]byte, error) {
		v, err := parse(body)
		if err != nil {
			return nil, err
		}
		return encode(v), nil
	}
}

func second[T any, P interface {
	*T
	pgproto3.Message
}]() func() pgproto3.Message {
	return func() pgproto3.Message { return P(new(T)) }
}

var codecs = []codec{
	{name: "Query", msgType: wire.MsgQuery, client: true, second: second[pgproto3.Query](),
		ours: via(wire.ParseQuery, func(q []byte) []byte { return wire.AppendQuery(nil, q) })},
	{name: "Parse", msgType: wire.MsgParse, client: true, second: second[pgproto3.Parse](),
		ours: via(wire.ParseParse, func(p wire.Parse) []byte { return wire.AppendParse(nil, p.Name, p.Query, p.ParamTypes) })},
	{name: "Bind", msgType: wire.MsgBind, client: true, second: second[pgproto3.Bind](), lenient: "format codes and their number",
		ours: via(wire.ParseBind, func(b wire.Bind) []byte { return wire.AppendBind(nil, b) })},
	{name: "Execute", msgType: wire.MsgExecute, client: true, second: second[pgproto3.Execute](),
		ours: via(wire.ParseExecute, func(e wire.Execute) []byte { return wire.AppendExecute(nil, e.Portal, e.MaxRows) })},
	{name: "Describe", msgType: wire.MsgDescribe, client: true, second: second[pgproto3.Describe](), lenient: "the kind of object",
		ours: via(wire.ParseDescribe, func(d wire.Target) []byte { return wire.AppendDescribe(nil, d.Kind, d.Name) })},
	{name: "Close", msgType: wire.MsgClose, client: true, second: second[pgproto3.Close](), lenient: "the kind of object",
		ours: via(wire.ParseClose, func(d wire.Target) []byte { return wire.AppendClose(nil, d.Kind, d.Name) })},
	{name: "CopyFail", msgType: wire.MsgCopyFail, client: true, second: second[pgproto3.CopyFail](),
		ours: via(wire.ParseCopyFail, func(r []byte) []byte { return wire.AppendCopyFail(nil, r) })},
	{name: "FunctionCall", msgType: wire.MsgFunctionCall, client: true, second: second[pgproto3.FunctionCall](), lenient: "the number of format codes",
		ours: via(wire.ParseFunctionCall, func(f wire.FunctionCall) []byte { return wire.AppendFunctionCall(nil, f) })},
	{name: "PasswordMessage", msgType: wire.MsgPassword, client: true, second: second[pgproto3.PasswordMessage](), lenient: "NUL in the password",
		ours: via(wire.ParsePassword, func(p []byte) []byte { return wire.AppendPassword(nil, p) })},
	{name: "SASLInitialResponse", msgType: wire.MsgPassword, client: true, second: second[pgproto3.SASLInitialResponse](), lossy: "absent data become empty data",
		ours: via(wire.ParseSASLInitialResponse, func(s wire.SASLInitialResponse) []byte {
			return wire.AppendSASLInitialResponse(nil, s.Mechanism, s.Data)
		})},
	{name: "Sync", msgType: wire.MsgSync, client: true, second: second[pgproto3.Sync](), ours: empty(wire.MsgSync)},
	{name: "Flush", msgType: wire.MsgFlush, client: true, second: second[pgproto3.Flush](), ours: empty(wire.MsgFlush)},
	{name: "Terminate", msgType: wire.MsgTerminate, client: true, second: second[pgproto3.Terminate](), ours: empty(wire.MsgTerminate)},
	{name: "CopyDone", msgType: wire.MsgCopyDone, client: true, second: second[pgproto3.CopyDone](), ours: empty(wire.MsgCopyDone)},

	{name: "RowDescription", msgType: wire.MsgRowDescription, second: second[pgproto3.RowDescription](), lenient: "format codes",
		ours: via(wire.ParseRowDescription, encodeFields)},
	{name: "DataRow", msgType: wire.MsgDataRow, second: second[pgproto3.DataRow](), ours: via(wire.ParseDataRow, encodeRow)},
	{name: "CommandComplete", msgType: wire.MsgCommandComplete, second: second[pgproto3.CommandComplete](),
		ours: via(wire.ParseCommandComplete, func(tag []byte) []byte { return wire.AppendCommandComplete(nil, tag) })},
	{name: "ReadyForQuery", msgType: wire.MsgReadyForQuery, second: second[pgproto3.ReadyForQuery](), lenient: "the status",
		ours: via(wire.ParseReadyForQuery, func(s byte) []byte { return wire.AppendReadyForQuery(nil, s) })},
	{name: "ErrorResponse", msgType: wire.MsgErrorResponse, second: second[pgproto3.ErrorResponse](), lossy: "fields are sorted, repeated and empty ones dropped",
		ours: notice(wire.MsgErrorResponse, wire.ParseErrorResponse)},
	{name: "NoticeResponse", msgType: wire.MsgNoticeResponse, second: second[pgproto3.NoticeResponse](), lossy: "fields are sorted, repeated and empty ones dropped",
		ours: notice(wire.MsgNoticeResponse, wire.ParseNoticeResponse)},
	{name: "ParameterStatus", msgType: wire.MsgParameterStatus, second: second[pgproto3.ParameterStatus](),
		ours: via(wire.ParseParameterStatus, func(p wire.ParameterStatus) []byte { return wire.AppendParameterStatus(nil, p.Name, p.Value) })},
	{name: "BackendKeyData", msgType: wire.MsgBackendKeyData, open: true,
		ours: via(wire.ParseBackendKeyData, func(k wire.BackendKeyData) []byte { return wire.AppendBackendKeyData(nil, k.PID, k.Key) })},
	{name: "NotificationResponse", msgType: wire.MsgNotificationResponse, second: second[pgproto3.NotificationResponse](),
		ours: via(wire.ParseNotificationResponse, func(n wire.NotificationResponse) []byte { return wire.AppendNotificationResponse(nil, n) })},
	{name: "CopyInResponse", msgType: wire.MsgCopyInResponse, second: second[pgproto3.CopyInResponse](), lenient: "format codes",
		ours: copyResponse(wire.MsgCopyInResponse)},
	{name: "CopyOutResponse", msgType: wire.MsgCopyOutResponse, second: second[pgproto3.CopyOutResponse](), lenient: "format codes",
		ours: copyResponse(wire.MsgCopyOutResponse)},
	{name: "CopyBothResponse", msgType: wire.MsgCopyBothResponse, second: second[pgproto3.CopyBothResponse](), lenient: "format codes",
		ours: copyResponse(wire.MsgCopyBothResponse)},
	{name: "ParameterDescription", msgType: wire.MsgParameterDescription, second: second[pgproto3.ParameterDescription](),
		ours: via(wire.ParseParameterDescription, func(o wire.OIDs) []byte { return wire.AppendParameterDescription(nil, o) })},
	{name: "Authentication", msgType: wire.MsgAuthentication, open: true, ours: via(wire.ParseAuthentication, encodeAuthentication)},
	{name: "NegotiateProtocolVersion", msgType: wire.MsgNegotiateProtocolVersion,
		ours: via(wire.ParseNegotiateProtocolVersion, encodeNegotiation)},
	{name: "FunctionCallResponse", msgType: wire.MsgFunctionCallResponse, second: second[pgproto3.FunctionCallResponse](), refuses: "NULL",
		ours: via(wire.ParseFunctionCallResponse, func(v []byte) []byte { return wire.AppendFunctionCallResponse(nil, v) })},
	{name: "ParseComplete", msgType: wire.MsgParseComplete, second: second[pgproto3.ParseComplete](), ours: empty(wire.MsgParseComplete)},
	{name: "BindComplete", msgType: wire.MsgBindComplete, second: second[pgproto3.BindComplete](), ours: empty(wire.MsgBindComplete)},
	{name: "CloseComplete", msgType: wire.MsgCloseComplete, second: second[pgproto3.CloseComplete](), ours: empty(wire.MsgCloseComplete)},
	{name: "NoData", msgType: wire.MsgNoData, second: second[pgproto3.NoData](), ours: empty(wire.MsgNoData)},
	{name: "PortalSuspended", msgType: wire.MsgPortalSuspended, second: second[pgproto3.PortalSuspended](), ours: empty(wire.MsgPortalSuspended)},
	{name: "EmptyQueryResponse", msgType: wire.MsgEmptyQueryResponse, second: second[pgproto3.EmptyQueryResponse](), ours: empty(wire.MsgEmptyQueryResponse)},
	{name: "CopyDone", msgType: wire.MsgCopyDone, second: second[pgproto3.CopyDone](), ours: empty(wire.MsgCopyDone)},
}

func encodeFields(fields wire.Fields) []byte {
	b := wire.BeginRowDescription(nil)
	for f, ok := fields.Next(); ok; f, ok = fields.Next() {
		b.Field(f)
	}
	return b.End()
}

func encodeRow(values wire.Values) []byte {
	b := wire.BeginDataRow(nil)
	for i, v := range values.All() {
		switch {
		case v == nil:
			b.Null()
		case i%2 == 0:
			b.Value(v)
		default:
			dst, at := b.OpenValue()
			b.CloseValue(append(dst, v...), at)
		}
	}
	return b.End()
}

func encodeAuthentication(a wire.Authentication) []byte {
	switch a.Code {
	case wire.AuthOk:
		return wire.AppendAuthenticationOk(nil)
	case wire.AuthSASL:
		var mechanisms []string
		for m, ok := a.NextMechanism(); ok; m, ok = a.NextMechanism() {
			mechanisms = append(mechanisms, string(m))
		}
		return wire.AppendAuthenticationSASL(nil, mechanisms...)
	case wire.AuthSASLContinue:
		return wire.AppendAuthenticationSASLContinue(nil, a.Data)
	case wire.AuthSASLFinal:
		return wire.AppendAuthenticationSASLFinal(nil, a.Data)
	}
	dst, at := wire.Begin(nil, wire.MsgAuthentication)
	return wire.End(append(append(dst, 0, 0, 0, byte(a.Code)), a.Data...), at)
}

func encodeNegotiation(v wire.NegotiateProtocolVersion) []byte {
	var options []string
	for o, ok := v.NextOption(); ok; o, ok = v.NextOption() {
		options = append(options, string(o))
	}
	return wire.AppendNegotiateProtocolVersion(nil, v.Version, options...)
}
