// Package verifycli is what a user sees of evidence being checked: the verdict on each file, as text or as JSON, and the exit
// code. shiguan-verify and the verify command of shiguan share it, so that the same file gets the same answer in the same words.
//
// It is part of the small verifier and must stay free of dependencies beyond auditlog/evidence; the list of them is tested in
// cmd/shiguan-verify.
package verifycli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"shiguan/auditlog/evidence"
	"shiguan/auditlog/tiles"
)

// Exit codes.
const (
	ExitHolds      = 0
	ExitFails      = 1 // at least one file was read and does not hold
	ExitUnreadable = 2 // at least one file, or the policy, could not be read; stands above ExitFails, the check is incomplete
)

// Options say what to check.
type Options struct {
	Policy string   // file with the tlog-policy that the user trusts
	JSON   bool     // one object a line instead of text
	Files  []string // evidence files
}

// Verdict is the object that JSON output has for each file.
type Verdict struct {
	File    string           `json:"file"`
	Verdict string           `json:"verdict"`          // "holds", "does not hold", "unreadable"
	Step    evidence.Step    `json:"step,omitempty"`   // that failed, if it does not hold
	Error   string           `json:"error,omitempty"`  // why, if it does not hold or is unreadable
	Report  *evidence.Report `json:"report,omitempty"` // what was shown, if it holds
}

// Values of Verdict.Verdict.
const (
	VerdictHolds      = "holds"
	VerdictFails      = "does not hold"
	VerdictUnreadable = "unreadable"
)

// Run checks each file, prints its verdict to stdout, and returns the exit code. Only what keeps it from checking at all (no
// usable policy) goes to stderr.
func Run(o Options, stdout, stderr io.Writer) int {
	policy, err := readPolicy(o.Policy)
	if err != nil {
		fmt.Fprintln(stderr, oneLine(err))
		return ExitUnreadable
	}
	code := ExitHolds
	for _, file := range o.Files {
		v := check(file, policy)
		switch v.Verdict {
		case VerdictFails:
			code = max(code, ExitFails)
		case VerdictUnreadable:
			code = ExitUnreadable
		}
		// A verdict that did not get out is none: a full disk or a closed pipe must not leave the exit code 0.
		if err := v.print(stdout, o.JSON); err != nil {
			fmt.Fprintln(stderr, oneLine(fmt.Errorf("write the verdict: %w", err)))
			return ExitUnreadable
		}
	}
	return code
}

func readPolicy(file string) (*tiles.Policy, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the quorum policy: %w", err)
	}
	policy, err := tiles.ParsePolicy(text)
	if err != nil {
		return nil, fmt.Errorf("quorum policy %s: %w", file, err)
	}
	return policy, nil
}

func check(file string, policy *tiles.Policy) Verdict {
	v := Verdict{File: file}
	data, err := readFile(file)
	if err == nil {
		v.Report, err = evidence.VerifyWith(data, policy)
	}
	var step *evidence.StepError
	switch {
	case err == nil:
		v.Verdict = VerdictHolds
	case errors.As(err, &step):
		v.Verdict, v.Step, v.Error = VerdictFails, step.Step, step.Err.Error()
	default:
		v.Verdict, v.Error = VerdictUnreadable, err.Error()
	}
	return v
}

// readFile reads at most one byte more than evidence can have, so that no file and no device can fill the memory.
func readFile(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, evidence.MaxFile+1))
}

func (v Verdict) print(w io.Writer, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		return enc.Encode(v)
	}
	name := evidence.Escape(v.File)
	switch v.Verdict {
	case VerdictHolds:
		if _, err := fmt.Fprintf(w, "%s: holds\n", name); err != nil {
			return err
		}
		return v.Report.WriteText(w)
	case VerdictFails:
		_, err := fmt.Fprintf(w, "%s: does not hold: step %s: %s\n", name, v.Step, evidence.Escape(v.Error))
		return err
	}
	_, err := fmt.Fprintf(w, "%s: unreadable: %s\n", name, evidence.Escape(v.Error))
	return err
}

// oneLine is an error as a terminal may see it: errors quote files, and files can hold anything.
func oneLine(err error) string { return evidence.Escape(strings.TrimSpace(err.Error())) }
