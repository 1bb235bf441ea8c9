package mask_test

import (
	"fmt"
	"strings"
	"testing"

	"shiguan/policy/mask"
)

// What two masks together show tells no two values apart that one of the two shows alike.
func TestStricterRevealsNoMoreThanEither(t *testing.T) {
	specs := []mask.Spec{{Kind: mask.Null}, {Kind: mask.Constant, Value: "***"}, {Kind: mask.Constant, Value: "-"}}
	for first := range 4 {
		for last := range 4 {
			if first+last > 0 {
				specs = append(specs, mask.Spec{Kind: mask.Keep, First: first, Last: last, Fill: 1 + (first+last)%3},
					mask.Spec{Kind: mask.Keep, First: first, Last: last, Fill: 2, Least: 4})
			}
		}
	}
	var values []string
	for length := range 7 {
		for n := range 1 << length {
			values = append(values, strings.NewReplacer("0", "a", "1", "界").Replace(fmt.Sprintf("%0*b", length, n)[:length]))
		}
	}
	joined := 0
	for _, s := range specs {
		for _, u := range specs {
			a, b := made(t, s), made(t, u)
			joint, ok := mask.Stricter(a, b)
			if !ok {
				continue
			}
			joined++
			for _, single := range []*mask.Mask{a, b} {
				shows := map[string]string{} // what a single mask shows → what the joint one shows
				for _, v := range values {
					one, both := shown(t, single, v), shown(t, joint, v)
					if before, ok := shows[one]; ok && before != both {
						t.Fatalf("%+v and %+v: %q is shown as %q by one, and as %q and %q by both", s, u, v, one, before, both)
					}
					shows[one] = both
				}
			}
			if reverse, ok := mask.Stricter(b, a); !ok {
				t.Errorf("%+v and %+v depend on their order", s, u)
			} else if again := reverse.Spec(); again.Kind != joint.Spec().Kind || again.First != joint.Spec().First {
				t.Errorf("%+v and %+v depend on their order", s, u)
			}
		}
	}
	if joined < len(specs)*len(specs)/3 {
		t.Errorf("only %d pairs were joined", joined)
	}
}

func made(t *testing.T, s mask.Spec) *mask.Mask {
	t.Helper()
	m, err := mask.New(s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func shown(t *testing.T, m *mask.Mask, value string) string {
	t.Helper()
	out, null, err := m.Append(nil, []byte(value), 0, 25)
	if err != nil {
		t.Fatal(err)
	}
	if null {
		return "NULL"
	}
	return string(out)
}
