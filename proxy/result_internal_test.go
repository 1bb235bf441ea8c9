package proxy

import (
	"strings"
	"testing"

	"shiguan/policy/mask"
	"shiguan/proxy/wire"
)

// tenColumns is a row of ten text columns, and how it is released: two of them masked.
func tenColumns(t testing.TB) (*result, wire.Message) {
	t.Helper()
	keep, err := mask.New(mask.Spec{Kind: mask.Keep, First: 3, Last: 4})
	if err != nil {
		t.Fatal(err)
	}
	const text = 25
	r := &result{columns: make([]resultColumn, 10)}
	b := wire.BeginDataRow(nil)
	for i := range r.columns {
		r.columns[i].typ = text
		b.Value([]byte("43020319900307123X"))
	}
	r.columns[2].mask, r.columns[7].mask = keep, keep
	return r, wire.Message(b.End())
}

func TestMaskingARowDoesNotAllocate(t *testing.T) {
	r, m := tenColumns(t)
	buf := make([]byte, 0, 1024)
	var out []byte
	n := testing.AllocsPerRun(100, func() {
		values, err := wire.ParseDataRow(m.Body())
		if err == nil {
			out, err = r.appendRow(buf, values)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("a row with two masked columns allocates %v times", n)
	}
	if masked := strings.Count(string(out), "430****123X"); masked != 2 || strings.Count(string(out), "43020319900307123X") != 8 {
		t.Errorf("the row is %q", out)
	}
}

func BenchmarkMaskedRow(b *testing.B) {
	r, m := tenColumns(b)
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		values, err := wire.ParseDataRow(m.Body())
		if err == nil {
			_, err = r.appendRow(buf, values)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
