package e2e

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgproto3/v2"
)

// parseMessage makes the bytes of one message from a line of a script.
func parseMessage(line string) ([]byte, error) {
	words, err := splitWords(line)
	if err != nil {
		return nil, err
	}
	name, args := words[0], words[1:]
	arg := func(i int) string {
		if i < len(args) {
			return args[i]
		}
		return ""
	}
	switch name {
	case "Query":
		return encode(&pgproto3.Query{String: arg(0)}), nil
	case "Parse":
		m := &pgproto3.Parse{Name: arg(0), Query: arg(1)}
		for _, oid := range args[min(2, len(args)):] {
			n, err := strconv.ParseUint(oid, 10, 32)
			if err != nil {
				return nil, err
			}
			m.ParameterOIDs = append(m.ParameterOIDs, uint32(n))
		}
		return encode(m), nil
	case "Bind":
		return parseBind(args)
	case "Describe":
		return encode(&pgproto3.Describe{ObjectType: arg(0)[0], Name: arg(1)}), nil
	case "Close":
		return encode(&pgproto3.Close{ObjectType: arg(0)[0], Name: arg(1)}), nil
	case "Execute":
		rows, err := strconv.ParseUint("0"+arg(1), 10, 32)
		return encode(&pgproto3.Execute{Portal: arg(0), MaxRows: uint32(rows)}), err
	case "Sync":
		return encode(&pgproto3.Sync{}), nil
	case "Flush":
		return encode(&pgproto3.Flush{}), nil
	case "CopyData":
		return encode(&pgproto3.CopyData{Data: []byte(arg(0))}), nil
	case "CopyDone":
		return encode(&pgproto3.CopyDone{}), nil
	case "CopyFail":
		return encode(&pgproto3.CopyFail{Message: arg(0)}), nil
	case "Terminate":
		return encode(&pgproto3.Terminate{}), nil
	case "Bytes":
		return hex.DecodeString(strings.Join(args, ""))
	}
	return nil, fmt.Errorf("no message is called %q", name)
}

// parseBind reads `portal statement parameter… -> result format…`. A parameter is t"text", b"bytes" or null.
func parseBind(args []string) ([]byte, error) {
	m := &pgproto3.Bind{}
	if len(args) > 0 {
		m.DestinationPortal = args[0]
	}
	if len(args) > 1 {
		m.PreparedStatement = args[1]
	}
	results := false
	for _, a := range args[min(2, len(args)):] {
		switch {
		case a == "->":
			results = true
		case results:
			n, err := strconv.ParseInt(a, 10, 16)
			if err != nil {
				return nil, err
			}
			m.ResultFormatCodes = append(m.ResultFormatCodes, int16(n))
		case a == "null":
			m.ParameterFormatCodes, m.Parameters = append(m.ParameterFormatCodes, 0), append(m.Parameters, nil)
		case a[0] == 't' || a[0] == 'b':
			format := int16(0)
			if a[0] == 'b' {
				format = 1
			}
			m.ParameterFormatCodes, m.Parameters = append(m.ParameterFormatCodes, format), append(m.Parameters, []byte(a[1:]))
		default:
			return nil, fmt.Errorf("parameter %q is neither t\"…\", b\"…\" nor null", a)
		}
	}
	return encode(m), nil
}

// splitWords splits at blanks. A word may end in a Go string; "" is the empty word.
func splitWords(line string) ([]string, error) {
	var words []string
	for line = strings.TrimLeft(line, " \t"); line != ""; line = strings.TrimLeft(line, " \t") {
		end := strings.IndexAny(line, " \t\"")
		if end < 0 {
			end = len(line)
		}
		word := line[:end]
		line = line[end:]
		if strings.HasPrefix(line, `"`) {
			quoted, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, fmt.Errorf("the string %s does not end", line)
			}
			line = line[len(quoted):]
			plain, err := strconv.Unquote(quoted)
			if err != nil {
				return nil, err
			}
			word += plain
		}
		words = append(words, word)
	}
	return words, nil
}
