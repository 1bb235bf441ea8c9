package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"
)

// Version is the value of every record's "v" field.
const Version = 1

// Decisions as they stand in Record.Decision.
const (
	DecisionAllowed = "allowed"
	DecisionRefused = "refused" // by policy
	DecisionFailed  = "failed"  // before policy could be asked, or by the server at Parse, Bind or Describe
)

// Record is one fact on record. Which fields stand in which kind is a table in
// FORMAT.md; a field at its zero value is left out of the JSON. Fields keep
// their order: it is the order of the canonical JSON.
type Record struct {
	V    int       `json:"v"` // 0 is written as 1
	Kind Kind      `json:"kind"`
	Time time.Time `json:"time"` // cut to milliseconds, written in UTC

	Session     string `json:"session,omitempty"` // 16 lower-case hex digits, random
	Seq         uint64 `json:"seq,omitempty"`     // number of the statement in its session, from 1
	Person      string `json:"person,omitempty"`
	Department  string `json:"department,omitempty"`
	Position    string `json:"position,omitempty"`
	Role        string `json:"role,omitempty"` // database role upstream
	Database    string `json:"database,omitempty"`
	Client      string `json:"client,omitempty"` // ip:port
	Application string `json:"application,omitempty"`
	Auth        string `json:"auth,omitempty"` // for example scram-sha-256
	TLS         string `json:"tls,omitempty"`  // for example TLS 1.3; empty: none

	Statement    string      `json:"statement,omitempty"`     // whole text, never cut
	StatementRaw []byte      `json:"statement_raw,omitempty"` // exact bytes, if they are not UTF-8
	Rewritten    string      `json:"rewritten,omitempty"`     // what was sent upstream, if not Statement
	Params       []Param     `json:"params,omitempty"`
	Tables       []string    `json:"tables,omitempty"` // schema.table
	Columns      []ColumnUse `json:"columns,omitempty"`

	Decision string    `json:"decision,omitempty"` // allowed, refused, failed
	Rule     string    `json:"rule,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	Policy   string    `json:"policy,omitempty"` // digest
	Purpose  string    `json:"purpose,omitempty"`
	Grant    string    `json:"grant,omitempty"`
	Masked   []string  `json:"masked,omitempty"` // columns that left masked
	Subjects []Subject `json:"subjects,omitempty"`

	Of      *uint64   `json:"of,omitempty"`   // index of the statement's record
	Part    int       `json:"part,omitempty"` // number of a disclosure's chunk, from 1
	Final   bool      `json:"final,omitempty"`
	Outcome *Outcome  `json:"outcome,omitempty"`
	Earlier []Outcome `json:"earlier,omitempty"` // of earlier statements of this session
	Totals  *Totals   `json:"totals,omitempty"`

	Version string            `json:"version,omitempty"` // of the software
	Origin  string            `json:"origin,omitempty"`  // of the log
	Detail  map[string]string `json:"detail,omitempty"`
}

// Param is one parameter value of an Execute. Exactly one of Null, Text and
// Binary describes it; none of them means a value of no bytes in binary format.
type Param struct {
	Format int     `json:"format"` // 0 text, 1 binary
	Null   bool    `json:"null,omitempty"`
	Text   *string `json:"text,omitempty"`   // format 0 and valid UTF-8
	Binary []byte  `json:"binary,omitempty"` // everything else; base64 in JSON
}

// ColumnUse says how a statement touches a column (output, filter, write, …).
type ColumnUse struct {
	Column string `json:"column"` // schema.table.column
	Use    string `json:"use"`
}

// Outcome is how a statement ended.
type Outcome struct {
	Seq      uint64   `json:"seq"`                // the statement's number in its session
	Of       uint64   `json:"of"`                 // the index of its record
	Rows     int64    `json:"rows"`               // returned or affected; -1 unknown
	Bytes    int64    `json:"bytes"`              // of row data sent to the client
	SQLState string   `json:"sqlstate,omitempty"` // empty: completed
	Micros   int64    `json:"micros"`             // from forwarding to completion
	Tag      string   `json:"tag,omitempty"`      // command tag, for example SELECT 3
	Masked   []string `json:"masked,omitempty"`
}

// Totals close a session. Statements and Refused are checked by fsck against
// the session's records.
type Totals struct {
	Statements int64 `json:"statements"` // statement records of the session, which is also the last seq
	Refused    int64 `json:"refused"`    // of these, with decision refused
	Failed     int64 `json:"failed"`     // of these, with decision failed
	Rows       int64 `json:"rows"`
	Bytes      int64 `json:"bytes"`
}

// SetStatement puts the statement's exact bytes on record: as text, and where
// they are not UTF-8 (a client with another encoding) also as they are.
func (r *Record) SetStatement(text []byte) {
	r.Statement, r.StatementRaw = string(text), nil
	if !utf8.Valid(text) {
		r.StatementRaw = bytes.Clone(text)
	}
}

// plain is Record without its methods, for the standard library's decoder.
type plain Record

// MarshalJSON returns the canonical form.
func (r *Record) MarshalJSON() ([]byte, error) { return r.Append(nil) }

// UnmarshalJSON is strict like Decode.
func (r *Record) UnmarshalJSON(b []byte) error {
	decoded, err := Decode(b)
	if err != nil {
		return err
	}
	*r = *decoded
	return nil
}

// ErrNotCanonical says that a payload means a record but is not written as one.
var ErrNotCanonical = errors.New("the record is not in canonical form")

// Decode decodes a payload. It is strict: the payload must be exactly what
// Append writes for the returned record, so that unknown or repeated fields,
// other spellings, white space and trailing bytes are all refused.
func Decode(payload []byte) (*Record, error) {
	dec := json.NewDecoder(bytes.NewReader(payload))
	dec.DisallowUnknownFields()
	var p plain
	if err := dec.Decode(&p); err != nil {
		return nil, fmt.Errorf("the record is not valid: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("the record is not valid: something follows it")
	}
	if p.V != Version {
		return nil, fmt.Errorf("the record has version %d, this software knows version %d", p.V, Version)
	}
	r := (*Record)(&p)
	again, err := r.Append(make([]byte, 0, len(payload)))
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, payload) {
		return nil, ErrNotCanonical
	}
	return r, nil
}
