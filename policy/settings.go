package policy

import (
	"slices"
	"strings"

	"shiguan/policy/sql"
)

// PurposeSetting is the setting by which a session states its purpose. The proxy keeps it; the server never sees it.
const PurposeSetting = "shiguan.purpose"

// Settings that anyone may change: they alter how long, how or how verbosely a session works, never what a name means,
// who the session is, or what the server sends unasked. What is not here is refused, custom settings included, for they
// could carry values.
var freeSettings = map[string]bool{
	PurposeSetting:                        true,
	"application_name":                    true,
	"statement_timeout":                   true,
	"lock_timeout":                        true,
	"idle_in_transaction_session_timeout": true,
	"idle_session_timeout":                true,
	"transaction_timeout":                 true,
	"datestyle":                           true,
	"intervalstyle":                       true,
	"timezone":                            true,
	"bytea_output":                        true,
	"xmloption":                           true,
	"jit":                                 true,
	"default_transaction_isolation":       true,
	"default_transaction_read_only":       true,
	"default_transaction_deferrable":      true,
	"transaction_isolation":               true,
	"transaction_read_only":               true,
	"transaction_deferrable":              true,
	"transaction":                         true, // SET TRANSACTION …
	"session characteristics":             true, // SET SESSION CHARACTERISTICS AS TRANSACTION …
	"transaction snapshot":                true,
	"seed":                                true,
	"constraints":                         true, // SET CONSTRAINTS
}

// Settings that anyone may set to these values only. client_encoding and standard_conforming_strings decide how a text is
// cut into tokens: another value would make the server read other statements than we did. Debug messages may quote
// internals.
var boundSettings = map[string][]string{
	"client_encoding":             {"utf8", "utf-8", "unicode"},
	"standard_conforming_strings": {"on", "true", "yes", "1", "t"},
	"client_min_messages":         {"notice", "warning", "error"},
	"extra_float_digits":          {"1", "2", "3"}, // fewer round a number, maybe over the bounds of its mask
}

// judgeSetting decides SET, RESET and SHOW; "" means allowed.
func judgeSetting(verb sql.Verb, s *sql.Setting) string {
	if s == nil {
		return "the setting could not be made out; name one parameter"
	}
	name := strings.ToLower(s.Name)
	switch {
	case verb == sql.Show:
		if strings.Contains(name, ".") && name != PurposeSetting {
			return "custom setting " + name + " may not be read: it could carry values"
		}
		return ""
	case s.Reset:
		if name == "all" || freeSettings[name] || boundSettings[name] != nil {
			return ""
		}
	case freeSettings[name]:
		return ""
	case slices.Contains(boundSettings[name], strings.ToLower(s.Value)):
		return ""
	case boundSettings[name] != nil:
		return "setting " + name + " may only be " + strings.Join(boundSettings[name], " or ")
	}
	if name == "" {
		return "a setting without a name may not be changed through the proxy"
	}
	return "setting " + name + " may not be changed through the proxy"
}
