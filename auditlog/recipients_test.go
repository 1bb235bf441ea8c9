package auditlog

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"filippo.io/age"

	"shiguan/auditlog/record"
)

// Who runs the log can add himself to those who can read it. Each key period says on record who they are.
func TestPeriodsSayWhoCanReadThem(t *testing.T) {
	k := newTestKeys(t)
	intruder, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	o := k.options(t, dir)
	mustClose(t, mustOpen(t, o))
	o.Recipients = append(o.Recipients, intruder.Recipient())
	mustClose(t, mustOpen(t, o))
	src := mustDir(t, dir)
	opener := NewOpener(src, []age.Identity{k.identity})
	var got []string
	err = src.Records(t.Context(), 0, func(st Stored) error {
		if st.Leaf.Kind != record.KindPeriodOpened {
			return nil
		}
		payload, _, err := opener.Open(t.Context(), st)
		if err != nil {
			return err
		}
		r, err := record.Decode(payload)
		if err == nil {
			got = append(got, r.Detail["recipients"])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	digest := func(id *age.X25519Identity) string {
		sum := sha256.Sum256([]byte(id.Recipient().String()))
		return fmt.Sprintf("%x", sum[:16])
	}
	ours, theirs := digest(k.identity), digest(intruder)
	if want := []string{ours, ours + " " + theirs}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the periods name %q, want %q", got, want)
	}
}
