package proxy

import (
	"bytes"
	"slices"

	"shiguan/policy/sql"
	"shiguan/proxy/wire"
)

// copyOut prepares the release of COPY TO STDOUT. PostgreSQL describes no columns here, only their number; which they
// are is known from the analysis.
func (c *conn) copyOut(e *execution, m wire.Message) error {
	s := e.step()
	if s == nil {
		return errDisagree
	}
	response, err := wire.ParseCopyResponse(m.Body())
	if err != nil {
		return err
	}
	c.current = e
	if s.plan.Transparent && (s.plan.Statement.Copy == nil || s.plan.Statement.Copy.Format == "binary" || response.Columns.Len() != len(s.plan.Outputs)) {
		s.result = &result{plain: true}
		return nil
	}
	r := layOut(s.plan, nil, nil)
	s.result = r
	if s.plan.AnyOutputs {
		r.plain = true
		return nil
	}
	if response.Columns.Len() != len(s.plan.Outputs) || s.plan.Statement.Copy == nil {
		return errDisagree
	}
	outputs := s.plan.Statement.Outputs
	if s.plan.Statement.Inner != nil && len(outputs) == 0 {
		outputs = s.plan.Statement.Inner.Outputs
	}
	if r.plain {
		return nil
	}
	if s.plan.Statement.Copy.Format == "binary" || response.Format != 0 || r.hidden || len(outputs) != len(r.columns) {
		return &wire.ProtocolError{Code: "0A000", Message: "masked columns can be copied in text and CSV format only"}
	}
	for i := range r.columns {
		r.columns[i].typ = s.plan.Outputs[i].Type
	}
	return nil
}

// copyRow releases one row of COPY TO STDOUT. PostgreSQL sends each row in a message of its own.
func (c *conn) copyRow(e *execution, m wire.Message) error {
	s := e.step()
	if s == nil || s.result == nil {
		return errDisagree
	}
	c.current = e
	f := s.plan.Statement.Copy
	s.copied++
	if f != nil && f.Header && s.copied == 1 {
		c.toClient.put(m, s.receipt)
		return nil
	}
	if s.result.plain {
		c.about = c.about[:0]
		if c.countRow(e, s, len(m)) {
			return nil
		}
		c.toClient.put(m, s.receipt)
		return nil
	}
	line := m.Body()
	split := splitText
	if f.Format == "csv" {
		split = splitCSV
	}
	values, ok := split(c.fields[:0], line, f)
	if !ok || len(values) != len(s.result.columns) {
		if s.plan.Transparent {
			c.toClient.put(m, s.receipt)
			return nil
		}
		return errDisagree
	}
	c.fields = values
	c.about = c.about[:0]
	for i := range values {
		if col := &s.result.columns[i]; col.subject != "" && !values[i].null {
			c.about = append(c.about, c.hasher.Subject(col.subject, values[i].value))
		}
	}
	if c.countRow(e, s, len(m)) {
		return nil
	}
	buf, at := wire.Begin(c.toClient.buf, wire.MsgCopyData)
	for i := range values {
		if i > 0 {
			buf = append(buf, f.Delimiter)
		}
		var err error
		if buf, err = c.copyValue(buf, s, i, &values[i], f); err != nil {
			return err
		}
	}
	buf = append(buf, '\n')
	c.toClient.buf = wire.End(buf, at)
	c.toClient.under(s.receipt)
	return nil
}

// copyField is one value of a COPY row: as it stands in the row, and decoded.
type copyField struct {
	raw   []byte
	value []byte
	null  bool
}

func (c *conn) copyValue(buf []byte, s *step, i int, v *copyField, f *sql.Copy) ([]byte, error) {
	col := &s.result.columns[i]
	if col.mask == nil || v.null {
		return append(buf, v.raw...), nil
	}
	out, null, err := col.mask.Append(c.masked[:0], v.value, wire.FormatText, col.typ)
	if err != nil {
		return buf, errMask
	}
	c.masked = out
	switch {
	case null:
		return append(buf, f.Null...), nil
	case f.Format == "csv":
		return appendCSV(buf, out, f), nil
	}
	return appendText(buf, out, f), nil
}

// splitText splits a row of COPY's text format.
func splitText(dst []copyField, line []byte, f *sql.Copy) ([]copyField, bool) {
	line, ok := bytes.CutSuffix(line, []byte{'\n'})
	if !ok {
		return nil, false
	}
	for {
		end := 0
		for end < len(line) && line[end] != f.Delimiter {
			if line[end] == '\\' {
				end++
			}
			end++
		}
		if end > len(line) {
			return nil, false
		}
		field := copyField{raw: line[:end]}
		field.null = string(field.raw) == f.Null
		if !field.null {
			field.value = unescapeText(field.raw)
		}
		dst = append(dst, field)
		if end == len(line) {
			return dst, true
		}
		line = line[end+1:]
	}
}

var textEscapes = map[byte]byte{'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v'}

func unescapeText(raw []byte) []byte {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw
	}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		b := raw[i]
		if b == '\\' && i+1 < len(raw) {
			i++
			if plain, ok := textEscapes[raw[i]]; ok {
				b = plain
			} else {
				b = raw[i]
			}
		}
		out = append(out, b)
	}
	return out
}

func appendText(buf, value []byte, f *sql.Copy) []byte {
	for _, b := range value {
		switch b {
		case '\b':
			buf = append(buf, `\b`...)
		case '\f':
			buf = append(buf, `\f`...)
		case '\n':
			buf = append(buf, `\n`...)
		case '\r':
			buf = append(buf, `\r`...)
		case '\t':
			buf = append(buf, `\t`...)
		case '\v':
			buf = append(buf, `\v`...)
		case '\\', f.Delimiter:
			buf = append(buf, '\\', b)
		default:
			buf = append(buf, b)
		}
	}
	return buf
}

// splitCSV splits a row of COPY's CSV format. An unquoted value equal to the null string is NULL.
func splitCSV(dst []copyField, line []byte, f *sql.Copy) ([]copyField, bool) {
	line, ok := bytes.CutSuffix(line, []byte{'\n'})
	if !ok {
		return nil, false
	}
	for {
		var value []byte
		quoted, inside := false, false
		end := 0
		for ; end < len(line); end++ {
			b := line[end]
			switch {
			case inside && b == f.Escape && end+1 < len(line) && (line[end+1] == f.Quote || line[end+1] == f.Escape):
				end++
				value = append(value, line[end])
			case b == f.Quote:
				inside, quoted = !inside, true
			case !inside && b == f.Delimiter:
				goto field
			default:
				value = append(value, b)
			}
		}
	field:
		if inside {
			return nil, false
		}
		dst = append(dst, copyField{raw: line[:end], value: value, null: !quoted && string(line[:end]) == f.Null})
		if end >= len(line) {
			return dst, true
		}
		line = line[end+1:]
	}
}

func appendCSV(buf, value []byte, f *sql.Copy) []byte {
	plain := string(value) != f.Null && string(value) != `\.` &&
		!slices.ContainsFunc(value, func(b byte) bool { return b == f.Delimiter || b == f.Quote || b == '\n' || b == '\r' })
	if plain {
		return append(buf, value...)
	}
	buf = append(buf, f.Quote)
	for _, b := range value {
		if b == f.Quote || b == f.Escape {
			buf = append(buf, f.Escape)
		}
		buf = append(buf, b)
	}
	return append(buf, f.Quote)
}
