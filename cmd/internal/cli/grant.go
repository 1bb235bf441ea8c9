package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"shiguan/cmd/internal/signed"
	"shiguan/configs"
	"shiguan/policy"
)

func grantCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "grant",
		Short: "Request, sign and list grants: what officers allow one person for one purpose and some time",
		Long: `A grant widens what policy allows, as far as a rule under the ceiling's grants says and with the signatures it wants. Put
into the directory that the proxy's grants.dir names, a signed grant holds within seconds; taken away it ends for good. Its
issue, every use and its end are on record. See policy/FORMAT.md, Grants.`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(grantRequestCommand(), grantSignCommand(), grantListCommand())
	return cmd
}

// request is a grant as `grant request` writes it; package policy reads it.
type request struct {
	Version    int      `yaml:"version"`
	Under      string   `yaml:"under"`
	Person     string   `yaml:"person"`
	Department string   `yaml:"department"`
	Purpose    string   `yaml:"purpose"`
	Reason     string   `yaml:"reason"`
	From       string   `yaml:"from"`
	Until      string   `yaml:"until"`
	May        []string `yaml:"may,flow"`
	On         []string `yaml:"on,flow"`
	Columns    []string `yaml:"columns,flow,omitempty"`
	Set        []string `yaml:"set,flow,omitempty"`
	Clear      []string `yaml:"clear,flow,omitempty"`
	Match      []string `yaml:"match,flow,omitempty"`
	Limit      struct {
		Rows int64 `yaml:"rows,omitempty"`
	} `yaml:"limit,omitempty"`
}

func grantRequestCommand() *cobra.Command {
	var r request
	var policyFile, from, out string
	var long time.Duration
	cmd := &cobra.Command{
		Use:   "request --policy CEILING --under RULE --person USER … -o FILE.grant",
		Short: "Write a request for officers to sign",
		Long: `The request is checked against the policy that says what may be granted: the ceiling, or the only policy where there is one
level. It grants nothing until officers have signed it.`,
		Example: `  shiguan grant request --policy ceiling.yaml --under contact-for-a-case --person civil_clerk --department civil-affairs \
      --purpose case-2026-114 --reason "flat burgled, owner must be reached" --for 4h \
      --may select --on civil.citizens --clear civil.citizens.name,civil.citizens.phone --match civil.citizens.id_number \
      -o case-114.grant`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			begin := time.Now().Truncate(time.Minute)
			if from != "" {
				var err error
				if begin, err = time.Parse(time.RFC3339, from); err != nil {
					return fmt.Errorf("--from: %w", err)
				}
			}
			r.Version, r.From, r.Until = 1, begin.Format(time.RFC3339), begin.Add(long).Format(time.RFC3339)
			g, err := writeRequest(policyFile, out, &r)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s, to be signed by %s\n", out, g.ID, officerNames(g))
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&policyFile, "policy", "", "the policy that says what may be granted")
	f.StringVar(&r.Under, "under", "", "the rule under its grants")
	f.StringVar(&r.Person, "person", "", "who gets it: the user name at login")
	f.StringVar(&r.Department, "department", "", "the person's department")
	f.StringVar(&r.Purpose, "purpose", "", "for what: the person must state exactly this")
	f.StringVar(&r.Reason, "reason", "", "why, for the officers and the record")
	f.StringVar(&from, "from", "", "from when (RFC 3339, whole minutes); now when left out")
	f.DurationVar(&long, "for", time.Hour, "for how long")
	f.StringSliceVar(&r.May, "may", nil, "verbs, such as select")
	f.StringSliceVar(&r.On, "on", nil, "tables")
	f.StringSliceVar(&r.Columns, "columns", nil, "the only columns that may be read")
	f.StringSliceVar(&r.Set, "set", nil, "the only columns that may be written")
	f.StringSliceVar(&r.Clear, "clear", nil, "columns shown in clear")
	f.StringSliceVar(&r.Match, "match", nil, "masked columns that may be compared by =")
	f.Int64Var(&r.Limit.Rows, "rows", 0, "at most so many rows a statement")
	f.StringVarP(&out, "out", "o", "", "file to write, ending in "+signed.GrantSuffix)
	for _, name := range []string{"policy", "under", "person", "department", "purpose", "reason", "may", "on", "out"} {
		mustMarkRequired(cmd, name)
	}
	return cmd
}

func writeRequest(policyFile, out string, r *request) (*policy.Grant, error) {
	p, err := loadPolicy(policyFile)
	if err != nil {
		return nil, err
	}
	if !strings.HasSuffix(out, signed.GrantSuffix) {
		return nil, fmt.Errorf("-o %s: proxies look for files that end in %s", out, signed.GrantSuffix)
	}
	text, err := yaml.Marshal(r)
	if err != nil {
		return nil, err
	}
	g, err := p.Grant(out, text)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(text)
	return g, errors.Join(err, f.Close())
}

func officerNames(g *policy.Grant) string {
	var names []string
	for _, o := range g.Officers() {
		names = append(names, o.Name)
	}
	return strings.Join(names, ", ")
}

func grantSignCommand() *cobra.Command {
	var key string
	cmd := &cobra.Command{
		Use:   "sign --key FILE GRANT",
		Short: "Add an officer's signature to a request",
		Long:  "Prints what is signed: read it. The signature is added to the file itself.",
		Args:  wantArgs(1, 1, "shiguan grant sign --key FILE GRANT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := signGrant(args[0], key)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), printable(string(text), true))
			return err
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "the officer's key, from `shiguan key new-signer`")
	mustMarkRequired(cmd, "key")
	return cmd
}

func signGrant(file, keyFile string) ([]byte, error) {
	key, err := signerKeyOf(keyFile)
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	before, err := signed.ParseGrantNote(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	n, err := signed.Sign(before.Text, before, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return n.Text, replaceFile(file, n.Marshal())
}

func grantListCommand() *cobra.Command {
	var config string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list --config PROXY_CONFIG",
		Short: "List a proxy's grants and what state they are in",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := configs.LoadProxy(config)
			if err != nil {
				return err
			}
			if cfg.Grants.Dir == "" {
				return fmt.Errorf("%s names no grants.dir", config)
			}
			list, err := signed.List(cfg, time.Now())
			if err != nil {
				return err
			}
			if asJSON {
				for _, g := range list {
					if err := printJSON(cmd.OutOrStdout(), g); err != nil {
						return err
					}
				}
				return nil
			}
			printGrants(cmd.OutOrStdout(), list)
			return nil
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "the proxy's configuration")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	mustMarkRequired(cmd, "config")
	return cmd
}

func printGrants(w io.Writer, list []signed.Listed) {
	if len(list) == 0 {
		fmt.Fprintln(w, "No grants.")
		return
	}
	t := newTable(w, "GRANT", "STATE", "PERSON", "PURPOSE", "UNTIL", "SIGNED BY", "FILE")
	for _, g := range list {
		t.AppendRow([]any{g.ID, oneLine(g.State, 60), oneLine(g.Person, 16), oneLine(g.Purpose, 24), g.Until,
			oneLine(strings.Join(g.By, ", "), 48), oneLine(g.File, 32)})
	}
	t.Render()
}
