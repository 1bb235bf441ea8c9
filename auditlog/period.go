package auditlog

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"filippo.io/age"

	"shiguan/auditlog/record"
	"shiguan/auditlog/record/seal"
)

const (
	keyDir    = "keys"
	keyExt    = ".age"
	erasedExt = ".erased"
)

func keyName(period uint32) string { return fmt.Sprintf("%s/%010d%s", keyDir, period, keyExt) }

// erasedName is the note that stays in the place of an erased key.
func erasedName(period uint32) string { return fmt.Sprintf("%s/%010d%s", keyDir, period, erasedExt) }

// parseKeyName parses a name in keyDir, of a key or of an erasure's note.
func parseKeyName(name string) (period uint32, ok bool) {
	digits, ok := strings.CutSuffix(name, keyExt)
	if !ok {
		digits, ok = strings.CutSuffix(name, erasedExt)
	}
	if !ok || len(digits) != 10 {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	return uint32(n), err == nil
}

// newestPeriod returns the highest period that has or had a key; 0 if none.
func newestPeriod(s fileSystem) (uint32, error) {
	names, err := s.readDir(keyDir)
	if err != nil {
		return 0, err
	}
	var newest uint32
	for _, name := range names {
		if period, ok := parseKeyName(name); ok {
			newest = max(newest, period)
		}
	}
	return newest, nil
}

// newPeriod makes a key period and stores its wrapped key durably.
//
// A crash before it returns leaves a key that no record uses; its number is not
// given again. A record can only follow.
func newPeriod(s fileSystem, period uint32, recipients []age.Recipient) (*seal.Sealer, [32]byte, error) {
	sealer, wrapped, err := seal.NewSealer(period, recipients)
	if err != nil {
		return nil, [32]byte{}, err
	}
	return sealer, sha256.Sum256(wrapped), replaceFile(s, keyName(period), wrapped)
}

// periodOpened is the record with which a period begins. It also says what the
// wrapped key of the period before was: damage to a key that hides its own
// record shows there.
func periodOpened(s fileSystem, origin string, period uint32, wrapped [32]byte, to []age.Recipient, now time.Time) (*record.Record, error) {
	detail := map[string]string{
		"period":         strconv.FormatUint(uint64(period), 10),
		"wrapped_sha256": hex.EncodeToString(wrapped[:]),
		"recipients":     recipientDigests(to),
	}
	before, err := readWrappedKey(s, period-1)
	switch {
	case err == nil:
		sum := sha256.Sum256(before)
		detail["previous_sha256"] = hex.EncodeToString(sum[:])
	case !errors.Is(err, ErrErased) && !errors.Is(err, ErrKeyMissing):
		return nil, err
	}
	return &record.Record{Kind: record.KindPeriodOpened, Time: now, Origin: origin, Detail: detail}, nil
}

// recipientDigests says who can read a period: the first 16 bytes of the SHA-256 of each public key as it stands in the recipients' file. Who
// runs the proxy could add his own there.
func recipientDigests(to []age.Recipient) string {
	digests := make([]string, len(to))
	for i, r := range to {
		digests[i] = "unknown" // a plugin's, or another kind that has no text
		if text, ok := r.(fmt.Stringer); ok {
			sum := sha256.Sum256([]byte(text.String()))
			digests[i] = hex.EncodeToString(sum[:16])
		}
	}
	return strings.Join(digests, " ")
}

// erasure is the note in the place of an erased key.
type erasure struct {
	Period uint32    `json:"period"`
	Person string    `json:"person"`
	Reason string    `json:"reason"`
	Time   time.Time `json:"time"`
	Index  uint64    `json:"index"` // of the record that says so
}

// readWrappedKey returns a period's wrapped key, ErrErased or ErrKeyMissing.
func readWrappedKey(s fileSystem, period uint32) ([]byte, error) {
	_, err := readFile(s, erasedName(period))
	if err == nil {
		return nil, ErrErased
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	wrapped, err := readFile(s, keyName(period))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrKeyMissing
	}
	return wrapped, err
}

// eraseKey destroys a wrapped key. The record that says so is durable already:
// a crash before the note leaves the key where it is, and erasing has to be
// asked for again; one after the note leaves both, and finishErasures removes
// the key when the log is opened.
func eraseKey(s fileSystem, note erasure) error {
	text, err := json.Marshal(note)
	if err != nil {
		return err
	}
	if err := replaceFile(s, erasedName(note.Period), append(text, '\n')); err != nil {
		return err
	}
	return destroyKey(s, note.Period)
}

// finishErasures removes the keys of erasures that a crash cut short.
func finishErasures(s fileSystem) error {
	names, err := s.readDir(keyDir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if period, ok := parseKeyName(name); ok && strings.HasSuffix(name, erasedExt) {
			if err := destroyKey(s, period); err != nil {
				return err
			}
		}
	}
	return nil
}

func destroyKey(s fileSystem, period uint32) error {
	f, err := s.open(keyName(period), true)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	// Overwriting is for file systems that write in place; on others it does no
	// harm. The wrapped key is in backups too, where the operator erases it.
	size, err := f.size()
	if err == nil {
		err = fillZero(f, 0, size)
	}
	if err == nil {
		err = f.sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := s.remove(keyName(period)); err != nil {
		return err
	}
	return s.syncDir(keyDir)
}
