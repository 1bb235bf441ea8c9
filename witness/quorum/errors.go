package quorum

import (
	"errors"
	"fmt"
	"strings"
)

var (
	errSilent    = errors.New("no answer yet")
	errBusy      = errors.New("still busy with an earlier head")
	errNoURL     = errors.New("the policy gives no URL for it")
	errRoundOver = errors.New("the head has been published without it")
	errClosed    = errors.New("the quorum is closed: no more heads are co-signed")
)

// Said is what a witness said to a request for a cosignature.
type Said struct {
	Witness string
	Err     error // nil: it co-signed
}

// NotReachedError says that too few witnesses have co-signed a head, and why.
type NotReachedError struct {
	Size uint64
	Need string // the rule of the policy in words
	Said []Said // in the order of the policy
}

func (e *NotReachedError) Error() string {
	parts := make([]string, len(e.Said))
	for i, s := range e.Said {
		said := "co-signed"
		if s.Err != nil {
			said = s.Err.Error()
		}
		parts[i] = s.Witness + ": " + said
	}
	return fmt.Sprintf("no quorum for the head of size %d, needed: %s (%s)", e.Size, e.Need, strings.Join(parts, "; "))
}

// statusError is an answer other than 200 and 409.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("it answered %d %q", e.status, e.text)
}

// invalidError is an answer that breaks the protocol.
type invalidError struct{ what string }

func (e *invalidError) Error() string { return e.what }

func invalid(format string, args ...any) error { return &invalidError{fmt.Sprintf(format, args...)} }
