package evidence

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"shiguan/auditlog/record"
	"shiguan/auditlog/tiles"
)

// Step names one of the things that Verify checks, in this order. The first that fails is the one reported.
type Step string

const (
	StepContainer  Step = "container"  // the file is the one ZIP file that holds these parts
	StepPolicy     Step = "policy"     // quorum.policy is the policy that the checker trusts
	StepCheckpoint Step = "checkpoint" // proof.tlog-proof holds a checkpoint, signed by the log
	StepQuorum     Step = "quorum"     // enough witnesses have co-signed it, and nobody else's line is in it
	StepInclusion  Step = "inclusion"  // leaf.bin is the entry at the index, under the checkpoint's root
	StepOpening    Step = "opening"    // opening.json opens the leaf's commitment to record.json
	StepRecord     Step = "record"     // record.json is a record, and of the kind and time that the leaf says
	StepReadme     Step = "readme"     // README.txt says of all this what it should say
)

// Steps are all steps in their order.
var Steps = []Step{StepContainer, StepPolicy, StepCheckpoint, StepQuorum, StepInclusion, StepOpening, StepRecord, StepReadme}

// StepError says that evidence does not hold, and which step failed.
type StepError struct {
	Step Step
	Err  error
}

func (e *StepError) Error() string { return fmt.Sprintf("%s: %v", e.Step, e.Err) }
func (e *StepError) Unwrap() error { return e.Err }

// ErrUnreadable says that a file is not evidence at all, good or bad: not a ZIP file, a part missing, too large.
var ErrUnreadable = errors.New("cannot be read as evidence")

// Verify checks an evidence file against the text of the tlog-policy that the caller trusts, which must come from elsewhere than
// the file. nil means that it holds. Otherwise the error is a *StepError, wraps ErrUnreadable, or says what is wrong with the
// trusted policy (*PolicyError).
func Verify(file, trusted []byte) (*Report, error) {
	policy, err := tiles.ParsePolicy(trusted)
	if err != nil {
		return nil, &PolicyError{err}
	}
	return VerifyWith(file, policy)
}

// PolicyError says that the trusted policy itself cannot be used.
type PolicyError struct{ Err error }

func (e *PolicyError) Error() string { return fmt.Sprintf("the trusted quorum policy: %v", e.Err) }
func (e *PolicyError) Unwrap() error { return e.Err }

// VerifyWith is Verify with a policy that has been parsed already.
func VerifyWith(file []byte, trusted *tiles.Policy) (*Report, error) {
	p, err := decode(file)
	if err != nil {
		return nil, err
	}
	report, err := inspect(p, trusted)
	if err != nil {
		return nil, err
	}
	if string(p[partReadme]) != Readme(report) {
		return nil, &StepError{StepReadme, errors.New("README.txt is not what this software writes about this record; trust none of it")}
	}
	return report, nil
}

// inspect takes all steps but those about the container and the README. Each comment says what is known once its step is done.
func inspect(p parts, trusted *tiles.Policy) (*Report, error) {
	// Whose word counts is for the checker to say. The embedded copy is for readers and must not differ from it.
	if !bytes.Equal(p[partPolicy], trusted.Text()) {
		return nil, &StepError{StepPolicy, errors.New("quorum.policy is not the trusted policy")}
	}

	// The log has signed this head.
	proof, err := tiles.ParseProof(p[partProof])
	if err != nil {
		return nil, &StepError{StepCheckpoint, err}
	}
	if proof.Extra != nil {
		return nil, &StepError{StepCheckpoint, errors.New("proof.tlog-proof has an extra line, which nobody vouches for")}
	}
	checkpoint, err := trusted.CheckLog(proof.Checkpoint)
	if err != nil {
		return nil, &StepError{StepCheckpoint, err}
	}

	// Enough witnesses have seen it and found it to extend what they had seen before.
	_, witnesses, err := trusted.CheckStrict(proof.Checkpoint)
	if err != nil {
		return nil, &StepError{StepQuorum, err}
	}

	// This leaf is in the tree under that head, at this index.
	err = tiles.CheckInclusion(tiles.LeafHash(p[partLeaf]), proof.Index, checkpoint.Size, proof.Hashes, checkpoint.Root)
	if err != nil {
		return nil, &StepError{StepInclusion, err}
	}

	// This leaf stands for these bytes and no others.
	leaf, rec, err := open(p)
	if err != nil {
		return nil, err
	}
	return &Report{
		Origin:    checkpoint.Origin,
		Index:     proof.Index,
		Size:      checkpoint.Size,
		Root:      tiles.FormatHash(checkpoint.Root),
		Quorum:    trusted.Rule(),
		Witnesses: witnesses,
		Period:    leaf.Period,
		Record:    rec,
		mldsa:     hasMLDSA(trusted),
	}, nil
}

func hasMLDSA(p *tiles.Policy) bool {
	return slices.ContainsFunc(p.Logs, func(l tiles.PolicyLog) bool { return l.Verifier.VKey().Type == tiles.KeyMLDSA44 }) ||
		slices.ContainsFunc(p.Witnesses, func(w tiles.PolicyWitness) bool { return w.Verifier.VKey().Type == tiles.KeyMLDSA44 })
}

// open takes the steps opening and record.
func open(p parts) (record.Leaf, *record.Record, error) {
	leaf, err := record.ParseLeaf(p[partLeaf])
	if err != nil {
		return leaf, nil, &StepError{StepOpening, err}
	}
	_, key, err := parseOpening(p[partOpening])
	if err != nil {
		return leaf, nil, &StepError{StepOpening, err}
	}
	if err := record.CheckOpening(leaf, key, p[partRecord]); err != nil {
		step := StepRecord
		if errors.Is(err, record.ErrCommitment) {
			step = StepOpening
		}
		return leaf, nil, &StepError{step, err}
	}
	rec, err := record.Decode(p[partRecord])
	if err != nil {
		return leaf, nil, &StepError{StepRecord, err}
	}
	return leaf, rec, nil
}
