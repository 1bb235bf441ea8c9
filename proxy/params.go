package proxy

import (
	"strings"

	"shiguan/policy"
	"shiguan/proxy/wire"
)

// params are what a StartupMessage asks for.
type params struct {
	user, database, application, purpose string

	version  uint32            // of the protocol, as negotiated
	reason   string            // why the login was refused, for the record
	settings map[string]string // for the server
	unknown  []string          // protocol options we do not speak
	final    []byte            // the last SASL message; nil: there was none
	auth     string            // how the login was done, for the record
	refused  *wire.Error       // of a setting that no rule but a transparent one allows
}

// readParams takes the settings we know; an unknown one is refused, never passed on blindly.
func readParams(m wire.StartupMessage) (*params, *wire.Error) {
	p := &params{settings: map[string]string{}}
	for _, kv := range m.Params {
		name := strings.ToLower(kv.Name)
		switch {
		case name == "user":
			p.user = kv.Value
		case name == "database":
			p.database = kv.Value
		case name == "replication":
			if !isFalse(kv.Value) {
				return nil, &wire.Error{Code: "0A000", Message: "replication connections are refused: they execute SQL past the policy"}
			}
		case name == "options":
			if refusal := p.readOptions(kv.Value); refusal != nil {
				return nil, refusal
			}
		case strings.HasPrefix(name, "_pq_."):
			p.unknown = append(p.unknown, kv.Name)
		default:
			p.set(name, kv.Value)
		}
	}
	if p.user == "" {
		return nil, &wire.Error{Code: "28000", Message: "no PostgreSQL user name specified in startup packet"}
	}
	if p.database == "" {
		p.database = p.user
	}
	return p, nil
}

func isFalse(v string) bool {
	switch strings.ToLower(v) {
	case "false", "off", "no", "0":
		return true
	}
	return false
}

// startupSettings are the settings a client may choose at the start: none of them changes what a statement means.
var startupSettings = map[string]bool{
	"application_name": true, "client_min_messages": true, "datestyle": true, "extra_float_digits": true,
	"geqo": true, "idle_in_transaction_session_timeout": true, "intervalstyle": true, "jit": true,
	"lock_timeout": true, "statement_timeout": true, "timezone": true, "bytea_output": true,
	"default_transaction_isolation": true, "default_transaction_read_only": true, policy.PurposeSetting: true,
}

// set takes a setting. One that may not be chosen is kept too: who stands under a transparent rule may choose it, and who he
// is will be known later.
func (p *params) set(name, value string) {
	switch {
	case name == "client_encoding":
		switch strings.ToLower(strings.Trim(value, "'\" ")) {
		case "utf8", "utf-8", "unicode":
			value = "UTF8"
		default:
			p.refused = &wire.Error{Code: "0A000", Message: "client_encoding must be UTF8", Hint: "Set PGCLIENTENCODING=UTF8."}
		}
	case name == "standard_conforming_strings" && !isFalse(value):
		return
	case !startupSettings[name]:
		p.refused = &wire.Error{Code: "42501", Message: "the setting \"" + name + "\" may not be chosen at the start of a session"}
	case name == "extra_float_digits" && value != "1" && value != "2" && value != "3":
		p.refused = &wire.Error{Code: "42501", Message: "extra_float_digits may be 1, 2 or 3: fewer digits round numbers, maybe over the bounds of their masks"}
	case name == "application_name":
		p.application = value
	case name == policy.PurposeSetting:
		p.purpose = value
	}
	p.settings[name] = value
}

// readOptions reads the command-line form: -c name=value, -cname=value or --name=value, with backslash escapes.
func (p *params) readOptions(options string) *wire.Error {
	words := splitOptions(options)
	for i := 0; i < len(words); i++ {
		word := words[i]
		var setting string
		switch {
		case word == "-c" && i+1 < len(words):
			i++
			setting = words[i]
		case strings.HasPrefix(word, "-c"):
			setting = word[2:]
		case strings.HasPrefix(word, "--"):
			setting = word[2:]
		}
		name, value, ok := strings.Cut(setting, "=")
		if !ok {
			return &wire.Error{Code: "42501", Message: "only settings of the form -c name=value may stand in the options of a session"}
		}
		p.set(strings.ReplaceAll(strings.ToLower(name), "-", "_"), value)
	}
	return nil
}

func splitOptions(s string) []string {
	var words []string
	var b strings.Builder
	in := false
	for i := 0; i < len(s); i++ {
		switch ch := s[i]; {
		case ch == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
			in = true
		case ch == ' ' || ch == '\t' || ch == '\n' || ch == '\r' || ch == '\f' || ch == '\v':
			if in {
				words = append(words, b.String())
				b.Reset()
				in = false
			}
		default:
			b.WriteByte(ch)
			in = true
		}
	}
	if in {
		words = append(words, b.String())
	}
	return words
}
