package mask_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"pgregory.net/rapid"

	"shiguan/policy/mask"
)

// binaryOf is a value's binary form, from the text that PostgreSQL writes in ISO style.
func binaryOf(t testing.TB, oid uint32, text string) []byte {
	t.Helper()
	size := 8
	if oid == pgtype.DateOID {
		size = 4
	}
	switch text {
	case "infinity":
		return append([]byte{0x7f}, bytes.Repeat([]byte{0xff}, size-1)...)
	case "-infinity":
		return append([]byte{0x80}, make([]byte, size-1)...)
	}
	types := pgtype.NewMap()
	typ, _ := types.TypeForOID(oid)
	v, err := typ.Codec.DecodeValue(types, oid, pgtype.TextFormatCode, []byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	b, err := types.Encode(oid, pgtype.BinaryFormatCode, v, nil)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return b
}

// showing is what a mask makes of a value in a format, "NULL" for NULL.
func showing(t testing.TB, m *mask.Mask, oid uint32, format int16, value []byte) string {
	t.Helper()
	out, null, err := m.Append(nil, value, format, oid)
	if err != nil {
		t.Fatal(err)
	}
	if null {
		return "NULL"
	}
	if format == pgtype.BinaryFormatCode {
		types := pgtype.NewMap()
		typ, _ := types.TypeForOID(oid)
		v, err := typ.Codec.DecodeDatabaseSQLValue(types, oid, format, out)
		if err != nil {
			t.Fatalf("type %d: %x cannot be decoded: %v", oid, out, err)
		}
		return fmt.Sprint(v)
	}
	return string(out)
}

func TestDate(t *testing.T) {
	for _, c := range []struct {
		to       mask.Period
		oid      uint32
		in, want string
	}{
		{mask.Month, pgtype.DateOID, "1985-08-02", "1985-08-01"},
		{mask.Quarter, pgtype.DateOID, "1985-08-02", "1985-07-01"},
		{mask.Quarter, pgtype.DateOID, "2024-12-31", "2024-10-01"},
		{mask.Year, pgtype.DateOID, "1985-08-02", "1985-01-01"},
		{mask.Decade, pgtype.DateOID, "1985-08-02", "1980-01-01"},
		{mask.Decade, pgtype.DateOID, "1999-12-31", "1990-01-01"},
		{mask.Decade, pgtype.DateOID, "0007-05-05", "0001-01-01"},
		{mask.Year, pgtype.DateOID, "12345-05-05", "12345-01-01"},
		{mask.Year, pgtype.DateOID, "infinity", "NULL"},
		{mask.Year, pgtype.DateOID, "-infinity", "NULL"},
		{mask.Month, pgtype.TimestampOID, "2024-02-29 23:59:59.999999", "2024-02-01 00:00:00"},
		{mask.Year, pgtype.TimestampOID, "1969-12-31 23:59:59.999999", "1969-01-01 00:00:00"},
		{mask.Year, pgtype.TimestampOID, "1999-12-31 23:59:59", "1999-01-01 00:00:00"},
		{mask.Year, pgtype.TimestampOID, "infinity", "NULL"},
		// The day is Shanghai's whatever the offset: at 16:00 UTC the new year begins there.
		{mask.Year, pgtype.TimestamptzOID, "2023-12-31 15:59:59.9+00", "2023-01-01 00:00:00+08"},
		{mask.Year, pgtype.TimestamptzOID, "2023-12-31 16:00:00+00", "2024-01-01 00:00:00+08"},
		{mask.Year, pgtype.TimestamptzOID, "2023-12-31 10:30:00-05:30", "2024-01-01 00:00:00+08"},
		{mask.Year, pgtype.TimestamptzOID, "2024-01-01 00:05:43+08:05:43", "2024-01-01 00:00:00+08"},
		{mask.Year, pgtype.TimestamptzOID, "2023-12-31 23:59:59-167:30", "2024-01-01 00:00:00+08"},
		{mask.Month, pgtype.TimestamptzOID, "1999-12-31 15:59:59.999999+00", "1999-12-01 00:00:00+08"},
	} {
		m := build(t, mask.Spec{Kind: mask.Date, To: c.to})
		if got := showing(t, m, c.oid, pgtype.TextFormatCode, []byte(c.in)); got != c.want {
			t.Errorf("%s to %s is %s, want %s", c.in, c.to, got, c.want)
		}
		want := "NULL"
		if c.want != "NULL" {
			types := pgtype.NewMap()
			typ, _ := types.TypeForOID(c.oid)
			v, err := typ.Codec.DecodeDatabaseSQLValue(types, c.oid, pgtype.TextFormatCode, []byte(c.want))
			if err != nil {
				t.Fatal(err)
			}
			want = fmt.Sprint(v)
		}
		got := showing(t, m, c.oid, pgtype.BinaryFormatCode, binaryOf(t, c.oid, c.in))
		if c.oid == pgtype.TimestamptzOID && want != "NULL" {
			got, want = instant(t, got), instant(t, want)
		}
		if got != want {
			t.Errorf("%s to %s in binary is %s, want %s", c.in, c.to, got, want)
		}
	}
}

func instant(t *testing.T, s string) string {
	t.Helper()
	for _, layout := range []string{"2006-01-02 15:04:05 -0700 -0700", "2006-01-02 15:04:05 -0700 MST"} {
		if at, err := time.Parse(layout, s); err == nil {
			return at.UTC().String()
		}
	}
	t.Fatal(s)
	return ""
}

// In another DateStyle, before Christ and for what is no date NULL is shown: nothing is guessed.
func TestDateThatCannotBeRead(t *testing.T) {
	m := build(t, mask.Spec{Kind: mask.Date, To: mask.Year})
	for _, in := range []string{"", "02.08.1985", "08/02/1985", "08-02-1985", "0044-03-15 BC", "1985-13-01", "1985-00-01", "1985-08-32", "985-08-02", "1985-08-02 ", "１９８５-08-02"} {
		if got := showing(t, m, pgtype.DateOID, 0, []byte(in)); got != "NULL" {
			t.Errorf("%q is shown as %s", in, got)
		}
	}
	for _, in := range []string{"Fri 02 Aug 07:00:00 1985", "1985-08-02 07:00", "1985-08-02 07:00:00 BC", "1985-08-02 07:00:00+08", "1985-08-02 07:00:00.5x"} {
		if got := showing(t, m, pgtype.TimestampOID, 0, []byte(in)); got != "NULL" {
			t.Errorf("%q is shown as %s", in, got)
		}
	}
	for _, in := range []string{"1985-08-02 07:00:00", "1985-08-02 07:00:00 CST", "1985-08-02 07:00:00+8", "1985-08-02 07:00:00+08:5", "1985-08-02 07:00:00+0800", "1985-08-02 07:00:00+08:00:00:00", "1985-08-02 07:00:00+", "0001-01-01 00:00:00+08 BC"} {
		if got := showing(t, m, pgtype.TimestamptzOID, 0, []byte(in)); got != "NULL" {
			t.Errorf("%q is shown as %s", in, got)
		}
	}
	for _, b := range [][]byte{{}, {1, 2, 3}, bytes.Repeat([]byte{9}, 9)} {
		for _, oid := range []uint32{pgtype.DateOID, pgtype.TimestampOID, pgtype.TimestamptzOID} {
			if got := showing(t, m, oid, 1, b); got != "NULL" {
				t.Errorf("%x as type %d is shown as %s", b, oid, got)
			}
		}
	}
}

func TestNumber(t *testing.T) {
	for _, c := range []struct {
		step     int64
		oid      uint32
		in, want string
	}{
		{1000, pgtype.Int2OID, "-32768", "-32000"},
		{1000, pgtype.Int4OID, "12345", "12000"},
		{1000, pgtype.Int4OID, "-12345", "-12000"},
		{1000, pgtype.Int4OID, "999", "0"},
		{7, pgtype.Int8OID, "-9223372036854775808", "-9223372036854775807"},
		{1000, pgtype.NumericOID, "-9999999.99", "-9999000"},
		{1000, pgtype.NumericOID, "123456789012345678.5", "123456789012345000"},
		{1000, pgtype.NumericOID, "1234567890123456789", "NULL"},
		{1000, pgtype.NumericOID, "0.001", "0"},
		{1000, pgtype.NumericOID, "-0.5", "0"},
		{100000, pgtype.NumericOID, "100000000", "100000000"},
		{1000, pgtype.NumericOID, "NaN", "NULL"},
		{1000, pgtype.NumericOID, "Infinity", "NULL"},
		{10, pgtype.Float8OID, "19.999999", "10"},
		{10, pgtype.Float8OID, "-1e3", "-1000"},
		{10, pgtype.Float8OID, "1e16", "NULL"},
		{10, pgtype.Float8OID, "NaN", "NULL"},
		{10, pgtype.Float8OID, "-Infinity", "NULL"},
		{10, pgtype.Float4OID, "12345.6", "12340"},
	} {
		m := build(t, mask.Spec{Kind: mask.Number, Step: c.step})
		text := showing(t, m, c.oid, pgtype.TextFormatCode, []byte(c.in))
		if text != c.want {
			t.Errorf("%s by %d is %s, want %s", c.in, c.step, text, c.want)
		}
		want := c.want
		if want != "NULL" { // as the driver reads what is written in text
			want = showing(t, build(t, mask.Spec{Kind: mask.Constant, Value: c.want}), c.oid, pgtype.BinaryFormatCode, []byte("x"))
		}
		if got := showing(t, m, c.oid, pgtype.BinaryFormatCode, binaryOf(t, c.oid, c.in)); got != want {
			t.Errorf("%s by %d in binary is %s, want %s", c.in, c.step, got, want)
		}
	}
}

// What is shown of a number or date depends on its bucket alone, in both formats alike.
func TestNumericFormatsAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		step := rapid.Int64Range(2, 1_000_000).Draw(t, "step")
		whole := rapid.Int64Range(-1e17, 1e17).Draw(t, "whole")
		text := fmt.Sprintf("%d.%02d", whole, rapid.IntRange(0, 99).Draw(t, "fraction"))
		m, err := mask.New(mask.Spec{Kind: mask.Number, Step: step})
		if err != nil {
			t.Fatal(err)
		}
		var n pgtype.Numeric
		if err := n.Scan(text); err != nil {
			t.Fatal(err)
		}
		types := pgtype.NewMap()
		in, err := types.Encode(pgtype.NumericOID, pgtype.BinaryFormatCode, n, nil)
		if err != nil {
			t.Fatal(err)
		}
		a, _, _ := m.Append(nil, []byte(text), 0, pgtype.NumericOID)
		b, _, _ := m.Append(nil, in, 1, pgtype.NumericOID)
		var back pgtype.Numeric
		if err := types.Scan(pgtype.NumericOID, pgtype.BinaryFormatCode, b, &back); err != nil {
			t.Fatal(err)
		}
		got, err := back.Int64Value()
		if want := whole - whole%step; err != nil || string(a) != fmt.Sprint(want) || got.Int64 != want {
			t.Fatalf("%s by %d is %s and %d, want %d", text, step, a, got.Int64, want)
		}
	})
}

func TestHash(t *testing.T) {
	m := build(t, mask.Spec{Kind: mask.Hash})
	if _, _, err := m.Append(nil, []byte("x"), 0, pgtype.TextOID); err == nil {
		t.Fatal("a pseudonym was made without a key")
	}
	secret := []byte("the proxy's secret")
	ids, again, names, others := m.Keyed(secret, "resident_id"), m.Keyed(secret, "resident_id"), m.Keyed(secret, "person_name"), m.Keyed([]byte("another"), "resident_id")
	const value = "43020319900307123X"
	want := showing(t, ids, pgtype.TextOID, 0, []byte(value))
	if len(want) != mask.PseudonymLength {
		t.Errorf("the pseudonym is %q", want)
	}
	for _, oid := range []uint32{pgtype.TextOID, pgtype.VarcharOID, pgtype.NameOID, pgtype.BPCharOID} {
		for format := range int16(2) {
			if got, null, err := again.Append(nil, []byte(value), format, oid); string(got) != want || null || err != nil {
				t.Errorf("type %d in format %d is %q, want %q", oid, format, got, want)
			}
		}
	}
	if got := showing(t, ids, pgtype.BPCharOID, 0, []byte(value+"   ")); got != want {
		t.Errorf("padding changes the pseudonym: %s", got)
	}
	for what, m := range map[string]*mask.Mask{"another class": names, "another secret": others} {
		if got := showing(t, m, pgtype.TextOID, 0, []byte(value)); got == want {
			t.Errorf("%s gives the same pseudonym", what)
		}
	}
	long := bytes.Repeat([]byte("y"), 1000)
	if showing(t, ids, pgtype.TextOID, 0, long) == showing(t, ids, pgtype.TextOID, 0, long[:999]) {
		t.Error("long values share a pseudonym")
	}
	if got := showing(t, ids, pgtype.Int4OID, 0, []byte("7")); got != "NULL" {
		t.Errorf("a number is shown as %s", got)
	}
}

func TestHashOfUUID(t *testing.T) {
	m := build(t, mask.Spec{Kind: mask.Hash}).Keyed([]byte("s"), "c")
	const id = "550e8400-e29b-41d4-a716-446655440000"
	text := showing(t, m, pgtype.UUIDOID, 0, []byte(id))
	out, _, _ := m.Append(nil, binaryOf(t, pgtype.UUIDOID, id), 1, pgtype.UUIDOID)
	if b := binaryOf(t, pgtype.UUIDOID, text); !bytes.Equal(out, b) {
		t.Errorf("in text %s, in binary %x", text, out)
	}
	for _, bad := range []string{"", "550e8400e29b41d4a716446655440000", "550e8400-e29b-41d4-a716-44665544000g", "550e8400-e29b-41d4-a716 446655440000"} {
		if got := showing(t, m, pgtype.UUIDOID, 0, []byte(bad)); got != "NULL" {
			t.Errorf("%q is shown as %s", bad, got)
		}
	}
}

func TestTypedSpecsRefused(t *testing.T) {
	for _, spec := range []mask.Spec{
		{Kind: mask.Hash, First: 1}, {Kind: mask.Hash, Value: "x"}, {Kind: mask.Date}, {Kind: mask.Date, To: "week"}, {Kind: mask.Date, To: mask.Year, Step: 2},
		{Kind: mask.Number}, {Kind: mask.Number, Step: 1}, {Kind: mask.Number, Step: -5}, {Kind: mask.Number, Step: 10, First: 1},
		{Kind: mask.Keep, First: 1, To: mask.Year}, {Kind: mask.Null, Step: 2}, {Kind: mask.Constant, Value: "x", To: mask.Year},
	} {
		if _, err := mask.New(spec); err == nil {
			t.Errorf("%+v was accepted", spec)
		}
	}
}

func TestTypedMasksDoNotAllocate(t *testing.T) {
	dst := make([]byte, 0, 256)
	hash := build(t, mask.Spec{Kind: mask.Hash}).Keyed([]byte("s"), "c")
	date, number := build(t, mask.Spec{Kind: mask.Date, To: mask.Year}), build(t, mask.Spec{Kind: mask.Number, Step: 1000})
	id, balance, float := []byte("43020319900307123X"), []byte("12345.67"), []byte("1234.5e3")
	when := []byte("2024-05-06 07:08:09.123+08")
	binary := []byte{0, 0, 0, 0, 0, 0, 0, 9}
	if n := testing.AllocsPerRun(100, func() {
		for _, c := range []struct {
			m      *mask.Mask
			value  []byte
			oid    uint32
			format int16
		}{
			{hash, id, pgtype.TextOID, 0}, {date, when, pgtype.TimestamptzOID, 0}, {date, binary, pgtype.TimestampOID, 1}, {date, when[:10], pgtype.DateOID, 0},
			{number, balance, pgtype.NumericOID, 0}, {number, float, pgtype.Float8OID, 0}, {number, binary, pgtype.Int8OID, 1},
		} {
			if _, null, err := c.m.Append(dst, c.value, c.format, c.oid); err != nil || null {
				t.Fatal(c.oid, null, err)
			}
		}
	}); n != 0 {
		t.Errorf("masking allocates %v times", n)
	}
}

func BenchmarkTyped(b *testing.B) {
	dst := make([]byte, 0, 256)
	for _, c := range []struct {
		name  string
		m     *mask.Mask
		value string
		oid   uint32
	}{
		{"hash", build(b, mask.Spec{Kind: mask.Hash}).Keyed([]byte("s"), "c"), "43020319900307123X", pgtype.TextOID},
		{"date", build(b, mask.Spec{Kind: mask.Date, To: mask.Year}), "1985-08-02", pgtype.DateOID},
		{"number", build(b, mask.Spec{Kind: mask.Number, Step: 1000}), "12345.67", pgtype.NumericOID},
	} {
		b.Run(c.name, func(b *testing.B) {
			value := []byte(c.value)
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := c.m.Append(dst, value, 0, c.oid); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
