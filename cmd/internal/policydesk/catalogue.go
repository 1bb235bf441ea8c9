package policydesk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"shiguan/policy/sql"
)

// maxSnapshot bounds the file of a recorded catalogue.
const maxSnapshot = 512 << 20

// ReadSnapshot reads a catalogue that `policy snapshot` recorded.
func ReadSnapshot(file string) (*sql.Catalogue, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSnapshot+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxSnapshot {
		return nil, fmt.Errorf("%s is larger than %d MiB, which no catalogue is", file, maxSnapshot>>20)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var s sql.Snapshot
	if err := d.Decode(&s); err != nil {
		return nil, fmt.Errorf("%s is no recorded catalogue: %w: record one with shiguan policy snapshot", file, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: something follows the catalogue: record it anew with shiguan policy snapshot", file)
	}
	c, err := sql.NewCatalogue(s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return c, nil
}

// WriteSnapshot records a catalogue. It holds names and definitions, no rows.
func WriteSnapshot(w io.Writer, c *sql.Catalogue) error {
	s := c.Snapshot()
	return json.NewEncoder(w).Encode(&s)
}

// Created is PostgreSQL's own catalogue with what CREATE statements add to it.
func Created(text string) (*sql.Catalogue, error) {
	s, err := sql.Builtin()
	if err != nil {
		return nil, err
	}
	if err := s.Create(text); err != nil {
		return nil, err
	}
	return sql.NewCatalogue(s)
}
