package record

import "fmt"

// Kind says what sort of fact a record states. The number is the second byte
// of the leaf and never changes its meaning; the name is in the record.
type Kind uint8

// The kinds of version 1. New kinds are added at the end.
const (
	KindStatement     Kind = 1 + iota // one execution of a statement, allowed or refused
	KindDisclosure                    // persons whose rows are about to leave, for an earlier statement
	KindOutcome                       // how an earlier statement ended
	KindSessionOpened                 // who logged in, from where, how authenticated
	KindSessionClosed                 // a session's totals
	KindLoginRefused                  // somebody who did not get in
	KindPolicyLoaded                  // the policy that holds from here on
	KindConfigChanged                 // the configuration that holds from here on
	KindPeriodOpened                  // a new key period of this log
	KindPeriodErased                  // a key period's key was destroyed: by whom, why
	KindHeartbeat                     // nothing happened, and the log still runs
	KindStarted                       // the software started
	KindStopped                       // the software stopped in good order
	KindCancel                        // a client asked to cancel a running statement
	KindPolicyRefused                 // a policy that was to be loaded and was not
	KindGrantIssued                   // a grant that may be used from here on
	KindGrantUsed                     // the first use of a grant in a session
	KindGrantEnded                    // a grant that was in force has run out or was withdrawn
	KindGrantRefused                  // a file among the grants that is no grant that may be used

	kindEnd // one beyond the last known kind
)

var kindNames = [kindEnd]string{
	KindStatement:     "statement",
	KindDisclosure:    "disclosure",
	KindOutcome:       "outcome",
	KindSessionOpened: "session opened",
	KindSessionClosed: "session closed",
	KindLoginRefused:  "login refused",
	KindPolicyLoaded:  "policy loaded",
	KindConfigChanged: "config changed",
	KindPeriodOpened:  "period opened",
	KindPeriodErased:  "period erased",
	KindHeartbeat:     "heartbeat",
	KindStarted:       "started",
	KindStopped:       "stopped",
	KindCancel:        "cancel",
	KindPolicyRefused: "policy refused",
	KindGrantIssued:   "grant issued",
	KindGrantUsed:     "grant used",
	KindGrantEnded:    "grant ended",
	KindGrantRefused:  "grant refused",
}

// Known reports whether k is a kind of version 1.
func (k Kind) Known() bool { return k >= KindStatement && k < kindEnd }

// String returns the name that stands in the record's "kind" field.
func (k Kind) String() string {
	if !k.Known() {
		return fmt.Sprintf("unknown kind %d", uint8(k))
	}
	return kindNames[k]
}

// ParseKind is the inverse of String.
func ParseKind(name string) (Kind, error) {
	for k := KindStatement; k < kindEnd; k++ {
		if kindNames[k] == name {
			return k, nil
		}
	}
	return 0, fmt.Errorf("unknown record kind %q", name)
}

// MarshalText implements encoding.TextMarshaler.
func (k Kind) MarshalText() ([]byte, error) {
	if !k.Known() {
		return nil, fmt.Errorf("%v has no name", k)
	}
	return []byte(kindNames[k]), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *Kind) UnmarshalText(text []byte) error {
	parsed, err := ParseKind(string(text))
	if err != nil {
		return err
	}
	*k = parsed
	return nil
}
