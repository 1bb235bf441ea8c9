package record

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// Append appends the record's canonical JSON to dst. It allocates nothing
// except to grow dst and, when Detail is set, to sort its names. It fails for
// an unknown kind or version and a time before 1970 or after 9999; strings that
// are not UTF-8 have each wrong byte written as U+FFFD.
func (r *Record) Append(dst []byte) ([]byte, error) {
	if r.V != 0 && r.V != Version {
		return dst, fmt.Errorf("record version %d cannot be written, only %d", r.V, Version)
	}
	if !r.Kind.Known() {
		return dst, fmt.Errorf("record of %v cannot be written", r.Kind)
	}
	if ms := r.Time.UnixMilli(); ms < 0 || ms > MaxTime {
		return dst, fmt.Errorf("record time %d ms is not between 1970 and 9999", ms)
	}
	for name := range r.Detail {
		if !utf8.ValidString(name) {
			return dst, fmt.Errorf("record detail %q cannot be written: the name is not UTF-8", name)
		}
	}
	dst = append(dst, `{"v":1,"kind":"`...)
	dst = append(dst, kindNames[r.Kind]...)
	dst = append(dst, `","time":"`...)
	dst = appendTime(dst, r.Time)
	dst = append(dst, '"')
	dst = r.appendWho(dst)
	dst = r.appendWhat(dst)
	dst = r.appendDecision(dst)
	dst = r.appendEnd(dst)
	return append(dst, '}'), nil
}

func (r *Record) appendWho(dst []byte) []byte {
	dst = appendField(dst, `,"session":`, r.Session)
	if r.Seq != 0 {
		dst = strconv.AppendUint(append(dst, `,"seq":`...), r.Seq, 10)
	}
	dst = appendField(dst, `,"person":`, r.Person)
	dst = appendField(dst, `,"department":`, r.Department)
	dst = appendField(dst, `,"position":`, r.Position)
	dst = appendField(dst, `,"role":`, r.Role)
	dst = appendField(dst, `,"database":`, r.Database)
	dst = appendField(dst, `,"client":`, r.Client)
	dst = appendField(dst, `,"application":`, r.Application)
	dst = appendField(dst, `,"auth":`, r.Auth)
	return appendField(dst, `,"tls":`, r.TLS)
}

func (r *Record) appendWhat(dst []byte) []byte {
	dst = appendField(dst, `,"statement":`, r.Statement)
	if len(r.StatementRaw) > 0 {
		dst = appendBase64(append(dst, `,"statement_raw":`...), r.StatementRaw)
	}
	dst = appendField(dst, `,"rewritten":`, r.Rewritten)
	if len(r.Params) > 0 {
		dst = append(dst, `,"params":[`...)
		for i := range r.Params {
			dst = r.Params[i].append(appendComma(dst, i))
		}
		dst = append(dst, ']')
	}
	dst = appendStrings(dst, `,"tables":`, r.Tables)
	if len(r.Columns) > 0 {
		dst = append(dst, `,"columns":[`...)
		for i, c := range r.Columns {
			dst = appendString(append(appendComma(dst, i), `{"column":`...), c.Column)
			dst = append(appendString(append(dst, `,"use":`...), c.Use), '}')
		}
		dst = append(dst, ']')
	}
	return dst
}

func (r *Record) appendDecision(dst []byte) []byte {
	dst = appendField(dst, `,"decision":`, r.Decision)
	dst = appendField(dst, `,"rule":`, r.Rule)
	dst = appendField(dst, `,"reason":`, r.Reason)
	dst = appendField(dst, `,"policy":`, r.Policy)
	dst = appendField(dst, `,"purpose":`, r.Purpose)
	dst = appendField(dst, `,"grant":`, r.Grant)
	dst = appendStrings(dst, `,"masked":`, r.Masked)
	if len(r.Subjects) > 0 {
		dst = append(dst, `,"subjects":[`...)
		for i := range r.Subjects {
			dst = append(appendComma(dst, i), '"')
			dst = append(hex.AppendEncode(dst, r.Subjects[i][:]), '"')
		}
		dst = append(dst, ']')
	}
	return dst
}

func (r *Record) appendEnd(dst []byte) []byte {
	if r.Of != nil {
		dst = strconv.AppendUint(append(dst, `,"of":`...), *r.Of, 10)
	}
	if r.Part != 0 {
		dst = strconv.AppendInt(append(dst, `,"part":`...), int64(r.Part), 10)
	}
	if r.Final {
		dst = append(dst, `,"final":true`...)
	}
	if r.Outcome != nil {
		dst = r.Outcome.append(append(dst, `,"outcome":`...))
	}
	if len(r.Earlier) > 0 {
		dst = append(dst, `,"earlier":[`...)
		for i := range r.Earlier {
			dst = r.Earlier[i].append(appendComma(dst, i))
		}
		dst = append(dst, ']')
	}
	if r.Totals != nil {
		dst = r.Totals.append(append(dst, `,"totals":`...))
	}
	dst = appendField(dst, `,"version":`, r.Version)
	dst = appendField(dst, `,"origin":`, r.Origin)
	if len(r.Detail) > 0 {
		dst = append(dst, `,"detail":{`...)
		for i, name := range slices.Sorted(maps.Keys(r.Detail)) {
			dst = append(appendString(appendComma(dst, i), name), ':')
			dst = appendString(dst, r.Detail[name])
		}
		dst = append(dst, '}')
	}
	return dst
}

func (p *Param) append(dst []byte) []byte {
	dst = strconv.AppendInt(append(dst, `{"format":`...), int64(p.Format), 10)
	if p.Null {
		dst = append(dst, `,"null":true`...)
	}
	if p.Text != nil {
		dst = appendString(append(dst, `,"text":`...), *p.Text)
	}
	if len(p.Binary) > 0 {
		dst = appendBase64(append(dst, `,"binary":`...), p.Binary)
	}
	return append(dst, '}')
}

func (o *Outcome) append(dst []byte) []byte {
	dst = strconv.AppendUint(append(dst, `{"seq":`...), o.Seq, 10)
	dst = strconv.AppendUint(append(dst, `,"of":`...), o.Of, 10)
	dst = strconv.AppendInt(append(dst, `,"rows":`...), o.Rows, 10)
	dst = strconv.AppendInt(append(dst, `,"bytes":`...), o.Bytes, 10)
	dst = appendField(dst, `,"sqlstate":`, o.SQLState)
	dst = strconv.AppendInt(append(dst, `,"micros":`...), o.Micros, 10)
	dst = appendField(dst, `,"tag":`, o.Tag)
	return append(appendStrings(dst, `,"masked":`, o.Masked), '}')
}

func (t *Totals) append(dst []byte) []byte {
	dst = strconv.AppendInt(append(dst, `{"statements":`...), t.Statements, 10)
	dst = strconv.AppendInt(append(dst, `,"refused":`...), t.Refused, 10)
	dst = strconv.AppendInt(append(dst, `,"failed":`...), t.Failed, 10)
	dst = strconv.AppendInt(append(dst, `,"rows":`...), t.Rows, 10)
	dst = strconv.AppendInt(append(dst, `,"bytes":`...), t.Bytes, 10)
	return append(dst, '}')
}

func appendComma(dst []byte, i int) []byte {
	if i == 0 {
		return dst
	}
	return append(dst, ',')
}

// appendTime writes exactly 24 characters: 2006-01-02T15:04:05.000Z.
func appendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	dst = appendDigits(dst, year, 4)
	dst = appendDigits(append(dst, '-'), int(month), 2)
	dst = appendDigits(append(dst, '-'), day, 2)
	dst = appendDigits(append(dst, 'T'), hour, 2)
	dst = appendDigits(append(dst, ':'), minute, 2)
	dst = appendDigits(append(dst, ':'), second, 2)
	dst = appendDigits(append(dst, '.'), t.Nanosecond()/1e6, 3)
	return append(dst, 'Z')
}

// appendDigits writes n, which has at most width digits, with leading zeros.
func appendDigits(dst []byte, n, width int) []byte {
	dst = append(dst, "0000"[:width]...)
	for i := len(dst) - 1; n > 0; i-- {
		dst[i] = byte('0' + n%10)
		n /= 10
	}
	return dst
}

func appendBase64(dst, b []byte) []byte {
	dst = append(dst, '"')
	return append(base64.StdEncoding.AppendEncode(dst, b), '"')
}

// appendField appends name and value, or nothing when the value is empty.
func appendField(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	return appendString(append(dst, name...), value)
}

func appendStrings(dst []byte, name string, values []string) []byte {
	if len(values) == 0 {
		return dst
	}
	dst = append(append(dst, name...), '[')
	for i, v := range values {
		dst = appendString(appendComma(dst, i), v)
	}
	return append(dst, ']')
}

const lowerHex = "0123456789abcdef"

// plainByte says which bytes stand for themselves in a JSON string.
var plainByte = func() (plain [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		plain[c] = c != '"' && c != '\\'
	}
	return plain
}()

// appendString writes s as a JSON string as encoding/json does without HTML
// escaping: short escapes where JSON has them, \u00xx for other control
// characters, \u2028 and \u2029 escaped, everything else as it is.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if plainByte[c] {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			switch {
			case r == utf8.RuneError && size == 1:
				dst = append(append(dst, s[start:i]...), "\uFFFD"...)
				start = i + size
			case r == '\u2028' || r == '\u2029':
				dst = append(append(dst, s[start:i]...), `\u202`...)
				dst = append(dst, lowerHex[r&0xF])
				start = i + size
			}
			i += size
			continue
		}
		dst = appendEscape(append(dst, s[start:i]...), c)
		i++
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', lowerHex[c>>4], lowerHex[c&0xF])
}
