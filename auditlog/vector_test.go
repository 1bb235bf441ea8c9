package auditlog

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"

	"filippo.io/age"

	"shiguan/auditlog/record"
	"shiguan/auditlog/tiles"
)

var writeVector = flag.Bool("write-vector", false, "make testdata/vector anew")

const (
	vectorDir  = "testdata/vector"
	vectorFile = "testdata/vector.json"
)

// vector says what is in the log of testdata/vector, for people who write their
// own verifier.
type vector struct {
	Policy   string         `json:"policy"`   // tlog-policy
	Identity string         `json:"identity"` // age
	Size     uint64         `json:"size"`
	Root     string         `json:"root"` // hex
	Records  []vectorRecord `json:"records"`
}

type vectorRecord struct {
	Leaf    string `json:"leaf"`    // hex
	Opening string `json:"opening"` // hex
	Payload string `json:"payload"`
}

// TestVectorHolds checks the log that others check their verifiers with: a
// change of this code that breaks it has changed the format.
func TestVectorHolds(t *testing.T) {
	if *writeVector {
		makeVector(t)
	}
	b, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	var v vector
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	policy, err := tiles.ParsePolicy([]byte(v.Policy))
	if err != nil {
		t.Fatal(err)
	}
	id, err := age.ParseX25519Identity(v.Identity)
	if err != nil {
		t.Fatal(err)
	}
	src := mustDir(t, vectorDir)
	r, err := Fsck(context.Background(), src, FsckOptions{Policy: policy, Identities: []age.Identity{id}})
	if err != nil || r.Witnessed != v.Size || r.Opened != v.Size || r.Sessions != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	checkpoint, err := src.Checkpoint(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if c, _, err := policy.Check(checkpoint); err != nil || hex.EncodeToString(c.Root[:]) != v.Root {
		t.Errorf("root %x, %v", c.Root, err)
	}
	op := NewOpener(src, []age.Identity{id})
	err = src.Records(context.Background(), 0, func(st Stored) error {
		payload, opening, err := op.Open(context.Background(), st)
		want := v.Records[st.Index]
		if hex.EncodeToString(st.LeafBytes) != want.Leaf || hex.EncodeToString(opening[:]) != want.Opening || string(payload) != want.Payload {
			t.Errorf("record %d is another one: %v", st.Index, err)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	walkVector(t, v)
}

// walkVector reads the segments as FORMAT.md says, with nothing of this package.
func walkVector(t *testing.T, v vector) {
	files, err := filepath.Glob(vectorDir + "/segments/*.seg")
	if err != nil || len(files) < 2 {
		t.Fatalf("%d segments, %v", len(files), err)
	}
	n := uint64(0)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for len(b) >= 24 && [24]byte(b) != [24]byte{} {
			end := 24 + binary.BigEndian.Uint32(b[4:])
			sum := crc32.Checksum(append(append([]byte{}, b[24:end]...), b[4:24]...), crc32.MakeTable(crc32.Castagnoli))
			sealed := sha256.Sum256(b[102:end])
			if sum != binary.BigEndian.Uint32(b) || binary.BigEndian.Uint64(b[8:]) != n || binary.BigEndian.Uint64(b[16:]) > n ||
				hex.EncodeToString(b[24:102]) != v.Records[n].Leaf || string(sealed[:]) != string(b[70:102]) {
				t.Fatalf("frame %d of %s is not as documented", n, f)
			}
			b = b[end:]
			n++
		}
	}
	if n != v.Size {
		t.Errorf("%d frames, want %d", n, v.Size)
	}
}

func makeVector(t *testing.T) {
	if err := os.RemoveAll(vectorDir); err != nil {
		t.Fatal(err)
	}
	k := newTestKeys(t)
	o := k.options(t, vectorDir)
	o.Cosigner, o.manual, o.SegmentBytes = &strictWitness{}, true, 4096
	v := vector{Policy: "log " + k.vkey + "\nquorum none\n", Identity: k.identity.String()}
	l := mustOpen(t, o)
	zero := uint64(2)
	for _, r := range []*record.Record{
		{Kind: record.KindSessionOpened, Person: "civil_clerk", Department: "civil-affairs", Client: "192.0.2.7:50123", Auth: "scram-sha-256"},
		{Kind: record.KindStatement, Seq: 1, Person: "civil_clerk", Statement: "SELECT name FROM civil.citizens WHERE id_number = '110101199003078515'",
			Tables: []string{"civil.citizens"}, Decision: record.DecisionAllowed, Rule: "clerk-reads-citizens"},
		{Kind: record.KindDisclosure, Seq: 1, Of: &zero, Part: 1, Final: true, Subjects: []record.Subject{{1, 2, 3}}},
		{Kind: record.KindStatement, Seq: 2, Person: "civil_clerk", Statement: "SELECT '张三', E'\\n'", Decision: record.DecisionRefused, Reason: "no rule",
			Earlier: []record.Outcome{{Seq: 1, Of: 2, Rows: 1, Bytes: 12, Micros: 345, Tag: "SELECT 1"}}},
		{Kind: record.KindSessionClosed, Totals: &record.Totals{Statements: 2, Refused: 1, Rows: 1, Bytes: 12}},
	} {
		r.Time, r.Session = testTime, "0011223344556677"
		if _, err := l.appendRecord(l.sealer.Load(), r); err != nil {
			t.Fatal(err)
		}
	}
	for range 30 {
		if err := l.heartbeat(); err != nil {
			t.Fatal(err)
		}
	}
	mustClose(t, l)
	src := mustDir(t, vectorDir)
	op := NewOpener(src, []age.Identity{k.identity})
	err := src.Records(context.Background(), 0, func(st Stored) error {
		payload, opening, err := op.Open(context.Background(), st)
		v.Records = append(v.Records, vectorRecord{hex.EncodeToString(st.LeafBytes), hex.EncodeToString(opening[:]), string(payload)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	head := l.signer.current.Load()
	v.Size, v.Root = head.Size, hex.EncodeToString(head.Root[:])
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(vectorFile, append(b, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}
