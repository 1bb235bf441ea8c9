package wire_test

import (
	"bytes"
	"testing"

	"shiguan/proxy/wire"
)

// cycle is a source without an end: the same messages over and over.
type cycle struct {
	data []byte
	at   int
}

func (c *cycle) Read(p []byte) (int, error) {
	n := copy(p, c.data[c.at:])
	c.at = (c.at + n) % len(c.data)
	return n, nil
}

var sampleFields = wire.AppendRowDescription(nil,
	wire.Field{Name: []byte("id"), TableOID: 16384, Att: 1, TypeOID: 23, TypeLen: 4, TypeMod: -1},
	wire.Field{Name: []byte("name"), TableOID: 16384, Att: 2, TypeOID: 25, TypeLen: -1, TypeMod: -1, Format: 1})

func sampleBind() []byte {
	return wire.AppendBind(nil, wire.Bind{
		Portal: []byte("p"), Statement: []byte("s"), ParamFormats: wire.Formats(nil).Add(1),
		Params: wire.MakeValues([]byte("1234"), nil), ResultFormats: wire.Formats(nil).Add(1),
	})
}

// TestNoAllocations holds the query path to its promise.
func TestNoAllocations(t *testing.T) {
	bind, row := sampleBind(), encodeRow(wire.MakeValues([]byte("1"), []byte("two"), nil))
	var stream []byte
	for _, m := range [][]byte{bind, sampleFields, row, wire.AppendReadyForQuery(nil, 'I')} {
		stream = append(stream, m...)
	}
	r := wire.NewReader(&cycle{data: stream}, 1<<20)
	dst := make([]byte, 0, 4096)
	refusal := &wire.Error{Code: "42501", Message: "no", Detail: "rule"}
	key := []byte("abcd")
	parse := wire.Message(wire.AppendParse(nil, "s", "select 1", nil))
	execute := wire.Message(wire.AppendExecute(nil, "p", 0))
	describe := wire.Message(wire.AppendDescribe(nil, 'S', "s"))
	errorBody := wire.Message(wire.AppendError(nil, refusal)).Body()

	for name, step := range map[string]func(){
		"Next": func() { must(r.Next()) },
		"Ready, Idle": func() {
			for r.Ready() {
				must(r.Next())
			}
		},
		"Bind": func() {
			b := must(wire.ParseBind(wire.Message(bind).Body()))
			for i, v := range b.Params.All() {
				sink += int(b.FormatOf(i)) + len(v)
			}
			dst = wire.AppendBind(dst[:0], b)
		},
		"RowDescription": func() {
			fields := must(wire.ParseRowDescription(wire.Message(sampleFields).Body()))
			b := wire.BeginRowDescription(dst[:0])
			for f, ok := fields.Next(); ok; f, ok = fields.Next() {
				b.Field(f)
			}
			dst = b.End()
		},
		"DataRow": func() {
			values := must(wire.ParseDataRow(wire.Message(row).Body()))
			b := wire.BeginDataRow(dst[:0])
			for _, v := range values.All() {
				b.Value(v)
			}
			open, at := b.OpenValue()
			b.CloseValue(append(open, "masked"...), at)
			dst = b.End()
		},
		"Parse": func() {
			p := must(wire.ParseParse(parse.Body()))
			dst = wire.AppendParse(dst[:0], p.Name, p.Query, p.ParamTypes)
		},
		"Execute, Describe, Query": func() {
			sink += int(must(wire.ParseExecute(execute.Body())).MaxRows)
			sink += int(must(wire.ParseDescribe(describe.Body())).Kind)
			dst = wire.AppendQuery(dst[:0], "select 1")
			sink += len(must(wire.ParseQuery(wire.Message(dst).Body())))
		},
		"Error": func() {
			dst = wire.AppendNotice(wire.AppendError(dst[:0], refusal), refusal)
			sink += len(must(wire.ParseErrorResponse(errorBody)).Get('C'))
		},
		"session": func() {
			dst = wire.AppendAuthenticationOk(dst[:0])
			dst = wire.AppendParameterStatus(dst, "a", "b")
			dst = wire.AppendBackendKeyData(dst, 1, key)
			dst = wire.AppendReadyForQuery(wire.AppendSync(dst), 'I')
			dst = wire.AppendCommandComplete(dst, "SELECT 1")
		},
	} {
		step()
		if n := testing.AllocsPerRun(200, step); n != 0 {
			t.Errorf("%s: %v allocations, want none", name, n)
		}
	}
}

var sink int

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func BenchmarkNext(b *testing.B) {
	row := encodeRow(wire.MakeValues([]byte("1"), bytes.Repeat([]byte("x"), 80), nil))
	stream := bytes.Repeat(row, 1000)
	r := wire.NewReader(&cycle{data: stream}, 1<<20)
	b.SetBytes(int64(len(row)))
	b.ReportAllocs()
	for b.Loop() {
		must(r.Next())
	}
}

func BenchmarkBind(b *testing.B) {
	body := wire.Message(sampleBind()).Body()
	b.ReportAllocs()
	for b.Loop() {
		bind := must(wire.ParseBind(body))
		for _, v := range bind.Params.All() {
			sink += len(v)
		}
	}
}

func BenchmarkDataRow(b *testing.B) {
	body := wire.Message(encodeRow(wire.MakeValues([]byte("1"), bytes.Repeat([]byte("x"), 80), nil, []byte("4")))).Body()
	b.ReportAllocs()
	for b.Loop() {
		values := must(wire.ParseDataRow(body))
		for v, ok := values.Next(); ok; v, ok = values.Next() {
			sink += len(v)
		}
	}
}
