package noninterference

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// disguise changes the hidden part of values, and nothing of what the demo's masks show of them.
type disguise struct {
	known        map[string]bool // numbers that stay
	otherLengths bool
}

// value gives another value for row i of a column. Numbers of persons and accounts are changed one to one, so that keys
// stay keys; of the rest many become equal and equal ones different, so that grouping and comparing shows.
func (d *disguise) value(column, v string, i int) string {
	switch column {
	case "id_number": // first 6 and last 4 are shown
		if d.known[v] {
			return v
		}
		return v[:6] + otherDigits(v[6:14]) + v[14:]
	case "account_no": // last 4 are shown
		return otherDigits(v[:len(v)-4]) + v[len(v)-4:]
	case "phone": // first 3 and last 4 are shown
		hidden := fmt.Sprintf("%04d", i%7*1111)
		if d.otherLengths {
			hidden += strings.Repeat("5", i%3)
		}
		return v[:3] + hidden + v[len(v)-4:]
	case "name": // the first character is shown
		_, n := utf8.DecodeRuneInString(v)
		return v[:n] + d.otherCharacters(v[n:], i)
	case "address": // the first 6 characters are shown
		n := 0
		for range 6 {
			_, size := utf8.DecodeRuneInString(v[n:])
			n += size
		}
		return v[:n] + d.otherCharacters(v[n:], i)
	case "reason", "employer", "district":
		return d.otherCharacters(v, i)
	case "balance", "amount":
		return fmt.Sprintf("%0*d.%02d", len(v)-3, i%5+1, i%3)
	case "size":
		return fmt.Sprint(i%3 + 7)
	case "birth_date", "paid_on":
		day, err := time.Parse(time.DateOnly, v)
		if err != nil {
			panic(err)
		}
		return day.AddDate(0, 0, 11+i%5).Format(time.DateOnly)
	}
	panic("nobody said how to disguise " + column)
}

// otherDigits changes every digit and their order, one to one.
func otherDigits(v string) string {
	b := make([]byte, len(v))
	for i := range v {
		b[len(v)-1-i] = '0' + (v[i]-'0')*7%10
		if v[i] == '0' || v[i] == '5' { // 7·0 and 7·5 end in themselves
			b[len(v)-1-i] = '5' - v[i] + '0'
		}
	}
	return string(b)
}

// otherCharacters keeps the length in bytes, unless other lengths are wanted.
func (d *disguise) otherCharacters(v string, i int) string {
	var b strings.Builder
	for _, r := range v {
		switch utf8.RuneLen(r) {
		case 1:
			b.WriteByte('0' + byte(i%10))
		default:
			b.WriteRune('一' + rune(i%11))
		}
	}
	if d.otherLengths {
		b.WriteString(strings.Repeat("丰", i%4))
	}
	return b.String()
}

func TestDisguiseHidesNoMore(t *testing.T) {
	for _, otherLengths := range []bool{false, true} {
		d := disguise{otherLengths: otherLengths}
		for column, show := range map[string][2]int{"id_number": {6, 4}, "account_no": {0, 4}, "phone": {3, 4}, "name": {1, 0}, "address": {6, 0}} {
			for k, c := range contents {
				j := strings.Index(" "+c.columns+" ", " "+column+" ")
				if j < 0 {
					continue
				}
				j = strings.Count(c.columns[:j], " ")
				same, seen := 0, map[string]string{}
				for i, row := range town.worlds.tables[k].rows {
					was, is := []rune(row[j]), []rune(d.value(column, row[j], i))
					if string(was[:show[0]]) != string(is[:show[0]]) || string(was[len(was)-show[1]:]) != string(is[len(is)-show[1]:]) {
						t.Fatalf("%s: of %s the mask shows another part than of %s", column, string(was), string(is))
					}
					if string(was) == string(is) {
						same++
					}
					if column == "id_number" || column == "account_no" {
						if other, ok := seen[string(is)]; ok && other != string(was) {
							t.Fatalf("%s: two values became %s", column, string(is))
						}
						seen[string(is)] = string(was)
					}
				}
				if n := len(town.worlds.tables[k].rows); same > n/20 {
					t.Errorf("%s: %d of %d values are the same in both worlds", column, same, n)
				}
			}
		}
	}
}
