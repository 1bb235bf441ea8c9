package noninterference

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
)

// TestRows runs the vectors of policy/testdata/vectors/rows as a person who may see and change some rows only, in two worlds
// that differ in the others: in their values, and in how many there are.
func TestRows(t *testing.T) {
	ids := make([]string, 0, len(town.worlds.tables[0].rows))
	for _, row := range town.worlds.tables[0].rows {
		ids = append(ids, row[0])
	}
	slices.Sort(ids)
	half := len(ids) / 2
	bound := ids[half]
	keepRowsBelow(t, bound)
	otherRowsFrom(t, bound)

	text, err := os.ReadFile("../../../policy/testdata/vectors/rows/manager.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file vectorFile
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil {
		t.Fatal(err)
	}
	s := suite{person: file.As, purpose: file.Purpose}
	for i := range file.Vectors {
		v := file.Vectors[i]
		for _, one := range v.expand() {
			one.Route = fmt.Sprintf("rows:%d", v.Line)
			one = one.replaced("{bound}", bound)
			for n := range 3 { // those that the second world lacks among the others, see otherRowsFrom
				one = one.replaced(fmt.Sprintf("{in%d}", n), ids[n*7]).replaced(fmt.Sprintf("{out%d}", n), ids[half+n])
			}
			s.vectors = append(s.vectors, one)
		}
	}
	if len(s.vectors) < 60 {
		t.Errorf("%d vectors", len(s.vectors))
	}
	runAll(t, s, false)
}

// keepRowsBelow puts a policy in force, until the test ends, under which the manager sees and changes rows of numbers below
// bound only.
func keepRowsBelow(t *testing.T, bound string) {
	t.Helper()
	before, err := os.ReadFile(town.Policy)
	if err != nil {
		t.Fatal(err)
	}
	// It costs more than the conditions that people add, so that the server would rather evaluate those first.
	where := "    where: \"id_number < '" + bound + "' or id_number in ('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l')\"\n"
	after := string(before)
	for _, change := range [][2]string{
		{"    may:   [select, copy]\n    on:    [civil.*]\n", "    may:   [select, copy]\n    on:    [civil.citizens, civil.households]\n" + where},
		{"    may:   [update]\n    on:    [civil.citizens]\n", "    may:   [update]\n    on:    [civil.citizens]\n" + where},
	} {
		if strings.Count(after, change[0]) != 1 {
			t.Fatalf("%q does not stand once in the city's policy", change[0])
		}
		after = strings.Replace(after, change[0], change[1], 1)
	}
	put := func(policy []byte) {
		if err := os.WriteFile(town.Policy, policy, 0o644); err != nil {
			t.Error(err)
		}
		if _, err := town.Restart(t.Context(), "proxy"); err != nil {
			t.Error(err)
		}
	}
	put([]byte(after))
	t.Cleanup(func() {
		if err := os.WriteFile(town.Policy, before, 0o644); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := town.Restart(ctx, "proxy"); err != nil {
			t.Error(err)
		}
	})
}

// otherRowsFrom makes a second world whose rows of numbers from bound on are others: every third person is missing, new ones
// came, and of those who stayed everything else has changed.
func otherRowsFrom(t *testing.T, bound string) {
	t.Helper()
	w := town.worlds
	gone := map[string]bool{}
	n := 0
	for _, row := range w.tables[0].rows {
		if row[0] >= bound {
			if n++; n%3 == 0 {
				gone[row[0]] = true
			}
		}
	}
	var tables []table
	for _, from := range w.tables {
		to := table{name: from.name, columns: from.columns}
		number := slices.Index(from.columns, "id_number")
		for _, row := range from.rows {
			switch row = slices.Clone(row); {
			case row[number] < bound:
			case gone[row[number]]:
				continue
			case from.name == "civil.citizens":
				row[1], row[2], row[3], row[4] = "外"+row[1]+row[1], "9"+row[2][1:]+"9", "elsewhere", "1950-01-01"
			case from.name == "civil.households":
				row[2], row[3] = "999", "elsewhere"
			}
			to.rows = append(to.rows, row)
		}
		if from.name == "civil.citizens" {
			for i := range 77 {
				to.rows = append(to.rows, []string{fmt.Sprintf("9990%014d", i), "外人", "9", "nowhere", "1949-10-01"})
			}
		}
		tables = append(tables, to)
	}
	w.person = "" // whoever comes next makes his own
	var first, second error
	both(func() { first = w.write(t.Context(), w.first, w.tables) }, func() { second = w.write(t.Context(), w.second, tables) })
	if first != nil || second != nil {
		t.Fatal(first, second)
	}
}
