package quorum

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"shiguan/auditlog"
	"shiguan/auditlog/tiles"
)

// maxAnswer bounds what is read of an answer: a checkpoint with many cosignatures is far below it.
const maxAnswer = 64 << 10

// conflictError is a 409: the witness last co-signed another size than we thought.
type conflictError struct{ size uint64 }

func (e *conflictError) Error() string {
	return fmt.Sprintf("it says that it has co-signed size %d", e.size)
}

// submit sends the head to a witness, once more if it was told the right old size, and looks closer at a witness that claims to
// know another log than ours.
func (q *Quorum) submit(ctx context.Context, r *round, p *peer) ([]answer, error) {
	of, err := q.addCheckpoint(ctx, r, p, p.size)
	if conflict := (*conflictError)(nil); errors.As(err, &conflict) {
		switch {
		case conflict.size > r.head.Size:
			return nil, q.investigate(ctx, r, p, err)
		case conflict.size == p.size:
			return nil, invalid("it refuses size %d as the old one and names it as the right one", p.size)
		}
		p.size = conflict.size
		of, err = q.addCheckpoint(ctx, r, p, p.size)
		if errors.As(err, &conflict) && conflict.size > r.head.Size {
			return nil, q.investigate(ctx, r, p, err)
		}
	}
	if status := (*statusError)(nil); errors.As(err, &status) && status.status == http.StatusUnprocessableEntity {
		return nil, q.investigate(ctx, r, p, err)
	}
	return of, err
}

// addCheckpoint is one request. Its error is a *conflictError for 409, a *statusError for another status, an *invalidError for
// an answer that breaks the protocol, and otherwise says why there was none.
func (q *Quorum) addCheckpoint(ctx context.Context, r *round, p *peer, old uint64) (of []answer, err error) {
	body, err := r.submission(old)
	if err != nil {
		return nil, err
	}
	defer func() {
		for i, w := range p.keys {
			result := resultOf(err)
			if of != nil {
				result = resultOf(of[i].err)
			}
			q.metrics.count(w.Name, result)
		}
	}()
	reply, err := q.do(ctx, http.MethodPost, p.endpoint("add-checkpoint"), body)
	if err != nil {
		return nil, err
	}
	switch reply.status {
	case http.StatusOK:
		return q.cosignaturesBy(p, r.log.Text, reply.body)
	case http.StatusConflict:
		size, err := conflictSize(reply)
		if err != nil {
			return nil, err
		}
		return nil, &conflictError{size}
	}
	return nil, &statusError{reply.status, clip(reply.body)}
}

// submission is the body of add-checkpoint.
func (r *round) submission(old uint64) ([]byte, error) {
	proof, err := r.proof(old)
	if err != nil {
		return nil, err
	}
	body := append([]byte("old "), strconv.FormatUint(old, 10)...)
	body = append(body, '\n')
	for _, h := range proof {
		body = append(append(body, tiles.FormatHash(h)...), '\n')
	}
	return append(append(body, '\n'), r.log.Marshal()...), nil
}

// cosignaturesBy picks the witness's cosignatures out of its answer, one for each key that the policy has of it, and verifies
// them. Lines by other keys do not count. It fails if there is none at all; where some are there, each key has its own error.
func (q *Quorum) cosignaturesBy(p *peer, text, lines []byte) ([]answer, error) {
	sigs, err := tiles.ParseSignatureLines(lines)
	if err != nil {
		return nil, invalid("its answer is not signature lines: %v", err)
	}
	n := &tiles.Note{Text: text, Signatures: sigs}
	of := make([]answer, len(p.keys))
	good := 0
	for i, w := range p.keys {
		of[i] = answer{witness: w.Name}
		if of[i].signature, of[i].err = cosignatureBy(n, w); of[i].err == nil {
			q.metrics.cosigned(w.Name, timeOf(of[i].signature))
			good++
		}
	}
	if good == 0 {
		return nil, of[0].err
	}
	return of, nil
}

func cosignatureBy(n *tiles.Note, w tiles.PolicyWitness) (tiles.Signature, error) {
	good, err := n.Verify(w.Verifier)
	if errors.Is(err, tiles.ErrUnsigned) {
		return tiles.Signature{}, invalid("its answer has no cosignature by the key %s+%08x that the policy names for it",
			w.Verifier.Name(), w.Verifier.KeyHash())
	}
	if err != nil {
		return tiles.Signature{}, invalid("its cosignature: %v", err)
	}
	return good[0], nil
}

func conflictSize(a *httpAnswer) (uint64, error) {
	media, _, err := mime.ParseMediaType(a.contentType)
	if err != nil || media != "text/x.tlog.size" {
		return 0, invalid("it answered 409 with content type %.60q instead of text/x.tlog.size", a.contentType)
	}
	line, ok := strings.CutSuffix(string(a.body), "\n")
	size, err := tiles.ParseSize(line)
	if !ok || err != nil {
		return 0, invalid("it answered 409 with %q instead of a size", clip(a.body))
	}
	return size, nil
}

// investigate is called when a witness claims to know a head of our log that our log does not continue. It asks for that head:
// only the log's own signature on it can prove the claim, and anything less leaves the claim what it was.
func (q *Quorum) investigate(ctx context.Context, r *round, p *peer, claim error) error {
	theirs, signed, err := q.monitored(ctx, r, p)
	if err == nil {
		err = q.contradiction(r, p, theirs, signed)
	}
	if rolledBack := (*auditlog.RolledBackError)(nil); errors.As(err, &rolledBack) {
		q.mu.Lock()
		if q.rollback == nil {
			q.rollback = err
		}
		q.mu.Unlock()
		q.metrics.count(p.name(), resultRolledBack)
		q.logger.Error("a witness proves that the log was rolled back or forked", "witness", p.name(), "error", err,
			"ours", string(r.log.Marshal()), "theirs", string(signed))
		return err
	}
	q.metrics.count(p.name(), resultUnproven)
	if p.claim != claim.Error() { // a witness that claims the same at every head must not fill the disk
		p.claim = claim.Error()
		q.logger.Error("a witness claims to know another head of the log and does not prove it; going on without it",
			"witness", p.name(), "claim", claim, "size", r.head.Size, "proof", err)
	}
	return fmt.Errorf("%w, without proof: %w", claim, err)
}

// monitored fetches the checkpoint that the witness shows for our log and verifies both signatures.
func (q *Quorum) monitored(ctx context.Context, r *round, p *peer) (tiles.Checkpoint, []byte, error) {
	sum := sha256.Sum256([]byte(r.head.Origin))
	answer, err := q.do(ctx, http.MethodGet, p.endpoint(hex.EncodeToString(sum[:])+"/checkpoint"), nil)
	if err != nil {
		return tiles.Checkpoint{}, nil, err
	}
	if answer.status != http.StatusOK {
		return tiles.Checkpoint{}, nil, &statusError{answer.status, clip(answer.body)}
	}
	theirs, n, err := openHead(q.policy, answer.body)
	if err != nil {
		return theirs, nil, invalid("the checkpoint that it shows: %v", err)
	}
	if theirs.Origin != r.head.Origin {
		return theirs, nil, invalid("it shows a checkpoint of %s", theirs.Origin)
	}
	whole, err := tiles.ParseNote(answer.body)
	if err != nil {
		return theirs, nil, invalid("the checkpoint that it shows: %v", err)
	}
	var own []note.Verifier
	for _, w := range p.keys {
		own = append(own, w.Verifier)
	}
	cosigned, err := whole.Verify(own...)
	if err != nil {
		return theirs, nil, invalid("the checkpoint that it shows: its own cosignature: %v", err)
	}
	n.Signatures = append(n.Signatures, cosigned...)
	return theirs, n.Marshal(), nil
}

// contradiction returns a *auditlog.RolledBackError if a head that our log has signed is not on the way to the one that we ask
// to have co-signed, and otherwise says that the witness has proved nothing.
func (q *Quorum) contradiction(r *round, p *peer, theirs tiles.Checkpoint, signed []byte) error {
	rolledBack := &auditlog.RolledBackError{Witness: p.name(), Ours: r.head.Size, Theirs: theirs.Size, Checkpoint: signed}
	q.mu.Lock()
	largest := q.largest // a concurrent Cosign may have had a larger head co-signed in the meantime
	q.mu.Unlock()
	switch {
	case theirs.Size > largest.Size:
		return rolledBack
	case theirs.Size == largest.Size && theirs.Root != largest.Root, theirs.Size == r.head.Size && theirs.Root != r.head.Root:
		return fmt.Errorf("two heads of size %d with different roots are signed by the log: %w", theirs.Size, rolledBack)
	case theirs.Size >= r.head.Size:
		return errors.New("it shows a head that this log has signed")
	}
	proof, err := r.proof(theirs.Size)
	if err != nil {
		return err
	}
	if err := tiles.CheckConsistency(theirs.Size, r.head.Size, proof, theirs.Root, r.head.Root); err != nil {
		return fmt.Errorf("the log has signed a head of size %d that it does not continue (%v): %w", theirs.Size, err, rolledBack)
	}
	return fmt.Errorf("it shows the head of size %d, which this log continues", theirs.Size)
}

type httpAnswer struct {
	status      int
	contentType string
	body        []byte
}

func (q *Quorum) do(ctx context.Context, method, url string, body []byte) (*httpAnswer, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	}
	resp, err := q.client.Do(req)
	if err != nil {
		return nil, withoutURL(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxAnswer {
		return nil, invalid("its answer is longer than %d bytes", maxAnswer)
	}
	return &httpAnswer{resp.StatusCode, resp.Header.Get("Content-Type"), content}, nil
}

// withoutURL drops the method and URL that the client puts before every error: the witness is named anyway.
func withoutURL(err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		return u.Err
	}
	return err
}

func (p *peer) endpoint(path string) string { return p.url + "/" + path }

func clip(b []byte) string { return strings.TrimSpace(string(b[:min(len(b), 160)])) }
