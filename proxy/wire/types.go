package wire

// Message types that a client sends, by PostgreSQL's names.
const (
	MsgBind         byte = 'B'
	MsgClose        byte = 'C'
	MsgDescribe     byte = 'D'
	MsgExecute      byte = 'E'
	MsgFlush        byte = 'H'
	MsgFunctionCall byte = 'F'
	MsgParse        byte = 'P'
	MsgPassword     byte = 'p' // PasswordMessage, SASLInitialResponse, SASLResponse and GSSResponse share it
	MsgQuery        byte = 'Q'
	MsgSync         byte = 'S'
	MsgTerminate    byte = 'X'
	MsgCopyFail     byte = 'f'
)

// Message types that either side sends.
const (
	MsgCopyData byte = 'd'
	MsgCopyDone byte = 'c'
)

// Message types that a server sends, by PostgreSQL's names.
const (
	MsgAuthentication           byte = 'R'
	MsgBackendKeyData           byte = 'K'
	MsgBindComplete             byte = '2'
	MsgCloseComplete            byte = '3'
	MsgCommandComplete          byte = 'C'
	MsgCopyBothResponse         byte = 'W'
	MsgCopyInResponse           byte = 'G'
	MsgCopyOutResponse          byte = 'H'
	MsgDataRow                  byte = 'D'
	MsgEmptyQueryResponse       byte = 'I'
	MsgErrorResponse            byte = 'E'
	MsgFunctionCallResponse     byte = 'V'
	MsgNegotiateProtocolVersion byte = 'v'
	MsgNoData                   byte = 'n'
	MsgNoticeResponse           byte = 'N'
	MsgNotificationResponse     byte = 'A'
	MsgParameterDescription     byte = 't'
	MsgParameterStatus          byte = 'S'
	MsgParseComplete            byte = '1'
	MsgPortalSuspended          byte = 's'
	MsgReadyForQuery            byte = 'Z'
	MsgRowDescription           byte = 'T'
)

// The tables are closed: a type without a name here does not exist, and whoever receives one must end the connection.
var (
	clientNames = [256]string{
		MsgBind: "Bind", MsgClose: "Close", MsgDescribe: "Describe", MsgExecute: "Execute", MsgFlush: "Flush",
		MsgFunctionCall: "FunctionCall", MsgParse: "Parse", MsgPassword: "PasswordMessage", MsgQuery: "Query",
		MsgSync: "Sync", MsgTerminate: "Terminate", MsgCopyFail: "CopyFail", MsgCopyData: "CopyData",
		MsgCopyDone: "CopyDone",
	}
	serverNames = [256]string{
		MsgAuthentication: "Authentication", MsgBackendKeyData: "BackendKeyData", MsgBindComplete: "BindComplete",
		MsgCloseComplete: "CloseComplete", MsgCommandComplete: "CommandComplete",
		MsgCopyBothResponse: "CopyBothResponse", MsgCopyInResponse: "CopyInResponse",
		MsgCopyOutResponse: "CopyOutResponse", MsgCopyData: "CopyData", MsgCopyDone: "CopyDone",
		MsgDataRow: "DataRow", MsgEmptyQueryResponse: "EmptyQueryResponse", MsgErrorResponse: "ErrorResponse",
		MsgFunctionCallResponse: "FunctionCallResponse", MsgNegotiateProtocolVersion: "NegotiateProtocolVersion",
		MsgNoData: "NoData", MsgNoticeResponse: "NoticeResponse", MsgNotificationResponse: "NotificationResponse",
		MsgParameterDescription: "ParameterDescription", MsgParameterStatus: "ParameterStatus",
		MsgParseComplete: "ParseComplete", MsgPortalSuspended: "PortalSuspended",
		MsgReadyForQuery: "ReadyForQuery", MsgRowDescription: "RowDescription",
	}
)

// KnownClient reports whether a client may ever send a message of type t after the startup phase.
func KnownClient(t byte) bool { return clientNames[t] != "" }

// KnownServer reports whether a server may ever send a message of type t.
func KnownServer(t byte) bool { return serverNames[t] != "" }

// ClientName is PostgreSQL's name of a client's message type, "" when there is no such type.
func ClientName(t byte) string { return clientNames[t] }

// ServerName is PostgreSQL's name of a server's message type, "" when there is no such type.
func ServerName(t byte) string { return serverNames[t] }

// ClientTypes are the messages that a client may send once it has logged in.
const ClientTypes = "BCDEFHPQSXcdf"
