package sql_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	pg_query "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"
	"shiguan/policy/sql"
)

// same says that two analyses say the same, view caches and the like apart.
func same(a, b *sql.Analysis) bool {
	if len(a.Statements) != len(b.Statements) {
		return false
	}
	for i := range a.Statements {
		x, y := &a.Statements[i], &b.Statements[i]
		if !reflect.DeepEqual(x.Tables, y.Tables) || !reflect.DeepEqual(x.Columns, y.Columns) || !reflect.DeepEqual(x.Functions, y.Functions) ||
			!reflect.DeepEqual(x.Outputs, y.Outputs) || !reflect.DeepEqual(x.Pins, y.Pins) || x.Verb != y.Verb || x.MayWrite != y.MayWrite ||
			!reflect.DeepEqual(x.Appendable(), y.Appendable()) {
			return false
		}
	}
	return true
}

// The same text, catalogue and environment must give the same answer, also to many sessions at once.
func TestAnalysisIsDeterministicAndShared(t *testing.T) {
	cat, other := city(t), city(t)
	if cat.Version() != other.Version() {
		t.Fatal("equal snapshots have different versions")
	}
	var texts []string
	for _, e := range corpus(t, "testdata/corpus.sql") {
		texts = append(texts, e.text)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, text := range texts {
				a, aerr := sql.Analyse(text, cat, sql.Env{SearchPath: []string{"public"}})
				b, berr := sql.Analyse(text, other, sql.Env{SearchPath: []string{"public"}})
				if (aerr == nil) != (berr == nil) || aerr != nil && aerr.Error() != berr.Error() || aerr == nil && !same(a, b) {
					t.Errorf("%s: two answers", text)
				}
			}
		})
	}
	wg.Wait()
}

// depth is how deep the parse tree's nodes nest.
func depth(m protoreflect.Message) int {
	most := 0
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if f.Message() == nil {
			return true
		}
		if f.IsList() {
			for i := range v.List().Len() {
				most = max(most, depth(v.List().Get(i).Message()))
			}
			return true
		}
		most = max(most, depth(v.Message()))
		return true
	})
	return most + 1
}

// The lexer's measure must bound what it exists to bound: the real tree's depth.
func TestNestingBoundsTheTree(t *testing.T) {
	texts := []string{
		"select 1" + strings.Repeat("+1", 300),
		"select 1" + strings.Repeat("::int", 300),
		"select 1 from a" + strings.Repeat(" cross join a", 300),
		"select 1, 2" + strings.Repeat(" union all select 1, 2", 300),
		"select " + strings.Repeat("f(1,", 300) + "1" + strings.Repeat(")", 300),
		"select " + strings.Repeat("case when true then ", 300) + "1" + strings.Repeat(" end", 300),
		"select array" + strings.Repeat("[", 300) + "1" + strings.Repeat("]", 300),
		"select " + strings.Repeat("(1+1,2+", 100) + "1" + strings.Repeat(")", 100),
		"insert into a values (1)" + strings.Repeat(",(1)", 2000),
	}
	for _, file := range []string{"testdata/corpus.sql", "testdata/drivers.sql"} {
		for _, e := range corpus(t, file) {
			texts = append(texts, e.text)
		}
	}
	for _, text := range texts {
		nest, err := sql.Nesting(text)
		if err != nil {
			t.Errorf("%.80s: %v", text, err)
			continue
		}
		tree, err := pg_query.Parse(text)
		if err != nil {
			t.Errorf("%.80s: %v", text, err)
			continue
		}
		// A level of the grammar is at most four messages: Node, the node, a List in between, and its Node.
		if d := depth(tree.ProtoReflect()); d > 4*nest+16 {
			t.Errorf("%.80s: depth %d is not bounded by nesting %d", text, d, nest)
		}
	}
}

func FuzzAnalyse(f *testing.F) {
	for _, file := range []string{"testdata/corpus.sql", "testdata/drivers.sql"} {
		for _, e := range corpus(f, file) {
			f.Add(e.text)
		}
	}
	cat, other := city(f), city(f)
	f.Fuzz(func(t *testing.T, text string) {
		a, err := sql.Analyse(text, cat, sql.Env{SearchPath: []string{"public", "civil", "app"}})
		if err != nil {
			var se *sql.Error
			if !errors.As(err, &se) || se.Internal() != "" {
				t.Fatalf("%v: %s", err, se.Internal())
			}
			return
		}
		for i := range a.Statements {
			if s := &a.Statements[i]; !strings.Contains(text, s.Text) {
				t.Fatalf("the statement %q is not of the text", s.Text)
			}
			if err := complete(&a.Statements[i]); err != nil {
				t.Fatal(err)
			}
		}
		if b, err := sql.Analyse(text, other, sql.Env{SearchPath: []string{"public", "civil", "app"}}); err != nil || !same(a, b) {
			t.Fatalf("two answers, or %v", err)
		}
	})
}

// complete checks what must hold of every analysis: no output depends on a column that has no use.
func complete(s *sql.Statement) error {
	if s.Verb == sql.Explain {
		return nil
	}
	used := map[sql.Column]bool{}
	for _, u := range s.Columns {
		used[u.Column] = true
	}
	for _, o := range s.Outputs {
		for _, c := range append(o.From, o.Base) {
			if c != (sql.Column{}) && !used[c] {
				return fmt.Errorf("output %s depends on %v, which has no use", o.Name, c)
			}
		}
		if o.Base != (sql.Column{}) && o.Server == (sql.Column{}) {
			return fmt.Errorf("output %s has a base that the server does not report", o.Name)
		}
	}
	for _, p := range s.Pins {
		if !used[p.Column] {
			return fmt.Errorf("pin on %v, which has no use", p.Column)
		}
	}
	return nil
}
