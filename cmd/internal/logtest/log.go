package logtest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"

	"shiguan/auditlog"
	"shiguan/auditlog/record"
	"shiguan/auditlog/record/seal"
	"shiguan/auditlog/tiles"
)

// Origin is the name of every log made here.
const Origin = "audit.example.gov.cn/civil-affairs"

// Witnesses are the names of the three departments whose cosignatures count, two of them at least.
var Witnesses = []string{"discipline-inspection", "audit-office", "data-bureau"}

// Log is a running log in a temporary directory, with the files around it.
type Log struct {
	*auditlog.Log
	Dir        string // holds everything below
	LogDir     string
	Config     string // an investigator's configuration
	QuorumFile string
	Quorum     *tiles.Policy
	VKey       string // of the log
	Subjects   *record.SubjectKey
	Identities []age.Identity

	t          testing.TB
	signer     *tiles.LogSigner
	recipients []age.Recipient
	witnesses  *witnesses
	index      uint64 // of the next record; appended only from the test's goroutine
}

// New makes a log and all keys. The log is closed when the test ends.
func New(t testing.TB) *Log {
	t.Helper()
	l := &Log{t: t, Dir: t.TempDir(), Subjects: record.NewSubjectKey(), witnesses: &witnesses{}}
	l.LogDir = filepath.Join(l.Dir, "log")
	l.Config, l.QuorumFile = filepath.Join(l.Dir, "investigator.yaml"), filepath.Join(l.Dir, "quorum.policy")
	l.makeKeys()
	l.write("investigator.yaml", fmt.Sprintf("log: {dir: log}\norigin: %s\nidentity: investigator.identity\nsubject_key: subject.key\n"+
		"quorum: quorum.policy\nindex: index.sqlite\ntime_zone: Asia/Shanghai\nconsole: {listen: \"127.0.0.1:0\", people: people.yaml}\n", Origin))
	l.Open()
	t.Cleanup(func() { l.Stop() })
	return l
}

func (l *Log) makeKeys() {
	skey, vkey, err := tiles.GenerateLogKey(Origin)
	l.must(err)
	l.VKey = vkey
	l.signer, err = tiles.NewLogSigner(skey)
	l.must(err)
	policy := "log " + vkey + "\n"
	for _, name := range Witnesses {
		skey, vkey, err := tiles.GenerateWitnessKey(name + ".example.gov.cn")
		l.must(err)
		signer, err := tiles.NewCosigner(skey)
		l.must(err)
		l.witnesses.signers = append(l.witnesses.signers, signer)
		policy += "witness " + name + " " + vkey + "\n"
	}
	policy += "group city 2 " + Witnesses[0] + " " + Witnesses[1] + " " + Witnesses[2] + "\nquorum city\n"
	l.write("quorum.policy", policy)
	l.Quorum, err = tiles.ParsePolicy([]byte(policy))
	l.must(err)
	identity, err := age.GenerateX25519Identity()
	l.must(err)
	l.write("investigator.identity", identity.String()+"\n")
	l.write("investigator.recipient", identity.Recipient().String()+"\n")
	l.write("subject.key", l.Subjects.Encode()+"\n")
	l.recipients, err = seal.ParseRecipients(filepath.Join(l.Dir, "investigator.recipient"))
	l.must(err)
	l.Identities = []age.Identity{identity}
}

// Open starts the log's engine, again after Stop.
func (l *Log) Open() {
	l.t.Helper()
	log, err := auditlog.Open(context.Background(), auditlog.Options{Dir: l.LogDir, Origin: Origin, Signer: l.signer, Recipients: l.recipients,
		Cosigner: l.witnesses, Quorum: l.Quorum, Interval: 20 * time.Millisecond, Logger: slog.New(slog.DiscardHandler), SegmentBytes: 4 << 20})
	l.must(err)
	l.Log = log
}

// Stop closes the engine; the directory stays.
func (l *Log) Stop() {
	if l.Log == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := l.Log.Close(ctx); err != nil {
		l.t.Errorf("closing the log: %v", err)
	}
	l.Log = nil
}

// Append puts a record on the log and returns its index.
func (l *Log) Append(r *record.Record) uint64 {
	l.t.Helper()
	payload, err := r.Append(nil)
	l.must(err)
	receipt, err := l.Log.Append(r.Kind, r.Time, payload)
	l.must(err)
	l.index = receipt.Index() + 1
	return receipt.Index()
}

// Durable waits until everything appended so far is durable.
func (l *Log) Durable() {
	l.t.Helper()
	l.await("durable", func(s auditlog.Status) bool { return s.Durable >= l.index })
}

// Integrated waits until everything appended so far is in a signed head.
func (l *Log) Integrated() {
	l.t.Helper()
	l.await("integrated", func(s auditlog.Status) bool { return s.Integrated >= l.index })
}

// Witnessed waits until everything appended so far is cosigned by the quorum.
func (l *Log) Witnessed() {
	l.t.Helper()
	l.await("witnessed", func(s auditlog.Status) bool { return s.Witnessed >= l.index })
}

func (l *Log) await(what string, reached func(auditlog.Status) bool) {
	l.t.Helper()
	for began := time.Now(); !reached(l.Status()); time.Sleep(2 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			l.t.Fatalf("%d records are not %s after a minute: %+v", l.index, what, l.Status())
		}
	}
}

// Strike makes the witnesses stop signing, or start again.
func (l *Log) Strike(on bool) { l.witnesses.strike.Store(on) }

func (l *Log) write(name, content string) {
	l.t.Helper()
	l.must(os.WriteFile(filepath.Join(l.Dir, name), []byte(content), 0o600))
}

func (l *Log) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// witnesses sign everything: what real ones check is tested where they live.
type witnesses struct {
	signers []*tiles.CosignatureSigner
	strike  atomic.Bool
}

// Cosign implements auditlog.Cosigner.
func (w *witnesses) Cosign(_ context.Context, signed []byte, _ uint64, _ func(old uint64) ([]tiles.Hash, error)) ([]byte, error) {
	if w.strike.Load() {
		return signed, fmt.Errorf("the witnesses are on strike")
	}
	n, err := tiles.ParseNote(signed)
	if err != nil {
		return nil, err
	}
	for _, s := range w.signers {
		line, err := s.Cosign(n.Text, time.Now())
		if err != nil {
			return nil, err
		}
		signed = append(signed[:len(signed):len(signed)], line...)
	}
	return signed, nil
}
