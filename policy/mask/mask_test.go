package mask_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"pgregory.net/rapid"

	"shiguan/policy/mask"
)

func build(t testing.TB, spec mask.Spec) *mask.Mask {
	t.Helper()
	m, err := mask.New(spec)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestKeep(t *testing.T) {
	id := mask.Spec{Kind: mask.Keep, First: 6, Last: 4, Fill: 8}
	name := mask.Spec{Kind: mask.Keep, First: 1}
	phone := mask.Spec{Kind: mask.Keep, First: 3, Last: 4}
	tests := []struct {
		spec mask.Spec
		oid  uint32
		in   string
		want string
	}{
		{id, pgtype.TextOID, "43020319900307123X", "430203********123X"},
		{id, pgtype.BPCharOID, "43020319900307123X    ", "430203********123X"},
		{id, pgtype.TextOID, "4302031234", "********"},
		{id, pgtype.TextOID, "", "********"},
		{name, pgtype.VarcharOID, "张三", "张****"},
		{name, pgtype.NameOID, "欧阳娜娜", "欧****"},
		{name, pgtype.TextOID, "张", "****"},
		{phone, pgtype.TextOID, "13812345678", "138****5678"},
		{phone, pgtype.UnknownOID, "1381234", "****"},
		{phone, pgtype.TextOID, "13812345", "138****2345"},
		{phone, pgtype.TextOID, "\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8", "\xff\xfe\xfd****\xfb\xfa\xf9\xf8"},
	}
	for _, tt := range tests {
		for format := range int16(2) {
			got, null, err := build(t, tt.spec).Append([]byte("x"), []byte(tt.in), format, tt.oid)
			if err != nil || null || string(got) != "x"+tt.want {
				t.Errorf("keep %+v of %q in format %d: %q, null %v, %v; want %q", tt.spec, tt.in, format, got, null, err, "x"+tt.want)
			}
		}
	}
}

func TestNullWhereKeepDoesNotFit(t *testing.T) {
	m := build(t, mask.Spec{Kind: mask.Keep, First: 1})
	for _, oid := range []uint32{pgtype.NumericOID, pgtype.Int4OID, pgtype.DateOID, pgtype.ByteaOID, pgtype.TextArrayOID, pgtype.JSONBOID, 99999} {
		for format := range int16(2) {
			got, null, err := m.Append([]byte("x"), []byte("12345"), format, oid)
			if err != nil || !null || string(got) != "x" {
				t.Errorf("type %d format %d: %q, null %v, %v; want NULL", oid, format, got, null, err)
			}
			if m.Supports(oid, format) {
				t.Errorf("type %d format %d is said to be supported", oid, format)
			}
		}
	}
}

func TestNullStaysNull(t *testing.T) {
	for _, spec := range []mask.Spec{{Kind: mask.Keep, Last: 2}, {Kind: mask.Null}, {Kind: mask.Constant, Value: "0"}} {
		for _, oid := range []uint32{pgtype.TextOID, pgtype.Int4OID} {
			if got, null, err := build(t, spec).Append(nil, nil, 0, oid); err != nil || !null || got != nil {
				t.Errorf("%s of NULL: %q, null %v, %v", spec.Kind, got, null, err)
			}
		}
	}
}

// Each constant must be read back by a driver's own codec, in both formats, as what the policy wrote.
func TestConstantDecodes(t *testing.T) {
	tests := []struct {
		value string
		oid   uint32
		want  any
	}{
		{"0", pgtype.Int2OID, int16(0)},
		{"-7", pgtype.Int4OID, int32(-7)},
		{"7", pgtype.Int8OID, int64(7)},
		{"1.5", pgtype.Float8OID, 1.5},
		{"true", pgtype.BoolOID, true},
		{"1900-01-01", pgtype.DateOID, time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)},
		{"1900-01-01 00:00:00", pgtype.TimestampOID, time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)},
		{"hidden", pgtype.TextOID, "hidden"},
		{"hidden", pgtype.VarcharOID, "hidden"},
	}
	types := pgtype.NewMap()
	for _, tt := range tests {
		m := build(t, mask.Spec{Kind: mask.Constant, Value: tt.value})
		for format := range int16(2) {
			got, null, err := m.Append(nil, []byte("secret"), format, tt.oid)
			if err != nil || null || !m.Supports(tt.oid, format) {
				t.Errorf("%q as type %d: null %v, %v", tt.value, tt.oid, null, err)
				continue
			}
			pgType, _ := types.TypeForOID(tt.oid)
			v, err := pgType.Codec.DecodeValue(types, tt.oid, format, got)
			if err != nil || v != tt.want {
				t.Errorf("%q as type %d in format %d decodes to %v (%v), want %v", tt.value, tt.oid, format, v, err, tt.want)
			}
		}
	}
}

func TestConstantNumeric(t *testing.T) {
	m := build(t, mask.Spec{Kind: mask.Constant, Value: "0.00"})
	types := pgtype.NewMap()
	for format := range int16(2) {
		got, null, err := m.Append(nil, []byte("1234.56"), format, pgtype.NumericOID)
		if err != nil || null {
			t.Fatalf("null %v, %v", null, err)
		}
		var f float64
		if err := types.Scan(pgtype.NumericOID, format, got, &f); err != nil || f != 0 {
			t.Errorf("format %d: %q decodes to %v, %v", format, got, f, err)
		}
	}
}

func TestConstantThatTheTypeCannotHold(t *testing.T) {
	m := build(t, mask.Spec{Kind: mask.Constant, Value: "hidden"})
	for _, oid := range []uint32{pgtype.Int4OID, pgtype.NumericOID, pgtype.DateOID, pgtype.UUIDOID, pgtype.JSONBOID, pgtype.PointOID} {
		if got, null, err := m.Append(nil, []byte("1"), 1, oid); err != nil || !null || len(got) != 0 || m.Supports(oid, 1) {
			t.Errorf("type %d: %q, null %v, %v; want NULL", oid, got, null, err)
		}
	}
}

func TestFailsClosed(t *testing.T) {
	var none *mask.Mask
	if _, _, err := none.Append(nil, []byte("v"), 0, pgtype.TextOID); err == nil {
		t.Error("a missing mask let the value through")
	}
	if _, _, err := new(mask.Mask).Append(nil, []byte("v"), 0, pgtype.TextOID); err == nil {
		t.Error("a zero mask let the value through")
	}
	m := build(t, mask.Spec{Kind: mask.Keep, First: 1})
	for _, format := range []int16{-1, 2, 257} {
		if out, _, err := m.Append(nil, []byte("v"), format, pgtype.TextOID); err == nil || len(out) != 0 || m.Supports(pgtype.TextOID, format) {
			t.Errorf("format %d was accepted: %q", format, out)
		}
	}
}

func TestSpecRefused(t *testing.T) {
	tests := []struct {
		spec mask.Spec
		want string
	}{
		{mask.Spec{}, "no mask is named"},
		{mask.Spec{Kind: "md5"}, `unknown mask "md5"`},
		{mask.Spec{Kind: mask.Keep}, "shows nothing"},
		{mask.Spec{Kind: mask.Keep, First: -1}, "between 0 and 64"},
		{mask.Spec{Kind: mask.Keep, Last: 65}, "between 0 and 64"},
		{mask.Spec{Kind: mask.Keep, First: 1, Fill: 65}, "fill must lie"},
		{mask.Spec{Kind: mask.Keep, First: 1, Fill: -1}, "fill must lie"},
		{mask.Spec{Kind: mask.Keep, First: 1, Value: "x"}, "takes no value"},
		{mask.Spec{Kind: mask.Null, First: 1}, "takes nothing else"},
		{mask.Spec{Kind: mask.Constant, Value: "x", Fill: 1}, "takes only value"},
		{mask.Spec{Kind: mask.Constant, Value: "\xff"}, "UTF-8"},
	}
	for _, tt := range tests {
		if _, err := mask.New(tt.spec); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: error %v, want one with %q", tt.spec, err, tt.want)
		}
	}
}

// Two values that agree in what is kept must look the same, however long and whatever the hidden part is.
func TestOutputDependsOnKeptPartsOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := mask.Spec{Kind: mask.Keep, First: rapid.IntRange(0, 8).Draw(t, "first"), Last: rapid.IntRange(0, 8).Draw(t, "last"),
			Fill: rapid.IntRange(1, 9).Draw(t, "fill")}
		if spec.First+spec.Last == 0 {
			spec.First = 1
		}
		runes := rapid.RuneFrom([]rune("a0张*é🀀 "))
		first := rapid.StringOfN(runes, spec.First, spec.First, -1).Draw(t, "kept first")
		last := rapid.StringOfN(runes, spec.Last, spec.Last, -1).Draw(t, "kept last")
		hidden := rapid.StringOfN(runes, 1, 40, -1)
		m, err := mask.New(spec)
		if err != nil {
			t.Fatal(err)
		}
		a, _, _ := m.Append(nil, []byte(first+hidden.Draw(t, "a")+last), 0, pgtype.TextOID)
		b, _, _ := m.Append(nil, []byte(first+hidden.Draw(t, "b")+last), 1, pgtype.VarcharOID)
		if want := first + strings.Repeat("*", spec.Fill) + last; string(a) != want || string(b) != want {
			t.Fatalf("%q and %q, want %q", a, b, want)
		}
	})
}

// Values too short to hide anything in are hidden whole and all look alike.
func TestShortValuesLookAlike(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first, last := rapid.IntRange(0, 6).Draw(t, "first"), rapid.IntRange(1, 6).Draw(t, "last")
		m, err := mask.New(mask.Spec{Kind: mask.Keep, First: first, Last: last})
		if err != nil {
			t.Fatal(err)
		}
		short := rapid.StringOfN(rapid.RuneFrom([]rune("a0张")), 0, first+last, -1).Draw(t, "value")
		if got, null, _ := m.Append(nil, []byte(short), 0, pgtype.TextOID); null || string(got) != "****" {
			t.Fatalf("%q with first %d and last %d shows %q", short, first, last, got)
		}
	})
}

func TestAppendDoesNotAllocate(t *testing.T) {
	dst := make([]byte, 0, 256)
	value := []byte("43020319900307123X")
	for _, spec := range []mask.Spec{{Kind: mask.Keep, First: 6, Last: 4}, {Kind: mask.Null}, {Kind: mask.Constant, Value: "0"}} {
		m := build(t, spec)
		n := testing.AllocsPerRun(100, func() {
			for _, oid := range []uint32{pgtype.TextOID, pgtype.BPCharOID, pgtype.NumericOID} {
				if _, _, err := m.Append(dst, value, 1, oid); err != nil {
					t.Fatal(err)
				}
			}
		})
		if n != 0 {
			t.Errorf("mask %s allocates %v times", spec.Kind, n)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	dst := make([]byte, 0, 256)
	for _, bench := range []struct {
		name  string
		spec  mask.Spec
		value string
		oid   uint32
	}{
		{"id", mask.Spec{Kind: mask.Keep, First: 6, Last: 4, Fill: 8}, "43020319900307123X", pgtype.TextOID},
		{"name", mask.Spec{Kind: mask.Keep, First: 1}, "欧阳娜娜", pgtype.TextOID},
		{"constant numeric", mask.Spec{Kind: mask.Constant, Value: "0"}, "1234.56", pgtype.NumericOID},
		{"null", mask.Spec{Kind: mask.Null}, "1234.56", pgtype.NumericOID},
	} {
		b.Run(bench.name, func(b *testing.B) {
			m, value := build(b, bench.spec), []byte(bench.value)
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := m.Append(dst, value, 0, bench.oid); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
