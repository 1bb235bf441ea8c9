package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"shiguan/auditlog/tiles"
	"shiguan/cmd/internal/signed"
	"shiguan/configs"
	"shiguan/policy"
)

func policySignCommand() *cobra.Command {
	var key, from string
	var s signed.Statement
	cmd := &cobra.Command{
		Use:   "sign --key FILE [--level LEVEL --name NAME --serial N] POLICY",
		Short: "Sign a policy, or add a signature to it",
		Long: `Writes the signature beside the policy, in POLICY.sig, and prints what was signed. The first signer says the level
(ceiling or department), the city's or department's name, and a serial higher than that of the policy before; the others add
their signatures to the same. A policy that is not valid is not signed.`,
		Example: `  shiguan policy sign --key wang.key --level department --name civil-affairs --serial 7 policy.yaml
  shiguan policy sign --key li.key policy.yaml`,
		Args: wantArgs(1, 1, "shiguan policy sign --key FILE POLICY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s.ValidFrom = time.Now().UTC().Truncate(time.Second)
			if from != "" {
				var err error
				if s.ValidFrom, err = time.Parse(time.RFC3339, from); err != nil {
					return fmt.Errorf("--valid-from: %w", err)
				}
			}
			text, err := signPolicy(args[0], key, s)
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&key, "key", "", "the signer's key, from `shiguan key new-signer`")
	f.StringVar(&s.Level, "level", "", "ceiling or department")
	f.StringVar(&s.Name, "name", "", "of the city or department, as the proxies' configurations have it")
	f.Uint64Var(&s.Serial, "serial", 0, "a number higher than that of the policy before")
	f.StringVar(&from, "valid-from", "", "no proxy takes it before (RFC 3339); now when left out")
	mustMarkRequired(cmd, "key")
	return cmd
}

// signPolicy writes FILE.sig and returns what was signed. s counts for the first signature of a text only; later ones sign
// what the first did.
func signPolicy(file, keyFile string, s signed.Statement) ([]byte, error) {
	key, err := signerKeyOf(keyFile)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if _, err := policy.Parse(file, text); err != nil {
		return nil, err
	}
	beside := signed.SignatureFile(file)
	s.Digest = signed.Digest(text)
	before, was, err := readSignature(beside)
	switch {
	case err != nil:
		return nil, err
	case before != nil && was.Digest == s.Digest && (s.Serial == 0 || s.Serial == was.Serial):
		if s.Level != "" && s.Level != was.Level || s.Name != "" && s.Name != was.Name {
			return nil, fmt.Errorf("%s is signed as %s %s already: give it a higher --serial to sign it as another", file, was.Level, was.Name)
		}
		s = was
	case s.Serial == 0:
		return nil, fmt.Errorf("%s is not signed yet as it stands: say --level, --name and --serial", file)
	case before != nil && was.Level == s.Level && was.Name == s.Name && s.Serial <= was.Serial:
		return nil, fmt.Errorf("--serial %d is not higher than %d, which %s has: another text needs a higher one", s.Serial, was.Serial, beside)
	default:
		before = nil
	}
	if _, err := signed.ParseStatement(s.Text()); err != nil {
		return nil, err
	}
	n, err := signed.Sign(s.Text(), before, key)
	if err != nil {
		return nil, err
	}
	return s.Text(), replaceFile(beside, n.Marshal())
}

func readSignature(file string) (*tiles.Note, signed.Statement, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, signed.Statement{}, nil
	}
	if err != nil {
		return nil, signed.Statement{}, err
	}
	n, err := tiles.ParseNote(text)
	if err != nil {
		return nil, signed.Statement{}, fmt.Errorf("%s: %w", file, err)
	}
	s, err := signed.ParseStatement(n.Text)
	if err != nil {
		return nil, s, fmt.Errorf("%s: %w", file, err)
	}
	return n, s, nil
}

func signerKeyOf(file string) (*tiles.LogSigner, error) {
	return parseFile(file, "key", "make one with `shiguan key new-signer`", func(text []byte) (*tiles.LogSigner, error) {
		return tiles.NewLogSigner(strings.TrimSpace(string(text)))
	})
}

// replaceFile writes a file that others read at any time, whole.
func replaceFile(file string, text []byte) error {
	draft, err := os.CreateTemp(filepath.Dir(file), ".draft-*")
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name())
	_, err = io.Copy(draft, bytes.NewReader(text))
	if err := errors.Join(err, draft.Chmod(0o644), draft.Sync(), draft.Close()); err != nil {
		return err
	}
	return os.Rename(draft.Name(), file)
}

func policyVerifyCommand() *cobra.Command {
	var config string
	var signers configs.LevelSigners
	var level string
	cmd := &cobra.Command{
		Use:   "verify (--config PROXY_CONFIG | --level LEVEL --name NAME --signer VKEY… POLICY)",
		Short: "Verify the signatures of policies",
		Long: `With --config it verifies the policies of a proxy as the proxy would, whether they can be joined included; else one
policy, against the keys, level and name that are given. Nothing is changed anywhere.

Exit code 1: a policy is not signed as it should be.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case config != "" && len(args) == 0:
				return verifyConfigured(cmd.OutOrStdout(), config)
			case config == "" && len(args) == 1 && len(signers.Keys) > 0:
				return verifyPolicy(cmd.OutOrStdout(), args[0], level, &signers)
			}
			return errors.New("say --config PROXY_CONFIG, or --level, --name, --signer and a policy")
		},
	}
	f := cmd.Flags()
	f.StringVar(&config, "config", "", "the proxy's configuration: it names policies, keys and how many must have signed")
	f.StringVar(&level, "level", signed.Department, "ceiling or department")
	f.StringVar(&signers.Name, "name", "", "of the city or department")
	f.StringArrayVar(&signers.Keys, "signer", nil, "a verifier key, once for each")
	f.IntVar(&signers.K, "signatures", 1, "how many of them must have signed")
	return cmd
}

func verifyConfigured(w io.Writer, config string) error {
	cfg, err := configs.LoadProxy(config)
	if err != nil {
		return err
	}
	if signed.Unsigned(cfg) {
		return exit(ExitNot, fmt.Errorf("%s names nobody under signers: its policies need no signature", config))
	}
	p, err := signed.Load(cfg, time.Now())
	if err != nil {
		return exit(ExitNot, err)
	}
	if cfg.Ceiling != "" {
		if err := verifyPolicy(w, cfg.Ceiling.String(), signed.Ceiling, &cfg.Signers.Ceiling); err != nil {
			return err
		}
	}
	if err := verifyPolicy(w, cfg.Policy.String(), signed.Department, &cfg.Signers.Department); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "in force: %s\n", p.Digest())
	return err
}

func verifyPolicy(w io.Writer, file, level string, signers *configs.LevelSigners) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	sig, err := os.ReadFile(signed.SignatureFile(file))
	if err != nil {
		return exit(ExitNot, err)
	}
	s, by, err := signed.Verify(level, signers, text, sig, time.Now())
	if err != nil {
		return exit(ExitNot, fmt.Errorf("%s: %w", file, err))
	}
	_, err = fmt.Fprintf(w, "%s: %s of %s, serial %d, valid from %s, signed by %s\n", file, s.Level, s.Name, s.Serial,
		s.ValidFrom.Format(time.RFC3339), printable(strings.Join(by, ", "), false))
	return err
}
