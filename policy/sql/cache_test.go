package sql_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"

	pg_query "github.com/pganalyze/pg_query_go/v6"

	"shiguan/policy/sql"
)

var here = sql.Env{SearchPath: []string{"public"}, ParamTypes: []uint32{}}

// ask compares what the cache says of a text with a fresh analysis, and returns the cache's.
func ask(t *testing.T, c *sql.Cache, cat *sql.Catalogue, env sql.Env, text string) *sql.Analysis {
	t.Helper()
	want, wantErr := sql.Analyse(text, cat, env)
	got, err := c.Analyse(text, cat, env)
	if !reflect.DeepEqual(err, wantErr) {
		t.Fatalf("%s: error %v, want %v", text, err, wantErr)
	}
	if err != nil {
		return nil
	}
	if got.Catalogue != cat || got.Source() != text || !reflect.DeepEqual(got.Statements, want.Statements) {
		t.Fatalf("%s\n is %+v\nwant %+v", text, got.Statements, want.Statements)
	}
	return got
}

// Literals that may vary, and that must not.
func TestOnlyInertLiteralsVary(t *testing.T) {
	cat := city(t)
	for _, c := range []struct {
		text   string // with a hole where the literals stand
		values [2]string
		shared bool
	}{
		{"select name from civil.citizens where id_number = %s", [2]string{"'1'", "'2'"}, true},
		{"select name from civil.citizens where id_number = %s", [2]string{"'a'", "'it''s over'"}, true},
		{"select name from civil.citizens where id_number = %s", [2]string{"'a'", "'1'"}, false}, // an integer, to a column that is one
		{"select name from civil.citizens where id_number = %s", [2]string{"'a'", "E'b'"}, false},
		{"select name from civil.citizens where id_number = %s", [2]string{"'a'", "U&'b'"}, false},
		{"select name from civil.citizens where id_number = %s", [2]string{"'a'", "$$b$$"}, false},
		{"select name from civil.citizens where id_number = %s", [2]string{"$$a$$", "$$b$$"}, false},
		{"select name from civil.citizens where id_number = %s", [2]string{"B'0'", "B'1'"}, false},
		{"select name from civil.citizens where id_number = %s", [2]string{"'a'\n'b'", "'c'\n'd'"}, false},
		{"select name from civil.citizens where id_number = 'a'\n%s", [2]string{"'b'", "'c'"}, false},
		{"select name from civil.citizens where id_number in ('x', %s)", [2]string{"'a'", "'b'"}, true},
		{"select name from civil.citizens where id_number in (%s)", [2]string{"'a'", "'b', 'c'"}, false},
		{"select name from civil.citizens where id_number = any (%s)", [2]string{"'{a}'", "'{a,b}'"}, true},
		{"select name from civil.citizens where id_number = any (%s::text[])", [2]string{"'{a}'", "'{a,b}'"}, true},
		{"select name from civil.citizens where birth_date between date %s and '2000-01-01'", [2]string{"'1990-01-01'", "'1991-01-01'"}, true},
		{"select name from civil.citizens where birth_date > now() - interval %s", [2]string{"'1 day'", "'2 days'"}, false},
		{"select name from civil.citizens where name like %s", [2]string{"'a%'", "'b_'"}, true},
		{"select name from civil.citizens where name ~ %s", [2]string{"'a'", "'b'"}, false},
		{"select name from civil.citizens limit %s", [2]string{"5", "6"}, false},
		{"select name from civil.citizens offset %s", [2]string{"5", "6"}, false},
		{"select name, phone from civil.citizens order by %s", [2]string{"1", "2"}, false},
		{"select name, phone from civil.citizens group by 1, %s", [2]string{"1", "2"}, false},
		{"select name, %s from civil.citizens", [2]string{"1", "2"}, true},
		{"select name, %s from civil.citizens", [2]string{"1", "9876543210"}, false},
		{"select name, %s from civil.citizens", [2]string{"2147483647", "2147483648"}, false},
		{"select name, %s from civil.citizens", [2]string{"9876543210", "9876543211"}, true},
		{"select name, %s from civil.citizens", [2]string{"1.5", "2.25"}, true},
		{"select name, %s from civil.citizens", [2]string{"1.5", "2"}, false},
		{"select name, %s from civil.citizens", [2]string{"1", "01"}, false},
		{"select name, %s from civil.citizens", [2]string{"1", "1e3"}, false},
		{"select name, %s from civil.citizens", [2]string{"1", "0x1f"}, false},
		{"select name, %s from civil.citizens", [2]string{"1", "1_000"}, false},
		{"select name, %s from civil.citizens", [2]string{"1", "'1'"}, false},
		{"select name, %s from civil.citizens", [2]string{"1", "-1"}, false},
		{"select name, - %s from civil.citizens", [2]string{"1", "2"}, true},
		{"select name, -/* minus */%s from civil.citizens", [2]string{"1", "2"}, false},
		{"select abalance from pgbench_accounts where aid = %s", [2]string{"1", "22222"}, true},
		{"select abalance from pgbench_accounts where aid = -%s", [2]string{"1", "0"}, true},
		{"select abalance from pgbench_accounts where aid = %s", [2]string{"'1'", "'22'"}, true},
		{"select abalance from pgbench_accounts where aid = %s", [2]string{"'1'", "'02'"}, false},
		{"select abalance from pgbench_accounts where aid = %s", [2]string{"'-0'", "'0'"}, false},
		{"update pgbench_accounts set abalance = abalance + %s where aid = 7", [2]string{"1", "22"}, true},
		{"update pgbench_accounts set abalance = abalance + %s where aid = 7", [2]string{"-1", "-22"}, true},
		{"update pgbench_accounts set filler = %s where aid = 7", [2]string{"'x'", "'yy'"}, true},
		{"insert into civil.citizens (id_number, name) values (%s, 'x') returning name", [2]string{"'a'", "'b''c'"}, true},
		{"insert into civil.citizens (id_number, name) values ('q', 'r'), (%s, 'x')", [2]string{"'a'", "'b''c'"}, true},
		{"select current_setting(%s)", [2]string{"'timezone'", "'custom.secret'"}, false},
		{"select (%s::text).current_setting", [2]string{"'timezone'", "'custom.secret'"}, false},
		{"select query_to_xml(%s, true, true, '')", [2]string{"'select 1'", "'select 2'"}, false},
		{"select set_config(%s, 'x', false)", [2]string{"'a.b'", "'search_path'"}, false},
		{"select to_regclass(%s)", [2]string{"'a'", "'civil.citizens'"}, false},
		{"select nextval(%s)", [2]string{"'a'", "'b'"}, false},
		{"select pg_sleep(%s)", [2]string{"1", "100"}, false},
		{"select %s::regclass", [2]string{"'civil.citizens'", "'civil.households'"}, false},
		{"select regclass %s", [2]string{"'civil.citizens'", "'civil.households'"}, false},
		{"select name::varchar(%s) from civil.citizens", [2]string{"10", "20"}, false},
		{"select size::numeric(%s) from civil.households", [2]string{"5", "6"}, false},
		{"select reason::json -> %s from welfare.payments", [2]string{"'a'", "'b'"}, false},
		{"select jsonb_path_query(reason::jsonb, %s) from welfare.payments", [2]string{"'$.a'", "'$.b'"}, false},
		{"set application_name = %s", [2]string{"'a'", "'b'"}, false},
		{"set shiguan.purpose = %s", [2]string{"'case-1'", "'case-2'"}, false},
		{"copy (select name from civil.citizens where id_number = 'x') to stdout with (delimiter %s)", [2]string{"'a'", "'b'"}, false},
		{"copy (select name from civil.citizens where id_number = %s) to stdout", [2]string{"'a'", "'b'"}, false},
		{"prepare q as select name from civil.citizens where id_number = %s", [2]string{"'a'", "'b'"}, false},
		{"explain select name from civil.citizens where id_number = %s", [2]string{"'a'", "'b'"}, false},
		{"declare c cursor for select name from civil.citizens where id_number = %s", [2]string{"'a'", "'b'"}, false},
		{"/*purpose=%s*/ select name from civil.citizens where id_number = 'x'", [2]string{"'case-1'", "'case-2'"}, false},
		{"select name from civil.citizens tablesample bernoulli (%s)", [2]string{"1", "2"}, false},
		{"select substring(name from %s) from civil.citizens", [2]string{"1", "2"}, false},
		{"select sum(size) over (order by household_id rows %s preceding) from civil.households", [2]string{"1", "2"}, false},
		{"select x from (select %s as x) s where x = 'b'", [2]string{"'a'", "'c'"}, true},
		{"with recursive r (n) as (select %s union all select n + 1 from r where n < 5) select n from r", [2]string{"1", "2"}, true},
		{"begin; update pgbench_accounts set abalance = 1 where aid = %s; commit", [2]string{"1", "22"}, true},
		{"select case when name = 'x' then %s end from civil.citizens", [2]string{"'a'", "'b'"}, false},
	} {
		cache := sql.NewCache(1 << 20)
		for i, v := range c.values {
			a := ask(t, cache, cat, here, fmt.Sprintf(c.text, v))
			if carried := a != nil && a.Template() != nil; carried != (c.shared && i == 1) {
				t.Errorf("%s with %v: carried over %v, want %v", c.text, c.values, carried, c.shared)
			}
		}
	}
}

var literalLike = regexp.MustCompile(`'[^']*'|\b[0-9]+(\.[0-9]+)?\b`)

var nasty = []string{"'a'", "''", "'it''s'", "'over'", "'distinct'", "'rollup'", "'--'", "'/*'", "'é张三'", `'\'`, "'1'", "'-7'", "'007'", "'99999999999999999999'",
	"'550e8400-e29b-41d4-a716-446655440000'", "'550E8400-E29B-41D4-A716-446655440000'", "'civil.citizens'", "'timezone'", "'search_path'", "'{1,2}'",
	"0", "1", "2", "3", "42", "2147483647", "2147483648", "9999999999", "123456789012345678", "1234567890123456789", "00", "1.5", "0.0", "-1", "- 1", "1.", ".5", "1e5", "0x1f", "1_0",
	"E'\\''", "U&'\\0041'", "$$x$$", "$1", "null", "true", "N'x'", "B'1'", "'a'\n'b'", "'a' 'b'", "/*x*/ 'a'", "'a'--\n", "1a", "'a'::regclass"}

// TestCacheEqualsAnalysis asks a small cache for statements of the corpus with literals replaced at random, so that shapes
// are learnt, forgotten and carried over all the time.
func TestCacheEqualsAnalysis(t *testing.T) {
	cat := city(t)
	cache := sql.NewCache(256 << 10)
	r := rand.New(rand.NewPCG(7, 11))
	asked, carried := 0, 0
	for _, e := range append(corpus(t, "testdata/corpus.sql"), corpus(t, "testdata/drivers.sql")...) {
		if !literalLike.MatchString(e.text) {
			continue
		}
		env := sql.Env{SearchPath: e.path}
		for range 6 {
			text := literalLike.ReplaceAllStringFunc(e.text, func(was string) string { return otherLiteral(r, was) })
			a := ask(t, cache, cat, env, text)
			asked++
			if a != nil && a.Template() != nil {
				carried++
			}
			if _, _, bytes := cache.Size(); bytes > 256<<10 {
				t.Fatalf("the cache holds %d bytes", bytes)
			}
		}
	}
	if carried < asked/16 {
		t.Errorf("%d of %d texts were carried over, which tests nothing", carried, asked)
	}
	t.Logf("%d of %d texts were carried over", carried, asked)
}

// otherLiteral is mostly of the same class, else anything.
func otherLiteral(r *rand.Rand, was string) string {
	switch n := r.IntN(8); {
	case n == 0:
		return nasty[r.IntN(len(nasty))]
	case n < 3:
		return was
	case was[0] == '\'' && n < 5:
		return []string{"'x'", "'it''s over'", "'distinct'", "'É'", "'--'", "'/*'", `'\'`, "'$1'", "';'", "'(('"}[r.IntN(10)]
	case was[0] == '\'':
		return fmt.Sprintf("'%x'", "v"+strings.Repeat("y", r.IntN(9)))
	}
	return fmt.Sprint(r.IntN(1 << r.IntN(31)))
}

func TestCacheKnowsWhatItDependsOn(t *testing.T) {
	cat, other := city(t), city(t)
	cache := sql.NewCache(1 << 20)
	text := func(id string) string { return "select * from pgbench_accounts where aid = " + id }
	for _, id := range []string{"1", "2"} { // the second of each kind is carried over
		for _, c := range []*sql.Catalogue{cat, other} {
			for _, env := range []sql.Env{here, {SearchPath: []string{"public"}}, {SearchPath: []string{"public"}, Role: "r", ParamTypes: []uint32{23}},
				{SearchPath: []string{"public"}, TempSchema: "pg_temp_3"}, {SearchPath: []string{"app"}}, {SearchPath: []string{"", "public"}}} {
				ask(t, cache, c, env, text(id))
			}
		}
	}
	a := ask(t, cache, cat, here, text("3"))
	if a.Template() != nil {
		t.Error("carried over from another catalogue")
	}
	if a = ask(t, cache, cat, here, text("4")); a.Template() == nil {
		t.Error("not carried over")
	}
	cache.Purge()
	if a = ask(t, cache, cat, here, text("5")); a.Template() != nil {
		t.Error("carried over after Purge")
	}
	if a = ask(t, cache, cat, here, text("6")); a.Kept() {
		t.Error("a text seen once is kept")
	}
	if a = ask(t, cache, cat, here, text("6")); !a.Kept() || ask(t, cache, cat, here, text("6")) != a {
		t.Error("a text seen twice is not kept")
	}
}

func TestSeenTextAllocatesNothing(t *testing.T) {
	cat, cache := city(t), sql.NewCache(1<<20)
	text := "select name, phone from civil.citizens where id_number = '430203199003071234'"
	ask(t, cache, cat, here, text)
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := cache.Analyse(text, cat, here); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// One cache serves all sessions of a database at once.
func TestCacheIsShared(t *testing.T) {
	cat, cache := city(t), sql.NewCache(128<<10)
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(worker)))
			for range 300 {
				text := fmt.Sprintf("select name, %d from civil.citizens where id_number = 'c%d' and birth_date = '19%02d-01-01' limit %d",
					r.IntN(100), r.IntN(100), r.IntN(99), r.IntN(3))
				a, err := cache.Analyse(text, cat, here)
				if err != nil || a.Source() != text || a.Statements[0].Text != text || !strings.Contains(text, "'"+a.Statements[0].Pins[0].Value+"'") {
					t.Errorf("%s: %v, %+v", text, err, a)
					return
				}
			}
		})
	}
	wg.Wait()
}

// FuzzCache asks for a text and for one with other literals through one cache: both must come out as if analysed afresh.
func FuzzCache(f *testing.F) {
	for i, e := range corpus(f, "testdata/corpus.sql") {
		if i%7 == 0 {
			f.Add(e.text, uint64(i))
		}
	}
	cat := city(f)
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		cache, r := sql.NewCache(1<<20), rand.New(rand.NewPCG(seed, 1))
		ask(t, cache, cat, here, text)
		for range 3 {
			ask(t, cache, cat, here, literalLike.ReplaceAllStringFunc(text, func(was string) string { return otherLiteral(r, was) }))
		}
		ask(t, cache, cat, here, text)
	})
}

func TestWithoutLiterals(t *testing.T) {
	for text, want := range map[string]string{
		"select 'over', \"over\" from t where x = 'it''s' -- 'over'": "select '', \"over\" from t where x = '' -- 'over'",
		"select 12, E'over'":   "select 12, E'over'",
		"select 'not closed":   "select 'not closed",
		"select $$over$$, 'é'": "select $$over$$, ''",
	} {
		if got := sql.WithoutLiterals(text); got != want {
			t.Errorf("%s\n is %s\nwant %s", text, got, want)
		}
	}
}

func TestShape(t *testing.T) {
	for text, want := range map[string]string{
		"select  name\nfrom t -- secret\nwhere a = 'it''s' and b in (1, 2.5,-3e4)":                                               "select name from t where a = ? and b in (?, ?,-?)",
		`select "Col", U&"d\0061t", a1, $1 from t /* x */ where e = E'\'' or f = U&'x' or g = $$y$$ or h = $q$z$q$ or i = B'01'`: `select "Col", U&"d\0061t", a1, $1 from t where e = ? or f = ? or g = ? or h = ? or i = ?`,
		"select .5, 0x1F, 1_000": "select ?, ?, ?",
		"select 'open":           "",
	} {
		if got := sql.Shape(text); got != want {
			t.Errorf("%s\n is %s\nwant %s", text, got, want)
		}
	}
}

func BenchmarkCache(b *testing.B) {
	cat := city(b)
	const query = "select name, phone from civil.citizens where birth_date = '1985-08-02' and id_number = '%018d'"
	b.Run("seen", func(b *testing.B) {
		cache, text := sql.NewCache(64<<20), fmt.Sprintf(query, 1)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := cache.Analyse(text, cat, here); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("other literals", func(b *testing.B) {
		cache := sql.NewCache(64 << 20)
		texts := make([]string, 10_000)
		for i := range texts {
			texts[i] = fmt.Sprintf(query, i)
		}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, err := cache.Analyse(texts[i%len(texts)], cat, here); err != nil {
				b.Fatal(err)
			}
		}
	})
	for name, text := range firstSights {
		b.Run("first sight/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := sql.Analyse(text, cat, here); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("first sight/"+name+", parser alone", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := pg_query.Parse(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

var firstSights = map[string]string{
	"point":      "SELECT abalance FROM pgbench_accounts WHERE aid = 12345",
	"join":       "select c.name, sum(p.amount) from civil.citizens c join welfare.payments p on p.id_number = c.id_number where c.birth_date > '1990-01-01' group by c.name order by 2 desc limit 10",
	"star":       "select * from civil.citizens where id_number = $1",
	"1,000 rows": "insert into civil.citizens (id_number, name) values " + strings.Repeat("('110101199003070010', 'x'),", 999) + "('1', 'x')",
}
