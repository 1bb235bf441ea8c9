package signed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// state is what must outlive a restart: which serials were in force, which grants were issued and withdrawn, and how late
// it is at least.
type state struct {
	Levels map[string]levelState `json:"levels"`
	Grants map[string]grantState `json:"grants"`
	Latest time.Time             `json:"latest"`
}

type levelState struct {
	Name   string `json:"name"`
	Serial uint64 `json:"serial"`
	Digest string `json:"digest"`
}

type grantState struct {
	Until     time.Time `json:"until"`
	Withdrawn bool      `json:"withdrawn,omitempty"` // before its time was over
	Over      bool      `json:"over,omitempty"`      // its end is on record
}

// maxState bounds the file; maxGrantStates what is remembered of grants.
const (
	maxState       = 4 << 20
	maxGrantStates = 8192
)

// readState reads the state file. One that does not exist is empty; one that cannot be read in full is an error: what it
// forbids must not be forgotten.
func readState(file string) (*state, error) {
	text, err := readBounded(file, maxState)
	if errors.Is(err, fs.ErrNotExist) {
		return &state{Levels: map[string]levelState{}, Grants: map[string]grantState{}}, nil
	}
	if err != nil {
		return nil, err
	}
	s := new(state)
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(s); err != nil {
		return nil, fmt.Errorf("%s: what is remembered of signed policies cannot be read (%w): restore the file; without it older policies could come back", file, err)
	}
	if s.Levels == nil || s.Grants == nil {
		return nil, fmt.Errorf("%s: what is remembered of signed policies is not whole: restore the file", file)
	}
	return s, nil
}

// write replaces the file. A crash leaves the old one or the new one, whole.
func (s *state) write(file string) error {
	text, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return err
	}
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	draft, err := os.CreateTemp(dir, ".state-*")
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name())
	_, err = draft.Write(append(text, '\n'))
	if err := errors.Join(err, draft.Sync(), draft.Close()); err != nil {
		return err
	}
	if err := os.Rename(draft.Name(), file); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// readBounded reads a regular file of at most limit bytes, whatever stands in its place.
func readBounded(file string, limit int64) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file", file)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", file, limit)
	}
	return text, err
}
