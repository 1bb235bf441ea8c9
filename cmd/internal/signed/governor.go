package signed

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"shiguan/auditlog/record"
	"shiguan/configs"
	"shiguan/policy"
)

// Governor decides which policy is in force: the levels' policies as they are signed, and the grants that hold. One
// goroutine calls its methods, but for Latest.
type Governor struct {
	cfg   *configs.Proxy
	state *state
	clock clock

	base   *policy.Policy
	grants []*policy.Grant
	seen   string          // of the grants' directory when it was read last
	told   map[string]bool // refusals that are on record
}

// Ruling is a policy that may come into force, and what goes on record before.
type Ruling struct {
	Policy  *policy.Policy
	Facts   []record.Record
	Changed bool // otherwise there is nothing to do

	governor *Governor
	grants   []*policy.Grant
	state    state
	told     map[string]bool
	seen     string
	base     *policy.Policy
}

// NewGovernor reads what is remembered. It fails when that exists and cannot be read.
func NewGovernor(cfg *configs.Proxy, now time.Time) (*Governor, error) {
	g := &Governor{cfg: cfg, state: &state{Levels: map[string]levelState{}, Grants: map[string]grantState{}}, told: map[string]bool{}}
	if cfg.Signers.State != "" {
		var err error
		if g.state, err = readState(cfg.Signers.State.String()); err != nil {
			return nil, err
		}
	}
	g.clock.start(now, g.state.Latest)
	return g, nil
}

// Latest is the latest time that was ever seen, and goes on whatever the clock does.
func (g *Governor) Latest(now time.Time) time.Time { return g.clock.latest(now) }

// Reload reads policies and grants again. Where it fails nothing changes, and Refused is what goes on record.
func (g *Governor) Reload(now time.Time) (*Ruling, error) {
	p, levels, err := load(g.cfg, now)
	if err != nil {
		return nil, err
	}
	r := g.ruling(p)
	r.Facts = []record.Record{loaded(p, levels, g.state.Levels)}
	for _, l := range levels {
		if err := l.newer(g.state.Levels[l.what]); err != nil {
			return nil, err
		}
		if len(l.signers.Keys) > 0 {
			r.state.Levels[l.what] = levelState{l.statement.Name, l.statement.Serial, l.statement.Digest}
		}
	}
	if err := r.readGrants(now); err != nil {
		return nil, err
	}
	r.Changed = true
	return r, nil
}

// Refused is the fact that a policy was not taken.
func Refused(err error) record.Record {
	return record.Record{Kind: record.KindPolicyRefused, Reason: err.Error()}
}

// Look reads the grants again where something happened: their directory changed, or one has run out.
func (g *Governor) Look(now time.Time) (*Ruling, error) {
	if g.cfg.Grants.Dir == "" || g.base == nil {
		return &Ruling{}, nil
	}
	late := g.Latest(now)
	over := slices.ContainsFunc(g.grants, func(h *policy.Grant) bool { return !late.Before(h.Until) })
	if g.seen == fingerprint(g.cfg.Grants.Dir.String()) && !over {
		return &Ruling{}, nil
	}
	r := g.ruling(g.base)
	if err := r.readGrants(now); err != nil {
		return nil, err
	}
	same := slices.EqualFunc(r.grants, g.grants, func(a, b *policy.Grant) bool { return a.ID == b.ID })
	r.Changed = !same || len(r.Facts) > 0
	if !r.Changed {
		g.seen, g.told = r.seen, r.told
	}
	return r, nil
}

func (g *Governor) ruling(base *policy.Policy) *Ruling {
	return &Ruling{governor: g, base: base, told: map[string]bool{},
		state: state{Levels: maps.Clone(g.state.Levels), Grants: maps.Clone(g.state.Grants)}}
}

// Remember makes what a ruling changes durable. It is called before the ruling comes into force: a crash in between
// leaves newer serials remembered than were in force, never older ones.
func (r *Ruling) Remember(now time.Time) error {
	g := r.governor
	r.state.Latest = g.Latest(now)
	if g.cfg.Signers.State != "" {
		if err := r.state.write(g.cfg.Signers.State.String()); err != nil {
			return fmt.Errorf("what must not be forgotten of signed policies cannot be written: %w", err)
		}
	}
	g.state, g.base, g.grants, g.told, g.seen = &r.state, r.base, r.grants, r.told, r.seen
	return nil
}

// readGrants finds the grants that hold, and what has become of the others since the last ruling.
func (r *Ruling) readGrants(now time.Time) error {
	r.Policy = r.base
	dir := r.governor.cfg.Grants.Dir.String()
	if dir == "" {
		return nil
	}
	r.seen = fingerprint(dir)
	files, err := ReadGrants(dir, r.base)
	if err != nil {
		return err
	}
	late := r.governor.Latest(now)
	present := map[string]bool{}
	for i := range files {
		r.take(&files[i], late, present)
	}
	r.end(late, present)
	r.Policy = r.base.WithGrants(r.grants)
	return nil
}

// take adds one grant if it may be used.
func (r *Ruling) take(f *GrantFile, late time.Time, present map[string]bool) {
	if f.Err == nil {
		present[f.Grant.ID] = true
	}
	switch {
	case f.Err != nil:
	case r.state.Grants[f.Grant.ID].Withdrawn:
		f.Err = fmt.Errorf("%s was withdrawn and does not come back: request another", f.Grant.ID)
	case !late.Before(f.Grant.Until):
		if _, known := r.state.Grants[f.Grant.ID]; known {
			return // end says so
		}
		f.Err = fmt.Errorf("%s has run out", f.Grant.ID)
	case len(r.grants) == policy.MaxGrants:
		f.Err = fmt.Errorf("%d grants are in force, and more cannot be", policy.MaxGrants)
	}
	if f.Err != nil {
		r.refuse(f)
		return
	}
	r.grants = append(r.grants, f.Grant)
	if _, known := r.state.Grants[f.Grant.ID]; !known || r.governor.base == nil { // each start says what is in force
		r.state.Grants[f.Grant.ID] = grantState{Until: f.Grant.Until}
		r.Facts = append(r.Facts, issued(f))
	}
}

// refuse puts a file that is no valid grant on record, once.
func (r *Ruling) refuse(f *GrantFile) {
	key := filepath.Base(f.File) + " " + f.Digest + " " + f.Err.Error()
	if r.told[key] = true; r.governor.told[key] {
		return
	}
	fact := record.Record{Kind: record.KindGrantRefused, Reason: f.Err.Error(),
		Detail: map[string]string{"file": filepath.Base(f.File), "sha256": strings.TrimPrefix(f.Digest, "sha256:")}}
	if f.Grant != nil {
		fact.Grant, fact.Person, fact.Department = f.Grant.ID, f.Grant.Person, f.Grant.Department
	}
	r.Facts = append(r.Facts, fact)
}

func issued(f *GrantFile) record.Record {
	g := f.Grant
	return record.Record{Kind: record.KindGrantIssued, Grant: g.ID, Person: g.Person, Department: g.Department, Purpose: g.Purpose,
		Reason: g.Reason, Rule: g.Under, Detail: map[string]string{"text": g.Text, "from": g.From.UTC().Format(time.RFC3339),
			"until": g.Until.UTC().Format(time.RFC3339), "signers": strings.Join(f.By, ", ")}}
}

// end puts on record which grants that were issued hold no longer. One that is withdrawn, and has not run out, is
// remembered; what runs out is kept off by the time.
func (r *Ruling) end(late time.Time, present map[string]bool) {
	for _, id := range slices.Sorted(maps.Keys(r.state.Grants)) {
		was := r.state.Grants[id]
		over := !late.Before(was.Until)
		held := slices.ContainsFunc(r.grants, func(g *policy.Grant) bool { return g.ID == id })
		switch {
		case was.Withdrawn || was.Over:
			if over && !present[id] {
				delete(r.state.Grants, id)
			}
			continue
		case held:
			continue
		case over:
			r.ended(id, "it has run out")
			was.Over = true
			r.state.Grants[id] = was
		case present[id]:
			r.ended(id, "no more grants can be in force")
			delete(r.state.Grants, id)
		default:
			r.ended(id, "it was withdrawn: its file is gone, or is no valid grant any more")
			was.Withdrawn = true
			r.state.Grants[id] = was
		}
	}
	for id := range r.state.Grants { // bounded like everything else; those in force are fewer
		if len(r.state.Grants) <= maxGrantStates {
			break
		}
		if r.state.Grants[id].Withdrawn || r.state.Grants[id].Over {
			delete(r.state.Grants, id)
		}
	}
}

func (r *Ruling) ended(id, why string) {
	r.Facts = append(r.Facts, record.Record{Kind: record.KindGrantEnded, Grant: id, Reason: why})
}

// fingerprint says whether a directory may have changed.
func fingerprint(dir string) string {
	names, err := grantNames(dir)
	if err != nil {
		return "unreadable: " + err.Error()
	}
	var b strings.Builder
	for _, name := range names {
		info, err := os.Lstat(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		fmt.Fprintf(&b, "%s %d %d %v\n", name, info.Size(), info.ModTime().UnixNano(), info.Mode())
	}
	return b.String()
}

// clock never goes back, and goes on while the machine's clock is set back.
type clock struct {
	mu      sync.Mutex
	started time.Time // with the machine's monotonic clock
	ahead   time.Duration
	last    time.Time
}

func (c *clock) start(now, remembered time.Time) {
	c.started = now
	c.ahead = max(0, remembered.Sub(now.Round(0)))
}

func (c *clock) latest(now time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	steady := c.started.Round(0).Add(now.Sub(c.started)) // by the monotonic clock where now has it
	if wall := now.Round(0); wall.After(steady.Add(c.ahead)) {
		c.ahead = wall.Sub(steady) // it slept, or the clock was set forward
	}
	if t := steady.Add(c.ahead); t.After(c.last) {
		c.last = t
	}
	return c.last
}
