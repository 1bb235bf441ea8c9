package wire

import (
	"bytes"
	"strconv"
)

// Codes of the fields of ErrorResponse and NoticeResponse. A server may leave out any and add others.
const (
	FieldSeverity         byte = 'S' // translated
	FieldSeverityPlain    byte = 'V' // never translated
	FieldCode             byte = 'C'
	FieldMessage          byte = 'M'
	FieldDetail           byte = 'D'
	FieldHint             byte = 'H'
	FieldPosition         byte = 'P'
	FieldInternalPosition byte = 'p'
	FieldInternalQuery    byte = 'q'
	FieldWhere            byte = 'W'
	FieldSchema           byte = 's'
	FieldTable            byte = 't'
	FieldColumn           byte = 'c'
	FieldDataType         byte = 'd'
	FieldConstraint       byte = 'n'
	FieldFile             byte = 'F'
	FieldLine             byte = 'L'
	FieldRoutine          byte = 'R'
)

// NoticeFields is a view of the fields of an ErrorResponse or NoticeResponse. It is checked when it is made, so walking it
// cannot fail.
type NoticeFields struct{ rest []byte }

// ParseErrorResponse decodes an ErrorResponse. Missing and unknown fields are no fault.
func ParseErrorResponse(body []byte) (NoticeFields, error) { return parseNotice(body, "ErrorResponse") }

// ParseNoticeResponse decodes a NoticeResponse. Missing and unknown fields are no fault.
func ParseNoticeResponse(body []byte) (NoticeFields, error) {
	return parseNotice(body, "NoticeResponse")
}

func parseNotice(body []byte, message string) (NoticeFields, error) {
	c := cursor{rest: body}
	for c.byte() != 0 {
		c.text()
	}
	if err := c.end(message); err != nil {
		return NoticeFields{}, err
	}
	return NoticeFields{rest: body[:len(body)-1]}, nil
}

// Next takes the first field off the list; ok is false when none is left.
func (f *NoticeFields) Next() (code byte, value []byte, ok bool) {
	if len(f.rest) == 0 {
		return 0, nil, false
	}
	code = f.rest[0]
	end := 1 + bytes.IndexByte(f.rest[1:], 0)
	value = f.rest[1:end:end]
	f.rest = f.rest[end+1:]
	return code, value, true
}

// Get returns the first field of that code, nil if there is none.
func (f NoticeFields) Get(code byte) []byte {
	for c, value, ok := f.Next(); ok; c, value, ok = f.Next() {
		if c == code {
			return value
		}
	}
	return nil
}

// Severity is the untranslated severity, or the translated one from servers older than 9.6.
func (f NoticeFields) Severity() []byte {
	if v := f.Get(FieldSeverityPlain); v != nil {
		return v
	}
	return f.Get(FieldSeverity)
}

// Fatal reports that the server ends the session with this error.
func (f NoticeFields) Fatal() bool {
	s := string(f.Severity())
	return s == "FATAL" || s == "PANIC"
}

// Error is an error or notice of our own, as a client is to see it.
type Error struct {
	Severity string // "ERROR" when empty
	Code     string // SQLSTATE
	Message  string
	Detail   string
	Hint     string
	Where    string
	Position int // in characters of the statement, from 1; 0 = none
}

func (e *Error) Error() string { return e.severity() + ": " + e.Message + " (SQLSTATE " + e.Code + ")" }

func (e *Error) severity() string {
	if e.Severity == "" {
		return "ERROR"
	}
	return e.Severity
}

// AppendError appends e as an ErrorResponse. A field's text ends at its first NUL, if it has one.
func AppendError(dst []byte, e *Error) []byte { return appendNotice(dst, MsgErrorResponse, e) }

// AppendNotice appends e as a NoticeResponse; give it a severity of "NOTICE" or "WARNING".
func AppendNotice(dst []byte, e *Error) []byte { return appendNotice(dst, MsgNoticeResponse, e) }

func appendNotice(dst []byte, t byte, e *Error) []byte {
	dst, at := Begin(dst, t)
	dst = AppendNoticeField(dst, FieldSeverity, e.severity())
	dst = AppendNoticeField(dst, FieldSeverityPlain, e.severity())
	dst = AppendNoticeField(dst, FieldCode, e.Code)
	dst = AppendNoticeField(dst, FieldMessage, e.Message)
	if e.Detail != "" {
		dst = AppendNoticeField(dst, FieldDetail, e.Detail)
	}
	if e.Hint != "" {
		dst = AppendNoticeField(dst, FieldHint, e.Hint)
	}
	if e.Position > 0 {
		dst = AppendNoticeField(dst, FieldPosition, strconv.Itoa(e.Position))
	}
	if e.Where != "" {
		dst = AppendNoticeField(dst, FieldWhere, e.Where)
	}
	return EndNotice(dst, at)
}

// AppendNoticeField appends one field between Begin and EndNotice. The text ends at its first NUL, if it has one.
func AppendNoticeField[S text](dst []byte, code byte, value S) []byte {
	dst = append(dst, code)
	at := len(dst)
	dst = append(dst, value...)
	if n := bytes.IndexByte(dst[at:], 0); n >= 0 {
		dst = dst[:at+n]
	}
	return append(dst, 0)
}

// EndNotice ends an ErrorResponse or NoticeResponse that Begin began at at.
func EndNotice(dst []byte, at int) []byte { return End(append(dst, 0), at) }
