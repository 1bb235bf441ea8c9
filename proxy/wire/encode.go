package wire

import (
	"bytes"
	"encoding/binary"
)

// Encoders append one message to dst and return it, as append does: with room in dst they allocate nothing. Text given to
// them must not contain NUL, which would end it early and turn its rest into other fields: they panic, since text that
// was decoded cannot contain one, and sending a cut statement would be worse.

// text is a string or a view of one.
type text interface{ ~string | ~[]byte }

func appendText[S text](dst []byte, s S) []byte {
	at := len(dst)
	dst = append(dst, s...)
	if bytes.IndexByte(dst[at:], 0) >= 0 {
		panic("wire: text with a NUL cannot be sent")
	}
	return append(dst, 0)
}

// appendValue appends a length-prefixed value; nil is NULL.
func appendValue(dst, value []byte) []byte {
	if value == nil {
		return append(dst, 0xff, 0xff, 0xff, 0xff)
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(value)))
	return append(dst, value...)
}

func appendFormats(dst []byte, f Formats) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(f.Len())), f...)
}

func appendOIDs(dst []byte, o OIDs) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(o.Len())), o...)
}

func appendValues(dst []byte, v Values) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(v.n)), v.rest...)
}

// Begin appends the header of a message of type t; End, given the position that Begin returned, fills in its length.
func Begin(dst []byte, t byte) (_ []byte, at int) {
	return append(dst, t, 0, 0, 0, 0), len(dst)
}

// End completes the message that Begin began at at. It panics when the message has 1 GiB or more.
func End(dst []byte, at int) []byte {
	n := len(dst) - at - 1
	if n > maxLength {
		panic("wire: message of 1 GiB or more cannot be sent")
	}
	binary.BigEndian.PutUint32(dst[at+1:], uint32(n))
	return dst
}

// AppendEmpty appends a message without a body: Sync, Flush, Terminate, CopyDone, ParseComplete, BindComplete,
// CloseComplete, NoData, PortalSuspended or EmptyQueryResponse.
func AppendEmpty(dst []byte, t byte) []byte { return append(dst, t, 0, 0, 0, 4) }

// AppendSync appends a Sync.
func AppendSync(dst []byte) []byte { return AppendEmpty(dst, MsgSync) }

// AppendFlush appends a Flush.
func AppendFlush(dst []byte) []byte { return AppendEmpty(dst, MsgFlush) }

// AppendTerminate appends a Terminate.
func AppendTerminate(dst []byte) []byte { return AppendEmpty(dst, MsgTerminate) }

// AppendQuery appends a Query.
func AppendQuery[S text](dst []byte, query S) []byte {
	dst, at := Begin(dst, MsgQuery)
	return End(appendText(dst, query), at)
}

// AppendParse appends a Parse.
func AppendParse[S, Q text](dst []byte, name S, query Q, paramTypes OIDs) []byte {
	dst, at := Begin(dst, MsgParse)
	dst = appendText(dst, name)
	dst = appendText(dst, query)
	return End(appendOIDs(dst, paramTypes), at)
}

// AppendBind appends a Bind.
func AppendBind(dst []byte, b Bind) []byte {
	dst, at := Begin(dst, MsgBind)
	dst = appendText(dst, b.Portal)
	dst = appendText(dst, b.Statement)
	dst = appendFormats(dst, b.ParamFormats)
	dst = appendValues(dst, b.Params)
	return End(appendFormats(dst, b.ResultFormats), at)
}

// AppendDescribe appends a Describe of a statement or portal.
func AppendDescribe[S text](dst []byte, kind byte, name S) []byte {
	return appendTarget(dst, MsgDescribe, kind, name)
}

// AppendClose appends a Close of a statement or portal.
func AppendClose[S text](dst []byte, kind byte, name S) []byte {
	return appendTarget(dst, MsgClose, kind, name)
}

func appendTarget[S text](dst []byte, t, kind byte, name S) []byte {
	dst, at := Begin(dst, t)
	return End(appendText(append(dst, kind), name), at)
}

// AppendExecute appends an Execute; 0 rows means all.
func AppendExecute[S text](dst []byte, portal S, maxRows int32) []byte {
	dst, at := Begin(dst, MsgExecute)
	dst = appendText(dst, portal)
	return End(binary.BigEndian.AppendUint32(dst, uint32(maxRows)), at)
}

// AppendFunctionCall appends a FunctionCall.
func AppendFunctionCall(dst []byte, f FunctionCall) []byte {
	dst, at := Begin(dst, MsgFunctionCall)
	dst = binary.BigEndian.AppendUint32(dst, f.Function)
	dst = appendFormats(dst, f.ArgFormats)
	dst = appendValues(dst, f.Args)
	return End(binary.BigEndian.AppendUint16(dst, uint16(f.ResultFormat)), at)
}

// AppendCopyData appends a CopyData.
func AppendCopyData(dst, data []byte) []byte {
	dst, at := Begin(dst, MsgCopyData)
	return End(append(dst, data...), at)
}

// AppendCopyFail appends a CopyFail.
func AppendCopyFail[S text](dst []byte, reason S) []byte {
	dst, at := Begin(dst, MsgCopyFail)
	return End(appendText(dst, reason), at)
}

// AppendPassword appends a PasswordMessage.
func AppendPassword[S text](dst []byte, password S) []byte {
	dst, at := Begin(dst, MsgPassword)
	return End(appendText(dst, password), at)
}

// AppendSASLInitialResponse appends a SASLInitialResponse.
func AppendSASLInitialResponse[S text](dst []byte, mechanism S, data []byte) []byte {
	dst, at := Begin(dst, MsgPassword)
	return End(appendValue(appendText(dst, mechanism), data), at)
}

// AppendSASLResponse appends a SASLResponse.
func AppendSASLResponse(dst, data []byte) []byte {
	dst, at := Begin(dst, MsgPassword)
	return End(append(dst, data...), at)
}
