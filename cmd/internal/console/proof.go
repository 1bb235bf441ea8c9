package console

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"time"

	"shiguan/auditlog/tiles"
	"shiguan/cmd/internal/investigation"
)

// proofPage is what the proof panel shows: each thing that was checked, with the values somebody else can check it with.
type proofPage struct {
	Index    uint64
	State    investigation.State
	Poll     bool // not witnessed yet: the panel follows by itself
	Evidence bool
	Verdict  string
	Erased   bool
	Period   uint32

	Opening, Commitment      string
	PayloadSize, PayloadHash string
	Leaf, LeafHash, Sealed   string
	LeafSize                 int

	Steps        []pathStep
	Root, Size   string // root as checkpoints write it, in base64; "" while no signed head holds the record
	RootHex      string // the same as the other hashes are written
	Origin       string
	Quorum       string
	Cosignatures []cosignature
}

// pathStep is one joining of two hashes on the way from the entry to the root.
type pathStep struct {
	Level       int
	GivenLeft   bool
	OursName    string
	Ours, Given string
	Next        string // where the joined hash stands in the step after this: left, right, or root
}

type cosignature struct {
	Name, Instant, When string
}

// proofPoll answers the panel's timer.
func (c *Console) proofPoll(w http.ResponseWriter, r *http.Request, s session) {
	index, ok := recordIndex(r)
	if !ok {
		c.nothingHere(w, r, s)
		return
	}
	heads, err := c.desk.Heads(r.Context())
	if err != nil {
		c.fail(w, r, s, err)
		return
	}
	entry, err := c.desk.Entry(r.Context(), heads, index)
	if err != nil {
		c.fail(w, r, s, err)
		return
	}
	c.render(w, r, http.StatusOK, "proof", c.proof(heads, entry))
}

// evidence hands out the file. Package investigation verifies it from its bytes before anybody gets them.
func (c *Console) evidence(w http.ResponseWriter, r *http.Request, s session) {
	index, ok := recordIndex(r)
	if !ok {
		c.nothingHere(w, r, s)
		return
	}
	file, err := c.desk.Evidence(r.Context(), index)
	if err != nil {
		c.fail(w, r, s, err)
		return
	}
	w.Header().Set("Content-Type", "application/zip")
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=record-%d.evidence", index))
	w.Header().Set("Content-Length", fmt.Sprint(len(file)))
	c.logger.Info("console: evidence handed out", "user", s.user, "record", index)
	_, _ = w.Write(file)
}

func (c *Console) proof(heads *investigation.Heads, e *investigation.Entry) proofPage {
	leafHash := tiles.LeafHash(e.LeafBytes)
	page := proofPage{
		Index: e.Index, State: e.State, Poll: e.State != investigation.Witnessed, Erased: e.Erased, Period: e.Leaf.Period,
		Commitment: hex.EncodeToString(e.Leaf.Commitment[:]), Sealed: hex.EncodeToString(e.Leaf.Sealed[:]),
		Leaf: hex.EncodeToString(e.LeafBytes), LeafHash: hex.EncodeToString(leafHash[:]), LeafSize: len(e.LeafBytes),
		Origin: c.origin, Verdict: verdict(e),
	}
	if !e.Erased {
		sum := sha256.Sum256(e.Payload)
		page.Opening, page.PayloadHash = hex.EncodeToString(e.Opening[:]), hex.EncodeToString(sum[:])
		page.PayloadSize = grouped(len(e.Payload))
	}
	head, ok := heads.Behind(e.Index)
	if !ok {
		return page
	}
	page.Root, page.Size = base64.StdEncoding.EncodeToString(head.Root[:]), grouped(head.Size)
	page.RootHex = hex.EncodeToString(head.Root[:])
	page.Steps = pathSteps(leafHash, e.Index, head.Size, e.Path)
	if e.State == investigation.Witnessed {
		page.Evidence = !e.Erased
		for _, by := range heads.Cosigned {
			at := by.Time.In(c.desk.Zone)
			page.Cosignatures = append(page.Cosignatures, cosignature{by.Name, at.Format(time.RFC3339), at.Format(time.DateTime)})
		}
		page.Quorum = fmt.Sprintf("%d of %d cosigned, the quorum holds", len(heads.Cosigned), len(c.desk.Quorum.Witnesses))
	}
	return page
}

func verdict(e *investigation.Entry) string {
	switch {
	case e.Erased:
		return "Existed, content lawfully erased. What follows was checked just now."
	case e.State == investigation.Witnessed:
		return "Everything below was checked just now, on this machine, from the log's own bytes."
	default:
		return "What can be checked so far was checked just now. The rest follows within seconds, when the log's next head is signed and witnessed."
	}
}

// pathSteps lays an audit path out step by step. The path was checked before (investigation.Desk.Entry); this only shows
// the hashes in between. Up to the level where the entry's way and the last entry's way part, each bit of the index says
// on which side we stand; above it every neighbour stands to the left (RFC 9162, 2.1.3.2).
func pathSteps(leaf tiles.Hash, index, size uint64, path []tiles.Hash) []pathStep {
	steps := make([]pathStep, 0, len(path))
	ours, name := leaf, "this entry"
	node, last, level := index, size-1, 0
	for _, given := range path {
		for node == last && node&1 == 0 && node != 0 { // no neighbour on this level: the hash moves up as it is
			node, last, level = node>>1, last>>1, level+1
		}
		step := pathStep{Level: level, GivenLeft: node&1 == 1, OursName: name,
			Ours: hex.EncodeToString(ours[:]), Given: hex.EncodeToString(given[:])}
		if step.GivenLeft {
			ours = tiles.NodeHash(given, ours)
		} else {
			ours = tiles.NodeHash(ours, given)
		}
		node, last, level, name = node>>1, last>>1, level+1, "joined"
		steps = append(steps, step)
	}
	for i := range steps {
		switch {
		case i+1 == len(steps):
			steps[i].Next = "root"
		case steps[i+1].GivenLeft:
			steps[i].Next = "right"
		default:
			steps[i].Next = "left"
		}
	}
	return steps
}
