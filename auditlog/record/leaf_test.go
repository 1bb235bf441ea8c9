package record_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"shiguan/auditlog/record"
)

func testLeaf(t *testing.T) (record.Leaf, [32]byte, []byte) {
	t.Helper()
	payload, err := (&record.Record{Kind: record.KindHeartbeat, Time: time.UnixMilli(1795000000123)}).Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	opening := sha256.Sum256([]byte("opening"))
	l := record.Leaf{Kind: record.KindHeartbeat, Time: 1795000000123, Period: 7,
		Commitment: record.Commit(opening, payload), Sealed: sha256.Sum256([]byte("sealed"))}
	return l, opening, payload
}

func TestLeafRoundTrip(t *testing.T) {
	l, _, _ := testLeaf(t)
	b := l.Append(nil)
	if len(b) != record.LeafSize {
		t.Fatalf("%d bytes, want %d", len(b), record.LeafSize)
	}
	got, err := record.ParseLeaf(b)
	if err != nil || got != l {
		t.Fatalf("got %+v, %v, want %+v", got, err, l)
	}
	if !l.When().Equal(time.UnixMilli(1795000000123)) {
		t.Errorf("When: %v", l.When())
	}
}

func TestParseLeafRefuses(t *testing.T) {
	l, _, _ := testLeaf(t)
	good := l.Append(nil)
	change := func(at int, to byte) []byte { b := bytes.Clone(good); b[at] = to; return b }
	for name, b := range map[string][]byte{
		"empty": nil, "short": good[:77], "long": append(bytes.Clone(good), 0), "version 0": change(0, 0), "version 2": change(0, 2),
		"kind 0": change(1, 0), "kind 20": change(1, 20), "negative time": change(2, 0x80), "year 10000": change(3, 1),
	} {
		if _, err := record.ParseLeaf(b); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// Whatever ParseLeaf accepts is written again byte for byte.
func FuzzParseLeaf(f *testing.F) {
	f.Add(record.Leaf{Kind: record.KindStatement, Time: 1, Period: 1}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if l, err := record.ParseLeaf(b); err == nil && !bytes.Equal(l.Append(nil), b) {
			t.Fatalf("%x is written as %x", b, l.Append(nil))
		}
	})
}

func TestCommitIsHMAC(t *testing.T) {
	opening := sha256.Sum256([]byte("opening"))
	payload := make([]byte, 1000)
	for i := range payload {
		payload[i] = byte(i * 7)
		mac := hmac.New(sha256.New, opening[:])
		mac.Write(payload[:i])
		if c := record.Commit(opening, payload[:i]); !bytes.Equal(c[:], mac.Sum(nil)) {
			t.Fatalf("%d bytes: got %x", i, c)
		}
		opening[i%32]++
	}
	if n := testing.AllocsPerRun(100, func() { record.HMAC(&opening, payload) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestCheckOpening(t *testing.T) {
	l, opening, payload := testLeaf(t)
	if err := record.CheckOpening(l, opening, payload); err != nil {
		t.Fatal(err)
	}
	for i := range payload {
		changed := bytes.Clone(payload)
		changed[i] ^= 1
		if err := record.CheckOpening(l, opening, changed); !errors.Is(err, record.ErrCommitment) {
			t.Fatalf("payload byte %d changed: %v", i, err)
		}
	}
	for i := range opening {
		changed := opening
		changed[i] ^= 1
		if err := record.CheckOpening(l, changed, payload); !errors.Is(err, record.ErrCommitment) {
			t.Fatalf("opening byte %d changed: %v", i, err)
		}
	}
	other := l
	other.Kind = record.KindStarted
	if err := record.CheckOpening(other, opening, payload); err == nil || errors.Is(err, record.ErrCommitment) {
		t.Errorf("another kind in the leaf: %v", err)
	}
	other = l
	other.Time++
	if err := record.CheckOpening(other, opening, payload); err == nil || errors.Is(err, record.ErrCommitment) {
		t.Errorf("another time in the leaf: %v", err)
	}
	other = l
	other.Commitment = record.Commit(opening, []byte("{}"))
	if err := record.CheckOpening(other, opening, []byte("{}")); err == nil || errors.Is(err, record.ErrCommitment) {
		t.Errorf("a leaf on something that is no record: %v", err)
	}
}

func TestKindNames(t *testing.T) {
	for k := record.KindStatement; k <= record.KindGrantRefused; k++ {
		got, err := record.ParseKind(k.String())
		if err != nil || got != k {
			t.Errorf("%v: %v, %v", k, got, err)
		}
	}
	if record.Kind(0).Known() || record.Kind(20).Known() {
		t.Error("kinds 0 and 20 are known")
	}
	if _, err := record.ParseKind("Statement"); err == nil {
		t.Error("a kind in other letters was accepted")
	}
}

func TestSubject(t *testing.T) {
	key := (*record.SubjectKey)(bytes.Repeat([]byte{7}, 32))
	h := key.Hasher()
	mac := hmac.New(sha256.New, key[:])
	mac.Write([]byte("resident_id\x0011010519491231002X"))
	want := record.Subject(mac.Sum(nil)[:16])
	for _, v := range []string{"11010519491231002X", "11010519491231002x", " \t\u300011010519491231002x\n"} {
		if got := h.SubjectString("resident_id", v); got != want {
			t.Errorf("%q: %v, want %v", v, got, want)
		}
	}
	if h.SubjectString("account_no", "11010519491231002X") == want {
		t.Error("another namespace gives the same subject")
	}
	value := []byte(" 11010519491231002x")
	if n := testing.AllocsPerRun(100, func() { h.Subject("resident_id", value) }); n != 0 {
		t.Errorf("%v allocations a subject", n)
	}
	if string(value) != " 11010519491231002x" {
		t.Errorf("the value was changed: %q", value)
	}
}

func TestSubjectKeyText(t *testing.T) {
	key := record.NewSubjectKey()
	got, err := record.ParseSubjectKey([]byte("# keep secret\n\n" + key.Encode() + "\n"))
	if err != nil || *got != *key {
		t.Fatalf("%v, %v", got, err)
	}
	for _, text := range []string{"", "# only this\n", "x", "shiguan-subject-key-1:", "shiguan-subject-key-1:AAAA", "shiguan-subject-key-2:" + strings.TrimPrefix(key.Encode(), "shiguan-subject-key-1:"),
		key.Encode() + "\n" + key.Encode()} {
		if _, err := record.ParseSubjectKey([]byte(text)); err == nil {
			t.Errorf("%q accepted", text)
		} else if strings.Contains(err.Error(), key.Encode()) {
			t.Errorf("the error shows the key: %v", err)
		}
	}
	for _, text := range []string{"", "00", strings.Repeat("A", 32), strings.Repeat("g", 32)} {
		if _, err := record.ParseSubject(text); err == nil {
			t.Errorf("subject %q accepted", text)
		}
	}
}

// testdata/vectors.json is for people who write their own verifier.
func TestVectors(t *testing.T) {
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Openings []struct{ Leaf, Opening, Payload string }
		Subjects []struct{ Key, Namespace, Value, Subject string }
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Openings) == 0 || len(v.Subjects) == 0 {
		t.Fatal("no vectors")
	}
	for _, o := range v.Openings {
		raw, err := hex.DecodeString(o.Leaf)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := record.ParseLeaf(raw)
		if err != nil {
			t.Fatal(err)
		}
		opening, err := hex.DecodeString(o.Opening)
		if err != nil {
			t.Fatal(err)
		}
		if err := record.CheckOpening(leaf, [32]byte(opening), []byte(o.Payload)); err != nil {
			t.Errorf("%s: %v", o.Payload, err)
		}
	}
	for _, s := range v.Subjects {
		key, err := hex.DecodeString(s.Key)
		if err != nil {
			t.Fatal(err)
		}
		if got := record.SubjectKey(key); got.Hasher().SubjectString(s.Namespace, s.Value).String() != s.Subject {
			t.Errorf("%s %s: not %s", s.Namespace, s.Value, s.Subject)
		}
	}
}
