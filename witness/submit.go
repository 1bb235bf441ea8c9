package witness

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"shiguan/auditlog/tiles"
)

// answer is the outcome of an add-checkpoint call: what goes back, and how it is counted.
type answer struct {
	status int
	result string
	size   uint64 // with 409: the size that would have been right
	lines  []byte // with 200: the cosignatures, a line for each key
	detail string // otherwise: for the log's operator
}

// The values of the metric label "result".
const (
	resultCosigned      = "cosigned"
	resultMalformed     = "malformed"
	resultUnknownOrigin = "unknown_origin"
	resultUnsigned      = "unsigned"
	resultConflict      = "conflict"
	resultInconsistent  = "inconsistent"
	resultBusy          = "busy"
	resultFailed        = "failed"
)

var results = []string{resultCosigned, resultMalformed, resultUnknownOrigin, resultUnsigned, resultConflict,
	resultInconsistent, resultBusy, resultFailed}

func refuse(status int, result, format string, args ...any) answer {
	return answer{status: status, result: result, detail: fmt.Sprintf(format, args...)}
}

// maxClockStep is how far the clock may step back, as NTP makes it do, before the witness refuses to sign rather than state
// a time that is not so.
const maxClockStep = time.Minute

// submit decides about a request, in the order that tlog-witness gives. signed reports that the checkpoint bears a valid
// signature of a log that is configured.
func (w *Witness) submit(r *request) (a answer, signed bool) {
	l := w.logs[originHash(r.head.Origin)]
	if l == nil || l.keys == nil {
		return refuse(http.StatusNotFound, resultUnknownOrigin, "this witness does not know the log's origin"), false
	}
	logSignatures, err := r.note.Verify(l.keys...)
	if err != nil {
		return refuse(http.StatusForbidden, resultUnsigned, "%v", err), false
	}
	if r.old > r.head.Size {
		return refuse(http.StatusBadRequest, resultMalformed, "old size %d is larger than the checkpoint's %d", r.old, r.head.Size), true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.old != l.latest.Size {
		return answer{status: http.StatusConflict, result: resultConflict, size: l.latest.Size}, true
	}
	if err := l.checkLocked(r); err != nil {
		w.accuse(l, r, err)
		return refuse(http.StatusUnprocessableEntity, resultInconsistent, "%v", err), true
	}
	return w.cosignLocked(l, r, logSignatures), true
}

// checkLocked checks that the submitted tree begins with the latest one. Before the first cosignature the latest tree is
// the empty one, which every tree begins with.
func (l *logState) checkLocked(r *request) error {
	if r.wrongEmpty {
		return errors.New("the checkpoint has size 0 and not the root of an empty tree")
	}
	root := l.latest.Root
	if l.latest.Size == 0 {
		root = tiles.EmptyRoot()
	}
	return tiles.CheckConsistency(r.old, r.head.Size, r.proof, root, r.head.Root)
}

// accuse leaves all of a submission that a log signed and that contradicts what it signed before in the operator's log: it may
// be the proof that the log cheats. A proof that merely fails to verify looks the same from here.
func (w *Witness) accuse(l *logState, r *request, err error) {
	proof := make([]string, len(r.proof))
	for i, h := range r.proof {
		proof[i] = tiles.FormatHash(h)
	}
	latest := ""
	if shown := l.shown.Load(); shown != nil {
		latest = string(*shown)
	}
	w.logger.Error("a validly signed checkpoint does not extend the last one co-signed: keep this entry, it may prove that the log was altered",
		"origin", l.origin, "error", err, "latest", latest, "submitted", string(r.note.Marshal()), "proof", proof)
}

// cosignLocked signs, makes durable and only then answers. A crash before save leaves the old state, a crash after it a state
// that nobody was answered for: the log submits the same checkpoint again and is told the size, or is co-signed again.
func (w *Witness) cosignLocked(l *logState, r *request, logSignatures []tiles.Signature) answer {
	if w.Err() != nil {
		return refuse(http.StatusInternalServerError, resultFailed, "the witness cannot keep its state and has stopped signing")
	}
	now := w.clock()
	if behind := l.signed.Sub(now); behind > maxClockStep {
		w.logger.Error("the clock is behind the last cosignature: set it; nothing is co-signed until then",
			"origin", l.origin, "last", l.signed, "now", now)
		return refuse(http.StatusServiceUnavailable, resultFailed, "the witness's clock is wrong")
	} else if behind > 0 {
		now = l.signed
	}
	lines, err := w.cosign(r.note.Text, now)
	if err != nil {
		w.logger.Error("signing failed", "origin", l.origin, "error", err)
		return refuse(http.StatusInternalServerError, resultFailed, "the witness cannot sign")
	}
	n := tiles.Note{Text: r.note.Text, Signatures: logSignatures}
	checkpoint := append(n.Marshal(), lines...)
	if err := w.dir.save(l.origin, checkpoint); err != nil {
		// What is on disk now is the old state or the new one. Both are true, but this process no longer knows which, and a
		// file system that failed once may have lost more than it said.
		w.fail(err)
		w.logger.Error("state could not be made durable; nothing is co-signed any more", "origin", l.origin, "error", err)
		return refuse(http.StatusInternalServerError, resultFailed, "the witness cannot keep its state and has stopped signing")
	}
	l.latest, l.signed = r.head, now
	l.shown.Store(&checkpoint)
	w.metrics.cosigned(l.origin, r.head.Size, now)
	if l.mirror != nil {
		l.mirror.cosigned(r.head.Size, now)
	}
	return answer{status: http.StatusOK, result: resultCosigned, lines: lines}
}

// cosign has every key of the witness say the same, at the same time.
func (w *Witness) cosign(text []byte, at time.Time) (lines []byte, err error) {
	for _, s := range w.signers {
		line, err := s.Cosign(text, at)
		if err != nil {
			return nil, err
		}
		lines = append(lines, line...)
	}
	return lines, nil
}
