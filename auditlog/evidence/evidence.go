package evidence

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"shiguan/auditlog/tiles"
)

// Evidence is the content of an .evidence file, one field a part, in the order of the file.
type Evidence struct {
	Proof   []byte  // proof.tlog-proof: index, path and co-signed checkpoint
	Leaf    []byte  // leaf.bin: the log's entry
	Record  []byte  // record.json: the record's payload, byte for byte as it was sealed
	Opening Opening // opening.json: what opens the leaf's commitment to the record
	Policy  []byte  // quorum.policy: whose signatures count
	Readme  string  // README.txt: what all this says and how to check it without this software
}

// Opening is the key of the leaf's commitment: HMAC-SHA256(opening, record.json) stands in the leaf. It opens this one record.
type Opening struct {
	V       int    `json:"v"`       // 1
	Opening string `json:"opening"` // 64 lower-case hex digits
}

// NewOpening puts an opening, as auditlog's Opener hands it out, into the form of opening.json.
func NewOpening(key [32]byte) Opening { return Opening{V: 1, Opening: hex.EncodeToString(key[:])} }

func (o Opening) marshal() []byte {
	return fmt.Appendf(nil, "{\"v\":%d,\"opening\":\"%s\"}\n", o.V, o.Opening)
}

// parseOpening accepts exactly what marshal writes.
func parseOpening(file []byte) (o Opening, key [32]byte, err error) {
	if err := json.Unmarshal(file, &o); err != nil {
		return o, key, fmt.Errorf("opening.json is not JSON: %w", err)
	}
	raw, err := hex.DecodeString(o.Opening)
	// Compared with what the key alone gives: DecodeString takes upper-case digits too.
	if copy(key[:], raw); err != nil || len(raw) != len(key) || !bytes.Equal(NewOpening(key).marshal(), file) {
		return o, key, errors.New(`opening.json is not {"v":1,"opening":"<64 lower-case hex digits>"} and a newline`)
	}
	return o, key, nil
}

// Parts is what evidence is made of, as the log and its opener give it.
type Parts struct {
	Policy     *tiles.Policy // the quorum that the evidence is to satisfy
	Checkpoint []byte        // signed and co-signed; other signatures than the policy's are left out
	Index      uint64
	Hashes     []tiles.Hash // inclusion proof of Index under the checkpoint
	Leaf       []byte
	Payload    []byte
	Opening    [32]byte
}

// New makes evidence. It checks it as Verify will, so it fails with a *StepError rather than return evidence that does not
// hold, for instance when the quorum has not signed yet.
func New(p Parts) (*Evidence, *Report, error) {
	checkpoint, err := p.Policy.Canonical(p.Checkpoint)
	if err != nil {
		return nil, nil, &StepError{StepCheckpoint, err}
	}
	proof := tiles.Proof{Index: p.Index, Hashes: p.Hashes, Checkpoint: checkpoint}
	e := &Evidence{
		Proof:   proof.Marshal(),
		Leaf:    p.Leaf,
		Record:  p.Payload,
		Opening: NewOpening(p.Opening),
		Policy:  p.Policy.Text(),
	}
	report, err := inspect(e.parts(), p.Policy)
	if err != nil {
		return nil, nil, err
	}
	e.Readme = Readme(report)
	return e, report, nil
}

func (e *Evidence) parts() parts {
	return parts{e.Proof, e.Leaf, e.Record, e.Opening.marshal(), e.Policy, []byte(e.Readme)}
}

// Write writes the file. The same evidence gives the same bytes, always.
func (e *Evidence) Write(w io.Writer) error {
	p := e.parts()
	for i, part := range p {
		if len(part) > partLimits[i] {
			return fmt.Errorf("%s has %d bytes; evidence can hold %d", partNames[i], len(part), partLimits[i])
		}
	}
	return p.encode(w)
}

// Write writes e to w; see Evidence.Write.
func Write(w io.Writer, e *Evidence) error { return e.Write(w) }
