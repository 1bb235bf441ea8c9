package record_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"shiguan/auditlog/record"
)

// shadow is the record as encoding/json would write it, declared by hand: the
// oracle for the hand-written appender.
type shadow struct {
	V            int                `json:"v"`
	Kind         string             `json:"kind"`
	Time         string             `json:"time"`
	Session      string             `json:"session,omitempty"`
	Seq          uint64             `json:"seq,omitempty"`
	Person       string             `json:"person,omitempty"`
	Department   string             `json:"department,omitempty"`
	Position     string             `json:"position,omitempty"`
	Role         string             `json:"role,omitempty"`
	Database     string             `json:"database,omitempty"`
	Client       string             `json:"client,omitempty"`
	Application  string             `json:"application,omitempty"`
	Auth         string             `json:"auth,omitempty"`
	TLS          string             `json:"tls,omitempty"`
	Statement    string             `json:"statement,omitempty"`
	StatementRaw []byte             `json:"statement_raw,omitempty"`
	Rewritten    string             `json:"rewritten,omitempty"`
	Params       []record.Param     `json:"params,omitempty"`
	Tables       []string           `json:"tables,omitempty"`
	Columns      []record.ColumnUse `json:"columns,omitempty"`
	Decision     string             `json:"decision,omitempty"`
	Rule         string             `json:"rule,omitempty"`
	Reason       string             `json:"reason,omitempty"`
	Policy       string             `json:"policy,omitempty"`
	Purpose      string             `json:"purpose,omitempty"`
	Grant        string             `json:"grant,omitempty"`
	Masked       []string           `json:"masked,omitempty"`
	Subjects     []string           `json:"subjects,omitempty"`
	Of           *uint64            `json:"of,omitempty"`
	Part         int                `json:"part,omitempty"`
	Final        bool               `json:"final,omitempty"`
	Outcome      *record.Outcome    `json:"outcome,omitempty"`
	Earlier      []record.Outcome   `json:"earlier,omitempty"`
	Totals       *record.Totals     `json:"totals,omitempty"`
	Version      string             `json:"version,omitempty"`
	Origin       string             `json:"origin,omitempty"`
	Detail       map[string]string  `json:"detail,omitempty"`
}

func oracle(t *rapid.T, r *record.Record) []byte {
	s := shadow{V: 1, Kind: r.Kind.String(), Time: r.Time.UTC().Truncate(time.Millisecond).Format("2006-01-02T15:04:05.000Z07:00"),
		Session: r.Session, Seq: r.Seq, Person: r.Person, Department: r.Department, Position: r.Position, Role: r.Role,
		Database: r.Database, Client: r.Client, Application: r.Application, Auth: r.Auth, TLS: r.TLS,
		Statement:    string([]rune(r.Statement)), // encoding/json would write \ufffd for a wrong byte, we write the character
		StatementRaw: r.StatementRaw,
		Rewritten:    r.Rewritten, Params: r.Params, Tables: r.Tables, Columns: r.Columns, Decision: r.Decision, Rule: r.Rule,
		Reason: r.Reason, Policy: r.Policy, Purpose: r.Purpose, Grant: r.Grant, Masked: r.Masked, Of: r.Of, Part: r.Part,
		Final: r.Final, Outcome: r.Outcome, Earlier: r.Earlier, Totals: r.Totals, Version: r.Version, Origin: r.Origin,
		Detail: r.Detail}
	for _, sub := range r.Subjects {
		s.Subjects = append(s.Subjects, sub.String())
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}

func drawRecord(t *rapid.T) *record.Record {
	str := rapid.OneOf(rapid.Just(""), rapid.String(), rapid.SampledFrom([]string{"<a&b>", "\u2028\u2029", "\b\f\n\r\t\x00\x7f\"\\/", "张三"}))
	strs := rapid.SliceOfN(str, 0, 3)
	num := rapid.Int64()
	outcome := rapid.Custom(func(t *rapid.T) record.Outcome {
		return record.Outcome{Seq: rapid.Uint64().Draw(t, "seq"), Of: rapid.Uint64().Draw(t, "of"), Rows: num.Draw(t, "rows"), Bytes: num.Draw(t, "bytes"),
			SQLState: str.Draw(t, "sqlstate"), Micros: num.Draw(t, "micros"), Tag: str.Draw(t, "tag"), Masked: strs.Draw(t, "masked")}
	})
	param := rapid.Custom(func(t *rapid.T) record.Param {
		p := record.Param{Format: rapid.IntRange(0, 1).Draw(t, "format"), Null: rapid.Bool().Draw(t, "null"), Binary: rapid.SliceOf(rapid.Byte()).Draw(t, "binary")}
		if rapid.Bool().Draw(t, "has text") {
			p.Text = rapid.Ptr(str, false).Draw(t, "text")
		}
		return p
	})
	return &record.Record{
		Kind: record.Kind(rapid.IntRange(int(record.KindStatement), int(record.KindGrantRefused)).Draw(t, "kind")),
		Time: time.Unix(0, rapid.Int64Range(0, 1<<62).Draw(t, "ns")).In(time.FixedZone("", 8*3600)),
		Seq:  rapid.Uint64().Draw(t, "seq"), Session: str.Draw(t, "session"), Person: str.Draw(t, "person"),
		Department: str.Draw(t, "department"), Position: str.Draw(t, "position"), Role: str.Draw(t, "role"), Database: str.Draw(t, "database"),
		Client: str.Draw(t, "client"), Application: str.Draw(t, "application"), Auth: str.Draw(t, "auth"), TLS: str.Draw(t, "tls"),
		Statement:    rapid.OneOf(str, rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(t, "statement"),
		StatementRaw: rapid.SliceOf(rapid.Byte()).Draw(t, "raw"), Rewritten: str.Draw(t, "rewritten"),
		Params: rapid.SliceOfN(param, 0, 3).Draw(t, "params"), Tables: strs.Draw(t, "tables"),
		Columns: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) record.ColumnUse {
			return record.ColumnUse{Column: str.Draw(t, "column"), Use: str.Draw(t, "use")}
		}), 0, 3).Draw(t, "columns"),
		Decision: str.Draw(t, "decision"), Rule: str.Draw(t, "rule"), Reason: str.Draw(t, "reason"), Policy: str.Draw(t, "policy"),
		Purpose: str.Draw(t, "purpose"), Grant: str.Draw(t, "grant"), Masked: strs.Draw(t, "masked"),
		Subjects: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) (s record.Subject) {
			copy(s[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "subject"))
			return s
		}), 0, 3).Draw(t, "subjects"),
		Of: rapid.Ptr(rapid.Uint64(), true).Draw(t, "of"), Part: rapid.Int().Draw(t, "part"), Final: rapid.Bool().Draw(t, "final"),
		Outcome: rapid.Ptr(outcome, true).Draw(t, "outcome"), Earlier: rapid.SliceOfN(outcome, 0, 2).Draw(t, "earlier"),
		Totals: rapid.Ptr(rapid.Custom(func(t *rapid.T) record.Totals {
			return record.Totals{Statements: num.Draw(t, "statements"), Refused: num.Draw(t, "refused"), Failed: num.Draw(t, "failed"), Rows: num.Draw(t, "rows"), Bytes: num.Draw(t, "bytes")}
		}), true).Draw(t, "totals"),
		Version: str.Draw(t, "version"), Origin: str.Draw(t, "origin"), Detail: rapid.MapOfN(str, str, 0, 3).Draw(t, "detail"),
	}
}

func TestAppendIsWhatEncodingJSONWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRecord(t)
		got, err := r.Append([]byte("before"))
		if err != nil {
			t.Fatal(err)
		}
		got = got[len("before"):]
		if want := oracle(t, r); !bytes.Equal(got, want) {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
		decoded, err := record.Decode(got)
		if err != nil {
			t.Fatalf("%v: %s", err, got)
		}
		again, err := decoded.Append(nil)
		if err != nil || !bytes.Equal(again, got) {
			t.Fatalf("decoded and written again: %v\ngot  %s\nwant %s", err, again, got)
		}
	})
}

// hot is a record as the proxy writes one per statement.
func hot() *record.Record {
	text := "110101199003078515"
	return &record.Record{Kind: record.KindStatement, Time: time.UnixMilli(1795000000123), Session: "00112233445566aa", Seq: 7,
		Person: "civil_clerk", Department: "civil-affairs", Position: "clerk", Role: "clerk_role", Database: "civil",
		Client: "192.0.2.7:50123", Statement: "SELECT name FROM civil.citizens WHERE id_number = $1", Params: []record.Param{{Text: &text}},
		Tables: []string{"civil.citizens"}, Columns: []record.ColumnUse{{Column: "civil.citizens.name", Use: "output"}},
		Decision: record.DecisionAllowed, Rule: "clerk-reads-citizens", Policy: "sha256:00", Subjects: []record.Subject{{1}},
		Outcome: &record.Outcome{Seq: 6, Of: 41, Rows: 1, Bytes: 30, Micros: 120, Tag: "SELECT 1"}}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	r, buf := hot(), make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() { buf, _ = r.Append(buf[:0]) }); n != 0 {
		t.Errorf("%v allocations a record, want none", n)
	}
}

func TestAppendRefuses(t *testing.T) {
	for name, r := range map[string]*record.Record{
		"no kind":       {Time: time.Unix(1, 0)},
		"unknown kind":  {Kind: 200, Time: time.Unix(1, 0)},
		"no time":       {Kind: record.KindHeartbeat},
		"year 10000":    {Kind: record.KindHeartbeat, Time: time.UnixMilli(record.MaxTime + 1)},
		"version 2":     {V: 2, Kind: record.KindHeartbeat, Time: time.Unix(1, 0)},
		"detail's name": {Kind: record.KindHeartbeat, Time: time.Unix(1, 0), Detail: map[string]string{"\xff": ""}},
	} {
		if b, err := r.Append(nil); err == nil {
			t.Errorf("%s: written as %s", name, b)
		}
	}
}

func TestStatementThatIsNotUTF8(t *testing.T) {
	r := &record.Record{Kind: record.KindStatement, Time: time.Unix(1, 0)}
	r.SetStatement([]byte("SELECT '\xc4\xe3'"))
	b, err := r.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := record.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if string(got.StatementRaw) != "SELECT '\xc4\xe3'" || got.Statement != "SELECT '\uFFFD\uFFFD'" {
		t.Errorf("got %q and raw %q", got.Statement, got.StatementRaw)
	}
}

// Every file of testdata/records is a payload; bad-* must be refused for what
// its name says, the others must decode and be written again as they are.
func TestDecodeFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/records/*.json")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		_, err = record.Decode(b)
		if bad := strings.HasPrefix(filepath.Base(f), "bad-"); bad == (err == nil) {
			t.Errorf("%s: %v", f, err)
		}
	}
	if _, err := record.Decode([]byte(`{"v":1, "kind":"heartbeat","time":"2026-11-21T00:00:00.000Z"}`)); !errors.Is(err, record.ErrNotCanonical) {
		t.Errorf("white space: %v, want ErrNotCanonical", err)
	}
}

// FuzzDecode's oracle: what Decode accepts is the one encoding of its meaning.
func FuzzDecode(f *testing.F) {
	b, err := hot().Append(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"v":1,"kind":"heartbeat","time":"2026-11-21T00:00:00.000Z"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := record.Decode(b)
		if err != nil {
			return
		}
		if again, err := r.Append(nil); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%q accepted, but written as %q, %v", b, again, err)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	r, buf := hot(), make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf, _ = r.Append(buf[:0])
	}
	b.SetBytes(int64(len(buf)))
}
