package cli

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"shiguan/auditlog"
	"shiguan/auditlog/record/seal"
	"shiguan/auditlog/tiles"
	"shiguan/configs"
)

// fsckFlags say which log is checked, whose signatures count and who opens it.
type fsckFlags struct {
	deskFlags
	dir, url    string
	key, policy string
	others      bool
}

func fsckCommand() *cobra.Command {
	var flags fsckFlags
	cmd := &cobra.Command{
		Use:   "fsck",
		Short: "Check a whole log for contradictions",
		Long: `Fsck recomputes a log from its bytes: every record's entry, seal and commitment, every tile, the roots, the log's signature
and the witnesses' cosignatures, and where it can open the records, the numbering and totals of each session. It works
beside a running proxy and changes nothing.

With the investigator's configuration it checks everything. With --url or --dir and --key it needs nothing else, and checks
what can be checked without opening a record. Where only the public part of a log is served (C2SP tlog-tiles), as a witness
that mirrors does, it checks every entry, tile and root, and the output says that no sealed payload was there to check.

A record that the configured identity does not open was sealed for other investigators only, or the file of its key period in
keys/ is damaged. Nobody but they can tell, so fsck does not pass then, unless --others says that such records are expected.

Exit codes: 0 the log holds, 1 it contradicts itself (and the output says where, with both sides), 2 it cannot be read.`,
		Example: `  shiguan fsck
  shiguan fsck --url http://127.0.0.1:8432/ --key 'audit.example.gov.cn/civil-affairs+1a2b3c4d+AbCd…'
  shiguan fsck --dir /copy/of/log --policy quorum.policy`,
		Args: wantArgs(0, 0, "shiguan fsck, and where the log is with flags"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			source, options, c, err := flags.sources()
			if err != nil {
				return err
			}
			p := newProgress(cmd.ErrOrStderr(), "checking the log")
			options.Progress = p.update
			report, err := auditlog.Fsck(cmd.Context(), source, options)
			p.wipe()
			zone := time.UTC
			if c != nil {
				if zone, _ = c.Location(); zone == nil { // checked when the configuration was read
					zone = time.UTC
				}
				if err == nil && report.Integrated > 0 && report.Origin != c.Origin {
					err = &auditlog.Contradiction{Where: "origin", What: "the log is another one",
						Want: "the configuration says " + c.Origin, Have: "its head says " + report.Origin}
				}
			}
			if err == nil && report.NotForUs > 0 && !flags.others {
				err = unopened(report)
			}
			if err := printFsck(cmd.OutOrStdout(), report, err, flags.asJSON, zone); err != nil {
				return err
			}
			return fsckVerdict(err, flags.asJSON)
		},
	}
	flags.add(cmd)
	f := cmd.Flags()
	f.StringVar(&flags.dir, "dir", "", "the log's directory, or a copy of it, instead of the configuration's")
	f.StringVar(&flags.url, "url", "", "the log's address, instead of the configuration's")
	f.StringVar(&flags.key, "key", "", "the log's verifier key: only its signature counts, no witness is asked for")
	f.BoolVar(&flags.others, "others", false, "records sealed for other investigators only are expected")
	f.StringVar(&flags.policy, "policy", "", "the quorum policy whose signatures count, instead of the configuration's")
	cmd.MarkFlagsMutuallyExclusive("dir", "url")
	cmd.MarkFlagsMutuallyExclusive("key", "policy")
	return cmd
}

// sources opens what the flags name, and from the configuration what they leave open.
// The configuration is nil where none is needed.
func (f *fsckFlags) sources() (source auditlog.Source, o auditlog.FsckOptions, c *configs.Investigator, err error) {
	named := f.dir != "" || f.url != ""
	if !named || f.config != "" {
		if c, err = f.load(); err != nil {
			return nil, o, nil, err
		}
		if o.Identities, err = seal.ParseIdentities(c.Identity.String()); err != nil {
			return nil, o, nil, fmt.Errorf("identity: %w", err)
		}
	}
	if o.Policy, err = f.signers(c); err != nil {
		return nil, o, nil, err
	}
	switch {
	case f.dir != "":
		source, err = auditlog.OpenDir(f.dir)
	case f.url != "":
		source, err = auditlog.OpenURL(f.url, &http.Client{Timeout: 2 * time.Minute})
	default:
		source, err = openSource(c.Log)
	}
	return source, o, c, err
}

// signers says whose signatures count.
func (f *fsckFlags) signers(c *configs.Investigator) (*tiles.Policy, error) {
	switch {
	case f.policy != "":
		return readQuorum(f.policy)
	case f.key != "":
		policy, err := tiles.ParsePolicy([]byte("log " + strings.TrimSpace(f.key) + "\nquorum none\n"))
		if err != nil {
			return nil, fmt.Errorf("--key: %w", errors.Unwrap(err))
		}
		return policy, nil
	case c != nil:
		return readQuorum(c.Quorum.String())
	default:
		return nil, errors.New("say whose signature counts: --key with the log's verifier key, or --policy with a quorum policy")
	}
}

// fsckResult is the object that fsck --json prints.
type fsckResult struct {
	Verdict string `json:"verdict"` // holds, contradiction, unreadable
	Error   string `json:"error,omitempty"`
	Where   string `json:"where,omitempty"`
	What    string `json:"what,omitempty"`
	Want    string `json:"want,omitempty"` // one side
	Have    string `json:"have,omitempty"` // the other
	auditlog.Report
}

func printFsck(w io.Writer, r auditlog.Report, err error, asJSON bool, zone *time.Location) error {
	if !asJSON {
		return printFsckText(w, r, err, zone)
	}
	out := fsckResult{Verdict: "holds", Report: r}
	var wrong *auditlog.Contradiction
	switch {
	case errors.As(err, &wrong):
		out.Verdict, out.Error = "contradiction", err.Error()
		out.Where, out.What, out.Want, out.Have = wrong.Where, wrong.What, wrong.Want, wrong.Have
	case err != nil:
		out.Verdict, out.Error = "unreadable", err.Error()
	}
	return printJSON(w, out)
}

func printFsckText(w io.Writer, r auditlog.Report, err error, zone *time.Location) error {
	p := fields{w}
	var wrong *auditlog.Contradiction
	if errors.As(err, &wrong) {
		fmt.Fprintf(w, "The log contradicts itself at %s: %s\n", printable(wrong.Where, false), printable(wrong.What, false))
		p.line("one side", wrong.Want)
		p.line("the other", wrong.Have)
		if wrong.Err != nil {
			p.line("because", wrong.Err.Error())
		}
		fmt.Fprintln(w, "Checked until then:")
	} else if err == nil {
		fmt.Fprintf(w, "The log %s holds.\n", printable(r.Origin, false))
	} else {
		return nil // nothing was shown; the error says why
	}
	p.line("records", fmt.Sprintf("%d checked, %d in a signed head, %d witnessed", r.Durable, r.Integrated, r.Witnessed))
	p.line("opened", openedText(r))
	p.line("sessions", sessionsText(r))
	p.line("tiles", fmt.Sprintf("%d compared", r.Tiles))
	p.line("checkpoint", checkpointText(r))
	for _, by := range r.Cosigned {
		p.line("cosigned by", by.Name+" at "+by.Time.In(zone).Format(time.RFC3339))
	}
	if r.TornTail {
		p.line("tail", "a torn write stands behind the last record: a crash left it, or one is going on; no record is lost by it")
	}
	return nil
}

func openedText(r auditlog.Report) string {
	text := fmt.Sprintf("%d", r.Opened)
	if r.Erased > 0 {
		text += fmt.Sprintf(", %d lawfully erased", r.Erased)
	}
	if r.NotForUs > 0 {
		text += fmt.Sprintf(", %d not with our identity", r.NotForUs)
	}
	if r.PublicOnly {
		return "none: only the public part of the log is there, as in a mirror"
	}
	if r.Opened == 0 && r.Erased == 0 && r.NotForUs == 0 {
		return "none: checked without opening records"
	}
	return text
}

func sessionsText(r auditlog.Report) string {
	if r.Opened == 0 {
		return ""
	}
	return fmt.Sprintf("%d closed without a gap, %d open, %d interrupted by a restart, %d not all readable", r.Sessions, r.Open, r.Interrupted, r.Incomplete)
}

func checkpointText(r auditlog.Report) string {
	switch {
	case !r.SignaturesChecked:
		return fmt.Sprintf("size %d, signatures not checked", r.Witnessed)
	case r.Witnessed == 0:
		return "none published yet"
	default:
		return fmt.Sprintf("size %d, signatures hold", r.Witnessed)
	}
}

// unopened says that what was checked holds, and that not all could be checked.
func unopened(r auditlog.Report) error {
	return fmt.Errorf("%d of %d records cannot be opened with this identity, everything else holds: if they were sealed for other investigators, "+
		"run fsck as one of them or pass --others; if not, a file in keys/ was damaged: restore it from a backup", r.NotForUs, r.Durable)
}

// fsckVerdict gives the exit code. A contradiction has been printed already, with both sides.
func fsckVerdict(err error, printed bool) error {
	var wrong *auditlog.Contradiction
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrong):
		return exit(ExitNot, errors.New("the log does not hold: keep a copy of it as it is"))
	case printed:
		return exit(ExitUsage, errors.New(""))
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%w: name the log with --dir or --url, or in the configuration", err)
	default:
		return err
	}
}
