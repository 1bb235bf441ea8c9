package evidence_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"shiguan/auditlog/evidence"
	"shiguan/auditlog/record"
	"shiguan/auditlog/tiles"
)

const (
	origin  = "civil.example/audit"
	logSize = 300
	index   = 137
)

var recordTime = time.Date(2026, 11, 21, 8, 0, 0, 123e6, time.UTC)

// city is a log with entries and three witnesses, of which two are enough.
type city struct {
	t         testing.TB
	logKey    *tiles.LogSigner
	witnesses []*tiles.CosignatureSigner
	policy    *tiles.Policy
	leaves    [][]byte
	payloads  [][]byte
	openings  [][32]byte
	tiles     map[string][]byte
	builder   *tiles.Builder
}

var witnessNames = []string{"discipline-inspection", "audit-office", "data-bureau"}

func newCity(t testing.TB) *city {
	c := &city{t: t, tiles: map[string][]byte{}}
	skey, vkey, err := tiles.GenerateLogKey(origin)
	c.must(err)
	c.logKey, err = tiles.NewLogSigner(skey)
	c.must(err)
	text := "# who counts\nlog " + vkey + "\n"
	for _, name := range witnessNames {
		skey, vkey, err := tiles.GenerateWitnessKey(name + ".example/witness")
		c.must(err)
		w, err := tiles.NewCosigner(skey)
		c.must(err)
		c.witnesses = append(c.witnesses, w)
		text += "witness " + name + " " + vkey + "\n"
	}
	text += "group city 2 discipline-inspection audit-office data-bureau\nquorum city\n"
	c.policy, err = tiles.ParsePolicy([]byte(text))
	c.must(err)
	c.builder = tiles.NewBuilder(func(tile tiles.Tile) error {
		c.tiles[tile.Path()] = bytes.Clone(tile.Data)
		return nil
	})
	for i := range logSize {
		c.append(payload(c.t, i), nil)
	}
	return c
}

func (c *city) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// payload is the i-th record of the test log.
func payload(t testing.TB, i int) []byte {
	r := &record.Record{
		Kind: record.KindStatement, Time: recordTime.Add(time.Duration(i-index) * time.Second),
		Session: "00112233445566aa", Seq: uint64(i + 1),
		Person: "civil_clerk", Department: "civil-affairs", Position: "clerk", Database: "civil", Client: "192.0.2.7:40000",
		Statement: fmt.Sprintf("SELECT name FROM civil.citizens WHERE id_number = '王%d'", i), Tables: []string{"civil.citizens"},
		Decision: record.DecisionAllowed, Rule: "clerk-reads-citizens", Purpose: "case-2026-114",
	}
	b, err := r.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// append puts a payload into the log. change, if any, tampers with the leaf as a dishonest log could.
func (c *city) append(payload []byte, change func(*record.Leaf)) {
	i := len(c.leaves)
	opening := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
	l := record.Leaf{Kind: record.KindStatement, Time: recordTime.Add(time.Duration(i-index) * time.Second).UnixMilli(), Period: 7,
		Commitment: record.Commit(opening, payload), Sealed: sha256.Sum256(payload)}
	if change != nil {
		change(&l)
	}
	leaf := l.Append(nil)
	c.leaves, c.payloads, c.openings = append(c.leaves, leaf), append(c.payloads, payload), append(c.openings, opening)
	c.must(c.builder.Append(leaf))
}

// ReadTile makes the city a tiles.Reader.
func (c *city) ReadTile(_ context.Context, level, index uint64, width int) ([]byte, error) {
	data, ok := c.tiles[tiles.TilePath(level, index, width)]
	if !ok {
		return nil, fmt.Errorf("no tile")
	}
	return data, nil
}

// checkpoint is the present head, co-signed by the witnesses with these numbers, in this order.
func (c *city) checkpoint(witnesses ...int) []byte {
	c.must(c.builder.Publish())
	cp := tiles.Checkpoint{Origin: origin, Size: c.builder.Size(), Root: c.builder.Root()}
	signed, err := tiles.SignCheckpoint(cp, c.logKey)
	c.must(err)
	for _, w := range witnesses {
		line, err := c.witnesses[w].Cosign(cp.Marshal(), recordTime.Add(time.Minute))
		c.must(err)
		signed = append(signed, line...)
	}
	return signed
}

// evidence is the material for the i-th record under a checkpoint of the present head.
func (c *city) evidence(i uint64, checkpoint []byte) evidence.Parts {
	hashes, err := tiles.ProveInclusion(c.t.Context(), c, c.builder.Size(), i)
	c.must(err)
	return evidence.Parts{Policy: c.policy, Checkpoint: checkpoint, Index: i, Hashes: hashes,
		Leaf: c.leaves[i], Payload: c.payloads[i], Opening: c.openings[i]}
}

// file is a good evidence file.
func (c *city) file() []byte {
	e, _, err := evidence.New(c.evidence(index, c.checkpoint(0, 2)))
	c.must(err)
	return c.write(e)
}

func (c *city) write(e *evidence.Evidence) []byte {
	var b bytes.Buffer
	c.must(e.Write(&b))
	return b.Bytes()
}
