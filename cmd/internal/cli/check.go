package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"shiguan/auditlog/record"
	"shiguan/auditlog/record/seal"
	"shiguan/auditlog/tiles"
	"shiguan/cmd/internal/signed"
	"shiguan/configs"
	"shiguan/policy"
	"shiguan/proxy/auth"
)

func checkCommand() *cobra.Command {
	var file string
	var offline bool
	cmd := &cobra.Command{
		Use:   "check --config FILE",
		Short: "Check a configuration and everything it names before relying on it",
		Long: `Reads a configuration of any program, every file it names, and, unless --offline, asks the databases and witnesses
whether they answer. Nothing is changed anywhere. Which program the file is for is told by its keys.

Exit code 1: something would not work. Exit code 2: the file itself cannot be read.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c := &checklist{ctx: cmd.Context(), out: cmd.OutOrStdout(), offline: offline}
			if err := c.check(file); err != nil {
				return err
			}
			if c.failed > 0 {
				return exit(ExitNot, fmt.Errorf("%s: %s", file, count(c.failed, "problem", "problems")))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "the configuration to check")
	cmd.Flags().BoolVar(&offline, "offline", false, "look at files only")
	mustMarkRequired(cmd, "config")
	return cmd
}

// checklist prints each check with its outcome and goes on, so that one run finds all there is to mend.
type checklist struct {
	ctx     context.Context
	out     io.Writer
	offline bool
	failed  int
}

// report prints one outcome. The detail says what was found, or the error what is wrong and what to do.
func (c *checklist) report(what, detail string, err error) {
	if err != nil {
		c.failed++
		fmt.Fprintf(c.out, "✗ %s: %s\n", what, strings.ReplaceAll(err.Error(), "\n", "\n    "))
		return
	}
	fmt.Fprintf(c.out, "✓ %s: %s\n", what, detail)
}

// check finds out whose configuration it is and checks it.
func (c *checklist) check(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var keys map[string]any
	if err := yaml.Unmarshal(text, &keys); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	has := func(key string) bool { _, ok := keys[key]; return ok }
	switch {
	case has("databases") || has("witnesses"):
		return c.proxy(file)
	case has("identity") || has("index"):
		return c.investigator(file)
	case has("logs") || has("state"):
		return c.witness(file)
	}
	return fmt.Errorf("%s is no configuration of the proxy (databases), the investigator (identity) or a witness (logs)", file)
}

func (c *checklist) proxy(file string) error {
	cfg, err := configs.LoadProxy(file)
	if err != nil {
		return err
	}
	c.report("configuration", file, nil)
	c.clientTLS(&cfg.TLS)
	keys := c.logKeys(cfg)
	recipients, err := seal.ParseRecipients(cfg.Log.Recipients.String())
	c.report("log.recipients", count(len(recipients), "investigator's recipient", "investigators' recipients"), err)
	_, err = parseFile(cfg.Log.SubjectKey.String(), "subject_key", "make one with `shiguan key new-subject`", record.ParseSubjectKey)
	c.report("log.subject_key", cfg.Log.SubjectKey.String(), errors.Join(err, private(cfg.Log.SubjectKey)))
	c.quorum("witnesses.policy", cfg.Witnesses.Policy, cfg.Log.Origin, keys...)
	levels := c.policies(cfg)
	c.people(cfg)
	for i := range cfg.Databases {
		c.database(&cfg.Databases[i], levels)
	}
	return nil
}

// policies reports on the policies as the proxy would load them, and returns each level's own.
func (c *checklist) policies(cfg *configs.Proxy) map[string]*policy.Policy {
	joined, err := signed.Load(cfg, time.Now())
	digest := ""
	if joined != nil {
		digest = " " + joined.Digest()
	}
	c.report("policy", strings.Join(signed.Files(cfg), " over ")+digest, err)
	if signed.Unsigned(cfg) {
		fmt.Fprintln(c.out, "! policy: it needs no signature: whoever can write its file decides what people see; name security administrators under signers")
	}
	levels := map[string]*policy.Policy{}
	for _, file := range signed.Files(cfg) {
		if p, err := loadPolicy(file); err == nil { // else it is reported above
			levels[file] = p
		}
	}
	if err != nil || cfg.Grants.Dir == "" {
		return levels
	}
	list, err := signed.List(cfg, time.Now())
	c.report("grants", count(len(list), "file", "files")+", see `shiguan grant list`", err)
	return levels
}

// logKeys reports the keys that sign the log's heads and returns them, none if something is wrong with one.
func (c *checklist) logKeys(cfg *configs.Proxy) []signerKey {
	_, keys, err := logSigners(&cfg.Log)
	if err == nil {
		err = named(keys, cfg.Log.Origin, "log.origin")
	}
	if err != nil {
		c.report("log.key", "", err)
		return nil
	}
	c.reportKeys(keys)
	return keys
}

func (c *checklist) reportKeys(keys []signerKey) {
	for _, k := range keys {
		c.report(k.what, k.vkey.String(), private(k.file))
	}
}

// private wants a secret file closed to everybody but its owner.
func private(file configs.Path) error {
	info, err := os.Stat(file.String())
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		err = fmt.Errorf("%s is open to others (mode %04o): chmod 600 %s", file, info.Mode().Perm(), file)
	}
	return err
}

// quorum checks that the policy names this log, by one of its keys where they are known, and that its witnesses answer.
func (c *checklist) quorum(what string, file configs.Path, origin string, keys ...signerKey) {
	p, err := readQuorum(file.String())
	if err == nil {
		err = namesLog(p, origin, keys)
	}
	if err == nil && p.Quorum == "none" {
		err = errors.New("the quorum is none: nobody but ourselves vouches for the log; name other departments' witnesses")
	}
	if err != nil {
		c.report(what, "", err)
		return
	}
	c.report(what, p.Rule(), nil)
	for _, w := range p.Witnesses {
		if w.URL != "" && !c.offline {
			c.report("witness "+w.Name, w.URL, c.answers(w.URL))
		}
	}
}

func namesLog(p *tiles.Policy, origin string, keys []signerKey) error {
	err := errors.New("it does not name the log " + origin)
	for _, l := range p.Logs {
		if l.Name != origin {
			continue
		}
		if len(keys) == 0 || slices.ContainsFunc(keys, func(k signerKey) bool { return k.vkey.String() == l.VKey }) {
			return nil
		}
		err = fmt.Errorf("it names the log %s, but no key that signs it: %s is another", origin, l.VKey)
	}
	return err
}

func (c *checklist) answers(url string) error {
	ctx, cancel := context.WithTimeout(c.ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// people wants every person to become a role that some database has.
func (c *checklist) people(cfg *configs.Proxy) {
	people, err := auth.LoadPeople(cfg.People.String())
	if err != nil {
		c.report("people", "", err)
		return
	}
	roles := map[string]bool{}
	for _, d := range cfg.Databases {
		for _, r := range d.Roles {
			roles[r.Name] = true
		}
	}
	for _, p := range people.All() {
		if p.Role != "" && !roles[p.Role] {
			err = errors.Join(err, fmt.Errorf("%s becomes the role %s, which no database in the configuration has", p.User, p.Role))
		}
		if p.Login != auth.LoginPassword && (cfg.TLS.Mode == configs.TLSDisable || cfg.TLS.ClientCA == "") {
			err = errors.Join(err, fmt.Errorf("%s logs in by %s, and clients' certificates are not asked for: set tls.client_ca", p.User, p.Login))
		}
	}
	c.report("people", count(len(people.All()), "person", "people"), err)
}

// fits reports where policy and database disagree. Only what closes a table to everybody is a problem.
func (c *checklist) fits(what string, findings []policy.Finding) {
	var err error
	for _, f := range findings {
		if f.Closed {
			err = errors.Join(err, fmt.Errorf("line %d: %s", f.Line, printable(f.Message, false)))
		}
	}
	c.report(what, count(len(findings), "remark", "remarks")+", see `shiguan policy check`", err)
}

func (c *checklist) investigator(file string) error {
	cfg, err := configs.LoadInvestigator(file)
	if err != nil {
		return err
	}
	c.report("configuration", file, nil)
	_, err = seal.ParseIdentities(cfg.Identity.String())
	c.report("identity", cfg.Identity.String(), errors.Join(err, private(cfg.Identity)))
	_, err = parseFile(cfg.SubjectKey.String(), "subject_key", "copy the proxies' subject key", record.ParseSubjectKey)
	c.report("subject_key", cfg.SubjectKey.String(), errors.Join(err, private(cfg.SubjectKey)))
	c.quorum("quorum", cfg.Quorum, cfg.Origin)
	if cfg.Console.People != "" {
		people, err := auth.LoadPeople(cfg.Console.People.String())
		n := 0
		if people != nil {
			n = len(people.All())
		}
		c.report("console.people", count(n, "person", "people"), err)
	}
	if !c.offline {
		d, err := openDesk(cfg)
		if err == nil {
			_, err = d.Heads(c.ctx)
			err = errors.Join(err, d.Close())
		}
		c.report("log", cfg.Origin, err)
	}
	return nil
}

func (c *checklist) witness(file string) error {
	cfg, err := configs.LoadWitness(file)
	if err != nil {
		return err
	}
	c.report("configuration", file, nil)
	_, keys, err := witnessSigners(cfg)
	if err == nil {
		err = named(keys, cfg.Name, "name")
	}
	if err != nil {
		c.report("key", "", err)
		return nil
	}
	c.reportKeys(keys)
	for _, l := range cfg.Logs {
		c.report("log "+l.Origin, l.VKey, nil) // found good when the configuration was read
	}
	return nil
}
