package seal_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"shiguan/auditlog/record"
	"shiguan/auditlog/record/seal"
)

var when = time.UnixMilli(1795000000123)

func payloadAt(t testing.TB, kind record.Kind, person string) []byte {
	t.Helper()
	b, err := (&record.Record{Kind: kind, Time: when, Person: person}).Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func newPair(t testing.TB) (*seal.Sealer, *seal.PeriodKey) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	s, wrapped, err := seal.NewSealer(7, []age.Recipient{id.Recipient()})
	if err != nil {
		t.Fatal(err)
	}
	k, err := seal.OpenPeriod(wrapped, []age.Identity{id})
	if err != nil {
		t.Fatal(err)
	}
	if s.Period() != 7 || k.Period() != 7 {
		t.Fatalf("periods %d and %d, want 7", s.Period(), k.Period())
	}
	return s, k
}

func TestSealAndOpen(t *testing.T) {
	s, k := newPair(t)
	for _, person := range []string{"", "张三", strings.Repeat("x", 1<<20)} {
		payload := payloadAt(t, record.KindStatement, person)
		leaf, out, err := s.Seal([]byte("prefix"), record.KindStatement, when, payload)
		if err != nil {
			t.Fatal(err)
		}
		sealed, ok := bytes.CutPrefix(out, []byte("prefix"))
		if !ok || len(sealed) != len(payload)+seal.Overhead {
			t.Fatalf("%d bytes after the prefix (%v), want %d", len(sealed), ok, len(payload)+seal.Overhead)
		}
		got, opening, err := k.Open(leaf, sealed)
		if err != nil || !bytes.Equal(got, payload) {
			t.Fatalf("opened %d bytes, %v", len(got), err)
		}
		if err := record.CheckOpening(leaf, opening, got); err != nil {
			t.Fatal(err)
		}
	}
}

// The construction written down a second time, from FORMAT.md.
func TestSealIsAsDocumented(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	s, wrapped, err := seal.NewSealer(3, []age.Recipient{id.Recipient()})
	if err != nil {
		t.Fatal(err)
	}
	r, err := age.Decrypt(bytes.NewReader(wrapped), id)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	periodKey, ok := bytes.CutPrefix(plain, []byte("shiguan-period-key-1\n\x00\x00\x00\x03"))
	if !ok || len(periodKey) != 32 {
		t.Fatalf("wrapped: %q", plain)
	}
	hmacOf := func(key []byte, msg ...byte) []byte {
		m := hmac.New(sha256.New, key)
		m.Write(msg)
		return m.Sum(nil)
	}
	for n := range uint64(3) {
		payload := payloadAt(t, record.KindStarted, "")
		leaf, sealed, err := s.Seal(nil, record.KindStarted, when, payload)
		if err != nil {
			t.Fatal(err)
		}
		nonce := binary.BigEndian.AppendUint64(nil, n)
		block, err := aes.NewCipher(hmacOf(periodKey, append([]byte{1}, nonce...)...))
		if err != nil {
			t.Fatal(err)
		}
		gcm, err := cipher.NewGCM(block)
		if err != nil {
			t.Fatal(err)
		}
		aad := leaf.Append(nil)[:14]
		if want := gcm.Seal(nonce, make([]byte, 12), payload, aad); !bytes.Equal(sealed, want) {
			t.Fatalf("record %d: sealed otherwise", n)
		}
		opening := hmacOf(periodKey, append([]byte{2}, nonce...)...)
		if !bytes.Equal(leaf.Commitment[:], hmacOf(opening, payload...)) || leaf.Sealed != sha256.Sum256(sealed) {
			t.Fatalf("record %d: leaf %+v", n, leaf)
		}
	}
}

func TestOpenRefusesEveryChangedByte(t *testing.T) {
	s, k := newPair(t)
	leaf, sealed, err := s.Seal(nil, record.KindHeartbeat, when, payloadAt(t, record.KindHeartbeat, ""))
	if err != nil {
		t.Fatal(err)
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 0x10
		if _, _, err := k.Open(leaf, changed); !errors.Is(err, seal.ErrSealedHash) {
			t.Fatalf("byte %d: %v", i, err)
		}
		// The same with a leaf that fits the changed bytes: the seal must notice.
		fits := leaf
		fits.Sealed = sha256.Sum256(changed)
		if _, _, err := k.Open(fits, changed); !errors.Is(err, seal.ErrNotSealed) {
			t.Fatalf("byte %d with its leaf: %v", i, err)
		}
	}
	for name, change := range map[string]func(*record.Leaf){
		"kind": func(l *record.Leaf) { l.Kind = record.KindStarted },
		"time": func(l *record.Leaf) { l.Time++ },
	} {
		other := leaf
		change(&other)
		if _, _, err := k.Open(other, sealed); !errors.Is(err, seal.ErrNotSealed) {
			t.Errorf("another %s: %v", name, err)
		}
	}
	other := leaf
	other.Commitment[5] ^= 1
	if _, _, err := k.Open(other, sealed); !errors.Is(err, record.ErrCommitment) {
		t.Errorf("another commitment: %v", err)
	}
	other = leaf
	other.Period++
	if _, _, err := k.Open(other, sealed); err == nil {
		t.Error("another period: accepted")
	}
	other = leaf
	other.Sealed = sha256.Sum256(sealed[:10])
	if _, _, err := k.Open(other, sealed[:10]); !errors.Is(err, seal.ErrNotSealed) {
		t.Errorf("ten bytes: %v", err)
	}
}

func TestSealRefuses(t *testing.T) {
	s, _ := newPair(t)
	if _, _, err := s.Seal(nil, 99, when, nil); err == nil {
		t.Error("kind 99 was sealed")
	}
	if _, _, err := s.Seal(nil, record.KindHeartbeat, time.UnixMilli(-1), nil); err == nil {
		t.Error("a time before 1970 was sealed")
	}
	if _, _, err := seal.NewSealer(1, nil); err == nil {
		t.Error("a period without recipients was opened")
	}
}

func TestConcurrentSealsNeverShareANonce(t *testing.T) {
	s, k := newPair(t)
	payload := payloadAt(t, record.KindHeartbeat, "")
	var mu sync.Mutex
	seen := map[string]bool{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				leaf, sealed, err := s.Seal(nil, record.KindHeartbeat, when, payload)
				if err != nil {
					t.Error(err)
					return
				}
				if _, _, err := k.Open(leaf, sealed); err != nil {
					t.Error(err)
				}
				mu.Lock()
				if nonce := string(sealed[:8]); seen[nonce] {
					t.Errorf("nonce %x twice", nonce)
				} else {
					seen[nonce] = true
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != 800 {
		t.Errorf("%d nonces, want 800", len(seen))
	}
}

func TestSeveralRecipientsAndStrangers(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, lines ...string) string {
		f := filepath.Join(dir, name)
		if err := os.WriteFile(f, []byte("# "+name+"\n"+strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return f
	}
	var identities, recipients []string
	for range 3 {
		id, rec, err := seal.NewIdentity()
		if err != nil {
			t.Fatal(err)
		}
		identities, recipients = append(identities, id), append(recipients, rec)
	}
	recs, err := seal.ParseRecipients(write("recipients", recipients[:2]...))
	if err != nil || len(recs) != 2 {
		t.Fatalf("%d recipients, %v", len(recs), err)
	}
	_, wrapped, err := seal.NewSealer(1, recs)
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range identities {
		ids, err := seal.ParseIdentities(write("identity", id))
		if err != nil {
			t.Fatal(err)
		}
		_, err = seal.OpenPeriod(wrapped, ids)
		if stranger := i == 2; stranger != errors.Is(err, seal.ErrNoIdentity) || !stranger && err != nil {
			t.Errorf("identity %d: %v", i, err)
		}
	}
	if _, err := seal.OpenPeriod(wrapped, nil); !errors.Is(err, seal.ErrNoIdentity) {
		t.Errorf("no identities: %v", err)
	}
	ids, err := seal.ParseIdentities(write("identity", identities[0]))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(wrapped); i += 97 {
		changed := bytes.Clone(wrapped)
		changed[i] ^= 1
		if _, err := seal.OpenPeriod(changed, ids); err == nil {
			t.Errorf("wrapped key with byte %d changed was opened", i)
		}
	}
	if _, err := seal.OpenPeriod(wrapped[:len(wrapped)-1], ids); err == nil {
		t.Error("a cut wrapped key was opened")
	}
	if _, err := seal.ParseIdentities(write("broken", identities[0][:40])); err == nil || strings.Contains(err.Error(), identities[0][20:40]) {
		t.Errorf("broken identity: %v", err)
	}
	if _, err := seal.ParseRecipients(write("broken", "age1nonsense")); err == nil {
		t.Error("broken recipient accepted")
	}
	for _, parse := range []func(string) error{
		func(f string) error { _, err := seal.ParseRecipients(f); return err },
		func(f string) error { _, err := seal.ParseIdentities(f); return err },
	} {
		if err := parse(filepath.Join(dir, "absent")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("absent file: %v", err)
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	s, _ := newPair(b)
	payload := bytes.Repeat([]byte("x"), 300)
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := s.Seal(buf, record.KindStatement, when, payload); err != nil {
			b.Fatal(err)
		}
	}
}
