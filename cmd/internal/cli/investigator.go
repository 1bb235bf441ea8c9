package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"shiguan/auditlog"
	"shiguan/auditlog/record"
	"shiguan/auditlog/record/seal"
	"shiguan/auditlog/search"
	"shiguan/auditlog/tiles"
	"shiguan/cmd/internal/investigation"
	"shiguan/configs"
)

// configEnv names the environment variable that says where the investigator's configuration is.
const configEnv = "SHIGUAN_CONFIG"

// configPlaces are where a configuration is looked for when neither the flag nor the environment names one.
var configPlaces = []string{"investigator.yaml", "/etc/shiguan/investigator.yaml"}

// deskFlags are the flags that every command of the investigator takes.
type deskFlags struct {
	config string
	asJSON bool
}

func (f *deskFlags) add(cmd *cobra.Command) {
	f.addConfig(cmd)
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print one JSON object a line")
}

func (f *deskFlags) addConfig(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.config, "config", "", "the investigator's configuration (default $"+configEnv+", "+strings.Join(configPlaces, ", ")+")")
}

// load finds and reads the configuration.
func (f *deskFlags) load() (*configs.Investigator, error) {
	file := f.config
	if file == "" {
		file = os.Getenv(configEnv)
	}
	for _, place := range configPlaces {
		if file != "" {
			break
		}
		if _, err := os.Stat(place); err == nil {
			file = place
		}
	}
	if file == "" {
		return nil, fmt.Errorf("no configuration found: name one with --config or $%s, or put it at %s", configEnv, strings.Join(configPlaces, " or "))
	}
	c, err := configs.LoadInvestigator(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: name the investigator's configuration with --config or $%s", err, configEnv)
	}
	return c, err
}

// desk is an open investigation with what the commands need around it.
type desk struct {
	*investigation.Desk
	config *configs.Investigator
}

// open reads the configuration and everything it names.
func (f *deskFlags) open(cmd *cobra.Command) (*desk, error) {
	c, err := f.load()
	if err != nil {
		return nil, err
	}
	d, err := openDesk(c)
	if err != nil {
		return nil, err
	}
	return &desk{d, c}, nil
}

func openDesk(c *configs.Investigator) (*investigation.Desk, error) {
	zone, err := c.Location()
	if err != nil {
		return nil, err
	}
	quorum, err := readQuorum(c.Quorum.String())
	if err != nil {
		return nil, err
	}
	identities, err := seal.ParseIdentities(c.Identity.String())
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	subjects, err := parseFile(c.SubjectKey.String(), "subject_key", "copy the proxies' subject key", record.ParseSubjectKey)
	if err != nil {
		return nil, err
	}
	source, err := openSource(c.Log)
	if err != nil {
		return nil, err
	}
	index, err := search.Open(c.Index.String())
	if err != nil {
		return nil, err
	}
	return investigation.New(investigation.Options{Source: source, Opener: auditlog.NewOpener(source, identities), Index: index,
		Origin: c.Origin, Quorum: quorum, Subjects: subjects, Zone: zone}), nil
}

// openSource opens the log where the configuration says it is, the directory first.
func openSource(l configs.LogSource) (auditlog.Source, error) {
	if l.Dir != "" {
		source, err := auditlog.OpenDir(l.Dir.String())
		if err != nil {
			return nil, fmt.Errorf("log.dir: %w", err)
		}
		return source, nil
	}
	source, err := auditlog.OpenURL(l.URL, &http.Client{Timeout: 2 * time.Minute})
	if err != nil {
		return nil, fmt.Errorf("log.url: %w", err)
	}
	return source, nil
}

func readQuorum(file string) (*tiles.Policy, error) {
	return parseFile(file, "quorum policy", "get it from a source you trust, not from the log itself", tiles.ParsePolicy)
}

// parseFile reads and parses a small file; what and next say what it is and how to come by it.
func parseFile[T any](file, what, next string, parse func([]byte) (T, error)) (T, error) {
	var none T
	text, err := os.ReadFile(file)
	if err != nil {
		return none, fmt.Errorf("%s: %w: %s", what, err, next)
	}
	parsed, err := parse(text)
	if err != nil {
		return none, fmt.Errorf("%s %s: %w", what, file, err)
	}
	return parsed, nil
}

// upToDate brings the index up to date with the log, with progress on a terminal, and returns the log's heads.
func (d *desk) upToDate(cmd *cobra.Command) (*investigation.Heads, error) {
	p := newProgress(cmd.ErrOrStderr(), "reading the log")
	heads, err := d.Update(cmd.Context(), p.update)
	p.wipe()
	return heads, verdictOf(err)
}

// verdictOf gives an error its exit code: contradictions in a log mean that it does not hold.
func verdictOf(err error) error {
	var wrong *investigation.ContradictionError
	if errors.As(err, &wrong) {
		return exit(ExitNot, err)
	}
	if errors.Is(err, context.Canceled) {
		return exit(ExitUsage, errors.New("interrupted"))
	}
	return err
}

// wantArgs checks the number of arguments and says how the command is written where it is wrong. A max below 0 is no bound.
func wantArgs(min, max int, how string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < min || max >= 0 && len(args) > max {
			return fmt.Errorf("%d arguments given: write %s", len(args), how)
		}
		return nil
	}
}
