package signed

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"shiguan/auditlog/record"
	"shiguan/configs"
	"shiguan/policy"
)

// level is one level of policy as its files say it.
type level struct {
	what      string // Ceiling or Department
	file      string
	signers   *configs.LevelSigners
	policy    *policy.Policy
	statement Statement // zero where nobody need sign
	by        []string
}

// maxSignatureFile bounds a .sig file.
const maxSignatureFile = 64 << 10

// Files are the policies that a configuration names, highest level first.
func Files(cfg *configs.Proxy) []string {
	var files []string
	for _, l := range levelsOf(cfg) {
		files = append(files, l.file)
	}
	return files
}

func levelsOf(cfg *configs.Proxy) []*level {
	department := &level{what: Department, file: cfg.Policy.String(), signers: &cfg.Signers.Department}
	if cfg.Ceiling == "" {
		return []*level{department}
	}
	return []*level{{what: Ceiling, file: cfg.Ceiling.String(), signers: &cfg.Signers.Ceiling}, department}
}

// Load reads the policies of a configuration as they stand, verifies their signatures where the configuration wants any,
// and joins them. What was in force before is not asked for: a Governor does that.
func Load(cfg *configs.Proxy, now time.Time) (*policy.Policy, error) {
	p, _, err := load(cfg, now)
	return p, err
}

func load(cfg *configs.Proxy, now time.Time) (*policy.Policy, []*level, error) {
	levels := levelsOf(cfg)
	for _, l := range levels {
		if err := l.read(now); err != nil {
			return nil, nil, err
		}
	}
	p := levels[len(levels)-1].policy
	if len(levels) == 2 {
		joined, err := policy.Join(levels[0].policy, p)
		if err != nil {
			return nil, nil, err
		}
		p = joined
	}
	if _, err := officerKeys(p.Officers()); err != nil {
		return nil, nil, fmt.Errorf("%s: officers: %w", levels[0].file, err)
	}
	return p, levels, nil
}

// Unsigned reports that a configuration names nobody who must sign its policies.
func Unsigned(cfg *configs.Proxy) bool { return len(cfg.Signers.Department.Keys) == 0 }

func (l *level) read(now time.Time) error {
	text, err := os.ReadFile(l.file)
	if err != nil {
		return err
	}
	if len(l.signers.Keys) > 0 {
		sig, err := readBounded(SignatureFile(l.file), maxSignatureFile)
		if errors.Is(err, fs.ErrNotExist) {
			err = errors.New("it is not signed: sign it with `shiguan policy sign`")
		}
		if err == nil {
			l.statement, l.by, err = Verify(l.what, l.signers, text, sig, now)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", l.file, err)
		}
	}
	l.policy, err = policy.Parse(l.file, text)
	return err
}

// SignatureFile is where the signatures of a policy stand.
func SignatureFile(policy string) string { return policy + ".sig" }

// newer refuses a policy that is older than the last one in force.
func (l *level) newer(than levelState) error {
	s := l.statement
	switch {
	case len(l.signers.Keys) == 0 || than.Serial == 0:
	case s.Name == than.Name && s.Serial < than.Serial:
		return fmt.Errorf("%s: its serial %d is older than %d, which was in force", l.file, s.Serial, than.Serial)
	case s.Name == than.Name && s.Serial == than.Serial && s.Digest != than.Digest:
		return fmt.Errorf("%s: its serial %d was in force with another text: sign it with a higher one", l.file, s.Serial)
	case s.Name != than.Name:
		return fmt.Errorf("%s: it is the policy of %s, and that of %s was in force: what is remembered (signers.state) belongs to another", l.file, s.Name, than.Name)
	}
	return nil
}

// loaded is the fact that these policies are in force.
func loaded(p *policy.Policy, levels []*level, before map[string]levelState) record.Record {
	r := record.Record{Kind: record.KindPolicyLoaded, Policy: p.Digest(), Detail: map[string]string{}}
	for _, l := range levels {
		r.Detail[l.what+".digest"] = l.policy.Digest()
		if len(l.signers.Keys) == 0 {
			continue
		}
		r.Detail[l.what+".name"] = l.statement.Name
		r.Detail[l.what+".serial"] = strconv.FormatUint(l.statement.Serial, 10)
		r.Detail[l.what+".valid_from"] = l.statement.ValidFrom.UTC().Format(time.RFC3339)
		r.Detail[l.what+".signers"] = strings.Join(l.by, ", ")
		r.Detail[l.what+".remembered"] = strconv.FormatUint(before[l.what].Serial, 10)
	}
	return r
}
