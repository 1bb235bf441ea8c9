package noninterference

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgproto3/v2"
)

// parseScript reads a conversation: one message a line, collected and sent in one piece at each line "wait". "wait" waits for
// ReadyForQuery, "wait Z Z" for two, "wait G" for the server to ask for COPY data (or to be ready without), "wait -" for
// nothing. The last line waits for ReadyForQuery if it does not say otherwise.
func parseScript(text string) (script, error) {
	var s script
	var bytes []byte
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		words, err := splitWords(line)
		switch {
		case err != nil:
			return nil, err
		case len(words) == 0 || strings.HasPrefix(words[0], "#"):
		case words[0] == "wait":
			st := step{bytes: bytes}
			for _, w := range words[1:] {
				if w != "-" {
					st.until = append(st.until, w[0])
				}
			}
			if len(words) == 1 {
				st.until = []byte{'Z'}
			}
			s, bytes = append(s, st), nil
		default:
			b, err := message(words[0], words[1:])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", line, err)
			}
			bytes = append(bytes, b...)
		}
	}
	if bytes != nil {
		s = append(s, step{bytes, []byte{'Z'}})
	}
	return s, nil
}

func message(name string, args []string) ([]byte, error) {
	arg := func(i int) string {
		if i < len(args) {
			return args[i]
		}
		return ""
	}
	switch name {
	case "Query":
		return encode(&pgproto3.Query{String: arg(0)}), nil
	case "Parse": // name text type…
		m := &pgproto3.Parse{Name: arg(0), Query: arg(1)}
		for _, oid := range args[min(2, len(args)):] {
			n, err := strconv.ParseUint(oid, 10, 32)
			if err != nil {
				return nil, err
			}
			m.ParameterOIDs = append(m.ParameterOIDs, uint32(n))
		}
		return encode(m), nil
	case "Bind": // portal statement parameter… -> format…
		m := &pgproto3.Bind{DestinationPortal: arg(0), PreparedStatement: arg(1)}
		results := false
		for _, a := range args[min(2, len(args)):] {
			switch n, err := strconv.ParseInt(a, 10, 16); {
			case a == "->":
				results = true
			case !results:
				m.Parameters = append(m.Parameters, []byte(a))
			case err != nil:
				return nil, err
			default:
				m.ResultFormatCodes = append(m.ResultFormatCodes, int16(n))
			}
		}
		return encode(m), nil
	case "Describe":
		return encode(&pgproto3.Describe{ObjectType: arg(0)[0], Name: arg(1)}), nil
	case "Close":
		return encode(&pgproto3.Close{ObjectType: arg(0)[0], Name: arg(1)}), nil
	case "Execute": // portal rows
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
	case "Bytes":
		return hex.DecodeString(strings.Join(args, ""))
	}
	return nil, fmt.Errorf("no message is called %q", name)
}

// splitWords splits at blanks. A word in double quotes or backquotes is a Go string.
func splitWords(line string) ([]string, error) {
	var words []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimLeft(line, " \t") {
		if line[0] != '"' && line[0] != '`' {
			word, rest, _ := strings.Cut(line, " ")
			words, line = append(words, word), rest
			continue
		}
		quoted, err := strconv.QuotedPrefix(line)
		if err != nil {
			return nil, fmt.Errorf("a string does not end: %s", line)
		}
		line = line[len(quoted):]
		plain, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, err
		}
		words = append(words, plain)
	}
	return words, nil
}
