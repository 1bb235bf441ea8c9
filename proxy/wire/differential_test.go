package wire_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/jackc/pgproto3/v2"
	"pgregory.net/rapid"

	"shiguan/proxy/wire"
)

// outcome is what pgproto3 makes of a body. It is an oracle only where it does not panic: version 2 does, on a dozen
// hostile bodies.
type outcome struct {
	panicked bool
	err      error
	again    []byte
}

func askSecond(c codec, body []byte) (o outcome) {
	defer func() {
		if recover() != nil {
			o = outcome{panicked: true}
		}
	}()
	m := c.second()
	// It keeps views of what it decodes.
	if o.err = m.Decode(bytes.Clone(body)); o.err == nil {
		o.again, o.err = m.Encode(nil)
	}
	return o
}

// disagreement compares the two codecs on one body: "" when they agree as far as they can.
func disagreement(c codec, body []byte) string {
	again, err := c.ours(body)
	if err == nil && !bytes.Equal(again, frame(c.msgType, body)) {
		return fmt.Sprintf("%s %q became %q", c.name, body, again)
	}
	if c.second == nil {
		return ""
	}
	o := askSecond(c, body)
	switch {
	case o.panicked:
		return ""
	case err == nil && o.err != nil && c.refuses == "":
		return fmt.Sprintf("%s %q: we accept it, the second codec says %v", c.name, body, o.err)
	case err == nil && o.err == nil && c.lossy == "" && !bytes.Equal(o.again, again):
		return fmt.Sprintf("%s %q: the second codec understands %q", c.name, body, o.again)
	case err != nil && o.err == nil && c.lenient == "" && c.lossy == "" && bytes.Equal(o.again, frame(c.msgType, body)):
		return fmt.Sprintf("%s %q: we say %v, the second codec understands all of it", c.name, body, err)
	}
	return ""
}

func FuzzBody(f *testing.F) {
	for i, c := range codecs {
		for _, tc := range bodyCases(f, c) {
			f.Add(uint8(i), tc.bytes)
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		c := codecs[int(which)%len(codecs)]
		if d := disagreement(c, body); d != "" {
			t.Error(d)
		}
	})
}

// TestSecondCodecSpeaks makes sure that the comparison is one: for every message the second codec knows, it must have
// understood at least one body exactly as we did.
func TestSecondCodecSpeaks(t *testing.T) {
	for _, c := range codecs {
		if c.second == nil {
			continue
		}
		agreed := 0
		for _, tc := range bodyCases(t, c) {
			if o := askSecond(c, tc.bytes); tc.accept && !o.panicked && o.err == nil && bytes.Equal(o.again, frame(c.msgType, tc.bytes)) {
				agreed++
			}
		}
		if agreed == 0 {
			t.Errorf("%s/%s: the second codec agreed with no accepted body", c.side(), c.name)
		}
	}
}

// TestStructured writes messages of random content with the second codec and reads them with ours, field by field.
func TestStructured(t *testing.T) {
	text := rapid.StringMatching(`[^\x00]{0,12}`)
	value := rapid.OneOf(rapid.Just([]byte(nil)), rapid.SliceOfN(rapid.Byte(), 0, 40))
	t.Run("Bind", rapid.MakeCheck(func(t *rapid.T) {
		want := pgproto3.Bind{
			DestinationPortal: text.Draw(t, "portal"), PreparedStatement: text.Draw(t, "statement"),
			Parameters:        rapid.SliceOfN(value, 0, 6).Draw(t, "params"),
			ResultFormatCodes: rapid.SliceOfN(rapid.Int16Range(0, 1), 0, 4).Draw(t, "results"),
		}
		n := rapid.SampledFrom([]int{0, 1, len(want.Parameters)}).Draw(t, "formats")
		want.ParameterFormatCodes = rapid.SliceOfN(rapid.Int16Range(0, 1), n, n).Draw(t, "codes")
		got, err := wire.ParseBind(encodeSecond(t, &want))
		if err != nil {
			t.Fatal(err)
		}
		if string(got.Portal) != want.DestinationPortal || string(got.Statement) != want.PreparedStatement {
			t.Fatalf("names %q %q", got.Portal, got.Statement)
		}
		checkValues(t, got.Params, want.Parameters)
		for i := range want.Parameters {
			code := int16(0)
			switch n {
			case 0:
			case 1:
				code = want.ParameterFormatCodes[0]
			default:
				code = want.ParameterFormatCodes[i]
			}
			if got.FormatOf(i) != code {
				t.Fatalf("format of %d is %d, want %d", i, got.FormatOf(i), code)
			}
		}
	}))
	t.Run("DataRow", rapid.MakeCheck(func(t *rapid.T) {
		want := rapid.SliceOfN(value, 0, 10).Draw(t, "values")
		got, err := wire.ParseDataRow(encodeSecond(t, &pgproto3.DataRow{Values: want}))
		if err != nil {
			t.Fatal(err)
		}
		checkValues(t, got, want)
	}))
	t.Run("RowDescription", rapid.MakeCheck(func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) pgproto3.FieldDescription {
			return pgproto3.FieldDescription{
				Name: []byte(text.Draw(t, "name")), TableOID: rapid.Uint32().Draw(t, "table"),
				TableAttributeNumber: rapid.Uint16().Draw(t, "att"), DataTypeOID: rapid.Uint32().Draw(t, "type"),
				DataTypeSize: rapid.Int16().Draw(t, "size"), TypeModifier: rapid.Int32().Draw(t, "mod"),
				Format: rapid.Int16Range(0, 1).Draw(t, "format"),
			}
		}), 0, 8).Draw(t, "fields")
		fields, err := wire.ParseRowDescription(encodeSecond(t, &pgproto3.RowDescription{Fields: want}))
		if err != nil || fields.Len() != len(want) {
			t.Fatalf("%d fields, %v", fields.Len(), err)
		}
		for _, w := range want {
			g, ok := fields.Next()
			if !ok || !bytes.Equal(g.Name, w.Name) || g.TableOID != w.TableOID || g.Att != int16(w.TableAttributeNumber) ||
				g.TypeOID != w.DataTypeOID || g.TypeLen != w.DataTypeSize || g.TypeMod != w.TypeModifier || g.Format != w.Format {
				t.Fatalf("got %+v, want %+v", g, w)
			}
		}
	}))
	t.Run("Parse", rapid.MakeCheck(func(t *rapid.T) {
		want := pgproto3.Parse{
			Name: text.Draw(t, "name"), Query: text.Draw(t, "query"),
			ParameterOIDs: rapid.SliceOfN(rapid.Uint32(), 0, 5).Draw(t, "types"),
		}
		got, err := wire.ParseParse(encodeSecond(t, &want))
		if err != nil || string(got.Name) != want.Name || string(got.Query) != want.Query || got.ParamTypes.Len() != len(want.ParameterOIDs) {
			t.Fatalf("got %+v, %v", got, err)
		}
		for i, oid := range want.ParameterOIDs {
			if got.ParamTypes.At(i) != oid {
				t.Fatalf("type %d is %d, want %d", i, got.ParamTypes.At(i), oid)
			}
		}
	}))
}

func encodeSecond(t *rapid.T, m pgproto3.Message) []byte {
	encoded, err := m.Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	return wire.Message(encoded).Body()
}

func checkValues(t *rapid.T, got wire.Values, want [][]byte) {
	if got.Len() != len(want) {
		t.Fatalf("%d values, want %d", got.Len(), len(want))
	}
	for i, w := range want {
		g, ok := got.Next()
		if !ok || !bytes.Equal(g, w) || (g == nil) != (w == nil) {
			t.Fatalf("value %d is %#v, want %#v", i, g, w)
		}
	}
}
