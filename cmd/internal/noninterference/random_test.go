package noninterference

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

var (
	statements = flag.Int("statements", 0, "how many random statements to run; 0 is 300, or 100,000 with SHIGUAN_TEST_LONG")
	seed       = flag.Uint64("seed", 1, "seed of the random statements: the same seed gives the same ones")
)

func howMany() int {
	switch {
	case *statements > 0:
		return *statements
	case os.Getenv("SHIGUAN_TEST_LONG") != "":
		return 100_000
	}
	return 300
}

// TestRandom runs statements composed at random, and vectors changed at random, as the clerk in both worlds.
func TestRandom(t *testing.T) {
	t.Logf("-seed %d", *seed)
	if err := town.worlds.arrange(t.Context(), "civil_clerk", false); err != nil {
		t.Fatal(err)
	}
	var corpus []string
	for _, s := range readVectors(t) {
		for _, v := range s.vectors {
			if s.person == "civil_clerk" && v.SQL != "" && !v.Sizes && len(v.Params) == 0 {
				corpus = append(corpus, v.SQL)
			}
		}
	}
	var next atomic.Int64
	var count [4]atomic.Int64
	var members sync.WaitGroup
	for range crew {
		p := open(t, "civil_clerk", "case-2026-114")
		members.Go(func() {
			for n := next.Add(1); n <= int64(howMany()) && !t.Failed(); n = next.Add(1) {
				v, err := p.random(t, rand.New(rand.NewPCG(*seed, uint64(n))), corpus)
				if err != nil {
					t.Errorf("statement %d: %v", n, err)
				}
				count[map[verdict]int{allowed: 0, refused: 1, failed: 2, slow: 3}[v]].Add(1)
			}
		})
	}
	members.Wait()
	t.Logf("%d allowed, %d refused, %d failed, %d took too long in one world", count[0].Load(), count[1].Load(), count[2].Load(), count[3].Load())
	if total := int64(howMany()); (count[0].Load() < total/20 || count[3].Load() > 3+total/1000) && !t.Failed() {
		t.Errorf("of %d statements %d were allowed and %d took too long: the others could not leak", total, count[0].Load(), count[3].Load())
	}
}

// slow is the verdict on a statement whose answer did not come in time in one of the worlds: how long it takes is not asked.
// There may be few of them.
const slow verdict = "slow"

// unsettled are statements whose answer depends on more than the values of the tables.
var unsettled = regexp.MustCompile(`(?i)now\(|random|clock|txid|pid|sizes?\(|relpages|explain.*analyze|tablesample|current_timestamp|pg_stat|notify|sleep`)

func (p *pair) random(t *testing.T, r *rand.Rand, corpus []string) (verdict, error) {
	text := ""
	if r.IntN(3) == 0 {
		text = mutated(r, corpus)
	} else {
		text = (&grammar{Rand: r, values: cityValues()}).statement()
	}
	if unsettled.MatchString(text) {
		return refused, nil
	}
	f := forms[r.IntN(len(forms))]
	if !f.fits(kindOf(text)) {
		f = forms[0]
	}
	s := f.make(text, nil)
	v, said, leak, err := p.ask(s, false, true)
	switch {
	case leak == "":
	case bytes.HasSuffix(said[len(said)-1], late) || strings.Contains(leak, string(late)):
		return slow, err
	case !p.byChance(s, false):
		t.Errorf("LEAK %s: %s\n\t%s", f.name, text, leak)
	}
	return v, err
}

var word = regexp.MustCompile(`[A-Za-z_][A-Za-z_0-9.]*|'[^']*'|[0-9]+|[^\sA-Za-z_0-9']`)

// mutated is a vector with some of its words exchanged, dropped, doubled or replaced by those of another one.
func mutated(r *rand.Rand, corpus []string) string {
	words := word.FindAllString(corpus[r.IntN(len(corpus))], -1)
	other := word.FindAllString(corpus[r.IntN(len(corpus))], -1)
	spare := []string{"phone", "address", "id_number", "name", "birth_date", "=", "<", "and", "or", "not", "*", "upper", "(", ")", ",",
		"c", "civil.citizens", "distinct", "null", "1", "''", "order", "by", "::text", "limit", "1", "exists", "all", "as"}
	for range 1 + r.IntN(3) {
		if len(words) < 2 {
			break
		}
		i, j := r.IntN(len(words)), r.IntN(len(words))
		switch r.IntN(5) {
		case 0:
			words[i], words[j] = words[j], words[i]
		case 1:
			words = append(words[:i:i], words[i+1:]...)
		case 2:
			words = append(words[:i:i], append([]string{spare[r.IntN(len(spare))]}, words[i:]...)...)
		case 3:
			words[i] = spare[r.IntN(len(spare))]
		case 4:
			if len(other) > 0 {
				words[i] = other[r.IntN(len(other))]
			}
		}
	}
	return fmt.Sprint(strings.Join(words, " "))
}
