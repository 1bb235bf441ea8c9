package auditlog

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"shiguan/auditlog/tiles"
)

// Who runs the log can put a head that no witness has seen in the place of the published checkpoint. It must not count as
// witnessed after a restart: the lag that the policy bounds would begin anew with each.
func TestCheckpointWithoutQuorumIsNotWitnessed(t *testing.T) {
	k := newTestKeys(t)
	_, vkey, err := tiles.GenerateWitnessKey("w.example")
	if err != nil {
		t.Fatal(err)
	}
	policy, err := tiles.ParsePolicy([]byte("log " + k.vkey + "\nwitness w " + vkey + "\nquorum w\n"))
	if err != nil {
		t.Fatal(err)
	}
	m := newMemFS()
	o := k.crashOptions(t, m, nil)
	o.Cosigner, o.Quorum = agree{}, policy // agree gets no cosignature
	l := mustOpen(t, o)
	mustAppend(t, l, 1, "a")
	mustClose(t, l)
	if m.list(checkpointFile)[checkpointFile] != nil {
		t.Fatal("a checkpoint without its quorum was published")
	}
	if err := replaceFile(m, checkpointFile, m.list(headFile)[headFile]); err != nil {
		t.Fatal(err)
	}
	l = mustOpen(t, o)
	defer killed(l)
	if s := l.Status(); s.Witnessed != 0 || s.OldestUnwitnessed.IsZero() {
		t.Errorf("%d records count as witnessed, the oldest other came %v", s.Witnessed, s.OldestUnwitnessed)
	}
	answer := httptest.NewRecorder()
	l.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/checkpoint", nil))
	if answer.Code != http.StatusNotFound {
		t.Errorf("the checkpoint is published: %d %s", answer.Code, answer.Body)
	}
	// It still shows what was there once.
	if err := l.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	mustEdit(t, m, headFile, func([]byte) []byte { return nil })
	m.remove(headFile)
	if _, err := Open(context.Background(), o); err == nil {
		t.Error("a log without the head that its checkpoint tells of was opened")
	}
}

// Who holds the log's key can leave out whole sessions, count the rest anew and sign that. Without a checkpoint nobody could
// tell it from the log that was witnessed, so fsck must not call it whole.
func TestFsckMissesTheCheckpoint(t *testing.T) {
	k := newTestKeys(t)
	_, vkey, err := tiles.GenerateWitnessKey("w.example")
	if err != nil {
		t.Fatal(err)
	}
	m, _ := memLog(t, k, 6, 0) // signed, and never published
	for want, rule := range map[string]string{"": "quorum none\n", checkpointFile: "witness w " + vkey + "\nquorum w\n"} {
		policy, err := tiles.ParsePolicy([]byte("log " + k.vkey + "\n" + rule))
		if err != nil {
			t.Fatal(err)
		}
		_, err = Fsck(t.Context(), newDirSource("mem", m), FsckOptions{Policy: policy})
		var wrong *Contradiction
		if errors.As(err, &wrong) != (want != "") || wrong != nil && wrong.Where != want {
			t.Errorf("with %q: %v", rule, err)
		}
	}
}
