package wire

import "encoding/binary"

// AppendAuthenticationOk appends an AuthenticationOk.
func AppendAuthenticationOk(dst []byte) []byte { return appendAuthentication(dst, AuthOk, nil) }

// AppendAuthenticationSASL appends an AuthenticationSASL that offers the mechanisms in that order.
func AppendAuthenticationSASL(dst []byte, mechanisms ...string) []byte {
	dst, at := Begin(dst, MsgAuthentication)
	dst = binary.BigEndian.AppendUint32(dst, AuthSASL)
	for _, m := range mechanisms {
		dst = appendText(dst, m)
	}
	return End(append(dst, 0), at)
}

// AppendAuthenticationSASLContinue appends an AuthenticationSASLContinue.
func AppendAuthenticationSASLContinue(dst, data []byte) []byte {
	return appendAuthentication(dst, AuthSASLContinue, data)
}

// AppendAuthenticationSASLFinal appends an AuthenticationSASLFinal.
func AppendAuthenticationSASLFinal(dst, data []byte) []byte {
	return appendAuthentication(dst, AuthSASLFinal, data)
}

func appendAuthentication(dst []byte, code uint32, data []byte) []byte {
	dst, at := Begin(dst, MsgAuthentication)
	dst = binary.BigEndian.AppendUint32(dst, code)
	return End(append(dst, data...), at)
}

// AppendParameterStatus appends a ParameterStatus.
func AppendParameterStatus[N, V text](dst []byte, name N, value V) []byte {
	dst, at := Begin(dst, MsgParameterStatus)
	return End(appendText(appendText(dst, name), value), at)
}

// AppendBackendKeyData appends a BackendKeyData.
func AppendBackendKeyData(dst []byte, pid uint32, key []byte) []byte {
	dst, at := Begin(dst, MsgBackendKeyData)
	dst = binary.BigEndian.AppendUint32(dst, pid)
	return End(append(dst, key...), at)
}

// AppendReadyForQuery appends a ReadyForQuery with the state of the transaction.
func AppendReadyForQuery(dst []byte, status byte) []byte {
	return append(dst, MsgReadyForQuery, 0, 0, 0, 5, status)
}

// AppendCommandComplete appends a CommandComplete.
func AppendCommandComplete[S text](dst []byte, tag S) []byte {
	dst, at := Begin(dst, MsgCommandComplete)
	return End(appendText(dst, tag), at)
}

// AppendParameterDescription appends a ParameterDescription.
func AppendParameterDescription(dst []byte, types OIDs) []byte {
	dst, at := Begin(dst, MsgParameterDescription)
	return End(appendOIDs(dst, types), at)
}

// AppendCopyResponse appends a CopyInResponse, CopyOutResponse or CopyBothResponse, as t says.
func AppendCopyResponse(dst []byte, t byte, r CopyResponse) []byte {
	dst, at := Begin(dst, t)
	return End(appendFormats(append(dst, r.Format), r.Columns), at)
}

// AppendFunctionCallResponse appends a FunctionCallResponse; nil is NULL.
func AppendFunctionCallResponse(dst, value []byte) []byte {
	dst, at := Begin(dst, MsgFunctionCallResponse)
	return End(appendValue(dst, value), at)
}

// AppendNotificationResponse appends a NotificationResponse.
func AppendNotificationResponse(dst []byte, n NotificationResponse) []byte {
	dst, at := Begin(dst, MsgNotificationResponse)
	dst = binary.BigEndian.AppendUint32(dst, n.PID)
	return End(appendText(appendText(dst, n.Channel), n.Payload), at)
}

// AppendNegotiateProtocolVersion appends a NegotiateProtocolVersion: the full version, major ‖ minor, and the options of
// the StartupMessage that are not known here.
func AppendNegotiateProtocolVersion(dst []byte, version uint32, unknown ...string) []byte {
	dst, at := Begin(dst, MsgNegotiateProtocolVersion)
	dst = binary.BigEndian.AppendUint32(dst, version)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(unknown)))
	for _, option := range unknown {
		dst = appendText(dst, option)
	}
	return End(dst, at)
}

// AppendStartup appends a StartupMessage.
func AppendStartup(dst []byte, version uint32, params ...Param) []byte {
	at := len(dst)
	dst = binary.BigEndian.AppendUint32(append(dst, 0, 0, 0, 0), version)
	for _, p := range params {
		dst = appendText(appendText(dst, p.Name), p.Value)
	}
	return endStartup(append(dst, 0), at)
}

// AppendCancelRequest appends a CancelRequest.
func AppendCancelRequest(dst []byte, pid uint32, key []byte) []byte {
	at := len(dst)
	dst = binary.BigEndian.AppendUint32(append(dst, 0, 0, 0, 0), cancelCode)
	dst = binary.BigEndian.AppendUint32(dst, pid)
	return endStartup(append(dst, key...), at)
}

// AppendSSLRequest appends an SSLRequest.
func AppendSSLRequest(dst []byte) []byte {
	return binary.BigEndian.AppendUint32(append(dst, 0, 0, 0, 8), sslCode)
}

// AppendGSSENCRequest appends a GSSENCRequest.
func AppendGSSENCRequest(dst []byte) []byte {
	return binary.BigEndian.AppendUint32(append(dst, 0, 0, 0, 8), gssencCode)
}

func endStartup(dst []byte, at int) []byte {
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at))
	return dst
}
