package auditlog

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"

	"filippo.io/age"

	"shiguan/auditlog/record"
	"shiguan/auditlog/tiles"
)

// FsckOptions say how deep to look. The zero value checks everything that can
// be checked without a key.
type FsckOptions struct {
	Policy     *tiles.Policy            // whose signatures count; nil: signatures are not checked
	Identities []age.Identity           // to open what is sealed; none: payloads are not looked at
	Progress   func(done, total uint64) // called now and then, by one goroutine
}

// Report says what Fsck looked at and found in order.
type Report struct {
	Origin     string           `json:"origin"`
	Durable    uint64           `json:"durable"` // records checked
	Integrated uint64           `json:"integrated"`
	Witnessed  uint64           `json:"witnessed"`
	Cosigned   []tiles.Cosigned `json:"cosigned,omitempty"` // of the published checkpoint

	SignaturesChecked bool   `json:"signatures_checked"` // there was a policy
	Tiles             uint64 `json:"tiles"`              // tiles and bundles compared
	Opened            uint64 `json:"opened"`             // payloads opened and decoded
	Erased            uint64 `json:"erased"`             // records whose content was lawfully erased
	NotForUs          uint64 `json:"not_for_us"`         // records that none of the identities opens
	PublicOnly        bool   `json:"public_only"`        // the source has no sealed payloads: only the tree was checked

	Sessions    uint64 `json:"sessions"`    // closed, with totals that match
	Interrupted uint64 `json:"interrupted"` // ended by a restart, without totals
	Open        uint64 `json:"open"`        // without an end so far
	Incomplete  uint64 `json:"incomplete"`  // sessions of which some records could not be opened

	TornTail bool `json:"torn_tail"` // a crash left a torn write, or one is going on
}

// Contradiction is the first thing that Fsck found to be at odds, with both
// sides of it.
type Contradiction struct {
	Where string // a record, a file, a session
	What  string
	Want  string // what one side says
	Have  string // what the other says
	Err   error  // the cause, if it is an error of its own
}

func (e *Contradiction) Error() string {
	s := e.Where + ": " + e.What
	if e.Want != "" || e.Have != "" {
		s += ": " + e.Want + "; " + e.Have
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Contradiction) Unwrap() error { return e.Err }

// Fsck recomputes a log from its bytes: every leaf and sealed payload, tiles,
// roots and signatures, and where identities open them the commitments, the
// payloads and each session's numbering and totals. The first contradiction is
// returned as a *Contradiction; any other error means that something could not
// be read. The Report says what was looked at until then.
//
// It works beside a running log: it checks the log as it was at one moment, and
// what came since as far as it is there.
func Fsck(ctx context.Context, src Source, o FsckOptions) (Report, error) {
	f := &fsck{src: src, o: o, opener: NewOpener(src, o.Identities), sessions: newSessions()}
	err := f.run(ctx)
	f.report.Sessions, f.report.Interrupted = f.sessions.closed, f.sessions.interrupted
	f.report.Open, f.report.Incomplete = uint64(len(f.sessions.open)), f.sessions.incomplete
	var corrupt *CorruptError
	if errors.As(err, &corrupt) {
		err = &Contradiction{Where: fmt.Sprintf("record %d", corrupt.Index), What: "the store is damaged", Err: err}
	}
	return f.report, err
}

type fsck struct {
	src      Source
	o        FsckOptions
	opener   *Opener
	report   Report
	sessions *sessions

	published, head signedHead
	total           uint64 // records to expect
	limit           uint64 // tiles up to this size can be compared
	builder         *tiles.Builder
}

func (f *fsck) run(ctx context.Context) error {
	if u, ok := f.src.(*urlSource); ok {
		public, err := u.publicOnly(ctx)
		if err != nil {
			return err
		}
		if public != nil {
			f.src, f.o.Identities, f.report.PublicOnly = public, nil, true
		}
	}
	if err := f.heads(ctx); err != nil {
		return err
	}
	f.builder = tiles.NewBuilder(func(t tiles.Tile) error { return f.compareTile(ctx, t) })
	if err := f.records(ctx); err != nil {
		return err
	}
	if n := f.builder.Size(); n < f.head.Size {
		return &Contradiction{Where: "head", What: "the log is shorter than what was signed",
			Want: fmt.Sprintf("signed size %d", f.head.Size), Have: fmt.Sprintf("%d records", n)}
	}
	if err := f.sessions.erasures(); err != nil {
		return err
	}
	if t, ok := f.src.(tailChecker); ok {
		torn, err := t.checkTail(ctx, f.builder.Size())
		f.report.TornTail = torn
		return err
	}
	return nil
}

// tailChecker is a source that can say what stands behind its last record.
type tailChecker interface {
	checkTail(ctx context.Context, next uint64) (torn bool, err error)
}

// heads reads the published checkpoint first: whatever is published then is in
// the head and in the store that are read later.
func (f *fsck) heads(ctx context.Context) (err error) {
	if f.published, err = f.signed(f.src.Checkpoint(ctx)); err != nil {
		return err
	}
	if f.head, err = f.signed(f.src.Head(ctx)); err != nil {
		return err
	}
	status, err := f.src.Status(ctx)
	if err != nil {
		return err
	}
	r := &f.report
	r.Origin, r.Witnessed, r.Integrated = f.head.Origin, f.published.Size, f.head.Size
	f.total = status.Durable
	if f.limit = f.head.Size; !f.onDisk() {
		f.limit = f.published.Size
	}
	switch {
	case f.published.Size > 0 && f.published.Origin != f.head.Origin:
		return &Contradiction{Where: checkpointFile, What: "it is of another log than the head", Want: f.head.Origin, Have: f.published.Origin}
	case f.published.Size > f.head.Size:
		return &Contradiction{Where: headFile, What: "more is published than was signed",
			Want: fmt.Sprintf("published size %d", f.published.Size), Have: fmt.Sprintf("signed size %d", f.head.Size)}
	}
	return f.checkSignatures()
}

func (f *fsck) onDisk() bool {
	_, ok := f.src.(*dirSource)
	return ok
}

// signed takes what a source returned; nothing signed yet is size 0.
func (f *fsck) signed(signed []byte, err error) (signedHead, error) {
	if errors.Is(err, ErrNotPublished) {
		return signedHead{}, nil
	}
	if err != nil {
		return signedHead{}, err
	}
	c, err := parseHead(signed, nil)
	if err != nil {
		return signedHead{}, &Contradiction{Where: checkpointFile, What: "it is not one", Err: err}
	}
	return signedHead{c, signed}, nil
}

func (f *fsck) checkSignatures() (err error) {
	if f.o.Policy == nil {
		return nil
	}
	f.report.SignaturesChecked = true
	if f.head.signed != nil {
		if _, err := f.o.Policy.CheckLog(f.head.signed); err != nil {
			return &Contradiction{Where: headFile, What: "the log's signature does not hold", Err: err}
		}
	}
	if f.published.signed != nil {
		if _, f.report.Cosigned, err = f.o.Policy.Check(f.published.signed); err != nil {
			return &Contradiction{Where: checkpointFile, What: "its signatures do not hold", Err: err}
		}
		return nil
	}
	// Who holds the log's key can write all of it anew, and then there is one thing that he cannot show.
	if nobody := func(string) bool { return false }; f.head.signed != nil && !f.o.Policy.Satisfied(nobody) {
		return &Contradiction{Where: checkpointFile, What: "nothing was ever witnessed, or what shows it was taken away",
			Want: "a head co-signed by " + f.o.Policy.Rule(), Have: fmt.Sprintf("a head of size %d that only the log itself has signed", f.head.Size)}
	}
	return nil
}

// one puts the next record, whose own bytes have been checked, into the tree.
func (f *fsck) one(ctx context.Context, c *checked) error {
	if c.Index != f.builder.Size() {
		return &Contradiction{Where: fmt.Sprintf("record %d", f.builder.Size()), What: "another record stands in its place",
			Want: fmt.Sprintf("index %d", f.builder.Size()), Have: fmt.Sprintf("index %d", c.Index)}
	}
	if err := f.builder.Append(c.LeafBytes); err != nil {
		return unwrapTile(err)
	}
	f.report.Durable++
	if err := f.atSize(); err != nil {
		return err
	}
	switch {
	case c.record != nil:
		f.report.Opened++
	case errors.Is(c.unopened, ErrErased):
		f.report.Erased++
	case c.unopened != nil:
		f.report.NotForUs++
	}
	if len(f.o.Identities) == 0 {
		return nil
	}
	if err := f.periodKeys(ctx, c.record); err != nil {
		return err
	}
	return f.sessions.one(c)
}

// periodKeys checks that a period's wrapped key, and that of the one before, is
// the one on record.
func (f *fsck) periodKeys(ctx context.Context, r *record.Record) error {
	if r == nil || r.Kind != record.KindPeriodOpened {
		return nil
	}
	period, err := strconv.ParseUint(r.Detail["period"], 10, 32)
	if err != nil || period == 0 {
		return &Contradiction{Where: "key period", What: "the record of its opening has no number", Err: err}
	}
	if err := f.periodKey(ctx, uint32(period), r.Detail["wrapped_sha256"]); err != nil {
		return err
	}
	if before, ok := r.Detail["previous_sha256"]; ok {
		return f.periodKey(ctx, uint32(period-1), before)
	}
	return nil
}

func (f *fsck) periodKey(ctx context.Context, period uint32, want string) error {
	wrapped, err := f.src.WrappedKey(ctx, period)
	if errors.Is(err, ErrErased) {
		return nil
	}
	where := fmt.Sprintf("key period %d", period)
	if errors.Is(err, ErrKeyMissing) {
		return &Contradiction{Where: where, What: "its key is not there", Err: err}
	}
	if err != nil {
		return err
	}
	if have := fmt.Sprintf("%x", sha256.Sum256(wrapped)); have != want {
		return &Contradiction{Where: where, What: "its wrapped key is not the one on record", Want: "recorded SHA-256 " + want, Have: "the file has " + have}
	}
	return nil
}

// unwrapTile takes a contradiction out of what the builder wraps around it.
func unwrapTile(err error) error {
	if c := (*Contradiction)(nil); errors.As(err, &c) {
		return c
	}
	return err
}

// atSize compares roots, and partial tiles, when the tree has the size of a
// head.
func (f *fsck) atSize() error {
	for name, c := range map[string]signedHead{headFile: f.head, checkpointFile: f.published} {
		if c.signed == nil || c.Size != f.builder.Size() {
			continue
		}
		if root := f.builder.Root(); root != c.Root {
			return &Contradiction{Where: name, What: fmt.Sprintf("the first %d records have another root than was signed", c.Size),
				Want: "signed " + base64.StdEncoding.EncodeToString(c.Root[:]),
				Have: "recomputed " + base64.StdEncoding.EncodeToString(root[:])}
		}
		if err := f.builder.Publish(); err != nil {
			return unwrapTile(err)
		}
	}
	return nil
}
